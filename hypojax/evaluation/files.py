"""An evaluation on disk: NetCDF for programs, TSV for spreadsheets, Markdown and HTML for people.

NetCDF-3, because xarray writes and reads it with SciPy alone, and R and MATLAB read it too.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from hypojax.evaluation.page import html, markdown
from hypojax.evaluation.summary import GROUP, GROUP_METRIC, SUMMARY
from hypojax.schema import SCAN_REGION
from hypojax.storage import Disk, on_disk
from hypojax.store.objects import place
from hypojax.tables import write

NAMES: Final = (
    "evaluation.nc", "evaluation.tsv", "evaluation.md", "evaluation.html", "summary.nc", "summary.tsv", "summary_metrics.tsv",
)  # fmt: skip
"""Scores of each scan, the pages to read, and what the pages show in numbers: by stratum and region, and of each metric."""

TYPE_NAMES: Final = frozenset({"byte", "char", "short", "ushort", "int", "uint", "int64", "uint64", "float", "real", "double", "string"})
"""Words that NetCDF keeps for types."""


def write_evaluation(evaluation: xr.Dataset, summary: xr.Dataset, folder: Disk) -> tuple[Path, ...]:
    """Write an evaluation and its summary, each file whole or not at all; the same evaluation gives the same bytes.

    Parameters
    ----------
    evaluation
        As `hypojax.evaluation.compare` gives it.
    summary
        As `hypojax.evaluation.summarise` gives it.
    folder
        Where to; made when it is not there.

    Returns
    -------
    Paths of the files of `NAMES`.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    scans = (netcdf(evaluation), tsv(evaluation, rows=SCAN_REGION))
    pages = (markdown(evaluation, summary).encode(), html(evaluation, summary).encode())
    regions, metrics = (summary[[variable.name for variable in SUMMARY if variable.dims == dims]] for dims in (GROUP, GROUP_METRIC))
    numbers = (netcdf(summary), tsv(regions, rows=GROUP), tsv(metrics, rows=GROUP_METRIC))
    paths = tuple(on_disk(folder) / name for name in NAMES)
    for path, content in zip(paths, (*scans, *pages, *numbers), strict=True):
        place(path, content)
    return paths


def netcdf(dataset: xr.Dataset) -> bytes:
    """A Dataset as NetCDF-3: integers beyond 32 bits become floats, names keep only what NetCDF allows.

    >>> netcdf(xr.Dataset({"dice": ("scan", [0.5])}))[:3]
    b'CDF'
    """
    wide = [name for name, values in dataset.variables.items() if values.dtype.kind in "iu" and not _fits(values.values)]
    narrow = dataset.assign({name: dataset[name].astype(np.float64) for name in wide})
    renamed = narrow.rename(_portable([str(name) for name in dataset.variables]))
    return bytes(renamed.to_netcdf(engine="scipy", format="NETCDF3_64BIT"))


def tsv(dataset: xr.Dataset, *, rows: Sequence[str]) -> bytes:
    r"""One row for each combination of some dims, as `hypojax.tables.write.tsv` has it.

    >>> tsv(xr.Dataset({"dice": ("scan", [0.5, np.nan])}, coords={"scan": ["a", "b"]}), rows=["scan"])
    b'scan\tdice\na\t0.5\nb\tn/a\n'
    """
    return write.tsv(dataset.to_dataframe(dim_order=[*rows]).reset_index())


def _fits(values: np.ndarray) -> bool:
    """Whether integers fit into 32 bits."""
    limits = np.iinfo(np.int32)
    return not values.size or bool(values.min() >= limits.min and values.max() <= limits.max)


def _portable(names: list[str]) -> dict[str, str]:
    """Name → one that NetCDF takes, for those that it does not; no two meet.

    >>> _portable(["age", "IQ (WAIS)", "IQ_(WAIS)", "int"])
    {'IQ (WAIS)': 'IQ__WAIS_', 'IQ_(WAIS)': 'IQ__WAIS__', 'int': 'int_'}
    """
    taken, found = set(names), {}
    for name in names:
        plain = re.sub(r"[^\w.@+-]", "_", re.sub(r"^[^\w]", "_", name)) + ("_" if name in TYPE_NAMES else "")
        if plain != name:
            while plain in taken:
                plain += "_"
            taken.add(plain)
            found[name] = plain
    return found
