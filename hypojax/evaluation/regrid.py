"""Label maps on another grid, by nearest neighbour: labels are names, and a mean of two is neither."""

from typing import Final

import numpy as np
from jaxtyping import UInt8

from hypojax.grid import Affine, Grid, to_world

SAME: Final = 1e-3
"""mm; grids whose corners lie closer than that to each other are one (headers keep them as float32)."""


def nearest(labels: UInt8[np.ndarray, "i j k"], affine: Affine, grid: Grid) -> UInt8[np.ndarray, "x y z"]:
    """The label at each voxel's middle of another grid; 0 outside the field of view.

    Parameters
    ----------
    labels, affine
        A label map in stored orientation, and its voxel-to-world matrix (mm, RAS+).
    grid
        Where to look. The very same map comes back where it has this grid already.

    Examples
    --------
    >>> row = np.array([1, 2, 3], np.uint8).reshape(3, 1, 1)
    >>> nearest(row, np.eye(4), Grid((5, 1, 1), np.diag([0.5, 1.0, 1.0, 1.0]))).ravel().tolist()
    [1, 2, 2, 3, 3]
    """
    from scipy import ndimage

    if same_grid(Grid(_shape(labels), affine), grid):
        return labels
    mapping = np.linalg.inv(affine) @ grid.affine
    # "grid-constant" lets the outermost voxels reach to their own border, which "constant" does not.
    return np.asarray(ndimage.affine_transform(labels, mapping[:3], output_shape=grid.shape, order=0, mode="grid-constant"))


def same_grid(first: Grid, second: Grid) -> bool:
    """Whether every voxel of two grids lies in the same place.

    >>> same_grid(Grid((2, 2, 2), np.eye(4)), Grid((2, 2, 2), np.diag([-1.0, 1.0, 1.0, 1.0])))
    False
    """
    if first.shape != second.shape:
        return False
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in first.shape], indexing="ij")).reshape(3, 8).T
    return bool(np.abs(to_world(first.affine, corners) - to_world(second.affine, corners)).max() < SAME)


def _shape(labels: UInt8[np.ndarray, "i j k"]) -> tuple[int, int, int]:
    """Its three sides."""
    i, j, k = labels.shape
    return i, j, k
