"""When scans of a subject were made: years, from a column of years, of dates, or from ages."""

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.monitoring.batches import DATES
from hypojax.reason import Reason, RunError, visible

FIND: Final = "time"
"""Value of ``--change`` that takes the time from dates (acq_time and the like) or the age; a column of this name goes first."""

DAYS: Final = 365.25


class TimeAxis(NamedTuple):
    """Time of each scan.

    Parameters
    ----------
    years
        Years since any origin; NaN where unknown. Only differences within a subject are used.
    column
        Column that it comes from.
    sentence
        What was done, for the first lines of a report.
    """

    years: Float64[np.ndarray, " scan"]
    column: str
    sentence: str


def time_axis(people: pd.DataFrame, asked: str = FIND) -> TimeAxis:
    """Years of scans from a column that is named, or else from dates, or else from ages.

    Parameters
    ----------
    people
        One row a scan.
    asked
        A column of years or dates, or `FIND`.

    Raises
    ------
    RunError
        USAGE: no such column, or it holds neither numbers nor dates.

    Examples
    --------
    >>> found = time_axis(pd.DataFrame({"acq_time": ["2020-01-01T10:00:00", "2021-01-01T10:00:00"]}))
    >>> found.column, np.diff(found.years).round(3).tolist()
    ('acq_time', [1.002])
    """
    if asked in people:
        return _of_column(people[asked], asked)
    if asked != FIND:
        known = ", ".join(visible(str(name)) for name in people.columns)
        raise RunError(Reason.USAGE, f"there is no column {visible(asked)!r} for the time of scans: the columns are {known}")
    for name in DATES:
        if name in people and people[name].notna().any():
            return _of_column(people[name], name)
    if "age" in people and people["age"].notna().any():
        return _of_ages(people["age"])
    raise RunError(
        Reason.USAGE, f"nothing says when scans were made: give a column of years or dates (--change COLUMN), {DATES[0]}, or an age a scan"
    )


def _of_column(cells: pd.Series, name: str) -> TimeAxis:
    """Numbers are years, text is dates."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return TimeAxis(_years(pd.to_datetime(cells, utc=True)), name, f"time is the date in column {name!r}")
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    known = int(cells.notna().sum())
    if np.isfinite(numbers).sum() == known:
        return TimeAxis(numbers, name, f"time is column {name!r}, taken as years")
    dates = pd.to_datetime(cells.astype("string"), errors="coerce", format="ISO8601", utc=True)
    if int(dates.notna().sum()) == known:
        return TimeAxis(_years(dates), name, f"time is the date in column {name!r}")
    neither = cells[cells.notna() & ~np.isfinite(numbers) & dates.isna().to_numpy()]
    if len(neither) == 0:
        raise RunError(Reason.USAGE, f"column {name!r} holds numbers and dates: give years or dates (2020-12-31) in every row")
    cell = visible(str(neither.iloc[0]))
    raise RunError(Reason.USAGE, f"column {name!r} holds {cell!r}, which is neither a number of years nor a date such as 2020-12-31")


def _of_ages(ages: pd.Series) -> TimeAxis:
    years = pd.to_numeric(ages, errors="coerce").to_numpy(np.float64)
    known = years[np.isfinite(years)]
    whole = bool((known == np.round(known)).all())
    warning = "; ages are whole years, so intervals are wrong by up to a year: a column of dates or years would be better" if whole else ""
    return TimeAxis(years, "age", f"time is the age at each scan{warning}")


def _years(dates: pd.Series) -> Float64[np.ndarray, " scan"]:
    """Years since the first date of all."""
    first = dates.min()
    return np.asarray((dates - first).dt.total_seconds().to_numpy(np.float64) / (24 * 3600 * DAYS), np.float64)
