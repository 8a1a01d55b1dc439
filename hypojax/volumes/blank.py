"""Parts of a head without any signal: blank by software, lost in transfer, or void round metal."""

from typing import Final

import numpy as np
from jaxtyping import Bool, Num
from scipy import ndimage

from hypojax.grid import Affine, Grid, to_voxel, to_world, voxel_sizes
from hypojax.volumes.quality import SHELL, CoarseHead, tissue_limit

SCALP_REACH: Final = 12.0
"""Millimetres from the upper intracranial surface within which there is scalp, or marrow."""

NECK_REACH: Final = 20.0
"""The same of its lower back, where air cells of the bone may lie between."""

BARE: Final = (0.02, 0.10)
"""Shares of the upper, and of the lower hind intracranial surface without anything bright that near from which on a part of the head is
blank. 27 whole heads read at most 0.005 and 0.031; a third or half of a head blanked, at least 0.19 and 0.04; a void 45 mm round metal
at the forehead, 0.10."""

BESIDE: Final = 4.0
"""Millimetres from the intracranial mask within which blank slices are a gap in it."""

NEAR: Final = 3.0
"""Millimetres round the hypothalamus in which nothing may be blank."""

BLANK: Final = 0.02
"""Share of these voxels that are equal to all their neighbours, and no tissue, from which on they are blank. 29 scans, nine of them
skull-stripped, read less than 0.006."""


def partly_blank(head: CoarseHead) -> bool:
    """Whether a part of the intracranial surface has no scalp, bone marrow or muscle near it, though the field of view reaches there.

    Nothing is asked of the lower front: faces are removed on purpose.
    """
    distance = ndimage.distance_transform_edt(~head.intracranial) * head.spacing
    bright = (distance >= SHELL[0]) & (head.values > tissue_limit(head))
    away = ndimage.distance_transform_edt(~(bright | ~head.inside)) * head.spacing
    surface = head.intracranial & ~ndimage.binary_erosion(head.intracranial)
    middle = np.argwhere(head.intracranial).mean(axis=0)
    front, above, _ = np.ogrid[tuple(slice(side) for side in surface.shape)]
    upper, lower = surface & (above > middle[1]), surface & (above <= middle[1]) & (front < middle[0])
    shares = ((away[part] > reach).mean() if part.any() else 0.0 for part, reach in ((upper, SCALP_REACH), (lower, NECK_REACH)))
    return any(share > limit for share, limit in zip(shares, BARE, strict=True))


def gap_in_head(volume: Num[np.ndarray, "i j k"], affine: Affine, *, mask: Bool[np.ndarray, "i j k"]) -> bool:
    """Whether whole slices of one value lie in the head or beside it, between slices that are not.

    >>> volume = np.random.default_rng(0).normal(size=(9, 8, 8))
    >>> head = np.pad(np.ones((5, 4, 4), bool), 2)
    >>> gap_in_head(volume, np.eye(4), mask=head)
    False
    >>> volume[4] = 0
    >>> gap_in_head(volume, np.eye(4), mask=head)
    True
    """
    return any(
        _gap(np.moveaxis(volume, axis, 0), np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))), beside=round(BESIDE / size))
        for axis, size in enumerate(voxel_sizes(affine))
    )


def _gap(slices: Num[np.ndarray, "n p q"], held: Num[np.ndarray, "m"], *, beside: int) -> bool:
    """Whether slices of one value lie among those that hold a mask (``held``), or ``beside`` them, between others."""
    few = slices[:, :: max(1, slices.shape[1] // 40), :: max(1, slices.shape[2] // 40)]
    blank = few.min(axis=(1, 2)) == few.max(axis=(1, 2))
    textured = np.flatnonzero(~blank)
    if not held.size or not textured.size:
        return False
    first, last = max(textured[0], held[0] - beside), min(textured[-1], held[-1] + beside)
    return any(float(slices[n].min()) == float(slices[n].max()) for n in range(first, last + 1) if blank[n])


def blank_near(
    volume: Num[np.ndarray, "i j k"], affine: Affine, *, structure: Bool[np.ndarray, "x y z"], grid: Grid, tissue: float
) -> bool:
    """Whether voxels in or next to a structure (on ``grid``) are blank: equal to all their neighbours and darker than ``tissue``."""
    near = ndimage.distance_transform_edt(~structure) * voxel_sizes(grid.affine).mean() <= NEAR
    index = np.round(to_voxel(affine, to_world(grid.affine, np.argwhere(near)))).astype(int)
    index = np.clip(index, 0, np.array(volume.shape) - 1)
    low, high = np.maximum(index.min(axis=0) - 1, 0), index.max(axis=0) + 2
    part = volume[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    blank = (ndimage.maximum_filter(part, 3) == ndimage.minimum_filter(part, 3)) & (part < tissue)
    return bool(blank[tuple((index - low).T)].mean() > BLANK)
