"""What the figures of accuracy and steadiness mean for a study, in words and tables of Markdown."""

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.metrics import icc31
from pipelines.maintenance.card_tables import between, markdown
from pipelines.maintenance.perturb.protocol import OBLIQUE
from pipelines.maintenance.perturb.steadiness import HYPOTHALAMUS, ICV, variation

COHORT: Final = "ds002748"
"""The largest dataset at hand."""


FAR: Final = 0.05
"""Change of a volume from which on it is called off."""


POWER: Final = 0.8416
"""Normal quantile of a power of 80 %."""


def calibration(five_fold: xr.Dataset) -> str:
    """How the uncertainty of soft volumes compares with their distance from the teacher's volume."""
    whole = five_fold.sel(region="hypothalamus")
    soft, drawn, views = (whole[name].values.astype(float) for name in ("soft_mm3", "drawn_mm3", "views_mm3"))
    error, said = soft - whole["volume_reference_mm3"].values, np.hypot(drawn, views)
    rows = []
    for name, left in (("as it is", error), ("less its mean", error - error.mean())):
        ratio = left / said
        rows.append({
            "error: soft − teacher": name,
            "mean, mm³": float(left.mean()),
            "standard deviation, mm³": float(left.std(ddof=1)),
            "root mean square of error ÷ uncertainty (1 is calibrated)": float(np.sqrt((ratio**2).mean())),
            "within 1.96 uncertainties": f"{float((np.abs(ratio) < 1.96).mean()):.0%}",
            "rank correlation of its size with the uncertainty": rank_correlation(np.abs(left), said),
        })  # fmt: skip
    said_mm3 = f"{len(error)} scans; uncertainty said, median: {np.median(said):.0f} mm³, of which views {np.median(views):.0f} mm³."
    return f"{said_mm3}\n\n{markdown(pd.DataFrame(rows))}"


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation."""
    return float(pd.Series(one).corr(pd.Series(other), method="spearman"))


def visible_effects(five_fold: xr.Dataset, steady: pd.DataFrame) -> str:
    """The least change in one person, and the least differences between two groups, that are more than error and chance."""
    whole = five_fold.sel(region="hypothalamus")
    found = whole["soft_mm3"].values[whole["dataset"].values == COHORT].astype(float)
    people, repeats = float(found.std(ddof=1) / found.mean()), variation(steady, "sessions")[0]
    rows = [["one person, scanned twice", f"{1.96 * np.sqrt(2) * repeats:.1%}"]]
    rows += [[f"two groups of {n}", f"{(1.96 + POWER) * people * np.sqrt(2 / n):.1%}"] for n in (50, 100, 500)]
    table = markdown(pd.DataFrame(rows, columns=["who", "least difference of the hypothalamus that can be told"]))
    source = f"Coefficients of variation: {repeats:.1%} within a scan made anew, {people:.1%} between the {len(found)} people of {COHORT}"
    return f"{table}\n\n{source}; 95 % confidence, and 80 % power between groups."


def farthest(five_fold: xr.Dataset) -> str:
    """The scan whose volume lies farthest from the teacher's, and what the agreement is without it."""
    whole = five_fold.sel(region="hypothalamus")
    pairs = np.stack([whole["volume_predicted_mm3"].values, whole["volume_reference_mm3"].values], axis=1)
    worst = int(np.abs(pairs[:, 0] - pairs[:, 1]).argmax())
    left = icc31(np.delete(pairs, worst, axis=0))
    ours, theirs = pairs[worst]
    return (
        f"Farthest from its label lies {whole['scan'].values[worst]}: {ours:.0f} mm³, the teacher {theirs:.0f}; "
        f"without it the mean Dice is {np.delete(whole['dice'].values, worst).mean():.3f} and ICC(3,1) {left.estimate:.3f}"
        f"{between(left.low, left.high)}."
    )


def tilted(steady: pd.DataFrame) -> str:
    """How many results of heads tilted too far are off, and how many of these say so."""
    came, turned = (steady[steady["change"] == name].set_index("scan") for name in ("none", f"header turned +{OBLIQUE:.0f} about R"))
    off = (turned[[HYPOTHALAMUS, ICV]] / came[[HYPOTHALAMUS, ICV]] - 1).abs().max(axis=1) > FAR
    flagged = turned["flags"].notna() & off
    return f"Of {len(turned)} such heads {off.sum()} were off by more than {FAR:.0%}; {flagged.sum()} of these carried a flag."


def by_hand(five_fold: xr.Dataset) -> str:
    """Mean and standard deviation of our soft volumes of the largest dataset."""
    whole = five_fold.sel(region="hypothalamus")
    found = whole["soft_mm3"].values[whole["dataset"].values == COHORT].astype(float)
    return f"{found.mean():.0f} ± {found.std(ddof=1):.0f} mm³ in the {len(found)} people of {COHORT}"
