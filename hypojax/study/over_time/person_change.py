"""Change of each person over time: the slope of volume on years, as volume and as percent, and what error alone would give.

The base of the percentage is the person's own line at the first scan; other tools take the first scan's volume, or the mean of first and
last (Reuter et al. 2012), which use two scans only. Whoever has one scan has no change; she is counted, not given a zero.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

Rows = Float64[np.ndarray, "row region"]

People = Float64[np.ndarray, "subject region"]


@dataclass(frozen=True)
class Changes:
    """Change of every subject and region; NaN where a subject has fewer than two volumes at different times.

    Parameters
    ----------
    subjects
        In the order of their names.
    scans
        Volumes with a time.
    years
        From first to last of them; 0 with one.
    slope
        Least squares, unit of the volumes per year.
    percent
        The slope in % a year of the person's own line at the first scan.
    time_squares
        Sum of squares of the times about their mean, years²: the slope's error is that of a scan over its root.
    residual
        Standard deviation of scans about their person's line, pooled over people with three scans and more; NaN where nobody has.
    """

    subjects: tuple[str, ...]
    scans: Int[np.ndarray, "subject region"]
    years: People
    slope: People
    percent: People
    time_squares: People
    residual: Float64[np.ndarray, " region"]


class _Sorted(NamedTuple):
    """Rows by subject, then by time."""

    order: Int[np.ndarray, " row"]
    starts: Int[np.ndarray, " subject"]
    code: Int[np.ndarray, " row"]
    names: Shaped[np.ndarray, " subject"]


def person_changes(volumes: Rows, years: Float64[np.ndarray, " row"], subjects: Shaped[np.ndarray, " row"]) -> Changes:
    """Change of every subject in every region.

    Parameters
    ----------
    volumes
        One row a scan; NaN where missing.
    years
        Time of each scan; NaN where unknown: such scans do not count.
    subjects
        Whose scan it is.

    Examples
    --------
    >>> found = person_changes(np.array([[100.0], [98.0], [50.0]]), np.array([0.0, 2.0, 0.0]), np.array(["a", "a", "b"]))
    >>> found.slope.ravel().tolist(), found.percent.ravel().tolist(), found.scans.ravel().tolist()
    ([-1.0, nan], [-1.0, nan], [2, 1])
    """
    by = _sort(years, subjects)
    y, t = volumes[by.order].astype(np.float64), years[by.order][:, None]
    known = np.isfinite(y) & np.isfinite(t)
    y, t = np.where(known, y, 0.0), np.where(known, t, 0.0)
    n = _total(known.astype(np.float64), by)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle, mean = _total(t, by) / n, _total(y, by) / n
        off = np.where(known, t - middle[by.code], 0.0)
        squares = _total(off**2, by)
        some = squares > 0
        first, last = _ends(known, by)
        since = np.where(
            known, y - _at(y, first)[by.code], 0.0
        )  # exactly 0 where nothing changes, so that rounding is not taken for change
        slope = np.where(some, _total(off * since, by) / squares, np.nan)
        years_between = np.where(n > 0, _at(t, last) - _at(t, first), np.nan)
        base = mean + slope * (_at(t, first) - middle)
        left = np.where(known & some[by.code], since - (_total(since, by) / n)[by.code] - slope[by.code] * off, 0.0)
        residual = _pooled(_total(left**2, by), np.where(some, n - 2, 0))
        percent = 100 * slope / base
    names = tuple(map(str, by.names))
    return Changes(names, n.astype(np.int64), years_between, slope, percent, np.where(some, squares, np.nan), residual)


def slope_errors(
    years: Float64[np.ndarray, " row"], subjects: Shaped[np.ndarray, " row"], uncertainty: Rows
) -> Float64[np.ndarray, "subject region"]:
    """Standard error of each person's slope from the scans' own uncertainties, taken as independent between scans.

    Parameters
    ----------
    years, subjects
        As in `person_changes`.
    uncertainty
        Standard uncertainty of each volume; NaN where there is no volume.

    Returns
    -------
    Unit of the volumes per year; NaN where there is no slope. Errors that a person's scans share leave slopes alone, so it is an
    upper bound where they do.

    Examples
    --------
    >>> slope_errors(np.array([0.0, 2.0]), np.array(["a", "a"]), np.array([[3.0], [4.0]])).tolist()
    [[2.5]]
    """
    by = _sort(years, subjects)
    u, t = uncertainty[by.order].astype(np.float64), years[by.order][:, None]
    known = np.isfinite(u) & np.isfinite(t)
    u, t = np.where(known, u, 0.0), np.where(known, t, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.where(known, t - (_total(t, by) / _total(known.astype(np.float64), by))[by.code], 0.0)
        squares = _total(off**2, by)
        return np.where(squares > 0, np.sqrt(_total((off * u) ** 2, by)) / squares, np.nan)


def root_mean_square(values: People) -> Float64[np.ndarray, " region"]:
    """Root mean square over subjects, NaN left out: the spread of slopes that errors of these sizes would give alone.

    >>> root_mean_square(np.array([[3.0], [np.nan], [4.0]])).round(3).tolist()
    [3.536]
    """
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt((np.where(known, values, 0.0) ** 2).sum(axis=0) / known.sum(axis=0)), np.float64)


def _sort(years: Float64[np.ndarray, " row"], subjects: Shaped[np.ndarray, " row"]) -> _Sorted:
    names, code = np.unique(subjects, return_inverse=True)
    order = np.lexsort((years, code))
    code = code[order]
    return _Sorted(order, np.flatnonzero(np.diff(code, prepend=-1)), code, names)


def _total(values: Rows, by: _Sorted) -> People:
    """Sum over the rows of every subject."""
    return np.asarray(np.add.reduceat(values, by.starts, axis=0), np.float64)


def _ends(
    known: Bool[np.ndarray, "row region"], by: _Sorted
) -> tuple[Int[np.ndarray, "subject region"], Int[np.ndarray, "subject region"]]:
    """Rows of every subject's first and last known volume; any row where there is none."""
    number = np.arange(len(known))[:, None]
    first = np.minimum.reduceat(np.where(known, number, len(known) - 1), by.starts, axis=0)
    return first, np.maximum.reduceat(np.where(known, number, 0), by.starts, axis=0)


def _at(values: Rows, rows: Int[np.ndarray, "subject region"]) -> People:
    return np.take_along_axis(values, rows, axis=0)


def _pooled(squares: People, freedom: People) -> Float64[np.ndarray, " region"]:
    """Standard deviation from sums of squares and their degrees of freedom."""
    free = np.maximum(freedom, 0).sum(axis=0)
    return np.where(free > 0, np.sqrt(np.where(freedom > 0, squares, 0.0).sum(axis=0) / np.maximum(free, 1)), np.nan)
