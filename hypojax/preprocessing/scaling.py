"""Stored voxels to intensities in float32: scaled, without marks of missing values, in a range that float32 can compute with.

A file may hold a mark for "no value" (-3e38, 1e300, -32768 beside values of a few hundred), a brightest voxel of 1e-43, or an offset
of 1e12. Everything after this follows gain and offset of the intensities, so that such a scan is as good as any other once
its values lie in an ordinary range. Ordinary scans pass as they are, to the bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Num

FAR: Final = 100.0
"""A value so many times as large as all intensities, and apart from them, is a mark; a vessel is some ten times as bright as tissue."""

FEW: Final = 1e-3
"""Share of voxels that marks of different values are at most; marks of one value may be more."""

SAMPLED: Final = 1 << 14
"""Voxels that are looked at for marks, besides the lowest and the highest of all."""

LARGEST: Final = 2.0**96
"""Intensities beyond this could overflow in float32 once they are squared or summed."""

SMALLEST: Final = 2.0**-96
"""A range below this could underflow."""

STEPS: Final = 1 << 12
"""Numbers that float32 must have between the lowest and the highest intensity, as many as scanners write; an offset may leave fewer."""

EXACT: Final = 2
"""Bytes of whole numbers that float32 holds exactly: to turn a scan of 400 x 640 x 640 of them into float32 takes a second and 660 MB."""

MOVED_TO: Final = 10
"""Power of two that a moved range reaches at most."""


@dataclass(frozen=True)
class Range:
    """Lowest and highest intensity of a scan, marks left out, stored value × slope + intercept.

    Parameters
    ----------
    low, high
        In float64; ``low > high`` where there is none.
    left_out
        Voxels that are NaN, infinite, or marks.

    Examples
    --------
    >>> Range(0.0, 1000.0, 0).ordinary, Range(0.0, 1e-43, 0).ordinary
    (True, False)
    """

    low: float
    high: float
    left_out: int

    @property
    def ordinary(self) -> bool:
        """Whether float32 holds such intensities with room to compute."""
        largest = max(abs(self.low), abs(self.high))
        if not self.low < self.high:
            return True
        if not largest < LARGEST:
            return False
        return self.high - self.low > max(SMALLEST, STEPS * float(np.spacing(np.float32(largest))))

    @property
    def exponent(self) -> int:
        """Power of two that brings the range to an ordinary one."""
        return MOVED_TO - 1 - int(np.frexp(self.high / 2 - self.low / 2)[1])


def find_range(voxels: Num[np.ndarray, "i j k"], *, slope: float, intercept: float) -> Range:
    """The range of the intensities of a scan (stored voxels of any real type).

    Examples
    --------
    >>> find_range(np.array([[[1.0, np.nan, 2.0, -3e38]]]), slope=2.0, intercept=1.0)
    Range(low=3.0, high=5.0, left_out=2)
    """
    whole = _range_within(voxels, slope, intercept, fence=np.inf)
    fence = _fence(voxels, slope, intercept, ends=(whole.low, whole.high)) if whole.low < whole.high else np.inf
    return whole if np.isinf(fence) else _range_within(voxels, slope, intercept, fence=fence)


def intensities(voxels: Num[np.ndarray, "i j k"], *, slope: float, intercept: float) -> Num[np.ndarray, "i j k"]:
    """Stored value × slope + intercept, computed in float64 and rounded once to float32; what is no intensity takes the lowest one.

    Whole numbers of `EXACT` bytes that are intensities as they are, as most scanners write them, stay what they are: the same array.

    Where float32 cannot hold the range (see `Range.ordinary`) the lowest intensity becomes 0, and the others are multiplied by a
    power of two, which changes no z-score.

    Examples
    --------
    >>> voxels = np.array([[[1, 30]]], np.int16)
    >>> intensities(voxels, slope=1.0, intercept=0.0) is voxels
    True
    >>> intensities(np.array([[[1, 3]]], np.int16), slope=0.5, intercept=10.0).tolist()
    [[[10.5, 11.5]]]
    >>> intensities(np.array([[[0.0, 1e-300, 2e-300, np.nan]]]), slope=1.0, intercept=0.0).tolist()
    [[[0.0, 342.88275146484375, 685.7655029296875, 0.0]]]
    """
    found = find_range(voxels, slope=slope, intercept=intercept)
    whole = voxels.dtype.kind in "iu" and voxels.dtype.itemsize <= EXACT
    if whole and (slope, intercept) == (1.0, 0.0) and found.ordinary and not found.left_out:
        return voxels
    volume = np.empty_like(voxels, dtype=np.float32)
    for stored, target in zip(slabs(voxels), slabs(volume), strict=True):
        if found.ordinary:
            scale(stored, target, slope, intercept)
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # of what is left out
                target[...] = _moved(_scaled(stored, slope, intercept), found)
        if found.left_out:
            values = _scaled(stored, slope, intercept)
            counted = (values >= found.low) & (values <= found.high)
            np.copyto(target, found.low if found.ordinary else 0.0, where=~counted, casting="unsafe")
    return volume


def slabs(volume: Num[np.ndarray, "i j k"]) -> Iterator[Num[np.ndarray, "p q"]]:
    """Views of neighbouring memory: slices along the axis that varies slowest; they fit the cache, so that memory is passed once."""
    slowest = int(np.argmax(np.abs(volume.strides)))
    return iter(np.moveaxis(volume, slowest, 0))


def scale(stored: Num[np.ndarray, "p q"], target: Float32[np.ndarray, "p q"], slope: float, intercept: float) -> None:
    """Write the scaled values of one slab."""
    with np.errstate(over="ignore", invalid="ignore"):
        target[...] = stored if (slope, intercept) == (1.0, 0.0) else _scaled(stored, slope, intercept)


def _scaled(stored: Num[np.ndarray, "*n"], slope: float, intercept: float) -> Float[np.ndarray, "*n"]:
    """Scaled values in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return stored.astype(np.float64) * slope + intercept


