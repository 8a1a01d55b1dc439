"""Which scans of a cohort are looked at: by group, sex, site, dataset, flags, rating, age, and text.

What a visitor chooses is data: it is compared with the values that the cohort has, and never evaluated.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any, Final

import numpy as np
import pandas as pd
from jaxtyping import Bool

from hypojax.reason import Reason, RunError, visible
from hypojax.tables import text_of

Mask = Bool[np.ndarray, " scan"]

UNKNOWN: Final = ""
"""Stands for scans without a value."""

COLUMNS: Final = ("group", "sex", "site", "dataset")
"""Columns that are chosen by their values."""

MOST: Final = 500
"""Values of one column that may be chosen, and characters of a text that is looked for."""


@dataclass(frozen=True)
class CohortFilter:
    """What a scan has to be; of each column any of the values named, and nothing is asked of columns that name none.

    Parameters
    ----------
    group, sex, site, dataset
        Values, as texts; `UNKNOWN` for scans without one.
    flags
        Flags of which a scan carries at least one; `UNKNOWN` for scans without any.
    rating
        Ratings; `UNKNOWN` for scans that nobody rated.
    youngest, oldest
        Ages in years, both included. Where either is given, scans without an age are out.
    text
        Words that all have to be found in id, columns, flags, notes or doubts of a scan, whatever their case.
    """

    group: tuple[str, ...] = ()
    sex: tuple[str, ...] = ()
    site: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    rating: tuple[str, ...] = ()
    youngest: float | None = None
    oldest: float | None = None
    text: str = ""


def chosen_scans(scans: pd.DataFrame, asked: CohortFilter, rated: pd.Series) -> Mask:
    """Which scans are as the filter asks.

    Parameters
    ----------
    scans
        As `hypojax.app.cohort_view.CohortView` has them.
    asked
        The filter. A column that the cohort has not has no value in any scan.
    rated
        The rating that holds of every scan.
    """
    keep = np.ones(len(scans), bool)
    for name in COLUMNS:
        if values := getattr(asked, name):
            keep &= _any_of(column_texts(scans, name), values)
    if asked.flags:
        wanted = set(asked.flags)
        keep &= np.array([not wanted.isdisjoint(text.split() or [UNKNOWN]) for text in scans["flags"]], bool)
    if asked.rating:
        keep &= _any_of(rated.tolist(), asked.rating)
    if asked.youngest is not None or asked.oldest is not None:
        ages = scans["age"].to_numpy(np.float64) if "age" in scans else np.full(len(scans), np.nan)
        low, high = (end if given is None else given for given, end in ((asked.youngest, -np.inf), (asked.oldest, np.inf)))
        keep &= (ages >= low) & (ages <= high)  # False of NaN
    for word in asked.text.casefold().split():
        keep &= np.array([word in text for text in scans["found"]], bool)
    return keep


def column_texts(scans: pd.DataFrame, name: str) -> list[str]:
    """Values of a column as texts, `UNKNOWN` where missing.

    >>> column_texts(pd.DataFrame({"group": ["AD", None]}), "group"), column_texts(pd.DataFrame({"a": [1]}), "sex")
    (['AD', ''], [''])
    """
    if name not in scans:
        return [UNKNOWN] * len(scans)
    return [UNKNOWN if gone else text_of(cell) for cell, gone in zip(scans[name].tolist(), scans[name].isna(), strict=True)]


def values_of(scans: pd.DataFrame) -> dict[str, list[str]]:
    """What can be chosen of every column, in order, `UNKNOWN` last; columns with one value only are left out.

    >>> values_of(pd.DataFrame({"group": ["b", None, "a"], "sex": ["F"] * 3, "flags": ["noisy", "", "noisy"]}))
    {'group': ['a', 'b', ''], 'flags': ['noisy', '']}
    """
    found = {name: set(column_texts(scans, name)) for name in COLUMNS if name in scans}
    if "flags" in scans:
        found["flags"] = {flag for text in scans["flags"] for flag in text.split() or [UNKNOWN]}
    return {name: _ordered(values) for name, values in found.items() if len(values) > 1}


def filter_of(given: Mapping[str, object]) -> CohortFilter:
    """A filter from what a page sent: what is missing asks for nothing.

    Raises
    ------
    RunError
        ``USAGE``: it is no filter.
    """
    known = {one.name for one in fields(CohortFilter)}
    if unknown := sorted(set(given) - known):
        raise RunError(Reason.USAGE, f"there is no filter of {visible(unknown[0])!r}")
    chosen: dict[str, Any] = {name: _values(name, given.get(name)) for name in (*COLUMNS, "flags", "rating")}
    asked = replace(CohortFilter(), **chosen)
    return replace(asked, youngest=_age(given.get("youngest")), oldest=_age(given.get("oldest")), text=_text(given.get("text")))


def _values(name: str, given: object) -> tuple[str, ...]:
    """Values that were chosen of a column."""
    values = [] if given is None else given
    if not isinstance(values, list) or len(values) > MOST or not all(isinstance(value, str) for value in values):
        raise RunError(Reason.USAGE, f"filter of {name}: choose from the values of the list")
    return tuple(values)


def _age(given: object) -> float | None:
    """An age in years."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not isfinite(given):
        raise RunError(Reason.USAGE, f"filter of age: {visible(str(given)[:40])!r} is no number of years")
    return float(given)


def _text(given: object) -> str:
    """Words that are looked for."""
    text = "" if given is None else given
    if not isinstance(text, str) or len(text) > MOST:
        raise RunError(Reason.USAGE, f"filter of text: write at most {MOST} characters")
    return text


def _any_of(cells: Sequence[str], values: Iterable[str]) -> Mask:
    wanted = set(values)
    return np.array([cell in wanted for cell in cells], bool)


def _ordered(values: Iterable[str]) -> list[str]:
    """Values by name, `UNKNOWN` last, at most `MOST`."""
    return sorted(values, key=lambda value: (value == UNKNOWN, value.casefold(), value))[:MOST]
