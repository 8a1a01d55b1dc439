"""Pictures of the whole head of a scan with its intracranial outline, on nine sections of the 2 mm grid, without its face.

What lies beyond `REACH` outside the intracranial mask is blank, in three dimensions and before anything is drawn. Where nothing says where
the face is (no mask, or one that may run into it) there is no picture at all, and a sentence (`head_sentence`).
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Bool

from hypojax.plot.sections import PLANES, SIDES, distance_title, level_lines, upright
from hypojax.reason import ScanError
from hypojax.reporting.scan_images import ScanHead, ScanImages
from hypojax.reporting.section_pictures import SectionPicture, encoded, place_words, svg_path
from hypojax.schema import HEAD_SHAPE, HEAD_SPACING
from hypojax.volumes.structure import bounding_box

REACH: Final = 15.0
"""mm outside the intracranial mask that are shown: scalp and skull, by which a mask is judged, and no face."""

SCALE: Final = 3
"""Pixels a voxel of 2 mm."""

WINDOW: Final = (1.0, 99.5)
"""Percentiles of the intensities within the mask that are drawn black and white."""


def head_sections(images: ScanImages, *, whole_head: bool) -> list[SectionPicture]:
    """Nine pictures of the head of a scan: three coronal (front to back), three sagittal (left to right), three axial (top to bottom).

    The middle one of each three goes through the middle of the hypothalamus, the others lie halfway from there to the border of the
    intracranial mask. Where the intracranial volume is missing (`head_sentence` says why) they have no outline, as there is no mask file.

    Parameters
    ----------
    images
        Of the scan.
    whole_head
        Show everything, the face too; otherwise what lies beyond 15 mm outside the intracranial mask is blank, and there is no picture
        where there is no mask to go by.

    Raises
    ------
    HypojaxError
        USAGE: the extra ``report`` is not installed.
    """
    try:
        head = images.head
    except ScanError:
        return []
    if head is None or (head.fault and not whole_head):
        return []
    window = _window(head)
    part = _shown(head, whole_head=whole_head)
    return [_picture(head, plane, index, part, whole_head=whole_head, window=window) for plane, index in _places(head)]


def head_sentence(images: ScanImages, *, whole_head: bool) -> str:
    """What is not to be seen in the pictures of a head, and why."""
    if images.missing:
        return images.missing
    try:
        head = images.head
    except ScanError:
        return "There is no picture, since what is stored of the head cannot be read; do the run again with --check."
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
