"""Affines that several test modules build: rotated boxes of voxels, and the 48 ways to store the same voxels."""

import itertools

import numpy as np
from jaxtyping import Float64

AXIS_ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product((1, -1), repeat=3))
ORIENTATIONS = [(order, flips) for order in AXIS_ORDERS for flips in FLIPS]


def rotation(axis: int, degrees: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation in the plane of the two other world axes."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = [other for other in range(3) if other != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def affine_of(
    sizes: tuple[float, ...], shape: tuple[int, ...], turn: Float64[np.ndarray, "3 3"] | None = None
) -> Float64[np.ndarray, "4 4"]:
    """Affine of a box of voxels centred on the world's origin."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag(sizes)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def reorder(volume: np.ndarray, affine: np.ndarray, order: tuple[int, ...], flips: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The same voxels stored in another axis order and direction, each at the world position it had."""
    turned = np.eye(4)
    turned[:3, 3] = affine[:3, 3]
    for new, old in enumerate(order):
        turned[:3, new] = affine[:3, old] * flips[new]
        if flips[new] < 0:
            turned[:3, 3] += affine[:3, old] * (volume.shape[old] - 1)
    return volume.transpose(order)[tuple(slice(None, None, flip) for flip in flips)], turned
