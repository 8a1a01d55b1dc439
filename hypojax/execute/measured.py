"""What is kept of a scan: its row, its regions, its arrays, its label maps, each made from what the rooms before have found."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Num

from hypojax.cohort.derivatives import ScanMaps
from hypojax.grid import Affine, voxel_sizes, within_field_of_view
from hypojax.preprocessing.background import NOISE_OUTSIDE
from hypojax.reason import HypojaxError, Reason
from hypojax.scans import Image
from hypojax.schema import PARTS
from hypojax.store import Posterior, StoredSegmentation
from hypojax.volumes import Measurement, RegionVolume, measure
from hypojax.volumes.contrast import t1w_probability
from hypojax.volumes.flags import LEAST_T1W, LOWEST_T1W
from hypojax.volumes.measure import soft
from hypojax.volumes.quality import lowest_near
from hypojax.volumes.signs import HeadPlace
from hypojax.volumes.structure import clean_intracranial

if TYPE_CHECKING:
    from hypojax.segmenter.pose import PoseFound
    from hypojax.segmenter.segmenter import Segmentation

Volume = Num[np.ndarray, "i j k"]


def measure_scan(volume: Volume, affine: Affine, segmentation: "Segmentation", *, nonfinite: int = 0) -> Measurement:
    """Volumes and label maps of one segmented scan, ``nonfinite`` voxels of which were no numbers.

    Raises
    ------
    HypojaxError
        NOT_T1W where the scan is next to surely of another contrast, or no head; else as `hypojax.volumes.measure`. It names the voxels
        that are no numbers.
    """
    try:
        probability = _t1w_probability(volume, affine, segmentation)
        measured = measure(
            volume,
            affine,
            head_grid=segmentation.head_grid,
            intracranial=segmentation.intracranial,
            box_grid=segmentation.box_grid,
            subunits=segmentation.subunits,
            place=_place(segmentation),
            views=segmentation.views,
        )
    except HypojaxError as error:
        if not nonfinite:
            raise
        raise HypojaxError(
            error.reason, f"{error} {nonfinite} of its voxels are NaN or infinite: was a mask or a division wrong?"
        ) from error
    if NOISE_OUTSIDE in segmentation.flags:
        for name in ("partly_blank", "icv_cut_off"):  # either comes of noise that was left, or of a head that it hides
            measured = _renamed(measured, name, to=None, reason=Reason.NOISE_OUTSIDE_HEAD)
    if nonfinite:
        if lowest_near(volume, affine, labels=measured.hypothalamus):
            measured = _without_hypothalamus(measured)
        measured = _renamed(measured, "blank_near_hypothalamus", to="nonfinite_near_hypothalamus", reason=Reason.NONFINITE_VOXELS)
    if measured.volumes["icv"].missing_reason:
        measured = replace(measured, intracranial=np.zeros_like(measured.intracranial))  # a wrong mask helps nobody
    poor = ("poor_pose",) * (segmentation.pose is not None and segmentation.pose.pose is None)
    other = ("not_t1w",) * (probability < LOWEST_T1W)
    quality = measured.quality | _brain_extraction(volume, affine, segmentation, measured) | {"t1w_probability": probability}
    return replace(measured, quality=quality, pose=pose_row(segmentation.pose), flags=(*segmentation.flags, *other, *poor, *measured.flags))


def _place(segmentation: "Segmentation") -> HeadPlace:
    """What the head network says of where the head lies, as signs of quality are made of it."""
    found = segmentation.pose
    if found is None:
        return HeadPlace(segmentation.located)
    return HeadPlace(segmentation.located, None if found.pose is None else found.pose.to_template, found.residual_mm)


def _t1w_probability(volume: Volume, affine: Affine, segmentation: "Segmentation") -> float:
    """Probability that a scan is T1-weighted; NaN where the network knows no template. Refuses what is next to surely not."""
    found = segmentation.pose
    if found is None:
        return float("nan")
    probability = t1w_probability(
        volume,
        affine,
        grid=segmentation.head_grid,
        intracranial=segmentation.intracranial,
        located=segmentation.located,
        to_template=None if found.pose is None else found.pose.to_template,
        residual_mm=found.residual_mm,
    )
    if probability < LEAST_T1W:
        said = f"it does not look like a T1-weighted head (t1w_probability {probability:.3f}, at least {LEAST_T1W} is needed)"
        raise HypojaxError(Reason.NOT_T1W, f"{said}; look at the scan and its orientation, and give the T1-weighted image of this person")
    return probability


def pose_row(found: "PoseFound | None") -> dict[str, float | list[float]]:
    """The columns of the table that say how a head lies: none where the network knows no template, the residual alone without a pose."""
    if found is None:
        return {}
    residual: dict[str, float | list[float]] = {"pose_residual_mm": found.residual_mm}
    if found.pose is None:
        return residual
    tilt, shift = found.pose.tilt_deg.tolist(), found.pose.shift_mm.tolist()
    return {**residual, "tilt_deg": tilt, "shift_mm": shift, "head_scale": found.pose.scale}


def _brain_extraction(volume: Volume, affine: Affine, segmentation: "Segmentation", measured: Measurement) -> dict[str, float]:
    """The volume of the cranium by the border of brain extraction, where the network knows it and the cranium has a volume at all."""
    if segmentation.brain_extraction is None or measured.volumes["icv"].missing_reason:
        return {}
    (i, j, k), grid = volume.shape, segmentation.head_grid
    cranium = clean_intracranial(segmentation.brain_extraction, grid, within_field_of_view(grid, (i, j, k), affine))
    return {"brain_extraction_mm3": soft(cranium, grid)[0]}


def _renamed(measured: Measurement, flag: str, *, to: str | None, reason: Reason) -> Measurement:
    """The same, where what is blank is known to be something else: another ``reason`` for the regions that a flag tells of."""
    if flag not in measured.flags:
        return measured
    concerned = ["icv"] if flag in ("partly_blank", "icv_cut_off") else [region for region in measured.volumes if region != "icv"]
    renamed = {region: replace(measured.volumes[region], missing_reason=reason) for region in concerned}
    flags = tuple(name for name in (to if name == flag else name for name in measured.flags) if name)
    return replace(measured, flags=flags, volumes=measured.volumes | renamed)


def _without_hypothalamus(measured: Measurement) -> Measurement:
    """The same without volumes of the hypothalamus, as where voxels next to it are blank; what was cut off stays so."""
    if measured.volumes["hypothalamus"].missing_reason:
        return measured
    missing = dict.fromkeys(PARTS, RegionVolume(np.nan, np.nan, np.nan, Reason.PARTLY_BLANK))
    flags = tuple(name for name in measured.flags if name not in ("low_quality_hypothalamus", "unusual_hypothalamus"))
    return replace(measured, flags=(*flags, "blank_near_hypothalamus"), volumes=measured.volumes | missing)


def row_of(image: Image) -> dict[str, Any]:
    """What the table can say of a scan once it is read."""
    return {
        "nonfinite_voxels": image.nonfinite,
        "voxels_checksum": image.checksum(),
        "voxel_size_mm": voxel_sizes(image.affine).tolist(),
        "matrix": list(image.voxels.shape),
        "flags": " ".join(image.flags),
        "notes": " ".join(f"{note}." for note in image.notes),
    }


def full_row(row: Mapping[str, Any], measured: Measurement, *, seconds: float) -> dict[str, Any]:
    """The row of a finished scan: what was known after reading, quality measures, flags of both."""
    flags = " ".join(filter(None, (str(row["flags"]), *measured.flags)))
    return {**row, **measured.quality, **measured.pose, "flags": flags, "seconds": seconds}


def stored_form(affine: Affine, segmentation: "Segmentation", measured: Measurement) -> StoredSegmentation:
    """All that is stored of a segmentation; the posterior of the intracranial volume stays where its mask is left empty."""
    return StoredSegmentation(
        affine=affine,
        hypothalamus=measured.hypothalamus,
        intracranial=measured.intracranial,
        head=Posterior(segmentation.head_grid, segmentation.intracranial),
        box=Posterior(segmentation.box_grid, segmentation.subunits),
        head_image=segmentation.head_image,
        box_image=segmentation.box_image,
        mean=segmentation.statistics.mean,
        std=segmentation.statistics.std,
    )


def scan_maps(
    maps: Measurement | StoredSegmentation, regions: Mapping[str, Mapping[str, Any]], *, affine: Affine, header: bytes
) -> ScanMaps:
    """Label maps as derivatives hold them: no intracranial mask where its volume is missing."""
    missing = bool(regions["icv"]["missing_reason"])
    return ScanMaps(hypothalamus=maps.hypothalamus, intracranial=None if missing else maps.intracranial, affine=affine, header=header)
