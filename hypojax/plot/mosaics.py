"""Sections side by side in one picture: those of a scan with its outlines, and those of groups with their probability maps."""

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from jaxtyping import Float32
from scipy import ndimage

from hypojax.pages.palette import SUBUNIT_COLOURS
from hypojax.plot.average import HALF, LEVELS, MOST, GroupAverage, average_scans, groups_of
from hypojax.plot.house_style import PAGE, new_axes
from hypojax.plot.sections import PLANES, SIDES, Section, distance_title, level_lines, missing_sentence, read_box, upright
from hypojax.reason import HypojaxError, Reason
from hypojax.schema import BOX_SHAPE, SUBUNITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS: Final = (8, 7, 6, 5)
"""Sections beside each other: the number that leaves the fewest places empty."""

GAP: Final = 0.6
"""Between sections, mm."""

SIDE: Final = BOX_SHAPE[0]
"""Width and height of a section, mm."""

SHARP: Final = 5
"""Pixels of a picture in a millimetre, to which sections are enlarged by cubic interpolation."""

OFFSETS: Final = (6, 4, 2, 0, -2, -4, -6)
"""Coronal sections of groups, mm in front of the middle of the hypothalamus."""

Window = tuple[float, float]


def outlines(cohort: xr.Dataset, scan: str, *, plane: str = "coronal", ax: "Axes | None" = None) -> "Axes":
    """Draw the sections through the hypothalamus of a scan, one a millimetre, with the outlines of its subunits.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    scan
        Its id.
    plane
        ``coronal`` (front to back), ``sagittal`` (left to right) or ``axial`` (top to bottom). The left of the head is on the left.
    ax
        Axes to draw into. Default: those of a new figure, as wide as a page.

    Returns
    -------
    The axes; their unit is mm.

    Raises
    ------
    HypojaxError
        USAGE: there is no such plane or scan, the scan has no posterior, or matplotlib is not installed.
    ScanError
        What is stored of the scan cannot be read.

    Examples
    --------
    >>> cohort = hypojax.open_cohort("out")  # doctest: +SKIP
    >>> hypojax.plot.save(hypojax.plot.outlines(cohort, "sub-01"), "sub-01")  # doctest: +SKIP
    """
    if plane not in PLANES:
        raise HypojaxError(Reason.USAGE, f"outlines: no plane {plane!r}; it is one of {', '.join(PLANES)}")
    if scan not in cohort["scan"].values:
        raise HypojaxError(Reason.USAGE, f"outlines: the cohort has no scan {scan!r}; cohort.scan has all ids")
    box = read_box(cohort, scan)
    if box is None:
        raise HypojaxError(Reason.USAGE, f"scan {scan!r}: {missing_sentence(cohort, scan)}")
    sections = box.sections(plane)
    columns = min(COLUMNS, key=lambda number: -len(sections) % number)
    rows = ceil(len(sections) / columns)
    ax = ax or new_axes(PAGE, PAGE / columns * rows + 0.3)
    _prepare(ax, columns=columns, rows=rows, side=SIDE)
    for number, section in enumerate(sections):
        _draw_section(ax, section, (number % columns * (SIDE + GAP), number // columns * (SIDE + GAP)), box.window)
    _mark(ax, SIDES[plane], side=SIDE)
    _legend(ax, {name.replace("_", " "): colour for name, colour in zip(SUBUNITS, SUBUNIT_COLOURS, strict=True)})
    return ax


def group_maps(cohort: xr.Dataset, by: str | None = "group", *, most: int = MOST, ax: "Axes | None" = None) -> "Axes":
    """Draw the average image and the probability map of the hypothalamus of each group, one row a group.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it; select scans before (``cohort.sel(scan=...)``). Scans that are not measured are left out.
    by
        Column of scans that groups them; None: one group.
    most
        Scans of a group that are averaged; of more, so many evenly spaced ones. About 15 ms each.
    ax
        Axes to draw into. Default: those of a new figure, as wide as a page.

    Returns
    -------
    The axes; their unit is mm.

    Raises
    ------
    HypojaxError
        USAGE: the cohort has no such column or no measured scan, or matplotlib is not installed.
    """
    found = [mean for name, scans in groups_of(cohort, by).items() if (mean := average_scans(cohort, scans, name=name, most=most))]
    if not found:
        raise HypojaxError(Reason.USAGE, "group_maps: no scan of the cohort has a posterior" + (f" and a value of {by!r}" if by else ""))
    side = 2 * HALF + 1
    ax = ax or new_axes(PAGE, PAGE / len(OFFSETS) * len(found) + 0.3)
    _prepare(ax, columns=len(OFFSETS), rows=len(found), side=side)
    for row, average in enumerate(found):
        _draw_group(ax, average, top=row * (side + GAP), window=found[0].window)
    _mark(ax, SIDES["coronal"], side=side)
    _legend(ax, {f"{100 * share:.0f} % of scans": colour for share, colour in LEVELS.items()})
    return ax


def _draw_section(ax: "Axes", section: Section, corner: tuple[float, float], window: Window) -> None:
    """A section of a scan with its outlines; ``corner``: its upper left, mm."""
    _draw_image(ax, section.image, corner, window)
    for label, points in section.outlines:
        closed = np.concatenate([points, points[:1]]) + corner
        ax.plot(*closed.T, color=SUBUNIT_COLOURS[(label - 1) % len(SUBUNITS)], linewidth=0.8, solid_joinstyle="round")
    _write(ax, distance_title(section.offset), (corner[0] + 1, corner[1] + 1))


def _draw_group(ax: "Axes", average: GroupAverage, *, top: float, window: Window) -> None:
    """A row of sections of a group."""
    side = 2 * HALF + 1
    for column, offset in enumerate(OFFSETS):
        corner = (column * (side + GAP), top)
        image, probability = (upright(volume[HALF + offset], "coronal") for volume in (average.image, average.probability))
        _draw_image(ax, image, corner, window)
        for share, colour in LEVELS.items():
            for line in level_lines(_enlarged(probability), share):
                closed = (np.concatenate([line, line[:1]]) + 0.5) / SHARP + corner
                ax.plot(*closed.T, color=colour, linewidth=0.8)
        _write(ax, distance_title(offset), (corner[0] + 1, corner[1] + 1))
    of = f" of {average.of:,}" if average.scans < average.of else ""
    ax.text(-1, top + side / 2, f"{average.name}\nn = {average.scans:,}{of}".strip(), rotation=90, ha="right", va="center", fontsize=8)


def _draw_image(ax: "Axes", image: Float32[np.ndarray, "rows columns"], corner: tuple[float, float], window: Window) -> None:
    """A grey picture; ``corner``: its upper left, mm."""
    left, top = corner
    rows, columns = image.shape
    place = (left, left + columns, top + rows, top)
    ax.imshow(_enlarged(image), cmap="gray", vmin=window[0], vmax=window[1], extent=place, interpolation="none", aspect="equal")


def _enlarged(values: Float32[np.ndarray, "rows columns"]) -> Float32[np.ndarray, "large_rows large_columns"]:
    """Values enlarged `SHARP` times by cubic splines."""
    return ndimage.zoom(values, SHARP, order=3, mode="nearest", grid_mode=True)


def _prepare(ax: "Axes", *, columns: int, rows: int, side: int) -> None:
    """Axes for so many sections, mm from the upper left corner, without frame."""
    ax.set_axis_off()
    ax.set_xlim(0, columns * (side + GAP) - GAP)
    ax.set_ylim(rows * (side + GAP) - GAP, 0)
    ax.autoscale(enable=False)


def _mark(ax: "Axes", sides: tuple[str, str], *, side: int) -> None:
    """Left and right of the first section, and a bar of 10 mm."""
    for words, x, align in zip(sides, (1.0, side - 1.0), ("left", "right"), strict=True):
        _write(ax, words, (x, side / 2), ha=align)
    ax.plot([side - 12, side - 2], [side - 2] * 2, color="white", linewidth=1.5, solid_capstyle="butt")
    _write(ax, "10 mm", (side - 7.0, side - 3.0), ha="center", va="bottom")


def _write(ax: "Axes", words: str, place: tuple[float, float], **how: Any) -> None:  # noqa: ANN401 - as matplotlib takes it
    """White words on a picture, with a dark rim, so that they can be read on white matter."""
    from matplotlib.patheffects import withStroke

    ax.text(*place, words, color="white", fontsize=6.5, path_effects=[withStroke(linewidth=1.2, foreground="#333")], **{"va": "top", **how})


def _legend(ax: "Axes", colours: Mapping[str, str]) -> None:
    """What colours mean, below the picture."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linewidth=1.5, label=name) for name, colour in colours.items()]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=len(handles), frameon=False, fontsize=7.5)
