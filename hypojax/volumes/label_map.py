"""Label maps on a scan's own grid that hold as many voxels as the soft volumes amount to: what is drawn is what is counted.

Cleaned posteriors are interpolated on the scan's grid, only where a structure can reach, the intracranial one in slabs, so that a large
matrix costs little memory. A threshold of one half would draw less of a structure than its posterior amounts to, the less the smaller or
the less sure it is: it drew 90 % of the hypothalamus and 49 % of its anterior-inferior subunits (72 people, 0.87 mm). So numbers of voxels
come first: soft volume over voxel volume, rounded, for the whole, of these for each side, of these for each subunit. Of all maps with
these numbers that one is drawn in which the posteriors of the labels sum to the most: the expected overlap with the truth.
"""

from typing import Final

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt8

from hypojax.grid import (
    Affine,
    Box,
    Grid,
    coronal_order,
    coronal_view,
    part_of,
    resample,
    source_blocks,
    to_voxel,
    to_world,
    voxel_sizes,
    voxel_volume,
)
from hypojax.volumes.apportionment import largest_remainder, shared_out
from hypojax.volumes.structure import bounding_box

LEVELS: Final = 1 << 16
"""Steps of an interpolated posterior between 0 and 1. What differs by less ties: rounding, which differs between processors, would
choose. Sums of 255ths in aligned grids, where exact ties are usual, never lie halfway between two steps."""

LEAST: Final = 0.05
"""Interpolated posterior of the whole below which a voxel is background, as long as there are enough others."""

SURE: Final = 2 * LEVELS
"""Taken from the score of a label whose posterior in a voxel is zero: it goes there only where there is no other voxel left."""

BAND: Final = (0.4, 0.7)
"""Between these posteriors lies the threshold of an intracranial mask: at 0.54 in the heads looked at."""

SLAB: Final = 1_000_000
"""Voxels of a mask decided at once, so that their posteriors stay in the cache."""

REVERSED: Final = [2, 1, 0, 3]
"""Columns of an affine for a map with its axes in reverse: turned round again it is in the order of files, first axis fastest."""

Band = tuple[float, float]


def native_labels(
    posteriors: Float32[np.ndarray, "10 x y z"], grid: Grid, *, shape: tuple[int, int, int], affine: Affine
) -> UInt8[np.ndarray, "i j k"]:
    """Hypothalamus labels on a scan's own grid (``shape``, ``affine`` as stored) from cleaned posteriors on ``grid``.

    The whole has as many voxels as its soft volume amounts to, up to half a voxel; each side and subunit up to one. Fewer where the scan
    has fewer voxels in which anything was found.
    """
    labels, affine = np.zeros(shape[::-1], np.uint8), affine[:, REVERSED]
    source, around, box = _cropped(posteriors, grid, labels.shape, affine)
    if labels[box].size > 0:
        view, turned = coronal_view(labels[box], part_of(Grid(labels.shape, affine), box).affine)
        a, s, r = view.shape
        found = np.stack([_steps(resample(posterior, around.affine, Grid((a, s, r), turned))) for posterior in source])
        volumes = posteriors.sum(axis=(1, 2, 3), dtype=np.float64) * voxel_volume(grid.affine)
        view[...] = drawn(found.reshape(len(found), -1), volumes / voxel_volume(affine)).reshape(view.shape)
    return labels.T


def drawn(posteriors: Int32[np.ndarray, "10 voxels"], voxels: Float64[np.ndarray, "10"]) -> UInt8[np.ndarray, " voxels"]:
    """Labels of which each has its share of ``voxels``, rounded, from posteriors in `LEVELS` steps.

    >>> posteriors = np.zeros((10, 4), np.int32)
    >>> posteriors[1], posteriors[2] = [40000, 30000, 20000, 9000], [10000, 9000, 8000, 0]
    >>> drawn(posteriors, np.array([0, 1.6, 0.7, 0, 0, 0, 0, 0, 0, 0])).tolist()
    [2, 3, 0, 0]
    """
    background = LEVELS - posteriors.sum(axis=0, dtype=np.int32)
    counts = label_counts(voxels, most=int(np.count_nonzero(background < LEVELS)))
    near = np.flatnonzero(background < (1 - LEAST) * LEVELS)
    if len(near) < counts.sum():
        near = np.flatnonzero(background < LEVELS)
    scores = np.concatenate([background[None, near], posteriors[:, near]])
    scores[scores <= 0] -= SURE
    labels = np.zeros(len(background), np.uint8)
    labels[near] = shared_out(scores, np.append(len(near) - counts.sum(), counts))
    return labels


def label_counts(voxels: Float64[np.ndarray, "10"], *, most: int) -> Int64[np.ndarray, "10"]:
    """Voxels of each label, whole numbers: first of the whole, at ``most`` so many, then of either side, then of its subunits.

    >>> label_counts(np.array([1.3, 1.3, 1.3, 0, 0, 2.2, 0, 0, 0, 0]), most=100).tolist()
    [2, 1, 1, 0, 0, 2, 0, 0, 0, 0]
    """
    sides = voxels.reshape(2, 5)
    totals = largest_remainder(sides.sum(axis=1), min(round(float(voxels.sum())), most))
    return np.concatenate([largest_remainder(side, int(total)) for side, total in zip(sides, totals, strict=True)])


