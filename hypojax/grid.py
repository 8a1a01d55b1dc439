"""Affine geometry: voxel sizes and volumes, coronal views, target grids and antialiased linear resampling.

World coordinates are mm in RAS+ throughout (x to the right, y to anterior, z to superior). Model grids are coronal
first: axis 0 runs to anterior, axis 1 to superior, axis 2 to the right. Where the voxel axes lie within
`OBLIQUE_LIMIT` of the world axes a model grid follows the voxel axes, so that sampling is separable (one small matrix
an axis) and slices keep their orientation; beyond that it follows the world axes.

The order in which a processor adds differs (SSE, AVX-512, the matrix products of BLAS), and with it the last digits of a sum. Where two
grids, pairs or subjects tie exactly, these digits would choose between them, and the same seed and table would give other folds on another
machine. So numbers are rounded before they decide anything (`comparable`, `MARGIN`), and ties are then broken by a rule.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Num
from scipy import ndimage
from scipy.sparse import csr_array

OBLIQUE_LIMIT: Final = 25.0
"""Degrees of tilt up to which a model grid follows the voxel axes; the networks are trained with as much rotation."""

PARALLEL_TOLERANCE: Final = 1e-4
"""Largest off-diagonal element, in source voxels a target voxel, that still counts as parallel axes."""

ASR: Final = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Columns are the world directions anterior, superior, right."""

NOD: Final = 15.0
"""Degrees by which heads in scanners are nodded back against the template: 13 real ones by 8 to 26, 20 label maps by -1 to 31. What lies so
is called upright: the head network learnt from it, so its grid is turned so. The box lies along the template's own axes."""

DIGITS: Final = 9
"""Decimals kept of numbers of the order of one; sums of a million of them agree to more than that."""

MARGIN: Final = 10.0**-DIGITS
"""Numbers of the order of one that differ by less tie."""

Affine = Float64[np.ndarray, "4 4"]

ORDER: Final = (1, 0, 2)
"""Axes of a model's grid from slow to fast in the memory of most scans: superior, anterior, right."""

CACHED: Final = 1 << 18
"""Numbers that are worked on at once, so that they stay in the cache."""

Box = tuple[slice, slice, slice]
"""Voxels of a volume that lie side by side."""


@dataclass(frozen=True)
class Grid:
    """A box of voxels in the world.

    Parameters
    ----------
    shape
        Voxels along each axis.
    affine
        Voxel-to-world matrix, mm, RAS+.
    """

    shape: tuple[int, int, int]
    affine: Affine

    @property
    def centre(self) -> Float64[np.ndarray, "3"]:
        """World coordinates of the middle of the box, mm, RAS+."""
        return to_world(self.affine, (np.array(self.shape) - 1) / 2)


def voxel_sizes(affine: Affine) -> Float64[np.ndarray, "3"]:
    """Voxel edge lengths along the three voxel axes, mm.

    >>> voxel_sizes(np.diag([2.0, 3.0, -4.0, 1.0])).tolist()
    [2.0, 3.0, 4.0]
    """
    return np.sqrt((affine[:3, :3] ** 2).sum(axis=0))


def voxel_volume(affine: Affine) -> float:
    """Volume of one voxel, mm³; right for sheared affines too.

    >>> voxel_volume(np.diag([2.0, 3.0, -4.0, 1.0]))
    24.0
    """
    return float(abs(np.dot(affine[:3, 0], np.cross(affine[:3, 1], affine[:3, 2]))))


