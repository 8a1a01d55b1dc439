"""Numbers and names of a study in words: p-values, intervals, volumes with their sign, regions and contrasts."""

from collections.abc import Iterable
from math import floor, isfinite, log10
from typing import Any, Final

import pandas as pd

SIGNIFICANT: Final = 0.05

DIGITS: Final = {"mm3": 1, "cm3": 3, "mL": 3, "%": 1, "1": 2}
"""Decimals shown of a number in a unit; four significant figures in others."""

LARGE: Final = 10_000.0
"""Volume in mm3 from which decimals say nothing."""

NOTHING: Final = 1e-9
"""Beneath it a number is the rounding of a computer."""

SHOWN_UNITS: Final = {"mm3": "mm³", "cm3": "cm³", "1": "", "mm3/year": "mm³ a year", "%/year": "% a year"}


def p_text(p: float) -> str:
    """A p-value for people.

    >>> p_text(0.00003), p_text(0.0123), p_text(0.29), p_text(float("nan"))
    ('< .001', '= .012', '= .29', 'not known')
    """
    if not isfinite(p):
        return "not known"
    if p < 0.001:
        return "< .001"
    if p >= 0.995:
        return "> .99"
    return f"= {p:.{3 if p < 0.1 else 2}f}".replace("= 0.", "= .")


def amount(value: float, unit: str, *, sign: bool = False) -> str:
    """A number with its unit.

    >>> amount(-67.52, "mm3"), amount(7.25, "%", sign=True), amount(-0.99, "1"), amount(1234.5, "mm3")
    ('−67.5 mm³', '+7.2 %', '−0.99', '1,234.5 mm³')
    """
    return f"{figure(value, unit, sign=sign)} {SHOWN_UNITS.get(unit, unit)}".strip()


def figure(value: float, unit: str, *, sign: bool = False, size: float = 0.0) -> str:
    """A number with the decimals of its unit, without it; nothing but a dash where there is none.

    Numbers beside one of ``size`` get its decimals.

    >>> figure(-67.52, "mm3"), figure(float("nan"), "%"), figure(0.0001234, ""), figure(-59750.2, ""), figure(1.9e-17, "mm3")
    ('−67.5', '–', '0.0001234', '−59,750', '0.0')
    """
    if not isfinite(value):
        return "–"
    plus = "+" if sign else ""
    digits = DIGITS.get(unit.removesuffix("/year"))
    if digits is None:
        return _significant(value, plus, max(abs(value), size)).replace("-", "−")
    if abs(value) < NOTHING:
        value = 0.0
    if value and abs(value) < 0.5 * 10**-digits and unit != "%":
        return f"{value:{plus}.2g}".replace("-", "−")
    large = max(abs(value), size) >= LARGE and unit == "mm3"
    return f"{value:{plus},.{0 if large else digits}f}".replace("-", "−")


def _significant(value: float, plus: str, size: float) -> str:
    """Four significant figures without an exponent, but in tiny numbers; with the decimals of a number of ``size`` beside it."""
    if not 0.001 <= size < 1e15:
        return f"{value:{plus}.4g}"
    return f"{value:{plus},.{max(0, 3 - floor(log10(size)))}f}"


def interval(low: float, high: float, unit: str) -> str:
    """An interval with its unit.

    >>> interval(-97.2, -37.8, "mm3")
    '−97.2 to −37.8 mm³'
    """
    return f"{between(low, high, unit)} {SHOWN_UNITS.get(unit, unit)}".strip()


def between(low: float, high: float, unit: str) -> str:
    """An interval without its unit, both ends with the same decimals.

    >>> between(-16196.2, -815.34, "mm3"), between(-16.2564, 39.296, "")
    ('−16,196 to −815', '−16.26 to 39.30')
    """
    size = max(abs(low), abs(high))
    return f"{figure(low, unit, size=size)} to {figure(high, unit, size=size)}"


def plain_number(value: float) -> str:
    """A mean or SD of any size.

    >>> plain_number(1502345.6), plain_number(41.2625), plain_number(0.01234)
    ('1,502,346', '41.3', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def region_name(region: str) -> str:
    """A region for people.

    >>> region_name("left_anterior_inferior"), region_name("icv")
    ('left anterior inferior', 'intracranial volume')
    """
    return "intracranial volume" if region == "icv" else region.replace("_", " ")


def names_of(contrast: str) -> tuple[str, str]:
    """The two sides of a contrast.

    >>> names_of("patient - control")
    ('patient', 'control')
    """
    first, _, second = contrast.partition(" - ")
    return first, second


def listed(names: Iterable[object], *, most: int = 8) -> str:
    """Names in a sentence, the first ones where there are many.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], most=2)
    ('a, b and c', 'a, b and 1 more')
    """
    found = [str(name) for name in names]
    shown = found if len(found) <= most else [*found[:most], f"{len(found) - most} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as mappings from column to value.

    >>> records(pd.DataFrame({"region": ["icv"], "n": [3]}))
    [{'region': 'icv', 'n': 3}]
    """
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
