"""The same head, less or more of it seen: field of view cropped or padded, skull removed."""

import numpy as np
from jaxtyping import Bool

from hypojax.grid import Affine, to_world
from pipelines.maintenance.perturb.geometry import Scan, Triple, Volume


def cropped(volume: Volume, affine: Affine, *, low: Triple, high: Triple) -> Scan:
    """Keep the voxels along each stored axis that hold any of a box of the world (``low`` to ``high``, mm, RAS+).

    Infinite bounds keep what there is. For oblique scans the box's corners count.

    >>> row, affine = cropped(np.arange(9, dtype=np.float32).reshape(9, 1, 1), np.eye(4), low=(3.0, -9.0, -9.0), high=(5.0, 9.0, 9.0))
    >>> row.ravel().tolist(), affine[0].tolist()
    ([3.0, 4.0, 5.0], [1.0, 0.0, 0.0, 3.0])
    """
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in volume.shape], indexing="ij")).reshape(3, 8).T
    seen = to_world(affine, corners)
    bounded = np.clip([low, high], seen.min(axis=0) - 1, seen.max(axis=0) + 1)
    box = np.array(np.meshgrid(*bounded.T, indexing="ij")).reshape(3, 8).T
    index = (box - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    first = np.clip(np.ceil(index.min(axis=0) - 1e-6), 0, np.array(volume.shape) - 1).astype(int)
    last = np.clip(np.floor(index.max(axis=0) + 1e-6), first, np.array(volume.shape) - 1).astype(int)
    kept = tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
    return np.ascontiguousarray(volume[kept]), _started_at(affine, first)


def padded(volume: Volume, affine: Affine, *, before: tuple[int, int, int], after: tuple[int, int, int]) -> Scan:
    """Add so many voxels of the darkest value before and after along each stored axis; the head stays where it was."""
    wider = np.pad(volume, list(zip(before, after, strict=True)), constant_values=volume.min())
    return wider, _started_at(affine, -np.array(before))


def stripped(volume: Volume, affine: Affine, *, mask: Bool[np.ndarray, "i j k"]) -> Scan:
    """Set everything outside a mask to zero, as brain extraction does."""
    return np.where(mask, volume, np.float32(0)), affine


def _started_at(affine: Affine, first: np.ndarray) -> Affine:
    """The affine of voxels counted from another first one."""
    moved = affine.copy()
    moved[:3, 3] = to_world(affine, first)
    return moved
