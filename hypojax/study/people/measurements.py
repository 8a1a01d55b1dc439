"""Volumes and columns of people as they were found, a row a scan; not yet who of them is analysed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from hypojax.cohort.ratings import WORDS
from hypojax.schema import FLAG_TEXT
from hypojax.storage import Location
from hypojax.study.people.numbers_read import cell_texts
from hypojax.study.people.table_file import Meanings

STATUS, REASON, MESSAGE, DUPLICATE, RATING = "status", "reason", "message", "duplicate_of", "rating"

SERVICE: Final = (STATUS, REASON, MESSAGE, FLAG_TEXT.name, DUPLICATE, RATING)
"""Columns that say what became of a scan."""

STATES: Final = frozenset({"done", "failed", "pending"})


@dataclass(frozen=True)
class Measurements:
    """Volumes and people as they were found.

    Parameters
    ----------
    volumes
        Scan × region; missing is NaN.
    uncertainty
        Standard uncertainty of those regions that have one.
    people
        Subject, session and all other columns, and the columns `SERVICE` of what became of a scan, where they exist.
    regions
        Regions that are analysed.
    why_missing
        Scan × region: why a volume is missing, in a word; may have no columns.
    units
        Of the volumes; empty where it is not known.
    folder
        The folder in which a table of ratings may be.
    meanings
        What codes mean.
    took
        ``subject`` and ``session`` → the column that was taken.
    attrs
        Of the cohort: version and weights.
    notes
        One sentence each.
    """

    volumes: pd.DataFrame
    uncertainty: pd.DataFrame
    people: pd.DataFrame
    regions: tuple[str, ...]
    why_missing: pd.DataFrame
    units: str
    folder: Location | None = None
    meanings: Meanings = field(default_factory=dict)
    took: Mapping[str, str] = field(default_factory=dict)
    attrs: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def with_ids(raw: pd.DataFrame, subjects: Sequence[str], sessions: Sequence[str] | None) -> pd.DataFrame:
    """Columns of people with subject and session in front.

    >>> with_ids(pd.DataFrame({"age": [31]}), ["sub-01"], None).columns.tolist()
    ['subject', 'age']
    """
    ids = {"subject": pd.Series(list(subjects), index=raw.index, dtype=object)}
    if sessions is not None:
        ids["session"] = pd.Series(list(sessions), index=raw.index, dtype=object)
    return pd.concat([pd.DataFrame(ids, index=raw.index), raw.drop(columns=[name for name in ids if name in raw])], axis=1)


def service_columns(people: pd.DataFrame) -> list[str]:
    """Columns that say what became of a scan: those of `SERVICE`, unless a table uses the name for something else.

    >>> service_columns(pd.DataFrame({"status": ["done", "failed"], "reason": ["", "truncated"], "rating": [3, 5]}))
    ['status', 'reason']
    >>> service_columns(pd.DataFrame({"status": ["patient", "control"], "reason": ["", "headache"]}))
    []
    """
    words = {name: set(cell_texts(people[name])) - {""} for name in SERVICE if name in people}
    is_run = words.get(STATUS, {"?"}) <= STATES
    is_used = {STATUS: is_run, REASON: is_run, MESSAGE: is_run, RATING: {word.casefold() for word in words.get(RATING, ())} <= set(WORDS)}
    return [name for name in words if is_used.get(name, True)]
