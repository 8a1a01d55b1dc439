"""Label maps and masks among images: known by what they hold, since their names often do not say it.

A label map has few values, and is constant but for its borders, where it leaps from one label to any other. A scan of as few grey
values has texture, or goes from one value to the next by way of those between. The limits below were measured on 18 heads with 3 to 255
grey values and eleven label maps and masks.
"""

from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Num

from hypojax.reason import HypojaxError, Reason
from hypojax.scans.image import Image

MOST: Final = 500
"""Values of a label map; parcellations of a whole head have about 200."""

ALWAYS: Final = 7
"""Values that are too few for any scan."""

EQUAL: Final = 0.6
"""Share of neighbours with the same value, background left out: 0.75 and more in label maps."""

LEAPS: Final = 0.45
"""Share of leaps over a value that lies between among neighbours that differ: 0.7 and more in label maps, 0.25 at most in scans with
as many equal neighbours."""

ISOLATED: Final = 0.04
"""Share of voxels without an equal neighbour in the slice: 0.013 at most in label maps. In phantoms without noise, which are as constant
and leap as much, it is 0.14 and more, since their borders hold partial volumes."""

PLANES: Final = 24
"""Slices that are looked at."""

SPARSE: Final = 0.02
"""Share of voxels that are not background below which slices may miss what there is."""

Planes = Num[np.ndarray, "_ _ _"]


def refuse_label_map(image: Image) -> None:
    """Refuse an image that holds labels and no scan; ten milliseconds.

    Raises
    ------
    HypojaxError
        ``LABEL_MAP``, with how many values it has.
    """
    if count := label_count(image.voxels):
        what = "a mask" if count == 2 else "a label map"
        message = f"it holds {count} values and no texture, so that it is {what} and no scan"
        raise HypojaxError(Reason.LABEL_MAP, f"{message}; name the T1-weighted image that it belongs to, or exclude it")


def label_count(voxels: Num[np.ndarray, "i j k"]) -> int:
    """How many values a label map has, its background among them; 0 where the voxels are none.

    >>> blocks = np.kron(np.arange(8).reshape(2, 2, 2) * 3 % 8, np.ones((6, 6, 6), int))
    >>> label_count(blocks), label_count(np.arange(1000).reshape(10, 10, 10) % 50)
    (8, 0)
    """
    planes = _planes(voxels)
    if len(np.unique(planes[::4, ::4])) > MOST:
        return 0
    values, counts = np.unique(planes, return_counts=True)
    ground = values[counts.argmax()]
    if counts.max() > (1 - SPARSE) * planes.size:
        inside = voxels != ground
        planes = _cropped(voxels, inside)
        values = np.unique(voxels[inside])
    count = len(values) + int(ground not in values)
    if not 2 <= count <= MOST:
        return 0
    if count <= ALWAYS:
        return count
    whole = bool((values == np.round(values)).all())
    equal, leaps, isolated = _texture(np.searchsorted(values, planes), planes != ground)
    return count if whole and equal >= EQUAL and leaps >= LEAPS and isolated <= ISOLATED else 0


def _planes(voxels: Num[np.ndarray, "i j k"]) -> Planes:
    """Slices along the last axis, from all of it."""
    step = -(-voxels.shape[2] // PLANES)
    return np.ascontiguousarray(voxels[:, :, step // 2 :: step])


def _cropped(voxels: Num[np.ndarray, "i j k"], inside: Bool[np.ndarray, "i j k"]) -> Planes:
    """Slices of the smallest block with all that is inside."""
    ends = []
    for axis in range(3):
        along = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append(slice(along[0], along[-1] + 1) if along.size else slice(0, 1))
    return _planes(voxels[tuple(ends)])


def _texture(ranks: Num[np.ndarray, "a b c"], inside: Bool[np.ndarray, "a b c"]) -> tuple[float, float, float]:
    """Share of neighbours in a slice that are equal; of those that differ, share that leaps over a value; share of voxels alone."""
    steps: list[np.ndarray[Any, Any]] = []
    alone = inside.copy()
    for axis in (0, 1):
        both, lonely = np.moveaxis(inside, axis, 0), np.moveaxis(alone, axis, 0)
        step = np.abs(np.diff(np.moveaxis(ranks, axis, 0), axis=0))
        lonely[1:] &= step > 0
        lonely[:-1] &= step > 0
        steps.append(step[both[1:] & both[:-1]])
    found = np.concatenate(steps)
    differ = int((found > 0).sum())
    isolated = float(alone.sum() / max(inside.sum(), 1))
    return 1 - differ / max(found.size, 1), int((found > 1).sum()) / max(differ, 1), isolated
