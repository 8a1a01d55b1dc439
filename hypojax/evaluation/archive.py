"""An evaluation on disk: its files, and the history of evaluations in a cohort store.

NetCDF for programs, TSV for spreadsheets, Markdown and HTML for people. NetCDF-3, because xarray writes and reads it with
SciPy alone, and R and MATLAB read it too.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.evaluation.evaluation_page import evaluation_page
from hypojax.evaluation.maps import STORE
from hypojax.evaluation.summary import GROUP, GROUP_METRIC, SUMMARY
from hypojax.pages import html, markdown
from hypojax.schema import SCAN_REGION
from hypojax.storage import Disk, on_disk, place
from hypojax.store import append_evaluation, read_evaluations
from hypojax.tables.writer import dataset_tsv

NAMES: Final = (
    "evaluation.nc", "evaluation.tsv", "evaluation.md", "evaluation.html", "summary.nc", "summary.tsv", "summary_metrics.tsv",
)  # fmt: skip
"""Scores of each scan, the pages to read, and what the pages show in numbers: by stratum and region, and of each metric."""

TYPE_NAMES: Final = frozenset({"byte", "char", "short", "ushort", "int", "uint", "int64", "uint64", "float", "real", "double", "string"})
"""Words that NetCDF keeps for types."""

OF_MEAN: Final = {"mean": "", "mean_low": "_low", "mean_high": "_high", "median": "_median", "worst": "_worst"}
"""Statistic of a metric → what is put behind its name in a record (``dice``, ``dice_low``)."""


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
    scans = (netcdf(evaluation), dataset_tsv(evaluation, rows=SCAN_REGION))
    page = evaluation_page(evaluation, summary)
    pages = (markdown(page).encode(), html(page).encode())
    regions, metrics = (summary[[variable.name for variable in SUMMARY if variable.dims == dims]] for dims in (GROUP, GROUP_METRIC))
    numbers = (netcdf(summary), dataset_tsv(regions, rows=GROUP), dataset_tsv(metrics, rows=GROUP_METRIC))
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


def record(out: Disk, summary: xr.Dataset, *, date: datetime | None = None) -> str:
    """Add an evaluation to the history of a cohort; existing records are not changed.

    Parameters
    ----------
    out
        Output folder of `hypojax run`, or the cohort store itself.
    summary
        As `hypojax.evaluation.summarise` gives it; its attributes say what was compared, and which weights made it.
    date
        When; now when left out.

    Returns
    -------
    Name of the record in the store.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store; ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    when = (date or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    about = {str(name): str(value) for name, value in summary.attrs.items() if name not in ("title", "comment")}
    content = {"evaluated_with": metadata.version("hypojax"), "about": about, "regions": list(_rows(summary))}
    return append_evaluation(_store(out), content, date=when)


def read_history(out: Disk) -> pd.DataFrame:
    """All recorded evaluations of a cohort, oldest first: one row an evaluation, stratum and region.

    Parameters
    ----------
    out
        Output folder of `hypojax run`, or the cohort store itself.

    Returns
    -------
    Columns ``date`` (UTC), ``evaluated_with``, ``predicted``, ``reference``, what made the predictions (``hypojax``,
    ``weights_box_sha256`` …), ``stratum``, ``region``, then the numbers of `SUMMARY` and, for each metric, ``dice``, ``dice_low``,
    ``dice_high``, ``dice_median`` and ``dice_worst`` (NaN where infinite: ``missed`` tells). Empty where nothing was recorded.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store.
    """
    rows: list[dict[str, Any]] = []
    for one in read_evaluations(_store(out)):
        lead = {"date": one["date"], "evaluated_with": one["evaluated_with"], **one["about"]}
        rows += [{**lead, **_known(region)} for region in one["regions"]]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["date", "evaluated_with", "stratum", "region"])
    return frame.assign(date=pd.to_datetime(frame["date"], utc=True))


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


def _rows(summary: xr.Dataset) -> Iterator[dict[str, Any]]:
    metrics = [str(metric) for metric in summary["metric"].values]
    for stratum in summary["stratum"].values:
        for region in summary["region"].values:
            one = summary.sel(stratum=stratum, region=region)
            plain = {str(name): float(values) for name, values in one.data_vars.items() if not values.dims}
            spread = {f"{metric}{suffix}": one[name].values[k] for name, suffix in OF_MEAN.items() for k, metric in enumerate(metrics)}
            yield {"stratum": str(stratum), "region": str(region), **plain, **spread}


def _known(region: dict[str, Any]) -> dict[str, Any]:
    """A row as it was before JSON, which has no NaN."""
    return {name: float("nan") if value is None else value for name, value in region.items()}


def _store(named: Disk) -> Path:
    """The store in an output folder, or the folder itself."""
    out = on_disk(named)
    return out / STORE if (out / STORE).is_dir() else out
