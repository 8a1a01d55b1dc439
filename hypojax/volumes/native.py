"""Label maps on the scan's own grid: cleaned posteriors are interpolated there, then decided voxel by voxel.

Only the region that a structure can reach is interpolated, the intracranial one in slabs, so that a large matrix costs
little memory.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Float32, UInt8

from hypojax.grid import Affine, Grid, resample, to_voxel, to_world, voxel_sizes
from hypojax.volumes.structure import HALF, bounding_box, label_voxels

SLAB: Final = 2_000_000
"""Voxels of a mask decided at once: 8 MB of posterior."""

Box = tuple[slice, slice, slice]


def native_labels(
    posteriors: Float32[np.ndarray, "10 x y z"], grid: Grid, *, shape: tuple[int, int, int], affine: Affine
) -> UInt8[np.ndarray, "i j k"]:
    """Hypothalamus labels on a scan's own grid (``shape``, ``affine`` as stored) from cleaned posteriors on ``grid``.

    A voxel is hypothalamus where the ten interpolated posteriors together pass one half; then the likeliest subunit.
    """
    labels = np.zeros(shape, np.uint8)
    source, around = _cropped(posteriors, grid, affine)
    box = _reached(around, shape, affine)
    part = _part(Grid(shape, affine), box)
    if min(part.shape) > 0:
        labels[box] = label_voxels(np.stack([resample(posterior, around.affine, part) for posterior in source]))
    return labels


def native_mask(
    posterior: Float32[np.ndarray, "x y z"], grid: Grid, *, shape: tuple[int, int, int], affine: Affine
) -> UInt8[np.ndarray, "i j k"]:
    """Mask (0 or 1) on a scan's own grid (``shape``, ``affine`` as stored) where the interpolated posterior passes one half."""
    mask = np.zeros(shape, np.uint8)
    source, around = _cropped(posterior[None], grid, affine)
    for slab in _slabs(_reached(around, shape, affine)):
        mask[slab] = resample(source[0], around.affine, _part(Grid(shape, affine), slab)) > HALF
    return mask


def _cropped(posteriors: Float32[np.ndarray, "n x y z"], grid: Grid, affine: Affine) -> tuple[Float32[np.ndarray, "n u v w"], Grid]:
    """Posteriors where any is not zero, with as many zeros round them as interpolation to a scan's voxels looks at.

    The zeros count: beyond the model grid, too, nothing was found.
    """
    wide = int(np.ceil(voxel_sizes(affine).max() / voxel_sizes(grid.affine).min())) + 1
    found = np.asarray(posteriors.any(axis=0))
    rows, columns, depth = bounding_box(found) if found.any() else (slice(0, 1), slice(0, 1), slice(0, 1))
    wider = [slice(part.start - wide, part.stop + wide) for part in (rows, columns, depth)]
    around = _part(grid, (wider[0], wider[1], wider[2]))
    return np.pad(posteriors[:, rows, columns, depth], [(0, 0), *[(wide, wide)] * 3]), around


def _reached(grid: Grid, shape: tuple[int, int, int], affine: Affine) -> Box:
    """Voxels of a scan whose middle may lie in a grid; an empty box where there is none."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape], indexing="ij")).reshape(3, 8).T
    index = to_voxel(affine, to_world(grid.affine, corners))
    low = np.clip(np.floor(index.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, low, shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))


def _part(grid: Grid, box: Box) -> Grid:
    """The grid of a box of voxels of another grid; it may reach beyond."""
    affine = grid.affine.copy()
    affine[:3, 3] = to_world(grid.affine, np.array([part.start for part in box]))
    i, j, k = (part.stop - part.start for part in box)
    return Grid((i, j, k), affine)


def _slabs(box: Box) -> Iterator[Box]:
    """A box cut along its first axis into slabs of about `SLAB` voxels."""
    rows, columns, depth = box
    step = max(1, SLAB // max(1, (columns.stop - columns.start) * (depth.stop - depth.start)))
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop)), columns, depth