def to_world(affine: Affine, index: Num[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """World coordinates (mm, RAS+) of voxel indices."""
    return index @ affine[:3, :3].T + affine[:3, 3]


def to_voxel(affine: Affine, world: Num[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """Voxel indices (fractional) of world coordinates (mm, RAS+)."""
    return (world - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T


def directions(affine: Affine) -> Float64[np.ndarray, "3 3"]:
    """Unit vectors of the voxel axes in the world, one a column."""
    return affine[:3, :3] / voxel_sizes(affine)


def coronal_order(affine: Affine, axes: Float64[np.ndarray, "3 3"] = ASR) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Which voxel axis runs closest to anterior, superior and right (or to other columns of ``axes``), and whether each is flipped (-1).

    The assignment is the one whose cosines sum to the most, so that no world axis is taken twice.

    >>> coronal_order(np.diag([-1.0, 1.0, 1.0, 1.0]))
    ((1, 2, 0), (1, 1, -1))
    """
    cosines = axes.T @ directions(affine)
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    # Rounded: of axes turned by exactly 45 degrees every processor takes the same.
    best = max(orders, key=lambda order: round(float(sum(abs(cosines[row, axis]) for row, axis in enumerate(order))), DIGITS))
    signs = tuple(1 if cosines[row, axis] >= 0 else -1 for row, axis in enumerate(best))
    return best, (signs[0], signs[1], signs[2])


def coronal_view(
    volume: Num[np.ndarray, "i j k"], affine: Affine, axes: Float64[np.ndarray, "3 3"] = ASR
) -> tuple[Num[np.ndarray, "a s r"], Affine]:
    """The same voxels with axes closest to anterior, superior, right (or to other columns of ``axes``): a strided view, nothing copied.

    Returns
    -------
    The view and its voxel-to-world affine; every voxel keeps its world position.
    """
    order, signs = coronal_order(affine, axes)
    view = volume.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    turned = affine.copy()
    for row, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        turned[:3, row] = sign * affine[:3, axis]
        if sign < 0:
            turned[:3, 3] += (volume.shape[axis] - 1) * affine[:3, axis]
    return view, turned


def from_coronal_view(volume: Num[np.ndarray, "a s r"], affine: Affine) -> Num[np.ndarray, "i j k"]:
    """Undo `coronal_view`: ``affine`` is that of the original voxels."""
    order, signs = coronal_order(affine)
    flipped = volume[tuple(slice(None, None, sign) for sign in signs)]
    return flipped.transpose(np.argsort(order))


def model_directions(affine: Affine) -> Float64[np.ndarray, "3 3"]:
    """Directions of the model grid for a scan: its own axes when nearly upright and square, else the world's."""
    _, turned = coronal_view(np.empty((1, 1, 1)), affine)
    own = directions(turned)
    square = np.abs(own.T @ own - np.eye(3)).max() < 0.02
    worst = min(1.0, *np.abs((ASR.T @ own).diagonal()))
    return own if square and round(float(np.degrees(np.arccos(worst))), 6) <= OBLIQUE_LIMIT else ASR.copy()


def centred_grid(
    axes: Float64[np.ndarray, "3 3"], *, shape: tuple[int, int, int], spacing: float, centre: Float64[np.ndarray, "3"]
) -> Grid:
    """A grid of isotropic ``spacing`` (mm) whose middle lies at ``centre`` (mm, RAS+), axes as given."""
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def conformed_grid(shape: tuple[int, int, int], affine: Affine, *, spacing: float = 1.0) -> Grid:
    """The isotropic coronal-first grid that covers a whole scan (``shape``, ``affine`` as stored)."""
    axes = model_directions(affine)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in shape], indexing="ij")).reshape(3, 8).T
    along = to_world(affine, corners) @ np.linalg.inv(axes).T
    low, high = along.min(axis=0), along.max(axis=0)
    size = np.maximum(1, np.round((high - low) / spacing - 1e-6)).astype(int)
    return centred_grid(axes, shape=(int(size[0]), int(size[1]), int(size[2])), spacing=spacing, centre=axes @ ((low + high) / 2))


def axis_weights(source: int, target: int, *, step: float, start: float) -> Float32[np.ndarray, "target source"]:
    """Antialiased linear interpolation along one axis as a matrix.

    Target voxel ``v`` lies at source index ``start + step * v``. The kernel is a triangle, as wide as the larger of
    the two spacings, so that coarser targets average instead of skipping; rows whose centre lies outside the source
    field of view (half a voxel beyond the outermost centres) are zero, all others sum to one.

    >>> axis_weights(4, 2, step=1.0, start=0.5).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]]
    """
    position = start + step * np.arange(target)
    width = max(1.0, abs(step))
    weights = np.maximum(0.0, 1 - np.abs(np.arange(source)[None, :] - position[:, None]) / width)
    inside = (position >= -0.5 - 1e-6) & (position <= source - 0.5 + 1e-6)
    total = weights.sum(axis=1, keepdims=True)
    return np.where(inside[:, None] & (total > 0), weights / np.where(total > 0, total, 1), 0).astype(np.float32)


def resample(
    volume: Num[np.ndarray, "i j k"], affine: Affine, grid: Grid, *, fill: float = 0.0, ceiling: float = np.inf
) -> Float32[np.ndarray, "x y z"]:
    """Sample a volume on a target grid: antialiased linear where axes are parallel, trilinear otherwise.

    Parameters
    ----------
    volume, affine
        Voxels of any real dtype and their voxel-to-world matrix (mm, RAS+).
    grid
        Where to sample; its axes may run in any order.
    fill
        Value outside the scan's field of view.
    ceiling
        What is brighter counts as this before it is averaged with its neighbours.
    """
    view, turned = coronal_view(volume, affine, directions(grid.affine))
    mapping = np.linalg.inv(turned) @ grid.affine
    if np.abs(mapping[:3, :3] - np.diag(np.diag(mapping[:3, :3]))).max() > PARALLEL_TOLERANCE:
        cut_off = view if np.isinf(ceiling) else np.minimum(view, np.float32(ceiling), dtype=np.float32, order="C")
        sampled = _resample_rotated(cut_off, mapping, grid.shape)
        sampled[~within_field_of_view(grid, view.shape, turned)] = fill
        return sampled
    weights = [
        axis_weights(view.shape[axis], grid.shape[axis], step=float(mapping[axis, axis]), start=float(mapping[axis, 3]))
        for axis in range(3)
    ]
    return apply_weights(view, weights, fill=fill, ceiling=ceiling)


def part_of(grid: Grid, box: Box) -> Grid:
    """The grid of a box of voxels of another grid; it may reach beyond.

    >>> part_of(Grid((4, 4, 4), np.eye(4)), (slice(1, 3), slice(0, 4), slice(-1, 5))).affine[:3, 3].tolist()
    [1.0, 0.0, -1.0]
    """
    affine = grid.affine.copy()
    affine[:3, 3] = to_world(grid.affine, np.array([part.start for part in box]))
    i, j, k = (part.stop - part.start for part in box)
    return Grid((i, j, k), affine)


def near(volume: Num[np.ndarray, "i j k"], affine: Affine, grid: Grid) -> tuple[Num[np.ndarray, "p q r"], Affine]:
    """The part of a volume that sampling on a grid needs, and its affine: a view, nothing copied.

    Sampling along turned axes copies all that it is given.

    >>> small = centred_grid(np.eye(3), shape=(3, 3, 3), spacing=1.0, centre=np.array([41.0, 1.0, -99.0]))
    >>> part, moved = near(np.zeros((90, 90, 90)), np.eye(4), small)
    >>> part.shape, moved[:3, 3].tolist()
    ((11, 7, 1), [36.0, 0.0, 0.0])
    """
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape], indexing="ij")).reshape(3, 8).T
    index = to_voxel(affine, to_world(grid.affine, corners))
    margin = 3 + np.ceil(voxel_sizes(grid.affine).max() / voxel_sizes(affine))
    sides = np.array(volume.shape)
    first = np.clip(np.floor(index.min(axis=0) - margin), 0, sides - 1).astype(int)
    last = np.clip(np.ceil(index.max(axis=0) + margin), first, sides - 1).astype(int)
    part = affine.copy()
    part[:3, 3] = to_world(affine, first)
    return volume[tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))], part


