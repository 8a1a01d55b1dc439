"""Figures of accuracy beside what they ought to be."""

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.metrics import icc31, pearson
from hypojax.schema import LABELS
from pipelines.maintenance.references import DEEPBET

SYNTHETIC: Final = "synthetic T1w of held-out head maps"
EXTRACTION: Final = "DLICV, by `brain_extraction`"
RELEASED: Final = "the same by the default, whose first runs had seen these head maps"


def bar(what: str, against: str, found: float, wanted: float, *, text: str, low: float = np.nan, high: float = np.nan) -> dict[str, object]:
    """One line of the accuracy table; a bar that is met from below has a negative sign."""
    met = found >= wanted if wanted >= 0 else found <= -wanted
    peer = DEEPBET.get(what, np.nan) if against == "DLICV" else np.nan
    return {"what": what, "against": against, "found": found, "low": low, "high": high, "bar": text, "met": bool(met), "deepbet": peer}


def hypothalamus_bars(evaluation: xr.Dataset, summary: xr.Dataset) -> list[dict[str, object]]:
    """Dice, and agreement and error of volumes, over the five folds."""
    everyone = summary.sel(stratum="all")
    regions = {"whole hypothalamus Dice": (["hypothalamus"], 0.885), "left Dice": (["hypothalamus_left"], 0.87)}
    regions |= {"right Dice": (["hypothalamus_right"], 0.87), "subunit Dice, mean of ten": (list(LABELS.values()), 0.72)}
    lines = []
    for what, (names, wanted) in regions.items():
        scores = evaluation["dice"].sel(region=names).mean("region")
        interval = everyone.sel(region=names[0], metric="dice") if len(names) == 1 else None
        low, high = (float(interval[name]) if interval is not None else np.nan for name in ("mean_low", "mean_high"))
        lines.append(bar(what, "teacher, held-out folds", float(scores.mean()), wanted, text=f">= {wanted}", low=low, high=high))
    whole = everyone.sel(region="hypothalamus")
    limits = {"low": float(whole["icc31_low"]), "high": float(whole["icc31_high"])}
    lines.append(
        bar("whole-hypothalamus volume, ICC(3,1)", "teacher, held-out folds", float(whole["icc31"]), 0.87, text=">= 0.87", **limits)
    )
    soft = evaluation.sel(region="hypothalamus")
    pair = np.stack([soft["soft_mm3"].values.astype(float), soft["volume_reference_mm3"].values], axis=1)
    found = icc31(pair)
    lines.append(bar("the same of the soft volume", "teacher", found.estimate, 0.87, text=">= 0.87", low=found.low, high=found.high))
    errors = soft["volume_predicted_mm3"].values / soft["volume_reference_mm3"].values - 1
    for name, error in {"mean": float(np.mean(errors)), "median": float(np.median(errors))}.items():
        lines.append(bar(f"error of the volume, {name}, either way", "teacher, held-out folds", abs(error), -0.02, text="<= 2 %"))
    return lines


def intracranial_bars(evaluation: xr.Dataset, summary: xr.Dataset, against: str = "DLICV") -> list[dict[str, object]]:
    """Agreement with DLICV of the intracranial volume, or of another outline, which ``against`` says."""
    icv, scores = summary.sel(stratum="all", region="icv"), evaluation.sel(region="icv")
    volumes = scores["volume_predicted_mm3"].values, scores["volume_reference_mm3"].values
    dice = icv.sel(metric="dice")
    limits = {"low": float(dice["mean_low"]), "high": float(dice["mean_high"])}
    return [
        bar("intracranial Dice", against, float(scores["dice"].mean()), 0.975, text=">= 0.975", **limits),
        bar("intracranial volume correlation", against, pearson(*volumes), 0.985, text=">= 0.985"),
        bar("scatter of the volume error", against, float(icv["volume_ratio_scatter"]), -0.015, text="<= 1.5 %"),
    ]


def synthetic_bars(table: pd.DataFrame, against: str) -> list[dict[str, object]]:
    """Synthetic heads from label maps that were kept from a head network."""
    error = float(table["relative_volume_error"].abs().mean())
    return [
        bar("intracranial Dice", against, float(table["dice"].mean()), 0.985, text=">= 0.985"),
        bar("absolute volume error", against, error, -0.008, text="<= 0.8 %"),
    ]
