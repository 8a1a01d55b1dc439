"""Average image and probability map of groups of scans, from the lazy arrays of a cohort, one scan in memory at a time.

Boxes are laid over each other by the middle of the hypothalamus, to the nearest voxel, in the pose of the model. They are not registered
otherwise: an average is as sharp as the hypothalami are alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Float32, Float64

from hypojax.pages.palette import SUBUNIT_COLOURS
from hypojax.plot.sections import grey_window
from hypojax.reason import HypojaxError, Reason, ScanError

HALF: Final = 16
"""mm shown to either side of the middle of the hypothalamus."""

MOST: Final = 200
"""Scans of a group that are averaged; of more, so many evenly spaced ones. 200 take about 3 s."""


LEVELS: Final = {0.25: SUBUNIT_COLOURS[1], 0.5: SUBUNIT_COLOURS[4], 0.75: SUBUNIT_COLOURS[2]}
"""Share of scans with hypothalamus at a place → colour of its line."""

MISSING: Final = ("", "nan", "n/a")
"""A group that is not known, as text."""


@dataclass(frozen=True)
class GroupAverage:
    """Averages over the scans of a group.

    Parameters
    ----------
    name
        The group; empty where there is only one.
    scans
        Scans that were averaged.
    of
        Measured scans that the group has.
    image
        Mean intensity (z-score), 1 mm, `HALF` mm to either side of the middle of the hypothalamus.
    probability
        Mean posterior of the hypothalamus there: the share of people who have hypothalamus at a place.
    """

    name: str
    scans: int
    of: int
    image: Float32[np.ndarray, "a s r"]
    probability: Float32[np.ndarray, "a s r"]

    @property
    def window(self) -> tuple[float, float]:
        """Intensities that are drawn black and white."""
        return grey_window(self.image, self.probability > 0.5, (HALF, HALF, HALF))


def average_scans(cohort: xr.Dataset, scans: Sequence[str], *, name: str = "", most: int = MOST) -> GroupAverage | None:
    """Average of some scans of a cohort; None where none of them has a hypothalamus that can be read.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    scans
        Their ids.
    name
        Of the group.
    most
        How many are averaged; of more, so many evenly spaced ones.
    """
    image, probability = (np.zeros((2 * HALF + 1,) * 3) for _ in range(2))
    count = 0
    for scan in evenly(scans, most):
        if found := _centred(cohort, scan):
            image, probability, count = image + found[0], probability + found[1], count + 1
    if not count:
        return None
    return GroupAverage(name, count, len(scans), (image / count).astype(np.float32), (probability / count).astype(np.float32))


def groups_of(cohort: xr.Dataset, by: str | None) -> dict[str, list[str]]:
    """Values of a column → the measured scans that have it, in the order of names; scans without a value are left out.

    Raises
    ------
    HypojaxError
        USAGE: the cohort has no such column.
    """
    scans, done = cohort["scan"].values.tolist(), (cohort["status"].values == "done").tolist()
    if by is None:
        return {"": [scan for scan, measured in zip(scans, done, strict=True) if measured]}
    if by not in cohort.variables or cohort[by].dims != ("scan",):
        columns = sorted(str(name) for name, values in cohort.variables.items() if values.dims == ("scan",))
        raise HypojaxError(Reason.USAGE, f"the cohort has no column {by!r} of scans; it has: {', '.join(columns)}")
    found: dict[str, list[str]] = {}
    for scan, value, measured in zip(scans, cohort[by].values.tolist(), done, strict=True):
        name = f"{value:g}" if isinstance(value, float) else str(value or "")
        if measured and name not in MISSING:
            found.setdefault(name, []).append(scan)
    return dict(sorted(found.items()))


def evenly(scans: Sequence[str], most: int) -> list[str]:
    """At most so many scans, evenly spaced.

    >>> evenly(["a", "b", "c", "d", "e"], 2)
    ['a', 'c']
    """
    return [scans[int(place)] for place in np.arange(min(most, len(scans))) * (len(scans) / max(1, min(most, len(scans))))]


def _centred(cohort: xr.Dataset, scan: str) -> tuple[Float64[np.ndarray, "a s r"], Float64[np.ndarray, "a s r"]] | None:
    """Image and posterior of the hypothalamus of a scan round its middle; None where there is none, or it cannot be read."""
    try:
        row = cohort[["image", "posterior"]].sel(scan=scan, region="hypothalamus").compute(scheduler="synchronous")
    except ScanError:
        return None
    image, posterior = row["image"].values, row["posterior"].values
    if np.isnan(image).any() or not posterior.sum() > 0:
        return None
    middle = _middle(posterior)
    part = tuple(slice(index, index + 2 * HALF + 1) for index in middle)
    return np.pad(image, HALF, mode="edge")[part].astype(np.float64), np.pad(posterior, HALF)[part].astype(np.float64)


def _middle(posterior: Float32[np.ndarray, "a s r"]) -> Iterable[int]:
    """The voxel in the middle of a posterior."""
    for axis, length in enumerate(posterior.shape):
        along = np.moveaxis(posterior, axis, 0).sum(axis=(1, 2), dtype=np.float64)
        yield round(float(along @ np.arange(length) / along.sum()))