def within_field_of_view(grid: Grid, shape: tuple[int, int, int], affine: Affine) -> Bool[np.ndarray, "x y z"]:
    """Voxels of a grid whose middle lies in the field of view of a scan (``shape``, ``affine`` as stored).

    The field of view ends half a voxel beyond the outermost centres.

    >>> row = Grid((5, 1, 1), np.diag([1.0, 1.0, 1.0, 1.0]))
    >>> within_field_of_view(row, (2, 1, 1), np.diag([2.0, 2.0, 2.0, 1.0])).ravel().tolist()
    [True, True, True, True, False]
    """
    inside, ends = np.ones(grid.shape, bool), np.array(grid.shape) - 1
    for row, limit in zip(np.linalg.inv(affine) @ grid.affine, shape, strict=False):
        lowest, highest = (row[3] + bound(row[:3] * ends, 0).sum() for bound in (np.minimum, np.maximum))
        if lowest >= -0.5 and highest <= limit - 0.5:
            continue  # all of the grid
        # Axes along which next to nothing changes are left out, so that those of parallel grids stay lines.
        lines = zip(row, np.ogrid[tuple(slice(side) for side in grid.shape)], strict=False)
        position = row[3] + sum(step * index for step, index in lines if abs(step) * index.size > 1e-9)
        inside &= (position >= -0.5 - 1e-6) & (position <= limit - 0.5 + 1e-6)
    return inside


