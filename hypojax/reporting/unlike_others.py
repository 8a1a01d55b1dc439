"""Which scans of a cohort have a value unlike that of the others: robust standard deviations, and Tukey's outer fences.

A volume is held against the others as a logarithm, and after correction for head size where head sizes are known: a small hypothalamus in a
small head is nothing strange. Fewer than `LEAST_OTHERS` others say nothing of what is usual, and nothing is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float64

from hypojax.monitoring.measures import in_words
from hypojax.volumes.flags import ROBUST

LEAST_OTHERS: Final = 20
"""Others from which on a scan is held against them: the robust standard deviation of fewer is often off by a quarter."""

FAR_OUT: Final = 4.0
"""Robust standard deviations: one normal value of sixteen thousand."""

FENCE: Final = 3.0
"""Interquartile ranges beyond the quartiles: the outer fence of Tukey (1977), "far out"."""

WITHOUT_ITSELF: Final = 200
"""Scans up to which median and spread are those of the others alone; one of more changes them by less than a hundredth."""

Side = Literal["either", "low", "high"]


class Unlike(NamedTuple):
    """A value unlike those of the others.

    Parameters
    ----------
    measure
        Region, or name of the measure.
    value
        As the table has it.
    deviations
        Robust standard deviations from the median of the others, negative below.
    others
        How many others have a value.
    corrected
        Whether head size was allowed for.
    """

    measure: str
    value: float
    deviations: float
    others: int
    corrected: bool = False

    @property
    def away(self) -> str:
        """How far it lies from the others, in words.

        >>> Unlike("hypothalamus", 612.0, -4.61, 40, corrected=True).away
        '4.6 robust SD below the median of the 40 others of this cohort, corrected for head size'
        >>> Unlike("hypothalamus", 612.0, 3.2, 40).away
        'more than 3 interquartile ranges above the middle half of the 40 others of this cohort'
        """
        way = "below" if self.deviations < 0 else "above"
        far = f"{abs(self.deviations):.1f} robust SD {way} the median of the"
        if abs(self.deviations) <= FAR_OUT:
            far = f"more than {FENCE:.0f} interquartile ranges {way} the middle half of the"
        return f"{far} {self.others:,} others of this cohort{', corrected for head size' * self.corrected}"


@dataclass(frozen=True)
class Compared:
    """Values of one measure of all scans, NaN where missing, as they are compared and as they are said.

    Parameters
    ----------
    name
        Region, or name of the measure.
    values
        On the scale on which they are compared.
    said
        As the table has them; of scans that are NaN here nothing is said, though the others are held against them.
    side
        Which values are a reason to look.
    corrected
        Whether head size was allowed for.
    """

    name: str
    values: Float64[np.ndarray, "scan"]
    said: Float64[np.ndarray, "scan"]
    side: Side = "either"
    corrected: bool = False


def unlike_others(compared: Compared) -> Iterator[tuple[int, Unlike]]:
    """Row and finding of every scan whose value is unlike that of the others, either by robust SD or by fences.

    >>> values = np.append(np.linspace(9.0, 11.0, 40), 20.0)
    >>> [(row, round(found.deviations, 1)) for row, found in unlike_others(Compared("height", values, values))]
    [(40, 13.2)]
    """
    known = np.flatnonzero(np.isfinite(compared.values))
    values = compared.values[known]
    if len(known) <= LEAST_OTHERS:
        return
    share = 1.0 if len(known) > WITHOUT_ITSELF else 0.5  # without the scan itself the others lie a little otherwise
    rough, beyond = _held_against(values, values)
    asked = ((np.abs(rough) > share * FAR_OUT) | (beyond > share * FENCE)) & np.isfinite(compared.said[known])
    asked &= {"either": True, "low": rough < 0, "high": rough > 0}[compared.side]
    for place in np.flatnonzero(asked).tolist():
        far, out = rough[place], beyond[place]
        if len(known) <= WITHOUT_ITSELF:
            far, out = (float(number[0]) for number in _held_against(values[[place]], np.delete(values, place)))
        if abs(far) > FAR_OUT or out > FENCE:
            row = int(known[place])
            yield row, Unlike(compared.name, float(compared.said[row]), float(far), len(known) - 1, compared.corrected)


def compared_volumes(cohort: xr.Dataset) -> Iterator[Compared]:
    """Volumes of every region as logarithms, those of scans whose head size is known after correction for it, others as they are."""
    volumes = {str(region): cohort["volume_mm3"].sel(region=region).to_numpy() for region in cohort["region"].values}
    logs = {region: _log(values) for region, values in volumes.items()}
    heads = logs.get("icv", np.full(cohort.sizes["scan"], np.nan))
    for region, values in logs.items():
        both = np.isfinite(values) & np.isfinite(heads)
        if region == "icv" or both.sum() <= LEAST_OTHERS:
            yield Compared(region, values, volumes[region])
            continue
        slope = robust_slope(heads[both], values[both])
        yield Compared(region, np.where(both, values - slope * heads, np.nan), volumes[region], corrected=True)
        if (np.isfinite(values) & ~both).any():
            yield Compared(region, values, np.where(both, np.nan, volumes[region]))


def robust_slope(x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]) -> float:
    """Slope of a line that few strange points do not move: the median over pairs of points half the points apart (Theil 1950, incomplete).

    >>> x = np.arange(10.0)
    >>> robust_slope(x, np.where(x == 7, 99.0, 3 * x))
    3.0
    """
    order = np.argsort(x, kind="stable")
    half = len(order) // 2
    low, high = order[:half], order[len(order) - half :]
    apart = x[high] > x[low]
    return float(np.median((y[high] - y[low])[apart] / (x[high] - x[low])[apart])) if apart.any() else 0.0


def in_words_with_unit(found: Unlike) -> str:
    """A volume that is unlike the others, in words.

    >>> in_words_with_unit(Unlike("icv", 1_234_567.0, -4.2, 40)), in_words_with_unit(Unlike("hypothalamus", 612.4, -4.2, 40))
    ('intracranial volume 1,235 mL', 'hypothalamus 612 mm³')
    """
    return f"{in_words(found.measure)} {volume_in_words(found.measure, found.value)}"


def volume_in_words(region: str, volume: float) -> str:
    """A volume (mm³) with its unit: millilitres of the head, mm³ of its parts."""
    return f"{volume / 1000:,.0f} mL" if region == "icv" else f"{volume:,.0f} mm³"


def _held_against(
    values: Float64[np.ndarray, "n"], others: Float64[np.ndarray, "m"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Robust standard deviations from the median of the others, and interquartile ranges beyond their quartiles; 0 where all are equal."""
    low, middle, high = np.percentile(others, (25, 50, 75))
    spread = ROBUST * float(np.median(np.abs(others - middle)))
    least = 1e-9 * max(1.0, abs(float(middle)))  # equal but for rounding
    deviations = (values - middle) / spread if spread > least else np.zeros_like(values)
    beyond = np.maximum(low - values, values - high) / (high - low) if high - low > least else np.zeros_like(values)
    return deviations, beyond


def _log(values: Float64[np.ndarray, "scan"]) -> Float64[np.ndarray, "scan"]:
    """Logarithms of what is positive, else NaN."""
    return np.log(np.where(values > 0, values, np.nan))
