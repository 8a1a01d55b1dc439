"""`measure`: posteriors of one scan → volumes in mm³ with their uncertainty, label maps on its own grid, quality and flags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Num, UInt8

from hypojax.grid import Affine, Grid, part_of, to_world, voxel_sizes, voxel_volume, within_field_of_view
from hypojax.preprocessing.scaling import slabs
from hypojax.reason import HypojaxError, Reason
from hypojax.schema import PARTS
from hypojax.volumes.flags import image_flags, score_flags, volume_flags
from hypojax.volumes.label_map import native_labels, native_mask
from hypojax.volumes.quality import (
    CoarseHead,
    blank_near,
    brain_mask_mm3,
    coarse_head,
    cut_off_share,
    extracranial_signal,
    gap_in_head,
    image_quality,
    noisy_part,
    partly_blank,
    saturated_share,
)
from hypojax.volumes.score import quality_scores
from hypojax.volumes.signs import HeadPlace, cranium_signs, hypothalamus_signs, pose_signs, views_apart
from hypojax.volumes.structure import bounding_box, clean_hypothalamus, clean_intracranial

CORRELATED_VOXELS: Final = 8.0
"""How many voxels of a posterior err together. With 2 × 2 × 2 the whole hypothalamus of the automatic label maps gets a
standard deviation of 4.7 %; their network's volume moves by 3 % when the scan is mirrored and by 4 % when it is cropped,
and left and right differ by so little that it cannot be below 2 voxels. It says nothing of a bias that all scans share."""

SCALP_SIGNAL: Final = 0.15
"""`extracranial_signal` below which the skull is taken to be removed. Eight skull-stripped scans lie between 0.003 and 0.02
(0.007 and 0.10 with masks made by thresholds); 22 whole heads with sound masks between 0.63 and 0.98, and the lowest of
28 whose masks reach 5 mm into the scalp at 0.30."""

CUT_OFF: Final = 0.015
"""Share of a structure's surface on the border of the field of view from which on its volume is missing. Four whole heads whose
field of view was cut at thirteen heights lost up to 0.7 % of their intracranial volume below this share, and up to 8.5 % between it and
0.03, for a network guesses little of what it does not see; 26 whole heads as they came have a share of 0, and 6 mm slices
that end within the head 0.012."""

AROUND: Final = 4
"""Voxels round a structure that are looked at with it: a hypothalamus is asked for what is blank up to 3 mm from it."""

LEAST_INTRACRANIAL: Final = 100_000.0
"""mm³ below which what was found is no brain: a third of a newborn's."""

LEAST_SIDE: Final = 25.0
"""mm³ below which what was found is no hypothalamus of one side: a tenth of the smallest side of 42 automatic label maps."""

QUALITY_SIGNS: Final = ("quality_certainty", "quality_location", "quality_asymmetry")
"""Quality measures that are signs of the hypothalamus."""

HEAD_SHAPE_SIGNS: Final = ("head_height", "head_width", "cranium_height", "cranium_width", "cranium_width_over_height")
"""Signs of a whole head that show wrong voxel edges, which make a hypothalamus wrong too."""

NOWHERE: Final = HeadPlace()
"""Where a head lies of which nothing is known."""


@dataclass(frozen=True)
class RegionVolume:
    """Volume of one region.

    Parameters
    ----------
    volume_mm3
        Soft volume: sum of cleaned posteriors; NaN when missing.
    volume_hard_mm3
        Labelled voxels of the scan's own grid times their volume: the soft volume, up to one voxel (`hypojax.volumes.label_map`), or less
        where the scan has no more voxels in which anything was found. NaN when missing.
    uncertainty_mm3
        Standard deviation of the soft volume; NaN when missing.
    missing_reason
        Why there is no volume; empty where there is one.
    quality_score
        Probability that the result is good, 0 to 1; NaN when missing, and for regions that have no score.
    """

    volume_mm3: float
    volume_hard_mm3: float
    uncertainty_mm3: float
    missing_reason: Reason = Reason.NONE
    quality_score: float = field(default=float("nan"), compare=False)


