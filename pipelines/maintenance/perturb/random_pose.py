"""A head laid down in another pose: turned about any axis, shifted, and put on new voxels."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from hypojax.grid import Affine, to_world, voxel_sizes
from pipelines.maintenance.perturb.geometry import Scan, Triple, Volume
from pipelines.maintenance.perturb.refit import upright

LARGEST: Final[Mapping[str, tuple[float, float]]] = {"any": (45.0, 60.0), "small": (10.0, 5.0)}
"""Kind of pose → largest angle (degrees) and shift (mm)."""

FINEST: Final = 1.0
"""Least edge of the new voxels, mm."""


def drawn(kind: str, rng: np.random.Generator) -> tuple[Rotation, Float64[np.ndarray, "3"]]:
    """A random turn about any axis and a shift in any direction, both uniform up to the largest."""
    angle, mm = LARGEST[kind]
    axes = rng.normal(size=(2, 3))
    axis, way = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return Rotation.from_rotvec(np.radians(rng.uniform(0, angle)) * axis), rng.uniform(0, mm) * way


def lain(volume: Volume, affine: Affine, turn: Rotation, shift: Float64[np.ndarray, "3"]) -> Scan:
    """The scan as it would be had the head been turned round the middle of the field of view and shifted."""
    middle = to_world(affine, (np.array(volume.shape) - 1) / 2)
    move = np.eye(4)
    move[:3, :3] = turn.as_matrix()
    move[:3, 3] = middle - move[:3, :3] @ middle + shift
    edge = max(FINEST, float(voxel_sizes(affine).min()))
    sizes: Triple = (edge, edge, edge)
    return upright(volume, move @ affine, sizes=sizes)
