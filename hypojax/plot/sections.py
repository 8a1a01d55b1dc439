"""Sections through the 1 mm box of a scan: its intensities, labels as its label map has them, and their outlines, without any drawing.

Labels are made by the rule of the scan's own label map (`hypojax.volumes.label_map`) on a grid of 0.5 mm that lies in the box, so that
what is drawn amounts to the volumes of the table. The label map on the scan's own voxels has the same volumes; its surface may lie up to
half a voxel from the one drawn here, since its voxels are other ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32, Float64, Num, Shaped, UInt8
from scipy import ndimage

from hypojax.grid import Grid
from hypojax.reason import ScanError
from hypojax.schema import BOX_SHAPE, BOX_SPACING, LABELS, SUBUNITS
from hypojax.volumes.label_map import native_labels
from hypojax.volumes.structure import clean_hypothalamus

PLANES: Final[dict[str, int]] = {"coronal": 0, "sagittal": 2, "axial": 1}
"""Plane of a section → the axis of a model grid that it is cut across, in the order of a page."""

SIDES: Final[dict[str, tuple[str, str]]] = {"coronal": ("L", "R"), "sagittal": ("P", "A"), "axial": ("L", "R")}
"""What is on the left and on the right of a section: left, right, posterior, anterior."""

FINE: Final = 2
"""Steps of the labels in a millimetre. Every second one lies in the middle of a voxel of the box."""

NEAR: Final = 12
"""Millimetres round the hypothalamus whose intensities choose the window."""

WHITE: Final = 99.5
"""Percentile of these that is drawn white."""

BLACK: Final = (10.0, 40.0)
"""Percentiles of these between which black lies, whatever is labelled hypothalamus."""

TAPER: Final = (0.25, 0.5, 0.25)
"""By which the steps of labels are smoothed along an outline; what is too small for it keeps its steps."""

MARGIN: Final = 3
"""Steps of the labels round an outline that are looked at."""


class Outline(NamedTuple):
    """The closed outline of one label in a section: ``points`` (column, row) in mm from its upper left corner, each once."""

    label: int
    points: Float64[np.ndarray, "n 2"]


@dataclass(frozen=True)
class Section:
    """A section through the box, as a picture has it: rows from top to bottom, the left of the head on the left.

    Parameters
    ----------
    plane
        ``coronal``, ``sagittal`` (front on the right) or ``axial`` (front on top).
    offset
        mm from the middle of the hypothalamus: to the front, to the right, upwards.
    image
        Intensities, a value a millimetre.
    labels
        Labels, `FINE` steps a millimetre; the first lies in the middle of the first value of ``image``.
    """

    plane: str
    offset: int
    image: Float32[np.ndarray, "rows columns"]
    labels: UInt8[np.ndarray, "fine_rows fine_columns"]

    @property
    def outlines(self) -> Iterator[Outline]:
        """The outlines of all labels, one a connected piece or hole."""
        for label, place in enumerate(ndimage.find_objects(self.labels), start=1):
            if place is not None:
                for points in contours(self.labels == label, place):
                    yield Outline(label, (points / FINE + 0.5) * BOX_SPACING)


@dataclass(frozen=True)
class ScanBox:
    """The box of one scan.

    Parameters
    ----------
    image
        Intensities (z-score), 1 mm.
    labels
        Labels of the hypothalamus, `FINE` steps a millimetre, from the middle of the first voxel to the middle of the last.
    """

    image: Float32[np.ndarray, "a s r"]
    labels: UInt8[np.ndarray, "u v w"]

    @cached_property
    def middle(self) -> tuple[int, int, int]:
        """The voxel of the box in the middle of the hypothalamus: halfway between the middles of its two sides."""
        right = self.labels > len(SUBUNITS)
        sides = [np.argwhere(side).mean(axis=0) for side in (right, (self.labels > 0) & ~right) if side.any()]
        a, s, r = np.round(np.mean(sides, axis=0) / FINE).astype(int).tolist()
        return a, s, r

    @cached_property
    def window(self) -> tuple[float, float]:
        """Intensities that are drawn black and white."""
        return grey_window(self.image, self.labels[::FINE, ::FINE, ::FINE] > 0, self.middle)

    def sections(self, plane: str) -> list[Section]:
        """Sections across the hypothalamus, one a millimetre: from front to back, from left to right, from top to bottom."""
        axis = PLANES[plane]
        found = np.flatnonzero(np.moveaxis(self.labels, axis, 0)[::FINE].any(axis=(1, 2)))
        order = found if plane == "sagittal" else found[::-1]
        return [self.section(plane, int(index) - self.middle[axis]) for index in order]

    def section(self, plane: str, offset: int) -> Section:
        """One section, ``offset`` mm from the middle of the hypothalamus."""
        axis = PLANES[plane]
        index = self.middle[axis] + offset
        return Section(plane, offset, upright(self.image.take(index, axis), plane), upright(self.labels.take(index * FINE, axis), plane))


def read_box(cohort: xr.Dataset, scan: str) -> ScanBox | None:
    """The box of a scan of a cohort, with its labels; None where the scan has no posterior (see `missing_sentence`).

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    scan
        Its id.

    Raises
    ------
    ScanError
        What is stored of it cannot be read.
    """
    row = cohort[["image", "posterior", "box_affine"]].sel(scan=scan).compute(scheduler="synchronous")
    posterior = row["posterior"].sel(region=list(LABELS.values())).values
    if np.isnan(posterior).any() or not (posterior > 0).any():
        return None
    grid = Grid(BOX_SHAPE, row["box_affine"].values.astype(np.float64))
    labels = box_labels(np.round(posterior * 255).astype(np.uint8), grid)
    return ScanBox(np.nan_to_num(row["image"].values, nan=float(np.nanmin(row["image"].values))), labels) if labels.any() else None


def box_labels(subunits: UInt8[np.ndarray, "10 x y z"], grid: Grid) -> UInt8[np.ndarray, "u v w"]:
    """Labels of the box, `FINE` steps a millimetre, from posteriors × 255: as many voxels of each as its soft volume amounts to.

    Voxels of the box beyond the field of view, which the arrays of a cohort do not know, count as within.
    """
    fine = grid.affine.copy()
    fine[:3, :3] /= FINE
    i, j, k = (FINE * (n - 1) + 1 for n in grid.shape)
    return native_labels(clean_hypothalamus(subunits, grid, np.ones(grid.shape, bool)), grid, shape=(i, j, k), affine=fine)


def grey_window(
    image: Float32[np.ndarray, "a s r"], structure: Bool[np.ndarray, "a s r"], middle: tuple[int, int, int]
) -> tuple[float, float]:
    """Intensities that are drawn black and white, chosen so that a structure of grey matter round ``middle`` is mid-grey."""
    near = image[tuple(slice(max(0, index - NEAR), index + NEAR + 1) for index in middle)]
    lowest, highest, white = np.percentile(near, [*BLACK, WHITE]).tolist()
    grey = float(np.median(image[structure])) if structure.any() else lowest
    black = min(max(2 * grey - white, lowest), highest)
    return black, max(white, black + 1e-3)


def distance_title(offset: int) -> str:
    """A distance from the middle of the hypothalamus, mm.

    >>> distance_title(-3), distance_title(0)
    ('−3 mm', '0 mm')
    """
    return f"{offset:+d} mm".replace("-", "−") if offset else "0 mm"


def missing_sentence(cohort: xr.Dataset, scan: str, *, read: Callable[[], ScanBox | None] | None = None) -> str:
    """Why a scan has no pictures, in a sentence; empty where it has some. ``read`` gives its box where that was read already."""
    row = cohort[["status", "reason"]].sel(scan=scan)
    status, reason = str(row["status"].item()), str(row["reason"].item()).replace("_", " ")
    if status == "failed":
        return f"There is no picture, since the scan could not be measured ({reason})."
    if status != "done":
        return "There is no picture yet, since the scan has not been measured."
    try:
        found = read() if read else read_box(cohort, scan)
    except ScanError:
        return "There is no picture, since what is stored of the scan cannot be read; do the run again with --check."
    return "" if found else "There is no picture, since no hypothalamus is stored of this scan."


def contours(mask: Bool[np.ndarray, "rows columns"], place: tuple[slice, ...]) -> list[Float64[np.ndarray, "_ 2"]]:
    """Closed smooth outlines (column, row) of a mask, all of which lies in ``place``; what is inside is on the right of an outline.

    What smoothing takes off the corners is given back all round: outlines enclose as much as the mask holds.

    Raises
    ------
    ImportError
        contourpy, which comes with the extra ``report``, is not installed.
    """
    top, left = (part.start - MARGIN for part in place)
    exact = _framed(mask[place], MARGIN)
    smooth = ndimage.correlate1d(ndimage.correlate1d(exact, TAPER, axis=0), TAPER, axis=1)
    share = smooth if smooth.max() > 0.5 else exact
    lines = [line + np.array([left, top]) for line in level_lines(share, 0.5)]
    length = sum(float(np.hypot(*(line - _turned(line, -1)).T).sum()) for line in lines)
    lost = np.count_nonzero(mask[place]) - sum(map(enclosed_area, lines))
    return [moved(line, -lost / length) for line in lines]


def level_lines(values: Float32[np.ndarray, "rows columns"], level: float) -> list[Float64[np.ndarray, "_ 2"]]:
    """Closed lines (column, row) round what is larger than ``level``, which is on their right; the border of the array closes them.

    Raises
    ------
    ImportError
        contourpy, which comes with the extra ``report``, is not installed.
    """
    from contourpy import contour_generator

    wide = _framed(values, 1, around=min(0.0, level - 1))
    return [np.asarray(line)[:-1] - 1 for line in contour_generator(z=wide).lines(level)]


def enclosed_area(line: Float64[np.ndarray, "n 2"]) -> float:
    """Area of a closed line, each point once; negative where it is the outline of a hole.

    >>> enclosed_area(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]]))
    2.0
    """
    (x, y), (next_x, next_y) = line.T, _turned(line, 1).T
    return float((x * next_y - next_x * y).sum() / 2)


def moved(line: Float64[np.ndarray, "n 2"], distance: float) -> Float64[np.ndarray, "n 2"]:
    """A closed line, each point once, moved inwards."""
    along = _turned(line, 1) - _turned(line, -1)
    inwards = np.stack([-along[:, 1], along[:, 0]], axis=1)
    return line + inwards * (distance / np.maximum(np.hypot(*inwards.T), 1e-9))[:, None]


def _turned(line: Float64[np.ndarray, "n 2"], step: int) -> Float64[np.ndarray, "n 2"]:
    """The points of a closed line that begin ``step`` points later: `numpy.roll`, which takes several times as long for so few."""
    return np.concatenate([line[step:], line[:step]])


def _framed(values: Shaped[np.ndarray, "u v"], margin: int, *, around: float = 0.0) -> Float32[np.ndarray, "rows columns"]:
    """Values with a margin on all sides: `numpy.pad`, which takes several times as long."""
    rows, columns = values.shape
    found = np.full((rows + 2 * margin, columns + 2 * margin), around, np.float32)
    found[margin : margin + rows, margin : margin + columns] = values
    return found


def upright(values: Num[np.ndarray, "u v"], plane: str) -> Num[np.ndarray, "rows columns"]:
    """Values of a section of a model grid as a picture has them: the axis that runs upwards from bottom to top."""
    return values.T[::-1] if plane == "sagittal" else values[::-1]