@dataclass(frozen=True)
class Measurement:
    """What is known of one scan.

    Parameters
    ----------
    volumes
        Region → its volume, in the order of `hypojax.schema.REGIONS`.
    quality
        The quality measures of `hypojax.schema.TABLE` that come from posteriors and image.
    flags
        Names of `hypojax.volumes.FLAGS`.
    hypothalamus, intracranial
        Label maps on the scan's own grid, stored orientation.
    signs
        Structure → what its ``quality_score`` was made from (see `hypojax.volumes.signs`).
    pose
        The columns of `hypojax.schema.TABLE` that say how the head lies, those that are known.
    """

    volumes: dict[str, RegionVolume]
    quality: dict[str, float]
    flags: tuple[str, ...]
    hypothalamus: UInt8[np.ndarray, "i j k"]
    intracranial: UInt8[np.ndarray, "i j k"]
    signs: dict[str, dict[str, float]]
    pose: Mapping[str, float | list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Structure:
    """A cleaned posterior, the part of a grid and of the field of view that it fills, and its sum over labels."""

    posterior: Float32[np.ndarray, "*labels x y z"]
    grid: Grid
    inside: Bool[np.ndarray, "x y z"]
    whole: Float32[np.ndarray, "x y z"]


def measure(
    volume: Num[np.ndarray, "i j k"],
    affine: Affine,
    *,
    head_grid: Grid,
    intracranial: UInt8[np.ndarray, "a s r"],
    box_grid: Grid,
    subunits: UInt8[np.ndarray, "10 x y z"],
    place: HeadPlace = NOWHERE,
    views: Float32[np.ndarray, "view 10"] | None = None,
) -> Measurement:
    """Measure one scan (voxels in stored orientation, scaled and finite; ``affine`` to mm, RAS+) from its posteriors.

    Parameters
    ----------
    volume, affine
        The scan.
    head_grid, intracranial
        Posterior × 255 of the intracranial volume and its grid.
    box_grid, subunits
        Posteriors × 255 of the ten subunits, in label order, and their grid.
    place
        What the head network says of where the head lies.
    views
        Subunit volumes, mm³, by each of several views or networks; what they disagree by adds to the uncertainty.

    Raises
    ------
    HypojaxError
        NO_BRAIN when next to nothing is intracranial, NO_HYPOTHALAMUS when next to nothing is hypothalamus.
    """
    i, j, k = volume.shape
    shape = (i, j, k)
    inside_head, inside_box = (within_field_of_view(grid, shape, affine) for grid in (head_grid, box_grid))
    cranium = clean_intracranial(intracranial, head_grid, inside_head)
    head = _cut_out(cranium, head_grid, inside_head)
    box = _cut_out(clean_hypothalamus(subunits, box_grid, inside_box), box_grid, inside_box)
    sides = _sides(head, box)
    labels = native_labels(box.posterior, box.grid, shape=shape, affine=affine)
    mask = native_mask(head.posterior, head.grid, shape=shape, affine=affine)
    coarse = coarse_head(volume, affine, grid=head_grid, intracranial=cranium > 0.5, inside=inside_head)
    quality = {**_quality(volume, affine, head, box, coarse=coarse), "quality_location": place.located}
    of_head, pose = cranium_signs(head.posterior, intracranial=intracranial, grid=head.grid, place=place), pose_signs(place)
    of_hypothalamus = hypothalamus_signs(box.posterior, subunits=subunits, grid=box.grid)
    signs = {
        "hypothalamus": {**of_hypothalamus, **_signs_around(of_head, quality), **pose, "views_apart": views_apart(views)},
        "icv": {**of_head, **pose},
    }
    reasons, reason_flags = _missing(volume, affine, box, mask=mask.view(bool), coarse=coarse, quality=quality, sides=sides)
    if reasons.get("icv") == Reason.SKULL_STRIPPED:
        quality["brain_mask_mm3"] = brain_mask_mm3(volume, affine)
    scores = {region: score for region, score in quality_scores(signs).items() if region not in reasons}
    volumes = _scored(_volumes(head, box, labels=labels, mask=mask, affine=affine, reasons=reasons, views=views), scores)
    found = {region: entry.volume_mm3 for region, entry in volumes.items() if not entry.missing_reason}
    saturated = saturated_share(volume, mask.view(bool))
    looked_at = image_flags(quality, saturated=saturated, longest_edge=float(voxel_sizes(affine).max()))
    flags = (*score_flags(scores), *looked_at, *reason_flags, *volume_flags(found))
    return Measurement(volumes, quality, flags, labels, mask, signs)


def _signs_around(of_head: Mapping[str, float], quality: Mapping[str, float]) -> dict[str, float]:
    """Signs of a hypothalamus that the quality of the scan gives, and the shape of a head that is whole."""
    shape = {name: of_head[name] for name in HEAD_SHAPE_SIGNS if name in of_head and quality["icv_cut_off"] <= CUT_OFF}
    return {**shape, **{name: quality[name] for name in QUALITY_SIGNS}}


def _scored(volumes: Mapping[str, RegionVolume], scores: Mapping[str, float]) -> dict[str, RegionVolume]:
    """Volumes with the scores of their structures."""
    return {region: replace(entry, quality_score=scores.get(region, np.nan)) for region, entry in volumes.items()}


def _cut_out(posterior: Float32[np.ndarray, "*labels x y z"], grid: Grid, inside: Bool[np.ndarray, "x y z"]) -> Structure:
    """What was found, with the voxels next to it; all of the grid where nothing was."""
    found = np.asarray(posterior.any(axis=0) if posterior.ndim > 3 else posterior > 0)
    box = bounding_box(found, margin=AROUND) if found.any() else (slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
    part = np.ascontiguousarray(posterior[..., *box])
    return Structure(part, part_of(grid, box), inside[box], part.sum(axis=0) if part.ndim > 3 else part)


def _sides(head: Structure, box: Structure) -> list[float]:
    """Soft volume of the left and the right hypothalamus, mm³; refuses a scan in which nothing was found."""
    intracranial, _ = soft(head.posterior, head.grid)
    if intracranial < LEAST_INTRACRANIAL:
        found = f"only {intracranial / 1000:.0f} mL look intracranial"
        raise HypojaxError(Reason.NO_BRAIN, f"{found}; look at the scan: is it a head, is its orientation right?")
    sides = [soft(box.posterior[first : first + 5].sum(axis=0), box.grid)[0] for first in (0, 5)]
    undecided = not (box.whole > 0.5).any()
    if undecided or max(sides) < LEAST_SIDE:
        found = f"only {sides[0]:.0f} mm3 on the left and {sides[1]:.0f} mm3 on the right look like hypothalamus"
        found += ", and no voxel more than half" * undecided
        raise HypojaxError(Reason.NO_HYPOTHALAMUS, f"{found}; look at the scan: is it T1-weighted, is the head whole?")
    return sides


def _quality(volume: Num[np.ndarray, "i j k"], affine: Affine, head: Structure, box: Structure, *, coarse: CoarseHead) -> dict[str, float]:
    """Quality measures of posteriors and image."""
    left, right = (float(box.posterior[first : first + 5].sum(dtype=np.float64)) for first in (0, 5))
    supported = box.whole[box.whole > 0]
    centre = to_world(box.grid.affine, np.argwhere(box.whole > 0.5).mean(axis=0))
    contrast, noise = image_quality(volume, affine, centre=centre)
    scale = coarse.std or 1.0
    return {
        # Mean posterior of the winning side, structure or not.
        "quality_certainty": float(np.maximum(supported, 1 - supported).mean(dtype=np.float64)),
        "quality_asymmetry": (left - right) / (left + right),
        "quality_contrast": contrast / scale,
        "quality_noise": noise / scale,
        "extracranial_signal": extracranial_signal(coarse),
        "icv_cut_off": cut_off_share(head.posterior > 0.5, head.inside),
    }


def _missing(
    volume: Num[np.ndarray, "i j k"],
    affine: Affine,
    box: Structure,
    *,
    mask: Bool[np.ndarray, "i j k"],
    coarse: CoarseHead,
    quality: Mapping[str, float],
    sides: Sequence[float],
) -> tuple[dict[str, Reason], tuple[str, ...]]:
    """Regions that have no volume, with the reason, and the flags that go with them."""
    reasons: dict[str, Reason] = {}
    flags: list[str] = []
    gap = gap_in_head(volume, affine, mask=mask) or noisy_part(volume, mask=mask)
    if quality["extracranial_signal"] < SCALP_SIGNAL:
        reasons["icv"] = Reason.SKULL_STRIPPED
        flags.append("skull_stripped")
    elif quality["icv_cut_off"] > CUT_OFF and not gap:  # in blank slices and noise a mask may run to any border
        reasons["icv"] = Reason.CUT_OFF
        flags.append("icv_cut_off")
    elif gap or partly_blank(coarse):
        reasons["icv"] = Reason.PARTLY_BLANK
        flags.append("partly_blank")
    if cut_off_share(box.whole > 0.5, box.inside) > CUT_OFF:
        return reasons | dict.fromkeys(PARTS, Reason.CUT_OFF), (*flags, "hypothalamus_cut_off")
    if blank_near(volume, affine, structure=box.whole > 0.5, grid=box.grid, tissue=coarse.tissue):
        return reasons | dict.fromkeys(PARTS, Reason.PARTLY_BLANK), (*flags, "blank_near_hypothalamus")
    lost = {side for side, found in enumerate(sides) if found < LEAST_SIDE}
    absent = {region: Reason.NO_HYPOTHALAMUS for region, values in PARTS.items() if lost & {(value - 1) // 5 for value in values}}
    return reasons | absent, (*flags, *(["one_side"] if "hypothalamus" in absent else []))


def _volumes(
    head: Structure,
    box: Structure,
    *,
    labels: UInt8[np.ndarray, "i j k"],
    mask: UInt8[np.ndarray, "i j k"],
    affine: Affine,
    reasons: Mapping[str, Reason],
    views: Float32[np.ndarray, "view 10"] | None,
) -> dict[str, RegionVolume]:
    """Every region of the table with its volumes, or with the reason it has none."""
    voxel = voxel_volume(affine)
    counts = np.bincount(np.concatenate([[0], *(slab[slab > 0] for slab in slabs(labels) if slab.any())]), minlength=11)
    volume_mm3, drawn = soft(head.posterior, head.grid)
    found = {"icv": RegionVolume(volume_mm3, float(np.count_nonzero(mask)) * voxel, drawn)}
    for region, values in PARTS.items():
        index = [value - 1 for value in values]
        volume_mm3, drawn = soft(box.posterior[index].sum(axis=0), box.grid)
        uncertainty = float(np.hypot(drawn, disagreement(views, index)))
        found[region] = RegionVolume(volume_mm3, float(counts[list(values)].sum()) * voxel, uncertainty)
    return {
        region: RegionVolume(np.nan, np.nan, np.nan, reasons[region]) if region in reasons else entry for region, entry in found.items()
    }


def disagreement(views: Float32[np.ndarray, "view 10"] | None, index: Sequence[int]) -> float:
    """Standard deviation over views of the volume of some subunits together, mm³; zero where there is one view or none.

    >>> disagreement(np.full((2, 10), [[30.0], [32.0]], np.float32), [0, 1])  # 60 and 64 mm³
    2.8284271247461903
    """
    return 0.0 if views is None or len(views) < 2 else float(views[:, list(index)].sum(axis=1, dtype=np.float64).std(ddof=1))


def soft(posterior: Float32[np.ndarray, "x y z"], grid: Grid) -> tuple[float, float]:
    """Soft volume of a cleaned posterior and its standard deviation, mm³.

    A voxel counts with variance p(1 - p), as a draw of its posterior; `CORRELATED_VOXELS` of them are drawn together.
    """
    variance = float((posterior * (1 - posterior)).sum(dtype=np.float64))
    volume = float(posterior.sum(dtype=np.float64))
    return volume * voxel_volume(grid.affine), float(np.sqrt(CORRELATED_VOXELS * max(variance, 0.0))) * voxel_volume(grid.affine)
