"""Quality of one scan: how sure the posteriors are, how good the image is near the hypothalamus, whether the head is whole."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Num
from scipy import ndimage

from hypojax.grid import Affine, Grid, to_voxel, to_world, voxel_sizes
from hypojax.preprocessing.intensity import tissue_statistics
from hypojax.volumes.structure import bounding_box

SHELL: Final = (6.0, 14.0)
"""Distances from the intracranial mask, mm, between which scalp is looked for: beyond the bone, within the skin."""

BACKGROUND_PERCENTILE: Final = 1.0
"""Low end of the intensities, the level of air, whatever offset the scan has."""

SIGNAL: Final = 0.15
"""What is brighter than air by this share of the brain's median is tissue: noise in air lies below, skin and fat above."""

EMPTY: Final = 0.5
"""A value that this share of the shell has to the last bit was written there by software, whatever its brightness."""

NEIGHBOURHOOD: Final = 20.0
"""Millimetres from the middle of the hypothalamus within which contrast and noise are measured."""

CONTRAST_PERCENTILES: Final = (2.0, 98.0)


@dataclass(frozen=True)
class CoarseHead:
    """Every second voxel of the head grid.

    Parameters
    ----------
    values
        Intensities of the scan there, interpolated; those outside the field of view repeat its border.
    inside
        Which lie within the field of view.
    intracranial
        Which are intracranial.
    spacing
        Distance of voxels, mm.
    """

    values: Float32[np.ndarray, "a s r"]
    inside: Bool[np.ndarray, "a s r"]
    intracranial: Bool[np.ndarray, "a s r"]
    spacing: float

    @property
    def std(self) -> float:
        """Standard deviation of the head's tissue."""
        return tissue_statistics(self.values[self.inside]).std


def coarse_head(
    volume: Num[np.ndarray, "i j k"],
    affine: Affine,
    *,
    grid: Grid,
    intracranial: Bool[np.ndarray, "a s r"],
    inside: Bool[np.ndarray, "a s r"],
) -> CoarseHead:
    """Look at a scan in every second voxel of the head grid: few enough to cost nothing, enough for shares and percentiles."""
    index = np.moveaxis(np.indices([-(-n // 2) for n in grid.shape]) * 2, 0, -1)
    position = to_voxel(affine, to_world(grid.affine, index))
    values = ndimage.map_coordinates(volume, np.moveaxis(position, -1, 0), order=1, mode="nearest", output=np.float32)
    every = (slice(None, None, 2),) * 3
    return CoarseHead(values, inside[every], intracranial[every], 2 * float(voxel_sizes(grid.affine).mean()))


def extracranial_signal(head: CoarseHead) -> float:
    """Share of the shell round the intracranial mask, above its middle, that is brighter than background.

    Near zero where the skull was removed. The shell above the middle meets neither face nor neck, so that a removed
    face does not count. 1 where the field of view holds nothing of the shell: no sign of a removed skull.
    """
    distance = ndimage.distance_transform_edt(~head.intracranial) * head.spacing
    middle = float(np.argwhere(head.intracranial)[:, 1].mean())
    above = np.arange(head.intracranial.shape[1])[:, None] > middle
    shell = head.values[head.inside & (distance >= SHELL[0]) & (distance <= SHELL[1]) & above]
    if shell.size == 0:
        return 1.0
    bright = shell > tissue_limit(head)
    values, counts = np.unique(shell, return_counts=True)
    written = counts.max() > EMPTY * shell.size
    return float((bright & (shell != values[counts.argmax()])).mean() if written else bright.mean())


def tissue_limit(head: CoarseHead) -> float:
    """Intensity above which there is tissue and no air."""
    background = float(np.percentile(head.values[head.inside], BACKGROUND_PERCENTILE))
    brain = float(np.median(head.values[head.intracranial]))
    return background + SIGNAL * (brain - background)


def cut_off_share(mask: Bool[np.ndarray, "x y z"], inside: Bool[np.ndarray, "x y z"]) -> float:
    """Share of a structure's surface that lies on the border of the field of view, in voxel faces.

    >>> mask = np.zeros((4, 3, 3), bool)
    >>> mask[0, 1, 1] = True  # one voxel, one of whose six faces lies on the border
    >>> round(cut_off_share(mask, np.ones((4, 3, 3), bool)), 3)
    0.167
    """
    if not mask.any():
        return 0.0
    box = bounding_box(mask, margin=1)
    own, seen = np.pad(mask[box], 1), np.pad(inside, 1)[tuple(slice(part.start, part.stop + 2) for part in box)]
    surface = cut = 0
    for axis in range(3):
        for step in (-1, 1):
            outward = own & ~np.roll(own, step, axis)
            surface += int(outward.sum())
            cut += int((outward & ~np.roll(seen, step, axis)).sum())
    return cut / surface


def certainty(posterior: Float32[np.ndarray, "x y z"], region: Bool[np.ndarray, "x y z"]) -> float:
    """Mean posterior of the winning side (structure or not) in a region, 0.5 to 1."""
    return float(np.maximum(posterior[region], 1 - posterior[region]).mean(dtype=np.float64))


def neighbourhood(volume: Num[np.ndarray, "i j k"], affine: Affine, *, centre: Float64[np.ndarray, "3"]) -> Float32[np.ndarray, "x y z"]:
    """Voxels of a scan within `NEIGHBOURHOOD` of a place (world, mm) along each of its axes, at least three where there are."""
    middle, reach = to_voxel(affine, centre), np.maximum(NEIGHBOURHOOD / voxel_sizes(affine), 1)
    low = np.clip(np.round(middle - reach), 0, np.maximum(0, np.array(volume.shape) - 3)).astype(int)
    high = np.clip(np.round(middle + reach) + 1, np.minimum(3, volume.shape), volume.shape).astype(int)
    return volume[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)


def contrast(voxels: Float32[np.ndarray, "x y z"]) -> float:
    """Robust range of intensities, stored units: between the percentiles `CONTRAST_PERCENTILES`."""
    low, high = np.percentile(voxels, CONTRAST_PERCENTILES)
    return float(high - low)


def noise(voxels: Float32[np.ndarray, "x y z"]) -> float:
    """Standard deviation of the noise, stored units (Immerkaer 1996, here in three dimensions).

    Second differences along all axes remove everything smooth; what is left of white noise has a known spread.

    >>> round(noise(np.random.default_rng(0).normal(0, 5, (40, 40, 40)).astype(np.float32)))
    5
    """
    along = [axis for axis, side in enumerate(voxels.shape) if side >= 3]
    rough = voxels
    for axis in along:
        rough = np.diff(rough, n=2, axis=axis)
    return float(np.sqrt(np.pi / 2) * np.abs(rough).mean(dtype=np.float64) / np.sqrt(6.0) ** len(along))
