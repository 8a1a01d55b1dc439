"""The same head elsewhere: turned, shifted, on other voxels, in another axis order.

Turning and shifting touch the header alone; `refitted` then puts what it says on a new grid, as if the head had lain
that way in the scanner. Interpolation is by cubic splines (Unser 1999), which blur far less than linear weights would.
"""

import itertools
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64

from hypojax.grid import (
    Affine,
    to_world,
    voxel_sizes,
)

Volume = Float32[np.ndarray, "i j k"]
Scan = tuple[Float32[np.ndarray, "_ _ _"], Affine]
"""Voxels in stored orientation and their voxel-to-world matrix, mm, RAS+."""

Triple = tuple[float, float, float]

ORIENTATIONS: Final = tuple(
    ((i, j, k), flips) for i, j, k in itertools.permutations(range(3)) for flips in itertools.product((1, -1), (1, -1), (1, -1))
)
"""The 48 ways to store the same voxels: (axis order, direction of each)."""


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
