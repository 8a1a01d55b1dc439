"""Where the head lies in a scan: its intensity statistics, the centre of the whole-head model grid, and what the head network sees.

Found on a coarse copy (about 4 mm), so that a scan with a large field of view costs no more than a small one.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Num
from scipy import ndimage

from hypojax.grid import Affine, Grid, centred_grid, conformed_grid, model_directions, resample
from hypojax.preprocessing.background import largest_component, mended
from hypojax.preprocessing.intensity import Statistics, otsu_threshold, tissue_statistics, zscore
from hypojax.schema import HEAD_SHAPE, HEAD_SPACING

COARSE_SPACING: Final = 4.0
VERTEX_MARGIN: Final = 14.0
"""Millimetres of the head grid above the top of the head."""

CRANIUM_HEIGHT: Final = 140.0
"""Millimetres below the top of the head whose middle is the middle of the cranium (neck and shoulders lie lower)."""

HIGHER: Final = 32.0
"""Millimetres that something darker must reach above what was taken for the head to be the head: in 35 real scans at most 20."""

MOST_LOWERED: Final = 2
"""How often the threshold is lowered."""

HEAD_HEIGHT: Final = 180.0
"""Millimetres below the top of the head that are head."""

UNLIKE: Final = 0.25
"""Difference of mean tissue between these and the whole scan, in heights of tissue over air, from which on the whole is not believed:
35 real scans lie between -0.10 and 0.08."""


@dataclass(frozen=True)
class Head:
    """The head found in a scan: the grid that holds it and the scan's intensity statistics."""

    grid: Grid
    statistics: Statistics


def find_head(volume: Num[np.ndarray, "i j k"], affine: Affine) -> Head:
    """Find the head in a scan (stored orientation, finite values).

    Returns
    -------
    The 2 mm head grid, placed from the top of the head downwards, and the tissue statistics of the head.
    """
    i, j, k = volume.shape
    coarse_grid = conformed_grid((i, j, k), affine, spacing=COARSE_SPACING)
    # Beyond the field of view lies air, whatever number stands for it.
    coarse = resample(volume, affine, coarse_grid, fill=float(volume.min()))
    mask = _head_mask(coarse)
    if not mask.any():
        mask = np.ones_like(mask)
    top = _top(mask)
    bottom = max(0, top - int(CRANIUM_HEIGHT / COARSE_SPACING))
    upper = mask[:, bottom : top + 1]  # its middle is that of the cranium; noses and shoulders lie lower
    middle = [(int(index[0]) + int(index[-1])) / 2 for index in (np.flatnonzero(upper.any(axis=axes)) for axes in ((1, 2), (0, 1)))]
    below_top = (HEAD_SHAPE[1] * HEAD_SPACING / 2 - VERTEX_MARGIN) / COARSE_SPACING
    centre = coarse_grid.affine[:3, :3] @ np.array([middle[0], top - below_top, middle[1]]) + coarse_grid.affine[:3, 3]
    grid = centred_grid(model_directions(affine), shape=HEAD_SHAPE, spacing=HEAD_SPACING, centre=centre)
    return Head(grid, _head_statistics(coarse, mask))


def _head_mask(coarse: Float32[np.ndarray, "a s r"]) -> Bool[np.ndarray, "a s r"]:
    """The largest piece brighter than Otsu's threshold; a darker one instead where it reaches much higher.

    Fat beside a coil can be so bright that the threshold falls between it and the head: then shoulders are all that is found.
    """
    threshold = otsu_threshold(coarse)
    mask = largest_component(ndimage.binary_opening(coarse > threshold))
    for _ in range(MOST_LOWERED):
        darker = coarse[coarse <= threshold]
        if not darker.size or not mask.any():
            break
        threshold = otsu_threshold(darker)
        lower = largest_component(ndimage.binary_opening(coarse > threshold))
        beyond = lower[:, _top(mask) + 1 :]
        if _top(lower) - _top(mask) < HIGHER / COARSE_SPACING or _fills(beyond):
            break
        mask = lower
    return mask


def _top(mask: Bool[np.ndarray, "a s r"]) -> int:
    """The uppermost layer that a mask, not empty, reaches."""
    return int(np.flatnonzero(mask.any(axis=(0, 2)))[-1])


def _fills(mask: Bool[np.ndarray, "a s r"]) -> bool:
    """Whether a mask reaches all four sides, as noise in air does and no head."""
    return all(bool(side.any()) for side in (mask[0], mask[-1], mask[..., 0], mask[..., -1]))


def _head_statistics(coarse: Float32[np.ndarray, "a s r"], mask: Bool[np.ndarray, "a s r"]) -> Statistics:
    """Statistics of the whole scan; of the layers of the head alone where what lies below is unlike it."""
    whole = tissue_statistics(coarse)
    top = _top(mask)
    head = tissue_statistics(coarse[:, max(0, top - int(HEAD_HEIGHT / COARSE_SPACING)) : top + 1])
    unlike = abs(head.mean - whole.mean) > UNLIKE * (whole.mean - whole.background)
    return replace(head, background=whole.background) if unlike else whole


def conform(volume: Num[np.ndarray, "i j k"], affine: Affine, *, grid: Grid, statistics: Statistics) -> Float32[np.ndarray, "a s r"]:
    """Sample a scan (stored orientation, finite intensities) on a grid and z-score it; background fills what lies outside."""
    return zscore(resample(volume, affine, grid, fill=statistics.background), statistics)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan made ready for the networks; it takes no device, so that many can be made ready at once.

    Parameters
    ----------
    volume, affine
        The scan: scaled voxels in stored orientation, their background mended, voxel-to-world matrix (mm, RAS+).
    head
        The head found in it.
    image
        What the head network sees: the z-scored head grid.
    flags
        What was mended (see `hypojax.preprocessing.background`).
    """

    volume: Num[np.ndarray, "i j k"]
    affine: Affine
    head: Head
    image: Float32[np.ndarray, "a s r"]
    flags: tuple[str, ...] = ()


def prepared(volume: Num[np.ndarray, "i j k"], affine: Affine) -> Prepared:
    """Make a scan ready for the networks, in any thread: voxels (scaled, stored orientation) and voxel-to-world matrix (mm, RAS+)."""
    scan = mended(volume)
    head = find_head(scan.volume, affine)
    image = conform(scan.volume, affine, grid=head.grid, statistics=head.statistics)
    return Prepared(scan.volume, affine, head, image, scan.flags)
