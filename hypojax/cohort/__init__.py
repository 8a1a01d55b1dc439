"""The cohort: one xarray Dataset over ``scan``, made from the store, and what is exported of it."""

from hypojax.cohort.exports import (
    PARQUET,
    TSV,
    RegionSummary,
    Summary,
    export_table,
    exported,
    summary,
    tidy,
    without_places,
)
from hypojax.cohort.opening import open_cohort, open_scan, open_table, placed
from hypojax.cohort.rows import AXES, RESERVED, build, people

__all__ = [
    "AXES", "PARQUET", "RESERVED", "TSV", "RegionSummary", "Summary", "build", "export_table", "exported",
    "open_cohort", "open_scan", "open_table", "people", "placed", "summary", "tidy", "without_places",
]  # fmt: skip
