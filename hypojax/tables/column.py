"""One column of a table: what its name says of it, and its cells as values."""

import re
from collections.abc import Sequence
from typing import Final

from hypojax.tables.cell import INTEGER, MISSING, Value, is_number

IDS: Final = re.compile(
    r"((participant|subject|subj|sub|patient|person|case|scan|image|session|ses)(id|number|nr|label))|id|mrid|rid|participant|subject|subj|sub|scan|session|ses"
)
AGES: Final = re.compile(r"(scan|mri|visit)?age(at\w+|scan|mri|visit|entry)?(in)?(years?|yrs?|yr|y|months?|mos?|weeks?|wks?|days?)?")
UNITS: Final = {"month": 12.0, "mo": 12.0, "week": 52.1775, "wk": 52.1775, "day": 365.25}
"""Beginning of a unit's name at the end of that of a column → so many of it are a year."""

CATEGORIES: Final = frozenset({"agegroup", "ageband", "agerange", "agecategory", "ageclass"})


def plain(name: str) -> str:
    """A column's name in small letters without punctuation.

    >>> plain("Age at scan")
    'ageatscan'
    """
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def is_id_name(name: str) -> bool:
    """Whether a column of this name holds ids, which are text also where they look like numbers.

    >>> [is_id_name(name) for name in ("participant_id", "Subject", "session_id", "sessions", "age")]
    [True, True, True, False, False]
    """
    return IDS.fullmatch(plain(name)) is not None


def is_age_name(name: str) -> bool:
    """Whether a column of this name holds ages.

    >>> [is_age_name(name) for name in ("age", "Age (years)", "age_at_scan", "age_months", "age_group", "stage")]
    [True, True, True, True, False, False]
    """
    found = plain(name)
    return found not in CATEGORIES and AGES.fullmatch(found) is not None


def per_year(name: str) -> float:
    """How many of the units that a column of ages is in make a year.

    >>> per_year("age"), per_year("age_months"), per_year("Age (days)")
    (1.0, 12.0, 365.25)
    """
    match = AGES.fullmatch(plain(name))
    unit = (match[4] or "").removesuffix("s") if match else ""
    return UNITS.get(unit, 1.0)


def typed_column(cells: Sequence[str]) -> Sequence[Value]:
    """Cells of one column as integers, floats or text, the narrowest that holds them all; missing ones as None.

    Examples
    --------
    >>> typed_column(["39", "n/a", "41.5"])
    [39.0, None, 41.5]
    >>> typed_column(["007", "8"])
    ['007', '8']
    """
    present = [cell for cell in cells if cell not in MISSING]
    kind: type[int | float | str] = str
    if all(INTEGER.fullmatch(cell) for cell in present):
        kind = int
    elif all(is_number(cell) for cell in present):
        kind = float
    return [None if cell in MISSING else kind(cell) for cell in cells]
