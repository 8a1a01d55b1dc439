"""Quality of one scan: how sure the posteriors are, how good the image is near the hypothalamus, whether head and image are whole.

Parts of an image may be blank: blank by software, lost in transfer, void round metal, or noise.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Num
from scipy import ndimage

from hypojax.grid import Affine, Grid, to_voxel, to_world, voxel_sizes, voxel_volume
from hypojax.preprocessing.background import ROUGH, rough, touching_border
from hypojax.preprocessing.intensity import CLIP, tissue_statistics
from hypojax.volumes.structure import bounding_box, distances

SHELL: Final = (6.0, 14.0)
"""Distances from the intracranial mask, mm, between which scalp is looked for: beyond the bone, within the skin."""

BACKGROUND_PERCENTILE: Final = 1.0
"""Low end of the intensities, the level of air, whatever offset the scan has."""

FARTHEST: Final = 32.0
"""Millimetres up to which distances from structures are told: more than is asked of any."""

SIGNAL: Final = 0.15
"""What is brighter than air by this share of the brain's median is tissue: noise in air lies below, skin and fat above."""

EMPTY: Final = 0.5
"""A value that this share of the shell has to the last bit was written there by software, whatever its brightness."""

WRITTEN: Final = 0.8
"""The same for the outer faces of a skull-stripped scan: the brain may end at one of them, at the brain stem."""

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
    distance
        Of each voxel outside the intracranial volume from it, mm; infinite beyond `FARTHEST`.
    std
        Standard deviation of the head's tissue.
    tissue
        Intensity above which there is tissue and no air.
    """

    values: Float32[np.ndarray, "a s r"]
    inside: Bool[np.ndarray, "a s r"]
    intracranial: Bool[np.ndarray, "a s r"]
    spacing: float
    distance: Float32[np.ndarray, "a s r"]
    std: float
    tissue: float


def coarse_head(
    volume: Num[np.ndarray, "i j k"],
    affine: Affine,
    *,
    grid: Grid,
    intracranial: Bool[np.ndarray, "a s r"],
    inside: Bool[np.ndarray, "a s r"],
) -> CoarseHead:
    """Look at a scan in every second voxel of the head grid: few enough to cost nothing, enough for shares and percentiles."""
    mapping = np.linalg.inv(affine) @ grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    half = tuple(-(-n // 2) for n in grid.shape)
    values = ndimage.affine_transform(
        volume, mapping[:3, :3], mapping[:3, 3], output_shape=half, order=1, mode="nearest", output=np.float32
    )
    every = (slice(None, None, 2),) * 3
    seen, head, spacing = inside[every], intracranial[every], 2 * float(voxel_sizes(grid.affine).mean())
    background, brain = float(np.percentile(values[seen], BACKGROUND_PERCENTILE)), float(np.median(values[head]))
    return CoarseHead(
        values=values,
        inside=seen,
        intracranial=head,
        spacing=spacing,
        distance=distances(head, farthest=round(FARTHEST / spacing)) * np.float32(spacing),
        std=tissue_statistics(values[seen]).std,
        tissue=background + SIGNAL * (brain - background),
    )


def extracranial_signal(head: CoarseHead) -> float:
    """Share of the shell round the intracranial mask, above its middle, that is brighter than background.

    Near zero where the skull was removed. The shell above the middle meets neither face nor neck, so that a removed
    face does not count. 1 where the field of view holds nothing of the shell: no sign of a removed skull.
    """
    middle = float(np.argwhere(head.intracranial)[:, 1].mean())
    above = np.arange(head.intracranial.shape[1])[:, None] > middle
    shell = head.values[head.inside & (head.distance >= SHELL[0]) & (head.distance <= SHELL[1]) & above]
    if shell.size == 0:
        return 1.0
    bright = shell > head.tissue
    values, counts = np.unique(shell, return_counts=True)
    written = counts.max() > EMPTY * shell.size
    return float((bright & (shell != values[counts.argmax()])).mean() if written else bright.mean())


def saturated_share(volume: Num[np.ndarray, "i j k"], cranium: Bool[np.ndarray, "i j k"]) -> float:
    """Share of a cranium that has the highest value of the scan, in every second voxel each way: brightness beyond it was cut off.

    >>> volume = np.minimum(np.arange(64.0), 60).reshape(4, 4, 4)
    >>> saturated_share(volume, np.ones((4, 4, 4), bool)), saturated_share(volume - volume, np.zeros((4, 4, 4), bool))
    (0.0, 0.0)
    """
    every = (slice(None, None, 2),) * 3
    values = volume[every][cranium[every]]
    return float((values == volume.max()).mean()) if values.size else 0.0


def brain_mask_mm3(volume: Num[np.ndarray, "i j k"], affine: Affine) -> float:
    """Volume of what was kept of a skull-stripped scan, mm³: all voxels but those of the one value that was written round it.

    A stated proxy of head size, not an intracranial volume: it depends on the program that removed the skull, and shrinks with the
    brain. NaN where no value is written on most of the scan's outer faces, so that nobody can say what was removed.

    >>> volume = np.zeros((4, 4, 4))
    >>> volume[1:3, 1:3, 1:3] = 7.0
    >>> brain_mask_mm3(volume, np.diag([2.0, 1.0, 1.0, 1.0]))
    16.0
    """
    faces = np.concatenate([volume.take(end, axis).ravel() for axis in range(3) for end in (0, -1)])
    values, counts = np.unique(faces, return_counts=True)
    if counts.max() < WRITTEN * faces.size:
        return float("nan")
    return float(np.count_nonzero(volume != values[counts.argmax()])) * voxel_volume(affine)


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


def image_quality(volume: Num[np.ndarray, "i j k"], affine: Affine, *, centre: Float64[np.ndarray, "3"]) -> tuple[float, float]:
    """Contrast (range between `CONTRAST_PERCENTILES`) and noise of a scan near a place (world, mm), in its own intensities.

    They are those of the voxels within `NEIGHBOURHOOD` along each axis, at least three where there are.
    """
    middle, reach = to_voxel(affine, centre), np.maximum(NEIGHBOURHOOD / voxel_sizes(affine), 1)
    low = np.clip(np.round(middle - reach), 0, np.maximum(0, np.array(volume.shape) - 3)).astype(int)
    high = np.clip(np.round(middle + reach) + 1, np.minimum(3, volume.shape), volume.shape).astype(int)
    voxels = volume[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)
    darkest, brightest = np.percentile(voxels, CONTRAST_PERCENTILES)
    return float(brightest - darkest), noise(voxels)


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


SCALP_REACH: Final = 12.0
"""Millimetres from the upper intracranial surface within which there is scalp, or marrow."""

NECK_REACH: Final = 20.0
"""The same of its lower back, where air cells of the bone may lie between."""

BARE: Final = (0.02, 0.10)
"""Shares of the upper, and of the lower hind intracranial surface without anything bright that near from which on a part of the head is
blank. 27 whole heads read at most 0.005 and 0.031; a third or half of a head blanked, at least 0.19 and 0.04; a void 45 mm round metal
at the forehead, 0.10."""

CLEAR: Final = 12.0
"""Millimetres round a place in a void without anything bright."""

COVER: Final = 3.0
"""Millimetres that scalp and bone have at least: closer to the intracranial volume such a void is none of air outside."""

FRONT: Final = 20.0
"""Millimetres before the middle of the intracranial volume behind which its lower half has no face before it."""

LEAST_VOID: Final = 3
"""Coarse voxels (a fifth of a millilitre) of such places: 26 whole heads have none. Of seven voids 45 mm round metal at nape, temple and
ear, which took 1 to 7 % of the intracranial volume, five have 3 to 290; the others leave little but the rim to go by."""

BESIDE: Final = 4.0
"""Millimetres from the intracranial mask within which blank slices are a gap in it."""

NEAR: Final = 3.0
"""Millimetres round the hypothalamus in which nothing may be blank."""

NEAR_MISSING: Final = 4.0
"""The same for voxels that were no numbers."""

LEVELS: Final = 32
"""Grey values below which a ventricle may be one value throughout."""

HOLE: Final = 16.0
"""Millimetres round these within which a hole ends."""

BLANK: Final = 0.02
"""Share of these voxels that are equal to all their neighbours, and no tissue, from which on they are blank. 29 scans, nine of them
skull-stripped, read less than 0.006."""

APART: Final = 8
"""Voxels between blocks that are looked at for noise."""

ROUGHER: Final = 4.0
"""Noise in a part of a head is so many times as rough as the median of the head."""

NOISY: Final = 0.04
"""Share of the intracranial blocks as rough as noise from which on a part of the head is noise: 38 real scans read at most 0.011."""

LEAST_LOWEST: Final = 10.0
"""mm³ next to the hypothalamus that took the lowest intensity for want of one of their own: 27 mm³ moved its volume by 5 %."""


def partly_blank(head: CoarseHead) -> bool:
    """Whether a part of the intracranial surface has no scalp, bone marrow or muscle near it, though the field of view reaches there.

    Nothing is asked of the lower front: faces are removed on purpose.
    """
    bright = (head.distance >= SHELL[0]) & (head.values > head.tissue)
    reached = round(FARTHEST / head.spacing)
    away = distances(bright | ~head.inside, farthest=reached) * head.spacing
    surface = head.intracranial & ~ndimage.binary_erosion(head.intracranial)
    middle = np.argwhere(head.intracranial).mean(axis=0)
    front, above, _ = np.ogrid[tuple(slice(side) for side in surface.shape)]
    upper, lower = surface & (above > middle[1]), surface & (above <= middle[1]) & (front < middle[0])
    for part, reach, limit in zip((upper, lower), (SCALP_REACH, NECK_REACH), BARE, strict=True):
        if part.any() and (away[part] > reach).mean() > limit:
            return True
    # A void round metal: places without anything bright around them, and hardly anything between them and the intracranial volume.
    allowed = (above > middle[1]) | (front < middle[0] + FRONT / head.spacing)
    solid = (head.values > head.tissue) | ~head.inside | head.intracranial
    clear = np.minimum(distances(solid, farthest=reached) * head.spacing, FARTHEST)
    return int((allowed & head.inside & (clear >= CLEAR) & (head.distance - clear <= COVER)).sum()) >= LEAST_VOID


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
    for axis, size in enumerate(voxel_sizes(affine)):
        slices = np.moveaxis(volume, axis, 0)
        few = slices[:, :: max(1, slices.shape[1] // 40), :: max(1, slices.shape[2] // 40)]
        blank = few.min(axis=(1, 2)) == few.max(axis=(1, 2))
        textured, held = np.flatnonzero(~blank), np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        if not held.size or not textured.size:
            continue
        beside = round(BESIDE / size)
        first, last = max(textured[0], held[0] - beside), min(textured[-1], held[-1] + beside)
        if any(float(slices[n].min()) == float(slices[n].max()) for n in range(first, last + 1) if blank[n]):
            return True
    return False


def blank_near(
    volume: Num[np.ndarray, "i j k"], affine: Affine, *, structure: Bool[np.ndarray, "x y z"], grid: Grid, tissue: float
) -> bool:
    """Whether voxels in or next to a structure (on ``grid``) are blank: equal to all their neighbours and darker than ``tissue``.

    Of a hole, which ends near by, its rim counts too; a removed skull goes on.
    """
    near = np.isfinite(distances(structure, farthest=int(NEAR / voxel_sizes(grid.affine).mean() + 1e-6)))
    index = np.round(to_voxel(affine, to_world(grid.affine, np.argwhere(near)))).astype(int)
    index = np.clip(index, 0, np.array(volume.shape) - 1)
    margin = np.ceil(HOLE / voxel_sizes(affine)).astype(int)
    low, high = np.maximum(index.min(axis=0) - margin, 0), index.max(axis=0) + margin + 1
    part = volume[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    blank = (ndimage.maximum_filter(part, 3) == ndimage.minimum_filter(part, 3)) & (part < tissue)
    if len(np.unique(part)) >= LEVELS:
        blank |= ndimage.binary_dilation(blank & ~touching_border(blank), np.ones((3, 3, 3), bool))
    return bool(blank[tuple((index - low).T)].mean() > BLANK)


def lowest_near(volume: Num[np.ndarray, "i j k"], affine: Affine, *, labels: Num[np.ndarray, "i j k"]) -> bool:
    """Whether voxels in or next to what is labelled have the lowest intensity of all, as those take that are no numbers."""
    if not labels.any():
        return False
    reach = np.ceil(NEAR_MISSING / voxel_sizes(affine)).astype(int)
    box = bounding_box(labels > 0, margin=reach)
    away = ndimage.distance_transform_edt(labels[box] == 0, sampling=voxel_sizes(affine))
    lowest = (volume[box] == volume.min()) & (away <= NEAR_MISSING)
    return bool(lowest.sum() * voxel_volume(affine) >= LEAST_LOWEST)


def noisy_part(volume: Num[np.ndarray, "i j k"], *, mask: Bool[np.ndarray, "i j k"]) -> bool:
    """Whether a part of what is masked holds noise where the rest does not, by every eighth block of 4 × 4 × 4 voxels."""
    count = [side // APART for side in volume.shape]
    if not all(count):
        return False
    whole = volume[tuple(slice(0, n * APART) for n in count)].reshape(count[0], APART, count[1], APART, count[2], APART)
    inside = mask[tuple(slice(2, n * APART, APART) for n in count)]
    held = whole[:, :4, :, :4, :, :4].transpose(0, 2, 4, 1, 3, 5)[inside].astype(np.float32)
    if not len(held):
        return False
    low, high = np.percentile(volume[::4, ::4, ::4], CLIP)
    roughness = np.median(rough(held), axis=(1, 2, 3))  # single voxels make no noise
    return bool((roughness > max(ROUGH * (high - low), ROUGHER * float(np.median(roughness)))).mean() > NOISY)