def _moved(values: Float[np.ndarray, "p q"], found: Range) -> Float[np.ndarray, "p q"]:
    """Values of an extraordinary range in an ordinary one; multiplied first, since their difference might overflow."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return np.ldexp(values, found.exponent) - np.ldexp(found.low, found.exponent)


def _range_within(voxels: Num[np.ndarray, "i j k"], slope: float, intercept: float, *, fence: float) -> Range:
    """The range of what is finite and no larger than ``fence``."""
    if voxels.dtype.kind in "iu" and np.isinf(fence):
        ends = _scaled(np.array([voxels.min(), voxels.max()]), slope, intercept)
        if np.isfinite(ends).all():
            return Range(float(ends.min()), float(ends.max()), 0)
    low, high, left_out = np.inf, -np.inf, 0
    for stored in slabs(voxels):
        values = _scaled(stored, slope, intercept)
        # One NaN makes both ends NaN, so that sound slabs need no mask.
        if not np.abs([values.min(), values.max()]).max() <= min(fence, np.finfo(np.float64).max):
            counted = values[np.isfinite(values) & (np.abs(values) <= fence)]
            left_out += values.size - counted.size
            values = counted
        low, high = min(low, float(values.min(initial=np.inf))), max(high, float(values.max(initial=-np.inf)))
    return Range(low, high, left_out)


def _fence(voxels: Num[np.ndarray, "i j k"], slope: float, intercept: float, *, ends: tuple[float, float]) -> float:
    """What is larger than this, either way, is a mark; infinite where there is none.

    Voxels evenly spread over memory are looked at, and all of them where these hold next to no number.
    """
    flat = np.moveaxis(voxels, np.argsort(-np.abs(voxels.strides)), range(3)).reshape(-1)
    step = max(1, flat.size // SAMPLED) | 1  # odd: even steps would meet the same columns again and again
    for part in (flat[::step], flat):
        values = _scaled(part, slope, intercept)
        values = values[np.isfinite(values)]
        if values.size * step > SAMPLED // 64:
            break
    sizes = np.sort(np.abs(np.concatenate([values, ends])))
    most, fence = FEW * sizes.size, np.inf
    with np.errstate(over="ignore"):
        gaps = np.flatnonzero((sizes[1:] > FAR * sizes[:-1]) & (sizes[:-1] > 0))
    for place in gaps[::-1]:
        marks = sizes[place + 1 :][sizes[place + 1 :] <= fence]
        if marks.size > most and marks[0] != marks[-1]:
            break
        fence = FAR * float(sizes[place])
    return fence
