"""Dates as tables hold them: with a time, without, or of a month or a year alone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

SHIFTED: Final = 1926
"""BIDS moves dates that must not be known to before this year."""

PARTIAL: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?")
DIGITS: Final = re.compile(r"([0-9]{8})([0-9]{6})(?:\.[0-9]*)?")
"""How DICOM writes date and time."""

Span = tuple[datetime, datetime]


def span_of(text: str) -> Span | None:
    """From when to when (this moment left out) something may have been, by its date in ISO 8601; None where it is no such date.

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


def _span(year: int, month: int | None) -> Span:
    """A year, or a month of it."""
    start = datetime(year, month or 1, 1, tzinfo=UTC)
    if month is None or month == 12:
        return start, datetime(year + 1, 1, 1, tzinfo=UTC)
    return start, datetime(year, month + 1, 1, tzinfo=UTC)
