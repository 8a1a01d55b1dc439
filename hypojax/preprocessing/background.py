"""Backgrounds that are not air: recognised in a scan's own voxels and replaced by what air looks like.

The networks know air that is darker than tissue. Software writes other things round a head: padding of any constant, the -1000 of CT,
noise of the full range (MP2RAGE), marks for "no value". Whether there is any such thing is decided on a few thousand voxels; an ordinary
scan costs no more than that and stays as it is, bit for bit.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Int, Num
from scipy import ndimage

from hypojax.preprocessing.intensity import CLIP, otsu_threshold
from hypojax.reason import HypojaxError, Reason

SAMPLED: Final = 32
"""Voxels looked at along each axis."""

BLOCK: Final = 4
"""Edge, voxels, of a block on the border of the field of view."""

BLOCKS: Final = 8
"""Blocks along each axis."""

EXTREME: Final = 1000.0
"""Ranges of the ordinary values beyond which a value is a mark and no intensity."""

FAR: Final = 2.0
"""A constant lower than everything else by this much, in heights of tissue over the darkest of it, is no air. Skull-stripped brains
lie 0.1 to 1 above their zero."""

FAR_FROM_AIR: Final = 0.3
"""The same where what is not constant holds air of its own, to compare with."""

AIR_SPREAD: Final = 0.15
"""Height of the tenth percentile over the darkest voxels below which they are air: brain alone spreads wider."""

FAR_GAP: Final = 3.0
"""The same for air that is not constant, in ranges of all that is brighter: skull-stripped brains lie 0.5 to 2 above their background."""

DARK: Final = 0.15
"""A constant no higher above the darkest voxels than this share of the way to tissue may be air."""

LEAST_BLOCKS: Final = 2
"""Blocks of one and the same value that make it a constant written by software."""

LEAST_VOXELS: Final = 100
"""Voxels, of those looked at, that say something of the levels of a scan."""

ROUGH: Final = 0.12
"""Mean difference of neighbours in a block, in ranges of the scan, from which on it holds noise. Of the blocks on the border of 40 real
scans at most one in twenty is rougher (edges of skin); noise of the full range reads 0.33."""

ROUGH_SHARE: Final = 0.15
"""Share of the border that is noise from which on the scan is mended."""

NOTHING_ELSE: Final = 0.97
"""Share of noise above which there is no head to take it away from."""

INVERTED: Final = 0.6
"""Brightness of the border, in ranges of the scan, from which on it is no air; 40 real scans lie below 0.05."""

NOISE_OUTSIDE: Final = "noise_outside_head"


ADVICE: Final = "which looks like an inverted scale; check how the scan was converted, or exclude it"


@dataclass(frozen=True, eq=False)
class Mended:
    """A scan whose background is air.

    Parameters
    ----------
    volume
        Scaled voxels in stored orientation; the same array where nothing was replaced.
    flags
        What somebody should look at, names of `hypojax.volumes.FLAGS`; a constant that was replaced needs no look.
    """

    volume: Num[np.ndarray, "i j k"]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Look:
    """A few voxels of a scan.

    Parameters
    ----------
    sample
        Voxels from everywhere.
    border
        Blocks on the border of the field of view.
    low, high
        Ends of the ordinary values.
    constants
        Values that fill whole blocks on the border, ascending.
    """

    sample: Float32[np.ndarray, "n"]
    border: Float32[np.ndarray, "block x y z"]
    low: float
    high: float
    constants: list[float]


@dataclass(frozen=True)
class Levels:
    """Brightness of what is not constant: darkest voxels, tissue, brightest; and whether its darkest voxels are air."""

    low: float
    tissue: float
    high: float
    has_air: bool

    def far_below(self, value: float) -> bool:
        """Whether a constant lies so far below that it is no air."""
        if value < 0 <= self.low:
            return True
        height, gap = self.tissue - self.low, self.low - value
        # Nothing but brain on zero is a skull-stripped scan, however little its tissue varies.
        return gap > FAR_FROM_AIR * height if self.has_air else value < 0 and gap > FAR * height


def mended(volume: Num[np.ndarray, "i j k"]) -> Mended:
    """Replace what is no air outside the head (scaled voxels in stored orientation, finite).

    Raises
    ------
    HypojaxError
        ``INVERTED``: the border is brighter than the head.

    Examples
    --------
    >>> head = np.pad(np.full((20, 20, 20), 100.0, np.float32), 10)
    >>> mended(head).volume is head
    True
    """
    scan, found = Mended(volume), look(volume)
    for step in (_without_marks, _without_low_air, _without_bright_constants, _without_noise):
        changed = step(scan, found)
        if changed is not scan:
            scan, found = changed, look(changed.volume)
    if not scan.flags and found.high > found.low:
        border = (np.median(found.border, axis=(1, 2, 3)) - found.low) / (found.high - found.low)
        if np.percentile(border, 25) > INVERTED:
            brightness = found.low + float(np.median(border)) * (found.high - found.low)
            raise HypojaxError(Reason.INVERTED, f"its border is about {brightness:g} and so brighter than the head, {ADVICE}")
    return scan


def look(volume: Num[np.ndarray, "i j k"]) -> Look:
    """Look at voxels from everywhere, and at blocks that touch the border, evenly spread over it; thin volumes have thin blocks."""
    sample = volume[np.ix_(*[_spread(side, SAMPLED) for side in volume.shape])].astype(np.float32).ravel()
    low, high = np.percentile(sample, CLIP)
    edges = [min(BLOCK, side) for side in volume.shape]
    starts = [_spread(side - edge + 1, BLOCKS) for side, edge in zip(volume.shape, edges, strict=True)]
    within = [(start[:, None] + np.arange(edge)).ravel() for start, edge in zip(starts, edges, strict=True)]
    split = [length for start, edge in zip(starts, edges, strict=True) for length in (len(start), edge)]
    blocks = volume[np.ix_(*within)].astype(np.float32).reshape(split).transpose(0, 2, 4, 1, 3, 5)
    place, last = np.indices(blocks.shape[:3]), np.array(blocks.shape[:3]).reshape(3, 1, 1, 1) - 1
    border = blocks[((place == 0) | (place == last)).any(axis=0)]
    flat = border.reshape(len(border), -1)
    values, counts = np.unique(flat[flat.min(axis=1) == flat.max(axis=1), 0], return_counts=True)
    return Look(sample, border, float(low), float(high), [float(value) for value in values[counts >= LEAST_BLOCKS]])


def _spread(side: int, count: int) -> Int[np.ndarray, "n"]:
    """An even ``count`` of places along an axis, the same from either end; all where there are no more.

    >>> _spread(10, 4).tolist(), _spread(3, 4).tolist()
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if side <= count:
        return np.arange(side)
    first = np.floor(np.linspace(0, side - 1, count))[: count // 2].astype(int)
    return np.concatenate([first, side - 1 - first[::-1]])


def _without_marks(scan: Mended, found: Look) -> Mended:
    """Single voxels beyond all intensities, such as -3e38 for "no value", become the end of the others."""
    volume, low, high = scan.volume, found.low, found.high
    reach = EXTREME * (high - low)
    if not reach or (volume.min() >= low - reach and volume.max() <= high + reach):
        return scan
    ordinary = volume[(volume >= low - reach) & (volume <= high + reach)]
    return replace(scan, volume=np.clip(volume, ordinary.min(), ordinary.max()))


def _without_low_air(scan: Mended, found: Look) -> Mended:
    """Air far below everything else is raised to the darkest of it."""
    levels = _levels(found.sample[~np.isin(found.sample, np.array(found.constants, np.float32))])
    if levels is None:
        return scan
    constant = [levels.low for value in found.constants if levels.far_below(value)]
    floor = max([*constant, *_gap_floor(found), *_negative_floors(scan.volume, found)], default=None)
    if floor is None:
        return scan
    if floor > 0 and not levels.far_below(0.0):
        floor = 0.0  # intensities begin at zero
    return replace(scan, volume=np.maximum(scan.volume, np.float32(floor)))


def _gap_floor(found: Look) -> list[float]:
    """Low end of what is brighter than air, where the gap between the two is wider than any tissue makes it; else nothing."""
    threshold = otsu_threshold(found.sample)
    above, air = _levels(found.sample[found.sample > threshold]), found.sample[found.sample <= threshold]
    if above is None or not air.size:
        return []
    middle = float(np.median(air))
    wide = above.low - middle > FAR_GAP * (above.high - above.low) > 0
    return [above.low] if wide and (middle < 0 or above.has_air) else []


def _negative_floors(volume: Num[np.ndarray, "i j k"], found: Look) -> list[float]:
    """Low ends of what is not negative, and of what is brighter than the lowest value, each where all below it is no tissue.

    The first where all that is negative lies well apart, and the rest holds air of its own. The second where the lowest value is negative
    and as far away as no tissue is: the -1000 of a few slices, or of a hole, that blocks on the border do not meet.
    """
    floors = []
    below, rest = found.sample[found.sample < 0], _levels(found.sample[found.sample >= 0])
    if rest is not None and below.size >= LEAST_VOXELS and rest.has_air:
        gap = rest.low - float(np.percentile(below, 100 - CLIP[0]))
        floors += [rest.low] if gap > FAR_FROM_AIR * (rest.tissue - rest.low) > 0 else []
    lowest = float(volume.min())
    brighter = _levels(found.sample[found.sample > lowest])
    if brighter is not None and lowest < 0 and brighter.low - lowest > FAR * (brighter.tissue - brighter.low) > 0:
        floors.append(brighter.low)
    return floors


def _levels(values: Float32[np.ndarray, "n"]) -> Levels | None:
    """Levels of some voxels; None where there are too few."""
    if values.size < LEAST_VOXELS:
        return None
    low, tenth, high = map(float, np.percentile(values, (CLIP[0], 10, CLIP[1])))
    bright = values[values > otsu_threshold(values)]
    tissue = float(bright.mean()) if bright.size else high
    return Levels(low, tissue, high, has_air=tenth - low < AIR_SPREAD * (tissue - low))


def _without_bright_constants(scan: Mended, found: Look) -> Mended:
    """Padding as bright as tissue, or brighter, becomes air."""
    levels = _levels(found.sample[~np.isin(found.sample, np.array(found.constants, np.float32))])
    bright = [value for value in found.constants if levels and value > levels.low + DARK * (levels.tissue - levels.low)]
    if levels is None or not bright:
        return scan
    air = min([value for value in found.constants if value not in bright] + [levels.low])
    volume = np.array(scan.volume, np.float32)
    for value in bright:
        padding = touching_border(volume == np.float32(value))
        rim = ndimage.binary_dilation(padding) & ~padding
        if value >= levels.high and rim.any() and np.median(volume[rim]) > (levels.low + value) / 2:
            raise HypojaxError(Reason.INVERTED, f"the field of view is {value:g} round a darker head, {ADVICE}")
        volume[padding] = air
        volume[rim & (volume > levels.high)] = air  # values between padding and scan, where it was interpolated
    return replace(scan, volume=volume)


def largest_component(mask: Bool[np.ndarray, "i j k"], connectivity: Bool[np.ndarray, "3 3 3"] | None = None) -> Bool[np.ndarray, "i j k"]:
    """The largest connected piece of a mask (by faces when left out); of two equally large ones the first in memory order."""
    pieces, count = ndimage.label(mask, connectivity)
    if count <= 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    return pieces == 1 + int(sizes[1:].argmax())


def touching_border(mask: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """Pieces of a mask that touch the border of the volume."""
    labels, count = ndimage.label(mask)
    touching = np.zeros(count + 1, bool)
    for axis in range(3):
        for end in (0, -1):
            touching[np.unique(labels.take(end, axis))] = True
    touching[0] = False
    return touching[labels]


def _without_noise(scan: Mended, found: Look) -> Mended:
    """Noise as bright as tissue becomes air outside the head, and dark where it stands between dark voxels inside."""
    low, high = found.low, found.high
    if min(found.border.shape[1:]) < BLOCK:
        return scan  # blocks too thin to tell
    if (rough(found.border).mean(axis=(1, 2, 3), dtype=np.float64) / ((high - low) or 1.0) > ROUGH).mean() < ROUGH_SHARE:
        return scan
    volume = np.asarray(scan.volume, np.float32)
    roughness = rough(np.pad(volume, 1, mode="reflect")[None])[0]
    noisy = ndimage.uniform_filter(roughness, 3) > ROUGH * (high - low)
    if noisy.mean() > NOTHING_ELSE:
        return scan
    opened = ndimage.grey_opening(volume, size=(3, 3, 3))
    air = float(np.percentile(opened[::2, ::2, ::2], CLIP[0]))
    head = _head(~noisy[::2, ::2, ::2] & (opened[::2, ::2, ::2] > otsu_threshold(opened[::2, ::2, ::2])))
    head = head.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(slice(side) for side in opened.shape)]
    alone = ~head & (roughness > ROUGH * (high - low))  # grains of sparse noise
    return Mended(np.where(noisy | alone, np.where(head, opened, np.float32(air)), volume), (NOISE_OUTSIDE,))


def rough(volumes: Float32[np.ndarray, "n i j k"]) -> Float32[np.ndarray, "n i-2 j-2 k-2"]:
    """How much every inner voxel departs from the line through its neighbours along that axis along which it departs least.

    Edges, and sheets such as skin, are smooth along one axis at least; noise is rough along all.
    """
    inner = volumes[:, 1:-1, 1:-1, 1:-1]
    least = np.full(inner.shape, np.inf, np.float32)
    for axis in range(1, 4):
        along = np.moveaxis(volumes, axis, 1)[:, :, 1:-1, 1:-1]
        bend = np.abs(along[:, :-2] - 2 * along[:, 1:-1] + along[:, 2:])
        np.minimum(least, np.moveaxis(bend, 1, axis), out=least)
    return least


def _head(tissue: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """The head in a mask of smooth tissue: its largest piece, closed and filled."""
    largest = largest_component(ndimage.binary_opening(tissue))
    if not largest.any():
        return np.ones_like(tissue)
    closed = ndimage.binary_closing(np.pad(largest, 6), iterations=5)[6:-6, 6:-6, 6:-6]
    return np.asarray(ndimage.binary_dilation(ndimage.binary_fill_holes(closed | largest)))
