"""The plot of all regions side by side: each volume as its difference from the median of the cohort, with boxes and points."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int32

from hypojax.reporting.plot_board import GREY, Axis, Figure, PlotBoard, add_tools, blank_plot, point_look
from hypojax.reporting.plot_columns import AxisEnds, beyond, per_cent_of_median, short_region, sound_limits, within

MANY: Final = 1000
"""Scans beyond which only the outermost points stand beside the boxes."""

OUTERMOST: Final = 2.5
"""Per cent at either end that are shown then."""

ROW: Final = 30
"""Pixels of a region."""

Volumes = Mapping[str, Float64[np.ndarray, "scan"]]


def region_entries(volumes: Volumes) -> list[dict[str, Any]]:
    """What the page's script needs of each region: column, name, unit, median and axis of the volumes themselves."""
    found = []
    for region, values in volumes.items():
        known = values[np.isfinite(values)]
        label, unit = short_region(region), "mL" if region == "icv" else "mm³"
        found.append(
            {
                "name": region, "column": f"of_{region}", "label": f"{label[:1].upper()}{label[1:]}", "unit": unit, "known": known.size,
                "median": float(np.median(known)) if known.size else None, "ends": list(sound_limits(values)),
            }
        )  # fmt: skip
    return found


def draw_regions(board: PlotBoard, volumes: Volumes) -> None:
    """Draw it, with its columns: one of each region, per cent of the median."""
    shares = {region: per_cent_of_median(values) for region, values in volumes.items()}
    ends = _ends(list(shares.values()))
    x = Axis("x", "Difference from the median (%)", "", np.zeros(0), ends)
    y = Axis("y", "", "", np.zeros(0), AxisEnds(-len(shares) + 0.4, 0.6))
    plot = blank_plot("regions", x, y, height=ROW * len(shares) + 90)
    labels = {-place: short_region(region) for place, region in enumerate(shares)}
    plot.yaxis.ticker = list(labels)
    plot.yaxis.major_label_overrides = labels
    plot.ygrid.grid_line_color = None
    plot.line([0, 0], [-len(shares), 1], line_color=GREY, line_dash="dashed", level="underlay", name="guide")
    _boxes(plot, shares)
    shown = [_points(board, plot, region, place, share) for place, (region, share) in enumerate(shares.items())]
    arrows = _arrows(board, plot, shares, ends)
    _profile(plot)
    add_tools(plot, [*shown, *arrows], [("", "@name")])
    board.figures["regions"] = plot


def _ends(shares: list[Float64[np.ndarray, "scan"]]) -> AxisEnds:
    """An axis that is as long below the median as above it."""
    every = np.concatenate(shares)
    reach = max(map(abs, sound_limits(every)), default=1.0)
    return AxisEnds(-reach, reach)


def _boxes(plot: Figure, shares: Volumes) -> None:
    """The middle half and the middle nine tenths of each region."""
    from bokeh.models import ColumnDataSource

    rows = [(-place, np.nanpercentile(share, (5, 25, 75, 95))) for place, share in enumerate(shares.values()) if np.isfinite(share).any()]
    numbers = {name: [float(four[place]) for _, four in rows] for place, name in enumerate(("low", "first", "third", "high"))}
    source = ColumnDataSource({"y": [y for y, _ in rows], **numbers})
    plot.segment("low", "y", "high", "y", source=source, line_color=GREY, line_width=1.5, level="underlay", name="box")
    plot.hbar("y", 0.7, "third", "first", source=source, line_color=GREY, fill_color=GREY, fill_alpha=0.15, level="underlay", name="box")


def _points(board: PlotBoard, plot: Figure, region: str, place: int, share: Float64[np.ndarray, "scan"]) -> Figure:
    """Points of one region: of all scans, or of the outermost ones where there are many."""
    from bokeh.models import AllIndices, CDSView, Dodge, IndexFilter

    column = board.add(f"of_{region}", share)
    rows = outermost(share)
    view = CDSView(filter=AllIndices() if len(share) <= MANY else IndexFilter(rows.tolist()))
    place_of = {"field": "jitter", "transform": Dodge(value=-place)}
    look = {**point_look(len(share)), "size": 6 if len(share) < 200 else 4}
    return plot.scatter(column, place_of, source=board.source, view=view, fill_color={"field": "colour"}, name="points of a region", **look)


def outermost(share: Float64[np.ndarray, "scan"]) -> Int32[np.ndarray, "n"]:
    """Scans at either end.

    >>> outermost(np.arange(100.0)).tolist()
    [0, 1, 2, 97, 98, 99]
    """
    if not np.isfinite(share).any():
        return np.zeros(0, np.int32)
    low, high = np.nanpercentile(share, (OUTERMOST, 100 - OUTERMOST))
    return np.flatnonzero((share <= low) | (share >= high)).astype(np.int32)


def _arrows(board: PlotBoard, plot: Figure, shares: Volumes, ends: AxisEnds) -> list[Figure]:
    """Arrows at the border for volumes beyond the axis."""
    from bokeh.models import ColumnDataSource

    data: dict[str, Any] = {"row": [], "name": [], "at_x": [], "at_y": [], "angle": []}
    for place, share in enumerate(shares.values()):
        side = beyond(np.nan_to_num(share), ends)
        for row in np.flatnonzero(side).tolist():
            at = float(within(share[[row]], ends)[0])
            values = (row, board.names[row], at, -place, -np.pi / 2 * int(side[row]))
            for column, value in zip(data.values(), values, strict=True):
                column.append(value)
    if not data["row"]:
        return []
    source = ColumnDataSource(data, name="beyond regions")
    look = {"marker": "triangle", "angle": "angle", "size": 10, "fill_color": GREY, "line_color": None}
    return [plot.scatter("at_x", "at_y", source=source, name="beyond", **look)]


def _profile(plot: Figure) -> None:
    """A line through all regions of the scan that is lit."""
    from bokeh.models import ColumnDataSource

    source = ColumnDataSource({"x": [], "y": []}, name="profile")
    plot.line("x", "y", source=source, level="overlay", line_color=GREY, line_width=2, name="lit")
    plot.scatter("x", "y", source=source, level="overlay", size=9, fill_color=None, line_color=GREY, line_width=2, name="lit")
