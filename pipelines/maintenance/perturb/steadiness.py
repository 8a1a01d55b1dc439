"""What a table of changed scans says: coefficients of variation, largest changes, shrinkage found against shrinkage made.

The table has a row a scan and change: ``scan``, ``question`` (which list of `perturb.protocol`; ``none`` for the scan
as it came), ``change``, ``known`` (volume of the hypothalamus after over before), ``hypothalamus_mm3`` and ``icv_mm3`` (NaN where
missing), and ``labels_equal`` (share of the structure's voxels that keep their label) where the order of storage was changed.
"""

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64
from scipy.stats import t

from hypojax.metrics import Interval, slope, within_subject_cv

HYPOTHALAMUS: Final = "hypothalamus_mm3"
ICV: Final = "icv_mm3"


def volumes(table: pd.DataFrame, question: str, *, column: str = HYPOTHALAMUS) -> pd.DataFrame:
    """Volumes by scan (rows) and change (columns) of one question, the scan as it came first, under ``none``."""
    chosen = table[table["question"].isin(["none", question])]
    wide = chosen.pivot_table(index="scan", columns="change", values=column, sort=False, dropna=False)
    return wide[["none", *(change for change in wide.columns if change != "none")]]


def changes(table: pd.DataFrame, question: str, *, column: str = HYPOTHALAMUS) -> pd.DataFrame:
    """Relative change against the scan as it came, by scan and change.

    >>> rows = [("a", "none", "none", 800.0), ("a", "brightness", "gamma", 820.0)]
    >>> changes(pd.DataFrame(rows, columns=["scan", "question", "change", "hypothalamus_mm3"]), "brightness").round(3).to_numpy().tolist()
    [[0.025]]
    """
    wide = volumes(table, question, column=column)
    return wide.div(wide["none"], axis=0).drop(columns="none") - 1


def variation(table: pd.DataFrame, question: str, *, column: str = HYPOTHALAMUS) -> tuple[float, pd.Series]:
    """Within-scan coefficient of variation over all changes of a question: root mean square over scans, and each scan's."""
    wide = volumes(table, question, column=column)
    each = {str(scan): within_subject_cv(row[None].astype(np.float64)) for scan, row in zip(wide.index, wide.to_numpy(), strict=True)}
    return within_subject_cv(wide.to_numpy(np.float64)), pd.Series(each, dtype=float)


def shrinkage_slope(table: pd.DataFrame) -> tuple[Interval, pd.Series]:
    """Slope of the measured on the known relative change of the hypothalamus: mean over scans (Student's interval), and each."""
    found = changes(table, "shrinkage")
    known = table[table["question"] == "shrinkage"].groupby("change")["known"].first()[found.columns] - 1
    # The scan as it came is a point of the line: no change made, none found.
    on = np.append(known.to_numpy(), 0.0)
    measured = np.append(found.to_numpy(), np.zeros((len(found), 1)), axis=1)
    each = {str(scan): slope(row, on=on).estimate for scan, row in zip(found.index, measured, strict=True)}
    return _mean_over_scans(np.array(list(each.values()))), pd.Series(each, dtype=float)


def _mean_over_scans(values: Float64[np.ndarray, "scan"]) -> Interval:
    """Mean, and Student's interval: NaN of one scan alone."""
    mean, several = float(values.mean()), len(values) > 1
    reach = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))) if several else float("nan")
    return Interval(mean, mean - reach, mean + reach)


def per_scan(table: pd.DataFrame) -> xr.Dataset:
    """Every scan's own figures; what they are stands in the attributes."""
    bright, bright_icv = (changes(table, "brightness", column=column).abs().max(axis=1) for column in (HYPOTHALAMUS, ICV))
    columns = {
        "variation_hypothalamus": (variation(table, "sessions")[1], "Coefficient of variation over new sessions, hypothalamus"),
        "variation_icv": (variation(table, "sessions", column=ICV)[1], "Coefficient of variation over new sessions, intracranial volume"),
        "brightness_hypothalamus": (bright, "Largest change with brightness, hypothalamus"),
        "brightness_icv": (bright_icv, "Largest change with brightness, intracranial volume"),
        "labels_equal": (table.groupby("scan", sort=False)["labels_equal"].min(), "Least share of equal labels over orders of storage"),
        "shrinkage_slope": (shrinkage_slope(table)[1], "Slope of measured on known change of the hypothalamus"),
    }
    scans = list(dict.fromkeys(table["scan"]))
    variables = {
        name: ("scan", series.reindex(scans).to_numpy(float), {"long_name": text, "units": "1"}) for name, (series, text) in columns.items()
    }
    return xr.Dataset(variables, coords={"scan": scans})
