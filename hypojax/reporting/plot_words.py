"""What each plot of a cohort shows, in words and numbers: its text alternative, and the sentence in its place where it cannot be drawn."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.reporting.plot_columns import AxisEnds, ScanGroups, beyond, medians, short_region
from hypojax.tables.cells import counted

Values = Float64[np.ndarray, "scan"]


def region_words(volumes: Mapping[str, Values]) -> str:
    """Medians and the middle nine tenths of the wholes.

    >>> region_words({"icv": np.array([1400.0, 1500.0, 1600.0])})
    'Median, and where the middle 90 % of scans lie: intracranial volume 1,500 mL (1,410 to 1,590).'
    """
    said = []
    for region in ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right"):
        known = volumes.get(region, np.array([]))
        known = known[np.isfinite(known)]
        if known.size:
            low, middle, high = np.percentile(known, (5, 50, 95))
            said.append(f"{short_region(region)} {middle:,.0f} {'mL' if region == 'icv' else 'mm³'} ({low:,.0f} to {high:,.0f})")
    return f"Median, and where the middle 90 % of scans lie: {'; '.join(said)}."


def group_words(values: Values, grouping: ScanGroups | None, *, what: str, unit: str) -> str:
    """Median by group.

    >>> group_words(np.array([900.0, 1000.0]), None, what="hypothalamus", unit="mm³")
    'Median of the hypothalamus: all scans 950 mm³ (2 scans).'
    """
    parts = [f"{label} {middle:,.0f} {unit} ({counted(number, 'scan')})" for label, number, middle in medians(values, grouping)]
    return f"Median of the {what}: {', '.join(parts)}."


def related_words(x: Values, y: Values) -> str:
    """How two measures go together.

    >>> related_words(np.arange(5.0), np.arange(5.0))
    '5 scans; rank correlation (Spearman) 1.00.'
    """
    known = np.isfinite(x) & np.isfinite(y)
    number = int(known.sum())
    if number < 3 or np.ptp(x[known]) == 0 or np.ptp(y[known]) == 0:
        return f"{counted(number, 'scan')}."
    ranks = pd.DataFrame({"x": x[known], "y": y[known]}).rank()
    return f"{counted(number, 'scan')}; rank correlation (Spearman) {ranks['x'].corr(ranks['y']):.2f}.".replace("-", "−")


def side_words(left: Values, right: Values) -> str:
    """How much larger one side is, on average."""
    share = 100 * (left - right) / (left + right)
    known = share[np.isfinite(share)]
    if not known.size:
        return ""
    middle = float(np.median(known))
    larger = "left" if middle > 0 else "right"
    return f"Median difference: the {larger} larger by {abs(middle):.1f} % of their sum; the line is where both are equal."


def beyond_words(x: Values, y: Values, ends: tuple[AxisEnds, AxisEnds]) -> str:
    """How many points an axis does not reach.

    >>> beyond_words(np.array([5.0, np.nan]), np.array([1.0, 1.0]), (AxisEnds(0, 2), AxisEnds(0, 2)))
    '1 scan lies beyond the axes: an arrow at the border.'
    """
    known = np.isfinite(x) & np.isfinite(y)
    number = int((known & ((beyond(x, ends[0]) != 0) | (beyond(y, ends[1]) != 0))).sum())
    return f"{counted(number, 'scan lies', many='scans lie')} beyond the axes: {'an arrow' if number == 1 else 'arrows'} at the border." * (
        number > 0
    )


def not_drawn(what: str, x: Values, y: Values, *, need: tuple[str, str]) -> str:
    """Why a plot of two measures cannot be drawn; empty where it can.

    >>> not_drawn("Volume against age", np.array([np.nan]), np.array([1.0]), need=("age", "volume"))
    'Volume against age is not drawn: no scan has a known age.'
    """
    for values, name in ((x, need[0]), (y, need[1])):
        if not np.isfinite(values).any():
            return f"{what} is not drawn: no scan has a known {name}."
    if not (np.isfinite(x) & np.isfinite(y)).any():
        return f"{what} is not drawn: no scan has both a known {need[0]} and a known {need[1]}."
    return ""
