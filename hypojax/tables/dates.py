"""Ages (``31``, ``31,5``, ``34 y``, ``034Y``, ``P34Y``, ``18 months``, ``89+``) and dates as tables hold them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from hypojax.tables.cells import MISSING, is_number, per_year

OLDEST: Final = 120.0
"""Years; ages beyond it, or below 0, are codes for a missing value (-1, 999)."""

PER_YEAR: Final = {"y": 1.0, "m": 12.0, "w": 52.1775, "d": 365.25}
"""First letter of a unit → how many of it are a year."""

BOUND: Final = r"(?:[<>≤≥~]=?|over|above|older than|under|below)?\s*"

BEYOND: Final = r"\s*(?:\+|(?:and|or) (?:older|over|above|more|up))?"

UNIT: Final = r"(years?|yrs?|yo|y\.o\.|y|months?|mos?|mths?|m|weeks?|wks?|w|days?|d)\.?"

NUMBER: Final = r"([0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)"

BARE: Final = re.compile(BOUND + NUMBER + BEYOND)

PART: Final = re.compile(rf"{NUMBER}\s*{UNIT}[\s,]*(?:and\s+)?")

SPELLED: Final = re.compile(rf"{BOUND}((?:{PART.pattern})+)(?:\s*(?:old|of age))?{BEYOND}")

SHIFTED: Final = 1926
"""BIDS moves dates that must not be known to before this year."""

PARTIAL: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?")

DIGITS: Final = re.compile(r"([0-9]{8})([0-9]{6})(?:\.[0-9]*)?")
"""How DICOM writes date and time."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Ages:
    """Ages of a column.

    Parameters
    ----------
    values
        In the unit of the column; None where the cell is empty or holds no age.
    respelled
        Rows whose age is not written as a number but was read.
    unread
        Rows with something other than an age.
    impossible
        Rows whose number was kept though nobody is so old: most of the column are, so that it is in another unit than it says.
    """

    values: tuple[int | float | None, ...]
    respelled: tuple[int, ...]
    unread: tuple[int, ...]
    impossible: tuple[int, ...] = ()


def other_unit(example: str) -> str:
    """What to say of a column most of whose numbers are no ages in the unit that it has; such a number is the example.

    >>> other_unit("576")
    "most numbers, such as '576', are no ages: kept as they are; if that is another unit, name the column by it (age_months)"
    """
    return f"most numbers, such as {example!r}, are no ages: kept as they are; if that is another unit, name the column by it (age_months)"


def units_per_year(unit: str) -> float | None:
    """How many of a unit of time make a year, by its name; None where it is none.

    >>> units_per_year("months"), units_per_year("Years"), units_per_year("kg")
    (12.0, 1.0, None)
    """
    word = unit.strip().casefold()
    return PER_YEAR[word[0]] if re.fullmatch(UNIT, word) else None


def ages_of(cells: Sequence[str], name: str, *, unit: float | None = None) -> Ages:
    """Ages in a column.

    Values outside the human lifespan (-1, 999) are codes for a missing one, unless most are: then the column is not in the unit that
    its name says, and its numbers are kept.

    Parameters
    ----------
    cells
        Its cells.
    name
        Its name, which may name another unit than years (``age_months``).
    unit
        How many of the unit that its numbers are in make a year, where something else than its name says so; they become years.

    Examples
    --------
    >>> ages_of(["31", "89+", "31,5", "018M", "n/a", "old", "999"], "age").values
    (31.0, 89.0, 31.5, 1.5, None, None, None)
    >>> ages_of(["8", "1.5 y"], "age_months").values
    (8, 18)
    """
    divisor = unit if unit and per_year(name) == 1.0 else 1.0
    unit = per_year(name) * divisor
    found = [None if cell in MISSING else age_of(cell, per_year=unit) for cell in cells]
    known = [value for value in found if value is not None]
    possible = [0 <= value <= OLDEST * unit for value in known]
    if 2 * sum(possible) >= len(possible):
        found = [value if value is not None and 0 <= value <= OLDEST * unit else None for value in found]
        found = [value if value is None or divisor == 1.0 else round(value / divisor, 9) for value in found]
    whole = all(value.is_integer() for value in found if value is not None)
    pairs = list(enumerate(zip(cells, found, strict=True)))
    return Ages(
        values=tuple(int(value) if value is not None and whole else value for value in found),
        respelled=tuple(row for row, (cell, value) in pairs if value is not None and not is_number(cell)),
        unread=tuple(row for row, (cell, value) in pairs if value is None and cell not in MISSING),
        impossible=tuple(row for row, (_, value) in pairs if value is not None and not 0 <= value <= OLDEST * unit),
    )


def age_of(cell: str, *, per_year: float = 1.0) -> float | None:
    """The age that a cell holds; None where it holds none.

    Parameters
    ----------
    cell
        As it is written.
    per_year
        Of the unit to give, and of a number without one.

    Examples
    --------
    >>> [age_of(cell) for cell in ("34 years", "1y 6m", ">89", "30-34", "6 w")]
    [34.0, 1.5, 89.0, None, 0.114992094]
    """
    text = re.sub(r"^p(?=[0-9])", "", " ".join(cell.casefold().split()))  # P34Y is how ISO 8601 has it
    if is_number(text):
        return float(text)
    if match := BARE.fullmatch(text):
        return _number(match[1])
    if match := SPELLED.fullmatch(text):
        return round(sum(_number(part[1]) * per_year / PER_YEAR[part[2][0]] for part in PART.finditer(match[1])), 9)
    return None


def span_of(text: str) -> Span | None:
    """Start and (exclusive) end of the time that a date in ISO 8601 covers; None where it is no such date.

    A time without a zone is taken as UTC, since dates are only compared with dates of the same table.

    >>> [str(end.date()) for end in span_of("2024-06-30T13:45:00") or ()], [str(end.date()) for end in span_of("2024") or ()]
    (['2024-06-30', '2024-06-30'], ['2024-01-01', '2025-01-01'])
    >>> span_of("30.06.2024"), span_of("n/a")
    (None, None)
    """
    text = text.strip()
    try:
        if match := PARTIAL.fullmatch(text):
            return _span(int(match[1]), int(match[2]) if match[2] else None)
        if match := DIGITS.fullmatch(text):
            text = f"{match[1]}T{match[2]}"
        start = datetime.fromisoformat(text)
        zoned = start if start.tzinfo else start.replace(tzinfo=UTC)
        return zoned, zoned + (timedelta(microseconds=1) if len(text) > len("2024-06-30") else timedelta(days=1))
    except (ValueError, OverflowError):
        return None


def _number(digits: str) -> float:
    """A number with a point or a comma."""
    return float(digits.replace(",", "."))


def _span(year: int, month: int | None) -> Span:
    start = datetime(year, month or 1, 1, tzinfo=UTC)
    if month is None or month == 12:
        return start, datetime(year + 1, 1, 1, tzinfo=UTC)
    return start, datetime(year, month + 1, 1, tzinfo=UTC)
