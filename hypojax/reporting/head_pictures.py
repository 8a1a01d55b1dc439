"""Pictures of the whole head of a scan with its intracranial outline, on nine sections of the 2 mm grid, without its face.

What lies beyond `REACH` outside the intracranial mask is blank, in three dimensions and before anything is drawn. Where nothing says where
the face is (no mask, or one that may run into it) there is no picture at all, and a sentence (`head_sentence`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32, Int64

from hypojax.grid import Grid, to_voxel
from hypojax.plot.sections import PLANES, SIDES, distance_title, level_lines, missing_sentence, upright
from hypojax.reason import Reason, ScanError
from hypojax.reporting.section_pictures import SectionPicture, encoded, place_words, svg_path
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE, HEAD_SPACING
from hypojax.volumes.flags import USUAL_ICV
from hypojax.volumes.structure import bounding_box, clean_intracranial

REACH: Final = 15.0
"""mm outside the intracranial mask that are shown: scalp and skull, by which a mask is judged, and no face."""

SCALE: Final = 3
"""Pixels a voxel of 2 mm."""

WINDOW: Final = (1.0, 99.5)
"""Percentiles of the intensities within the mask that are drawn black and white."""

UNSURE: Final = (Reason.PARTLY_BLANK, Reason.NO_BRAIN)
"""Reasons of a missing intracranial volume with which its mask may run to anywhere."""

LARGEST: Final = 1.25 * USUAL_ICV[1]
"""mm³ beyond which a mask is taken to hold more than a cranium."""


@dataclass(frozen=True)
class ScanHead:
    """The whole head of one scan.

    Parameters
    ----------
    image
        Intensities (z-score), 2 mm.
    posterior
        Cleaned posterior of the intracranial volume.
    middle
        Voxel in the middle of the box, where the hypothalamus was found.
    missing_reason
        Why there is no intracranial volume; empty where there is one.
    """

    image: Float32[np.ndarray, "a s r"]
    posterior: Float32[np.ndarray, "a s r"]
    middle: Int64[np.ndarray, "3"]
    missing_reason: str

    @cached_property
    def level(self) -> float:
        """Posterior beyond which as many voxels lie as the soft volume amounts to, as in the label map."""
        counts = np.bincount(np.rint(self.posterior * 255).astype(np.uint8).ravel(), minlength=256)
        above = counts[::-1].cumsum()[::-1]
        return float(np.abs(above[1:] - float(self.posterior.sum(dtype=np.float64))).argmin() + 0.5) / 255

    @cached_property
    def mask(self) -> Bool[np.ndarray, "a s r"]:
        """The intracranial mask."""
        return self.posterior > self.level

    @property
    def fault(self) -> str:
        """Why nothing says where the face is; empty where the mask does."""
        millilitres = np.count_nonzero(self.mask) * HEAD_SPACING**3 / 1000
        if not millilitres:
            return "no intracranial mask was found"
        if self.missing_reason in UNSURE:
            return f"the intracranial mask is not to be relied on ({self.missing_reason.replace('_', ' ')})"
        return f"the intracranial mask holds {millilitres:,.0f} ml, more than a cranium" if millilitres > LARGEST / 1000 else ""


def head_sections(cohort: xr.Dataset, scan: str, *, whole_head: bool) -> list[SectionPicture]:
    """Nine pictures of the head of a scan: three coronal (front to back), three sagittal (left to right), three axial (top to bottom).

    The middle one of each three goes through the middle of the hypothalamus, the others lie halfway from there to the border of the
    intracranial mask. Where the intracranial volume is missing (`head_sentence` says why) they have no outline, as there is no mask file.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    scan
        Its id.
    whole_head
        Show everything, the face too; otherwise what lies beyond 15 mm outside the intracranial mask is blank, and there is no picture
        where there is no mask to go by.

    Raises
    ------
    HypojaxError
        USAGE: the extra ``report`` is not installed.
    """
    try:
        head = _read_head(cohort, scan)
    except ScanError:
        return []
    if head is None or (head.fault and not whole_head):
        return []
    window = _window(head)
    part = _shown(head, whole_head=whole_head)
    return [_picture(head, plane, index, part, whole_head=whole_head, window=window) for plane, index in _places(head)]


def head_sentence(cohort: xr.Dataset, scan: str, *, whole_head: bool) -> str:
    """What is not to be seen in the pictures of a head, and why."""
    if missing := missing_sentence(cohort, scan):
        return missing
    head = _read_head(cohort, scan)
    if head is None:
        return "There is no picture, since no head is stored of this scan."
    if head.fault and not whole_head:
        return f"The head is not shown: {head.fault}, so that nothing says where its face is; --whole-head shows it."
    outline = f"The intracranial outline is not drawn, since the volume is missing ({head.missing_reason.replace('_', ' ')}). "
    blank = f"What lies more than {REACH:g} mm outside the intracranial mask is blank."
    return ((outline if head.missing_reason else "") + ("" if whole_head else blank)).strip()


def near_mask(mask: Bool[np.ndarray, "n u v"], index: int, *, reach: float = REACH / HEAD_SPACING) -> Bool[np.ndarray, "u v"]:
    """Of one slice across the first axis the voxels whose middle lies within ``reach`` voxels of that of a voxel of the mask.

    The squared distance is the least over slices, then rows, then columns (Saito and Toriwaki 1994), as far as the reach goes.
    """
    steps = int(reach)
    far = np.int32(4 * (steps + 1) ** 2)
    squared = np.full(mask.shape[1:], far, np.int32)
    for step in range(-steps, steps + 1):
        if 0 <= index + step < len(mask):
            squared[mask[index + step]] = np.minimum(squared[mask[index + step]], step * step)
    for axis in (0, 1):
        wide = np.pad(squared, [(steps, steps) if other == axis else (0, 0) for other in (0, 1)], constant_values=far)
        parts = [wide.take(range(start, start + squared.shape[axis]), axis) + (start - steps) ** 2 for start in range(2 * steps + 1)]
        squared = np.minimum.reduce(parts)
    return squared <= reach**2


def _read_head(cohort: xr.Dataset, scan: str) -> ScanHead | None:
    """The head of a scan; None where nothing is stored."""
    row = cohort[["head_image", "head_posterior", "head_affine", "box_affine", "missing_reason"]].sel(scan=scan)
    row = row.compute(scheduler="synchronous")
    image, posterior = row["head_image"].values, row["head_posterior"].values
    if np.isnan(image).any() or np.isnan(posterior).any():
        return None
    grid = Grid(HEAD_SHAPE, row["head_affine"].values.astype(np.float64))
    cleaned = clean_intracranial(np.rint(posterior * 255).astype(np.uint8), grid, np.ones(HEAD_SHAPE, bool))
    box = Grid(BOX_SHAPE, row["box_affine"].values.astype(np.float64))
    middle = np.clip(np.rint(to_voxel(grid.affine, box.centre)), 0, np.array(HEAD_SHAPE) - 1).astype(np.int64)
    return ScanHead(image, cleaned, middle, str(row["missing_reason"].sel(region="icv").item()))


def _window(head: ScanHead) -> tuple[float, float]:
    """Intensities that are drawn black and white."""
    low, high = np.percentile(head.image[head.mask] if head.mask.any() else head.image, WINDOW).tolist()
    return low, max(high, low + 1e-3)


def _places(head: ScanHead) -> Iterator[tuple[str, int]]:
    """Plane and index of the nine sections."""
    box = bounding_box(head.mask) if head.mask.any() else tuple(slice(0, n) for n in HEAD_SHAPE)
    for plane, axis in PLANES.items():
        middle = int(head.middle[axis])
        places = [(middle + box[axis].start) // 2, middle, (middle + box[axis].stop) // 2]
        yield from ((plane, index) for index in (places if plane == "sagittal" else places[::-1]))


def _shown(head: ScanHead, *, whole_head: bool) -> tuple[slice, slice, slice]:
    """The part of the grid that pictures show."""
    margin = int(REACH / HEAD_SPACING) + 1
    return (
        (slice(0, HEAD_SHAPE[0]), slice(0, HEAD_SHAPE[1]), slice(0, HEAD_SHAPE[2]))
        if whole_head
        else bounding_box(head.mask, margin=margin)
    )


def _picture(
    head: ScanHead, plane: str, index: int, part: tuple[slice, slice, slice], *, whole_head: bool, window: tuple[float, float]
) -> SectionPicture:
    """One section, blank where it is not to be seen."""
    axis = PLANES[plane]
    place = tuple(slice(None) if other == axis else part[other] for other in range(3))
    image, posterior, mask = (np.moveaxis(volume[place], axis, 0) for volume in (head.image, head.posterior, head.mask))
    shown = image[index] if whole_head else np.where(near_mask(mask, index), image[index], np.float32(window[0]))
    picture = encoded(upright(shown, plane), window, scale=SCALE)
    lines = [] if head.missing_reason else level_lines(upright(posterior[index], plane), head.level)
    outline = svg_path([(line + 0.5) * SCALE for line in lines], "icv")
    offset = round((index - int(head.middle[axis])) * HEAD_SPACING)
    what = "with the outline of the intracranial volume" if outline else "without an intracranial outline"
    alt = f"{plane.capitalize()} section of the head {place_words(plane, offset)}, {what}"
    return SectionPicture(distance_title(offset), *picture, outline, alt, SIDES[plane], SCALE / HEAD_SPACING)
