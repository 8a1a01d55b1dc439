"""Quality scores of a cohort: one a structure, read as columns of one number a scan, and those of cohorts that had a single one.

Scans measured before each structure had a score have one, of the hypothalamus, and one flag for it. They are read as what they are: the
score of the hypothalamus and its flag; the intracranial volume of such a scan has no score.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from jaxtyping import Float64

from hypojax.schema import FLAG_TEXT, REGIONS, SCAN, SCAN_REGION, SCORED, TABLE

SCORES: Final = {f"quality_score_{region}": ("quality_score", region) for region in SCORED}
"""Column of one number a scan → the variable and region that it is."""

SCORE: Final = next(variable for variable in TABLE if variable.name == "quality_score")

SINGLE: Final = "hypothalamus"
"""The structure that a single score was of."""

SINGLE_FLAG: Final = "low_quality_score"


def measure_of(dataset: xr.Dataset, column: str) -> Float64[np.ndarray, "scan"]:
    """A number of every scan: a variable on ``scan``, or ``quality_score_icv`` for that of one region; NaN where there is none.

    Examples
    --------
    >>> table = xr.Dataset({"seconds": ("scan", [1.5])}, {"scan": ["sub-01"]})
    >>> measure_of(table, "quality_score_icv").tolist(), measure_of(table, "seconds").tolist()
    ([nan], [1.5])
    """
    name, region = SCORES.get(column, (column, ""))
    if name not in dataset or (region and region not in dataset["region"].values.tolist()):
        return np.full(dataset.sizes["scan"], np.nan)
    values = dataset[name].sel(region=region) if region else dataset[name]
    return values.to_numpy().astype(np.float64)


def record_by_region(row: Mapping[str, Any]) -> dict[str, Any]:
    """Score by region, and flags, of the row of a record that has a single score; nothing of others.

    >>> record_by_region({"quality_score": 0.3, "flags": "low_quality_score noisy"})["flags"]
    'low_quality_hypothalamus noisy'
    """
    if SCORE.name not in row:
        return {}
    scores = [row[SCORE.name] if region == SINGLE else None for region in REGIONS]
    return {SCORE.name: scores, FLAG_TEXT.name: " ".join(_flags(str(row.get(FLAG_TEXT.name) or "").split()))}


def table_by_region(table: xr.Dataset) -> xr.Dataset:
    """A stored table with scores by region, also one that has a single score."""
    if SCORE.name not in table or table[SCORE.name].dims != SCAN:
        return table
    scores = np.full((table.sizes["scan"], table.sizes["region"]), np.nan)
    scores[:, table["region"].values.tolist().index(SINGLE)] = table[SCORE.name].to_numpy()
    flags = xr.Variable("flag", np.array(_flags(table["flag"].values.tolist()), object), table["flag"].attrs)
    return table.assign({SCORE.name: xr.Variable(SCAN_REGION, scores, SCORE.attributes)}).assign_coords(flag=flags)


def _flags(names: Iterable[str]) -> list[str]:
    """Names of flags as they are called now."""
    return [f"low_quality_{SINGLE}" if name == SINGLE_FLAG else name for name in names]
