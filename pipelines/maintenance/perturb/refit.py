"""The same head on other voxels, by cubic splines (Unser 1999), which blur far less than linear weights would."""

import itertools
from typing import Final

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from hypojax.grid import (
    PARALLEL_TOLERANCE,
    Affine,
    Grid,
    apply_weights,
    centred_grid,
    directions,
    to_world,
    voxel_sizes,
    within_field_of_view,
)
from pipelines.maintenance.perturb.geometry import Scan, Triple, Volume

VOXEL_SPREAD: Final = 1 / np.sqrt(8 * np.log(2))
"""Standard deviation, in voxel edges, of a Gaussian as wide at half its height as a voxel: what a scanner's voxel sees."""


def refitted(volume: Volume, affine: Affine, *, grid: Grid) -> Scan:
    """Put a scan on another grid by cubic splines; beyond its field of view lies its darkest value.

    Where the new voxels are larger the scan is smoothed first by what their Gaussian is wider (see `VOXEL_SPREAD`), so
    that fine detail is averaged, as a scanner would, and not skipped. Nothing is brighter or darker than before.
    """
    mapping = np.linalg.inv(affine) @ grid.affine
    coarser = np.linalg.norm(mapping[:3, :3], axis=1)
    smooth = ndimage.gaussian_filter(volume, VOXEL_SPREAD * np.sqrt(np.maximum(coarser**2 - 1, 0)), mode="mirror")
    sampled = _looked_up(ndimage.spline_filter(smooth, output=np.float32), mapping, grid.shape)
    sampled[~within_field_of_view(grid, _shape(volume), affine)] = volume.min()
    return np.clip(sampled, volume.min(), volume.max()), grid.affine


def _looked_up(knots: Volume, mapping: Affine, shape: tuple[int, int, int]) -> Float32[np.ndarray, "x y z"]:
    """Values of a cubic spline at the source voxels of a mapping; axes that run alone are weighed alone, which is much faster."""
    coupled = (np.abs(mapping[:3, :3]) > PARALLEL_TOLERANCE) & ~np.eye(3, dtype=bool)
    alone = [axis for axis in range(3) if not (coupled[axis].any() or coupled[:, axis].any())]
    if not alone:
        return ndimage.affine_transform(
            knots, mapping[:3, :3], mapping[:3, 3], output_shape=shape, mode="mirror", prefilter=False, output=np.float32
        )
    weights = [np.eye(n, dtype=np.float32) for n in knots.shape]
    for axis in alone:
        weights[axis] = spline_weights(knots.shape[axis], shape[axis], step=float(mapping[axis, axis]), start=float(mapping[axis, 3]))
    weighed = apply_weights(knots, weights)
    return weighed if len(alone) == 3 else _sliced(weighed, mapping, shape, axis=alone[0])


def _sliced(knots: Volume, mapping: Affine, shape: tuple[int, int, int], *, axis: int) -> Float32[np.ndarray, "x y z"]:
    """`_looked_up` slice by slice, where one axis is done."""
    plane = [other for other in range(3) if other != axis]
    matrix, start = mapping[np.ix_(plane, plane)], mapping[plane, 3]
    sides = (shape[plane[0]], shape[plane[1]])
    slices = [
        ndimage.affine_transform(part, matrix, start, output_shape=sides, mode="mirror", prefilter=False, output=np.float32)
        for part in np.moveaxis(knots, axis, 0)
    ]
    return np.stack(slices, axis=axis)


def spline_weights(source: int, target: int, *, step: float, start: float) -> Float32[np.ndarray, "target source"]:
    """Weights of cubic spline knots along one axis (Unser 1999): target voxel ``v`` lies at source index ``start + step * v``.

    Beyond the outermost knots they repeat mirrored; rows outside the field of view are zero.

    >>> (6 * spline_weights(3, 2, step=1.0, start=1.0)).round(6).tolist()
    [[1.0, 4.0, 1.0], [0.0, 2.0, 4.0]]
    """
    position = start + step * np.arange(target)
    weights = np.zeros((target, source))
    for offset in range(-1, 3):
        knot = np.floor(position).astype(int) + offset
        away = np.abs(position - knot)
        weight = np.where(away < 1, 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6)
        period = max(2 * (source - 1), 1)
        mirrored = np.minimum(knot % period, -knot % period) if source > 1 else np.zeros_like(knot)
        np.add.at(weights, (np.arange(target), mirrored), weight)
    inside = (position >= -0.5 - 1e-6) & (position <= source - 0.5 + 1e-6)
    return np.where(inside[:, None], weights, 0).astype(np.float32)


def upright(volume: Volume, affine: Affine, *, sizes: Triple) -> Scan:
    """Put a scan on a grid along the world's axes (right, anterior, superior) with these voxel edges (mm) that holds all of it.

    Voxel centres lie at whole multiples of the edges, wherever the scan lies: a scanner's grid stays when a head moves.
    """
    edges = np.array(sizes)
    corners = to_world(affine, np.array(list(itertools.product(*[(-0.5, n - 0.5) for n in volume.shape]))))
    low, high = np.ceil(corners.min(axis=0) / edges - 1e-6), np.floor(corners.max(axis=0) / edges + 1e-6)
    grid = np.diag([*sizes, 1.0])
    grid[:3, 3] = low * edges
    i, j, k = (high - low + 1).astype(int).tolist()
    return refitted(volume, affine, grid=Grid((i, j, k), grid))


def resampled(volume: Volume, affine: Affine, *, sizes: Triple) -> Scan:
    """Put a scan on voxels with other edges (mm) along its own axes; the field of view stays to half a voxel."""
    middle = to_world(affine, (np.array(volume.shape) - 1) / 2)
    i, j, k = np.maximum(1, np.round(voxel_sizes(affine) * volume.shape / sizes)).astype(int).tolist()
    return refitted(volume, affine, grid=centred_grid(directions(affine) * sizes, shape=(i, j, k), spacing=1.0, centre=middle))


def _shape(volume: Volume) -> tuple[int, int, int]:
    """The three sides of a volume."""
    i, j, k = volume.shape
    return i, j, k
