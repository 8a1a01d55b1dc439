"""The same head elsewhere: turned, shifted, on other voxels, in another axis order.

Turning and shifting touch the header alone; `refitted` then puts what it says on a new grid, as if the head had lain
that way in the scanner. Interpolation is by cubic splines (Unser 1999), which blur far less than linear weights would.
"""

import itertools
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64
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

Volume = Float32[np.ndarray, "i j k"]
Scan = tuple[Float32[np.ndarray, "_ _ _"], Affine]
"""Voxels in stored orientation and their voxel-to-world matrix, mm, RAS+."""

Triple = tuple[float, float, float]

ORIENTATIONS: Final = tuple(
    ((i, j, k), flips) for i, j, k in itertools.permutations(range(3)) for flips in itertools.product((1, -1), (1, -1), (1, -1))
)
"""The 48 ways to store the same voxels: (axis order, direction of each)."""

VOXEL_SPREAD: Final = 1 / np.sqrt(8 * np.log(2))
"""Standard deviation, in voxel edges, of a Gaussian as wide at half its height as a voxel: what a scanner's voxel sees."""


def turned(volume: Volume, affine: Affine, *, degrees: Triple) -> Scan:
    """Turn the head about the right, anterior and superior axes, in this order, round the middle of the field of view.

    Only the header changes.

    >>> _, affine = turned(np.zeros((3, 3, 3), np.float32), np.eye(4), degrees=(0.0, 0.0, 90.0))
    >>> to_world(affine, np.array([2.0, 1.0, 1.0])).round(6).tolist()
    [1.0, 2.0, 1.0]
    """
    middle = to_world(affine, (np.array(volume.shape) - 1) / 2)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(degrees)
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle
    return volume, matrix @ affine


def rotation(degrees: Triple) -> Float64[np.ndarray, "3 3"]:
    """Right-handed rotations about the right, anterior and superior axes, applied in this order.

    >>> rotation((90.0, 0.0, 0.0)).round(6).tolist()  # anterior goes to superior
    [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    """
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[[first, second], [first, second]] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        matrix = step @ matrix
    return matrix


def shifted(volume: Volume, affine: Affine, *, mm: Triple) -> Scan:
    """Move the head by so many mm to the right, anterior and superior; only the header changes."""
    moved = affine.copy()
    moved[:3, 3] += mm
    return volume, moved


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


def thickened(volume: Volume, affine: Affine, *, axis: int, mm: float) -> Scan:
    """Average whole slices along a stored axis to slices about ``mm`` thick; what does not fill a slice is dropped.

    >>> thick, affine = thickened(np.arange(4, dtype=np.float32).reshape(1, 1, 4), np.eye(4), axis=2, mm=2.0)
    >>> thick.ravel().tolist(), affine[2].tolist()
    ([0.5, 2.5], [0.0, 0.0, 2.0, 0.5])
    """
    together = max(1, round(mm / float(voxel_sizes(affine)[axis])))
    slices = np.moveaxis(volume, axis, 0)
    count = len(slices) // together
    means = slices[: count * together].reshape(count, together, *slices.shape[1:]).mean(axis=1, dtype=np.float32)
    thick = affine.copy()
    thick[:3, 3] += affine[:3, axis] * (together - 1) / 2
    thick[:3, axis] *= together
    return np.moveaxis(means, 0, axis), thick


def reoriented(volume: Volume, affine: Affine, *, order: tuple[int, int, int], flips: tuple[int, int, int]) -> Scan:
    """Store the same voxels in another axis order and direction (-1: reversed); each keeps its place in the world.

    >>> column = np.array([1, 2], np.float32).reshape(1, 1, 2)
    >>> stored, affine = reoriented(column, np.eye(4), order=(2, 0, 1), flips=(-1, 1, 1))
    >>> stored.ravel().tolist(), to_world(affine, np.array([0.0, 0.0, 0.0])).tolist()
    ([2.0, 1.0], [0.0, 0.0, 1.0])
    """
    stored = volume.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]
    other = affine.copy()
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        other[:3, new] = flip * affine[:3, old]
        if flip < 0:
            other[:3, 3] += (volume.shape[old] - 1) * affine[:3, old]
    return np.ascontiguousarray(stored), other


def _shape(volume: Volume) -> tuple[int, int, int]:
    """The three sides of a volume."""
    i, j, k = volume.shape
    return i, j, k