def native_mask(
    posterior: Float32[np.ndarray, "x y z"], grid: Grid, *, shape: tuple[int, int, int], affine: Affine
) -> UInt8[np.ndarray, "i j k"]:
    """Mask (0 or 1) on a scan's own grid (``shape``, ``affine`` as stored) of the voxels in which a cleaned posterior is largest.

    It has as many voxels as the soft volume amounts to, up to half a voxel; fewer where the scan has fewer in which anything was found.
    """
    mask, affine = np.zeros(shape[::-1], np.uint8), affine[:, REVERSED]
    source, around, box = _cropped(posterior[None], grid, mask.shape, affine)
    place, part = part_of(Grid(mask.shape, affine), box).affine, mask[box]
    voxels = round(float(posterior.sum(dtype=np.float64)) * voxel_volume(grid.affine) / voxel_volume(affine))
    for band in (BAND, (0.0, 2.0)) if part.size else ():
        if _fill(part, source[0], around, affine=place, count=voxels, band=band):
            break
    return mask.T


def _fill(
    mask: UInt8[np.ndarray, "i j k"], posterior: Float32[np.ndarray, "x y z"], grid: Grid, *, affine: Affine, count: int, band: Band
) -> bool:
    """Set the ``count`` voxels of a mask in which a posterior is largest; False where its threshold lies outside the ``band``.

    What lies above the band is set at once, what lies in it is remembered and decided at the end.
    """
    low, high = band
    undecided = [(np.zeros(0, np.int64), np.zeros(0, np.int32))]
    step = max(1, SLAB // mask[0].size)
    for start in range(0, len(mask), step):
        slab = slice(start, min(start + step, len(mask))), slice(0, mask.shape[1]), slice(0, mask.shape[2])
        sampled = resample(posterior, grid.affine, part_of(Grid(mask.shape, affine), slab))
        above = sampled > high
        mask[slab] = above
        count -= int(np.count_nonzero(above))
        between = np.flatnonzero((sampled > low) & ~above)
        undecided.append((between + start * mask[0].size, _steps(sampled.ravel()[between])))
    places, values = (np.concatenate(each) for each in zip(*undecided, strict=True))
    if count < 0 or (count > len(places) and low > 0):
        return False
    found = _largest(values, places, count=min(count, len(places)), shape=mask.shape, affine=affine)
    mask[np.unravel_index(places[found], mask.shape)] = 1
    return True


def _largest(
    values: Int32[np.ndarray, " n"], places: Int64[np.ndarray, " n"], *, count: int, shape: tuple[int, ...], affine: Affine
) -> Int64[np.ndarray, " count"]:
    """Where the ``count`` largest values are; of those that tie the first from back to front, bottom to top, left to right."""
    if count == 0:
        return np.zeros(0, np.int64)
    least = np.partition(values, len(values) - count)[len(values) - count]
    above, tied = np.flatnonzero(values > least), np.flatnonzero(values == least)
    order, signs = coronal_order(affine)
    index = np.unravel_index(places[tied], shape)
    ranked = np.lexsort([sign * index[axis] for axis, sign in zip(order[::-1], signs[::-1], strict=True)])
    return np.concatenate([above, tied[ranked[: count - len(above)]]])


def _steps(posterior: Float32[np.ndarray, "*n"]) -> Int32[np.ndarray, "*n"]:
    """A posterior in `LEVELS` steps."""
    return np.rint(posterior * np.float32(LEVELS)).astype(np.int32)


def _cropped(
    posteriors: Float32[np.ndarray, "n x y z"], grid: Grid, shape: tuple[int, int, int], affine: Affine
) -> tuple[Float32[np.ndarray, "n u v w"], Grid, Box]:
    """Posteriors where any is not zero, their grid, and the voxels of a scan whose middle may lie in it, perhaps none.

    As many zeros lie round them as interpolation to a scan's voxels looks at: beyond the model grid, too, nothing was found. Where a scan's
    voxels are so large that blocks of the grid's are averaged, all blocks are counted from the voxel at the origin of the world: wherever
    the grid was cut before, and however far something was found, the same voxels share a block.
    """
    wide = int(np.ceil(voxel_sizes(affine).max() / voxel_sizes(grid.affine).min())) + 1
    found = np.asarray(posteriors.any(axis=0))
    rows, columns, depth = bounding_box(found) if found.any() else (slice(0, 1), slice(0, 1), slice(0, 1))
    blocks = source_blocks(np.linalg.inv(grid.affine) @ affine)
    # Wholes and halves are common places, and a digit of rounding must not decide about them.
    origin = np.floor(to_voxel(grid.affine, np.zeros(3)) + 1 / 4).astype(int)
    wider = [
        _whole_blocks(slice(part.start - wide, part.stop + wide), int(block), origin=int(first))
        for part, block, first in zip((rows, columns, depth), blocks, origin, strict=True)
    ]
    around = part_of(grid, (wider[0], wider[1], wider[2]))
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in around.shape], indexing="ij")).reshape(3, 8).T
    index = to_voxel(affine, to_world(around.affine, corners))
    low = np.clip(np.floor(index.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, low, shape).astype(int)
    reached = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))
    zeros = [(part.start - whole.start, whole.stop - part.stop) for part, whole in zip((rows, columns, depth), wider, strict=True)]
    return np.pad(posteriors[:, rows, columns, depth], [(0, 0), *zeros]), around, reached


def _whole_blocks(part: slice, block: int, *, origin: int) -> slice:
    """The same voxels and those before and behind them that share a block with one, blocks counted from an origin.

    >>> _whole_blocks(slice(2, 9), 4, origin=1)
    slice(1, 9, None)
    """
    return slice(origin + (part.start - origin) // block * block, origin - (origin - part.stop) // block * block)
