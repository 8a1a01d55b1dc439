"""Evaluations over time, where the store has a history of them (`hypojax evaluate --record`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pandas as pd

from hypojax.drift.measure import in_words
from hypojax.evaluate.history import read_history

REGIONS: Final = ("hypothalamus", "icv")
COLUMNS: Final = ("date", "reference", "region", "weights_box_sha256", "scored", "dice", "dice_low", "dice_high", "bias_mm3")
"""What is shown of each evaluation."""


def trend_of(*outs: Path) -> pd.DataFrame:
    """Evaluations of whole regions over all scans in the stores of these outputs, each once, oldest first; empty where none."""
    history = pd.concat([read_history(out) for out in outs])
    if "dice" not in history:
        return pd.DataFrame(columns=list(COLUMNS))
    wholes = history[(history["stratum"] == "all") & history["region"].isin(REGIONS)]
    return wholes.reindex(columns=list(COLUMNS)).drop_duplicates().sort_values(["reference", "region", "date"], ignore_index=True)


def trend_sentences(trend: pd.DataFrame) -> list[str]:
    """How the last evaluation against each reference compares with the one before, a sentence a region."""
    return [] if trend.empty else list(_sentences(trend))


def trend_rows(trend: pd.DataFrame) -> list[list[str]]:
    """The trend for the eye: header and rows."""
    header = ["date", "against", "region", "weights", "scans", "Dice (95 % CI)", "bias, mm³"]
    return [header, *(_cells(line) for _, line in trend.iterrows())]


def _sentences(trend: pd.DataFrame) -> Iterator[str]:
    """One sentence for each reference and region that was evaluated twice."""
    for (reference, region), lines in trend.groupby(["reference", "region"], sort=True):
        if len(lines) > 1:
            before, last = lines.iloc[-2], lines.iloc[-1]
            apart = last["dice_high"] < before["dice_low"] or last["dice_low"] > before["dice_high"]
            way = "fell" if last["dice"] < before["dice"] else "rose"
            how = "beyond both intervals" if apart else "within the intervals"
            name, numbers = in_words(str(region)), f"from {before['dice']:.3f} to {last['dice']:.3f}"
            since = pd.Timestamp(before["date"]).date()
            yield f"evaluation against {reference}: Dice of the {name} {way} {numbers} since {since}, {how}"


def _cells(line: pd.Series) -> list[str]:
    """One evaluation as text."""
    dice = f"{line['dice']:.3f} ({line['dice_low']:.3f} to {line['dice_high']:.3f})"
    made = "" if pd.isna(line["weights_box_sha256"]) else str(line["weights_box_sha256"])[:8]
    when = pd.Timestamp(line["date"]).date().isoformat()
    return [when, str(line["reference"]), in_words(str(line["region"])), made, f"{line['scored']:.0f}", dice, f"{line['bias_mm3']:+.0f}"]
