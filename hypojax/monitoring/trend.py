"""Evaluations over time, where the store has a history of them (`hypojax evaluate --record`).

The last evaluation against a reference moved where its interval and that of the one before lie apart. That is a comparison
of intervals, not a test: evaluations do not keep scores of single scans. Of two that are equal it finds fewer than one in a
hundred apart where the scans are others (intervals of the same width are apart at 2.8 standard errors of the difference;
Schenker and Gentleman 2001), and hardly any where the scans are the same: conservative, so a smaller fall is missed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pandas as pd

from hypojax.evaluation.history import read_history
from hypojax.metrics import Interval
from hypojax.monitoring.difference import Difference
from hypojax.monitoring.finding import Finding
from hypojax.monitoring.measure import Measure, in_words

REGIONS: Final = ("hypothalamus", "icv")
COLUMNS: Final = ("date", "reference", "region", "weights_box_sha256", "scored", "dice", "dice_low", "dice_high", "bias_mm3")
"""What is shown of each evaluation."""

NAN: Final = float("nan")


def trend_of(*outs: Path) -> pd.DataFrame:
    """Evaluations of whole regions over all scans in the stores of these outputs, each once, oldest first; empty where none."""
    history = pd.concat([read_history(out) for out in outs])
    if "dice" not in history:
        return pd.DataFrame(columns=list(COLUMNS))
    wholes = history[(history["stratum"] == "all") & history["region"].isin(REGIONS)]
    return wholes.reindex(columns=list(COLUMNS)).drop_duplicates().sort_values(["reference", "region", "date"], ignore_index=True)


def trend_findings(trend: pd.DataFrame) -> tuple[Finding, ...]:
    """The last evaluation against each reference and the one before, a finding a region."""
    return tuple(_finding(before, last) for before, last in _last_two(trend))


def trend_sentences(trend: pd.DataFrame, *, moved: bool = False) -> list[str]:
    """How the last evaluation against each reference compares with the one before, of those that moved or of the others."""
    return [_sentence(before, last) for before, last in _last_two(trend) if _finding(before, last).moved == moved]


def trend_rows(trend: pd.DataFrame) -> list[list[str]]:
    """The trend for the eye: header and rows."""
    header = ["date", "against", "region", "weights", "scans", "Dice (95 % CI)", "bias, mm³"]
    return [header, *(_cells(line) for _, line in trend.iterrows())]


def _last_two(trend: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.Series]]:
    """The last two evaluations with a Dice, of each reference and region that has two."""
    if not trend.empty:
        for _, lines in trend.dropna(subset=["dice"]).groupby(["reference", "region"], sort=True):
            if len(lines) > 1:
                yield lines.iloc[-2], lines.iloc[-1]


def _finding(before: pd.Series, last: pd.Series) -> Finding:
    """The difference of two evaluations; its interval holds zero where theirs touch."""
    steps = (("dice", "dice"), ("dice_low", "dice_high"), ("dice_high", "dice_low"))
    effect = Interval(*(float(last[end] - before[other]) for end, other in steps))
    title = f"{in_words(str(last['region']))}: Dice against {last['reference']}, last evaluation and the one before"
    return Finding(
        measure=Measure(f"dice {last['region']} against {last['reference']}", "evaluation", "score", title),
        test="intervals apart",
        scans=(int(before["scored"]), int(last["scored"])),
        middles=(float(before["dice"]), float(last["dice"])),
        spreads=(NAN, NAN),
        difference=Difference(effect, NAN, NAN),
        limit=0.0,
        verdict="moved" if effect.low > 0 or effect.high < 0 else "not shown",
    )


def _sentence(before: pd.Series, last: pd.Series) -> str:
    """Two evaluations in a sentence."""
    found = _finding(before, last)
    known = found.difference is not None and pd.notna([*found.difference.effect]).all()
    apart = "beyond both intervals" if found.moved else "within the intervals" if known else "without intervals to tell"
    way = "fell" if last["dice"] < before["dice"] else "rose"
    name, numbers = in_words(str(last["region"])), f"from {before['dice']:.3f} to {last['dice']:.3f}"
    since = pd.Timestamp(before["date"]).date()
    return f"evaluation against {last['reference']}: Dice of the {name} {way} {numbers} since {since}, {apart}"


def _cells(line: pd.Series) -> list[str]:
    """One evaluation as text."""
    dice = f"{line['dice']:.3f} ({line['dice_low']:.3f} to {line['dice_high']:.3f})"
    made = "" if pd.isna(line["weights_box_sha256"]) else str(line["weights_box_sha256"])[:8]
    when = pd.Timestamp(line["date"]).date().isoformat()
    return [when, str(line["reference"]), in_words(str(line["region"])), made, f"{line['scored']:.0f}", dice, f"{line['bias_mm3']:+.0f}"]
