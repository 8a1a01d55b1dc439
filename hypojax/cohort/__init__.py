"""The cohort: one xarray Dataset over ``scan``, made from the store, and what is exported of it."""

from hypojax.cohort.rows import (
    AXES,
    COORDINATES,
    LONGEST_NAME,
    PARQUET,
    RESERVED,
    TSV,
    RegionSummary,
    Summary,
    build,
    export_table,
    exported,
    open_cohort,
    summary,
    tidy,
)

__all__ = [
    "AXES", "COORDINATES", "LONGEST_NAME", "PARQUET", "RESERVED", "TSV", "RegionSummary", "Summary", "build", "export_table", "exported",
    "open_cohort", "summary", "tidy",
]  # fmt: skip
