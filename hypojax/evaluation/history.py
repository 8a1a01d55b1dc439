"""The history of evaluations in a cohort store: what was measured when, with which version and weights."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pandas as pd
import xarray as xr

from hypojax.evaluation.maps import STORE
from hypojax.storage import Disk, on_disk
from hypojax.store import append_evaluation, read_evaluations

OF_MEAN: Final = {"mean": "", "mean_low": "_low", "mean_high": "_high", "median": "_median", "worst": "_worst"}
"""Statistic of a metric → what is put behind its name in a record (``dice``, ``dice_low``)."""


def record(out: Disk, summary: xr.Dataset, *, date: datetime | None = None) -> str:
    """Add an evaluation to the history of a cohort; nothing that stands there is changed.

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
    Columns ``date`` (UTC), ``evaluated_with``, ``predicted``, ``reference``, what the predictions say of their making (``hypojax``,
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


def _rows(summary: xr.Dataset) -> Iterator[dict[str, Any]]:
    """One flat mapping a stratum and region."""
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