def apply_weights(
    volume: Num[np.ndarray, "a s r"], weights: list[Float32[np.ndarray, "_ _"]], *, fill: float = 0.0, ceiling: float = np.inf
) -> Float32[np.ndarray, "x y z"]:
    """Apply one interpolation matrix an axis; zero rows give ``fill``, what is above ``ceiling`` counts as it.

    Source voxels far from what rows need are not read. Sparse products add the few sources of every target, whole lines at a time, in one
    thread: threads of dense ones wait for each other, and took up to 30 times longer beside a training run.
    """
    needed = [np.flatnonzero(matrix.any(axis=0)) for matrix in weights]
    if any(index.size == 0 for index in needed):
        return np.full([matrix.shape[0] for matrix in weights], fill, np.float32)
    ends = [(int(index[0]), int(index[-1]) + 1) for index in needed]
    # Little is not cut off: what is left of whole lines would have to be copied.
    spans = tuple(slice(*end) if 2 * (end[1] - end[0]) < side else slice(0, side) for end, side in zip(ends, volume.shape, strict=True))
    part = volume[spans] if np.isinf(ceiling) else np.minimum(volume[spans], np.float32(ceiling), dtype=np.float32)
    result = part
    # Shrinking axes first. The order of sums does not depend on how memory holds the volume, so that all copies give the same bits.
    for axis in sorted(ORDER, key=lambda axis: 6 - ORDER.index(axis) if weights[axis].shape[0] > part.shape[axis] else ORDER.index(axis)):
        result = _along(weights[axis][:, spans[axis]], result, axis)
    sampled = np.ascontiguousarray(result)
    for axis, matrix in enumerate(weights if fill else ()):
        np.moveaxis(sampled, axis, 0)[~matrix.any(axis=1)] = fill
    return sampled


def _along(matrix: Float32[np.ndarray, "target source"], volume: Num[np.ndarray, "a s r"], axis: int) -> Float32[np.ndarray, "x y z"]:
    """Multiply one axis of a volume by an interpolation matrix, the other two in the order and direction in which memory has them."""
    others = sorted({0, 1, 2} - {axis}, key=lambda other: -abs(volume.strides[other]))
    forward = tuple(slice(None, None, -1 if volume.strides[other] < 0 else 1) for other in others)
    lines = np.ascontiguousarray(volume.transpose(axis, *others)[:, *forward])
    product = _product(csr_array(matrix), lines.reshape(len(lines), -1))
    return product.reshape(-1, *lines.shape[1:])[:, *forward].transpose(np.argsort([axis, *others]))


def _product(matrix: csr_array, lines: Num[np.ndarray, "source n"]) -> Float32[np.ndarray, "target n"]:
    """Product of a sparse matrix with lines, which become float32 a few at a time, in the cache, and never all together."""
    if lines.dtype == np.float32:
        return matrix @ lines
    few = max(1, CACHED // len(lines))
    product = np.empty((matrix.shape[0], lines.shape[1]), np.float32)
    for first in range(0, lines.shape[1], few):
        product[:, first : first + few] = matrix @ lines[:, first : first + few].astype(np.float32)
    return product


def _resample_rotated(view: Num[np.ndarray, "a s r"], mapping: Affine, shape: tuple[int, int, int]) -> Float32[np.ndarray, "x y z"]:
    """Trilinear sampling through a general matrix, after block averages where the source is much finer."""
    block = np.minimum(source_blocks(mapping), view.shape)
    coarse, shifted = _block_mean(view, block), mapping.copy()
    shifted[:3] = (mapping[:3] - np.array([[0.0, 0.0, 0.0, 1.0]]) * ((block - 1) / 2)[:, None]) / block[:, None]
    return ndimage.affine_transform(coarse, shifted[:3, :3], shifted[:3, 3], output_shape=shape, order=1, mode="nearest", output=np.float32)


def source_blocks(mapping: Affine) -> Int[np.ndarray, "3"]:
    """Source voxels to average along each source axis before a rotated sampling.

    Rows of the target-to-source ``mapping`` belong to source axes: for a rotation the norm of a row is target spacing
    over source spacing, whatever the angle (columns mix the spacings of several source axes).

    >>> source_blocks(np.diag([4.0, 1 / 3, 2.0, 1.0])).tolist()
    [4, 1, 2]
    """
    ratio = np.sqrt((mapping[:3, :3] ** 2).sum(axis=1))
    return np.maximum(1, np.round(ratio)).astype(int)


def _block_mean(view: Num[np.ndarray, "a s r"], block: Int[np.ndarray, "3"]) -> Float32[np.ndarray, "x y z"]:
    """Average over whole blocks; a last, partial block is filled up with the outermost voxels."""
    if (block == 1).all():
        return np.ascontiguousarray(view, dtype=np.float32)
    padded = np.pad(view, [(0, int(-n % b)) for n, b in zip(view.shape, block, strict=True)], mode="edge")
    split = padded.reshape([int(n) for size, b in zip(padded.shape, block, strict=True) for n in (size // b, b)])
    return split.mean(axis=(1, 3, 5), dtype=np.float32)


def comparable(values: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Numbers of the order of one without the digits that rounding decides.

    >>> sums = np.array([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1])
    >>> sums[0] == sums[1], bool(comparable(sums)[0] == comparable(sums)[1])
    (np.False_, True)
    """
    return np.round(values, DIGITS)
