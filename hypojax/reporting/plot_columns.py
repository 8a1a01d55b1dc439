"""What the linked plots draw of every scan, and how far their axes reach: beyond sound values a point stands at the border.

Columns are 32-bit numbers, one a scan in the order of the cohort, NaN where missing, so that those of 10,000 scans fit into a page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float32, Float64, Int32

from hypojax.cohort.region_scores import measure_of
from hypojax.monitoring.measures import in_words
from hypojax.reason import visible
from hypojax.reporting.early_and_late import scan_days
from hypojax.schema import REGIONS
from hypojax.tables import text_of

SOUND: Final = 3.0
"""Interquartile ranges beyond the quartiles that an axis still shows (Tukey 1977)."""

MARGIN: Final = 0.04
"""Of an axis, on either side."""

JITTER: Final = 0.28
"""Half the width over which points of one group are spread, of the distance of two groups."""

MOST_GROUPS: Final = 7
"""Groups with a colour of their own; those with fewer scans share the last one."""

UNKNOWN, OTHERS = "not known", "all others"

QUALITY: Final[Mapping[str, str]] = {
    "quality_score_hypothalamus": "Quality score of the hypothalamus, 0 to 1",
    "quality_score_icv": "Quality score of the intracranial volume, 0 to 1",
    "quality_certainty": "Certainty of the posteriors, 0.5 to 1",
    "quality_contrast": "Contrast near the hypothalamus",
    "quality_noise": "Noise near the hypothalamus",
}
"""Measure of quality → its name on an axis."""

DAY: Final = 86_400_000.0
"""Milliseconds, in which bokeh has dates."""


class AxisEnds(NamedTuple):
    """Both ends of an axis."""

    low: float
    high: float


@dataclass(frozen=True)
class ScanGroups:
    """Which scan is of which group.

    Parameters
    ----------
    name
        Name of the column.
    labels
        Groups, the largest first but ``UNKNOWN`` and ``OTHERS``, which come last.
    codes
        Place in ``labels`` of every scan.
    """

    name: str
    labels: tuple[str, ...]
    codes: Int32[np.ndarray, "scan"]

    def rows(self, label: str) -> Int32[np.ndarray, "n"]:
        """Scans of a group."""
        return np.flatnonzero(self.codes == self.labels.index(label)).astype(np.int32)


def sound_limits(*values: Float64[np.ndarray, "..."]) -> AxisEnds:
    """An axis that shows what is sound of some values: all of them where none lies far out.

    >>> sound_limits(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 1000.0, np.nan]))
    AxisEnds(low=-0.4..., high=11.7...)
    """
    known = np.concatenate([part[np.isfinite(part)] for part in values])
    if not known.size:
        return AxisEnds(0.0, 1.0)
    low, high = np.percentile(known, (25, 75))
    reach = SOUND * (high - low) if high > low else np.inf
    ends = max(float(known.min()), float(low - reach)), min(float(known.max()), float(high + reach))
    width = ends[1] - ends[0] or max(abs(ends[0]) * 0.1, 1e-6)
    return AxisEnds(ends[0] - MARGIN * width, ends[1] + MARGIN * width)


def within(values: Float64[np.ndarray, "scan"], limits: AxisEnds) -> Float32[np.ndarray, "scan"]:
    """Values as they are drawn: what lies beyond an axis stands at its border."""
    inside = MARGIN / 3 * (limits.high - limits.low)
    return np.clip(values, limits.low + inside, limits.high - inside).astype(np.float32)


def beyond(values: Float64[np.ndarray, "scan"], limits: AxisEnds) -> Int32[np.ndarray, "scan"]:
    """-1 below an axis, 1 above it, else 0."""
    return np.where(values < limits.low, -1, np.where(values > limits.high, 1, 0)).astype(np.int32)


def volume_columns(cohort: xr.Dataset) -> dict[str, Float64[np.ndarray, "scan"]]:
    """Volumes by region as the axes have them: intracranial in mL, others in mm³."""
    known = set(cohort["region"].values.tolist())
    found = {region: cohort["volume_mm3"].sel(region=region).to_numpy() for region in REGIONS if region in known}
    return {region: values / 1000 if region == "icv" else values for region, values in found.items()}


def per_cent_of_median(values: Float64[np.ndarray, "scan"]) -> Float64[np.ndarray, "scan"]:
    """Difference from the median of all, per cent of it; NaN where there is none.

    >>> per_cent_of_median(np.array([90.0, 100.0, np.nan, 110.0])).round(6).tolist()
    [-10.0, 0.0, nan, 10.0]
    """
    known = values[np.isfinite(values)]
    middle = float(np.median(known)) if known.size else np.nan
    return 100 * (values / middle - 1) if middle > 0 else np.full_like(values, np.nan)


def quality_columns(cohort: xr.Dataset) -> dict[str, Float64[np.ndarray, "scan"]]:
    """Measures of quality that any scan has."""
    found = {name: measure_of(cohort, name) for name in QUALITY}
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def dates_of(cohort: xr.Dataset) -> Float64[np.ndarray, "scan"]:
    """Date of every scan, milliseconds since 1970, as `scan_days` has it."""
    return scan_days(cohort)[1] * DAY


def numbers_of(people: pd.DataFrame, name: str) -> Float64[np.ndarray, "scan"]:
    """A column of people as numbers; NaN where missing, or where there is no such column."""
    if name not in people:
        return np.full(len(people), np.nan)
    return pd.to_numeric(people[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def grouping_of(people: pd.DataFrame, name: str) -> ScanGroups | None:
    """Groups of a column of people; None where it has fewer than two.

    >>> grouping_of(pd.DataFrame({"sex": ["F", None, "M", "F"]}), "sex").labels
    ('F', 'M', 'not known')
    """
    if name not in people:
        return None
    texts = [None if pd.isna(value) else visible(text_of(value).strip()) or None for value in people[name].tolist()]
    counts = pd.Series([text for text in texts if text is not None], dtype=object).value_counts()
    if len(counts) < 2:
        return None
    known = sorted(counts.index, key=lambda label: (-counts[label], label))
    named = known if len(known) <= MOST_GROUPS - 1 else known[: MOST_GROUPS - 2]
    shown = [text if text in named else UNKNOWN if text is None else OTHERS for text in texts]
    labels = (*sorted(named, key=str.casefold), *(label for label in (OTHERS, UNKNOWN) if label in shown))
    place = {label: number for number, label in enumerate(labels)}
    return ScanGroups(name, labels, np.array([place[text] for text in shown], np.int32))


def spread_out(scans: int) -> Float32[np.ndarray, "scan"]:
    """Places either side of 0 for points of one group, the same at each call: the golden ratio leaves no pattern and no gap.

    >>> bool(np.abs(spread_out(1000)).max() <= JITTER)
    True
    """
    return ((np.arange(scans) * 0.6180339887498949 % 1 - 0.5) * 2 * JITTER).astype(np.float32)


def short_region(region: str) -> str:
    """A region as a tick of an axis.

    >>> short_region("hypothalamus_left"), short_region("left_anterior_inferior"), short_region("icv")
    ('left hypothalamus', 'left anterior inferior', 'intracranial volume')
    """
    return in_words(region).removesuffix(" subunit")


def medians(values: Float64[np.ndarray, "scan"], grouping: ScanGroups | None) -> list[tuple[str, int, float]]:
    """Group, number of scans with a value, and their median; of all scans where there are no groups."""
    parts: Sequence[tuple[str, np.ndarray]] = [("all scans", values)]
    if grouping is not None:
        parts = [(label, values[grouping.rows(label)]) for label in grouping.labels]
    known = [(label, part[np.isfinite(part)]) for label, part in parts]
    return [(label, part.size, float(np.median(part))) for label, part in known if part.size]
