"""Whether later scans of a cohort measure what the earlier ones did: its first half against its second, where dates are known."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from hypojax.monitoring.batches import DATES, without_copies
from hypojax.monitoring.comparison import compare
from hypojax.monitoring.drift_page import difference_figure, sentences, verdict
from hypojax.reporting.report_data import ReportData
from hypojax.tables import text_of
from hypojax.tables.cells import counted
from hypojax.tables.dates import SHIFTED, span_of

LEAST: Final = 20
"""Dated scans from which on halves are compared."""


class Halves(NamedTuple):
    """The comparison in words, and as a figure (SVG); ``words`` alone where it cannot be made."""

    words: str
    said: tuple[str, ...] = ()
    figure: str = ""


def early_and_late(data: ReportData) -> Halves | None:
    """The later half of the scans against the earlier half; None where no dates are known, as in a report that is shared."""
    measured = data.cohort.isel(scan=np.flatnonzero(data.cohort["status"].values == "done"))
    name, days = scan_days(measured)
    if not name:
        return None
    known = np.isfinite(days)
    if known.sum() < LEAST:
        return Halves(f"{counted(int(known.sum()), 'scan')} with a date: too few to compare ({LEAST} are needed).")
    middle = float(np.median(days[known]))
    is_late = known & (days >= middle)
    early, late = (measured.isel(scan=np.flatnonzero(half)) for half in (known & ~is_late, is_late))
    if not early.sizes["scan"]:
        return Halves("All scans have the same date.")
    return _compared(early, late, np.datetime64(int(days[is_late].min()), "D"))


def scan_days(cohort: xr.Dataset) -> tuple[str, np.ndarray]:
    """The column of dates, and the day of each scan since 1970, NaN where it is not known; no column where none has dates.

    Dates before 1926 are not known: BIDS moves dates there that must not be known.
    """
    for name in DATES:
        if name in cohort.variables and cohort[name].dims == ("scan",):
            spans = [span_of(text_of(value)) for value in cohort[name].values.tolist()]
            days = [np.nan if span is None or span[0].year < SHIFTED else span[0].timestamp() // 86400 for span in spans]
            if np.isfinite(days).any():
                return name, np.array(days, float)
    return "", np.full(cohort.sizes["scan"], np.nan)


def _compared(early: xr.Dataset, late: xr.Dataset, since: np.datetime64) -> Halves:
    parts, notes = zip(*(without_copies(half, name=name) for half, name in ((early, "earlier scans"), (late, "later scans"))), strict=True)
    found = compare(*parts)
    words = f"Scans since {since} ({late.sizes['scan']:,}, new) against those before ({early.sizes['scan']:,}, reference). {verdict(found)}"
    return Halves(words, (*sentences(found), *notes[0], *notes[1]), difference_figure(found))
