"""Figures of bokeh on one shared source: points of all scans, a ring round the one that is lit, arrows for what lies beyond the axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import pi
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int32, Shaped

from hypojax.pages.palette import GROUP_COLOURS
from hypojax.reason import Reason, RunError
from hypojax.reporting.plot_columns import AxisEnds, ScanGroups, beyond, sound_limits, within

HEIGHT: Final = 340
"""Pixels of a figure."""

GREY: Final = "#808080"
"""Axes and text until the page's script gives them the colours of the page."""

SIZES: Final = ((200, 9, 0.8), (2000, 7, 0.6), (10**9, 5, 0.4))
"""Up to so many scans: diameter of a point in pixels, and its opacity."""

TOLD: Final = 3
"""Scans under the mouse that a tooltip names."""

Figure = Any
"""A figure of bokeh, or one of its renderers: its own types do not know all that they take, and it is imported late."""

Part = tuple[str, Int32[np.ndarray, "_"], str]
"""Label, scans and colour of a group."""

Column = Shaped[np.ndarray, "scan"]


@dataclass(frozen=True)
class Axis:
    """One axis of a figure.

    Parameters
    ----------
    column
        What it shows, by its name in the source.
    label
        Its name and unit.
    tip
        Format of its values in a tooltip.
    values
        Of every scan.
    limits
        Both ends; those of sound values unless given.
    """

    column: str
    label: str
    tip: str
    values: Float64[np.ndarray, "scan"]
    limits: AxisEnds | None = None

    @property
    def ends(self) -> AxisEnds:
        """Both ends."""
        return self.limits or sound_limits(self.values)


@dataclass
class PlotBoard:
    """All figures of a page and the columns that they share.

    Parameters
    ----------
    names
        Of every scan.
    doubtful
        Scans with a reason to look at them.
    colours
        Of every scan.
    """

    names: Sequence[str]
    doubtful: Int32[np.ndarray, "n"]
    colours: Sequence[str]
    columns: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the source and that of the scan that is lit."""
        try:
            from bokeh.models import ColumnDataSource
        except ImportError as error:
            raise RunError(
                Reason.USAGE, "plots of a report need bokeh, which is not installed; run: python -m pip install 'hypojax[report]'"
            ) from error
        self.source = ColumnDataSource(name="scans")
        self.lit = ColumnDataSource(data={"x": [], "y": [], "plot": []}, name="lit")
        self.source.data = {"name": list(self.names), "colour": list(self.colours)}

    def add(self, column: str, values: Column) -> str:
        """A column that figures may show; its name."""
        exact = column == "date"
        self.source.data[column] = values.astype(np.float64 if exact else np.float32)
        return column

    def points(
        self, name: str, x: Axis, y: Axis, *, groups: ScanGroups | None = None, dates: bool = False, changes: bool = False
    ) -> Figure:
        """A figure with one point a scan: by ``groups`` with colours of their own, else in those that the page chooses.

        ``changes``: the page's script may show another column, whose arrows it makes itself.
        """
        plot = blank_plot(name, x, y, dates=dates)
        for axis in (x, y):
            self.add(axis.column, axis.values)
        shown = [self._scatter(plot, x, y)] if groups is None else [self._scatter(plot, x, y, group) for group in _parts(groups)]
        self._doubtful(plot, x.column, y.column)
        arrows = self._arrows(plot, x, y, changes=changes)
        self._lit(plot, name)
        if groups is not None:
            legend_above(plot)
        add_tools(plot, [*shown, *arrows], [("", "@name"), (x.label, f"@{x.column}{x.tip}"), (y.label, f"@{y.column}{y.tip}")], dates=dates)
        self.figures[name] = plot
        return plot

    def _scatter(self, plot: Figure, x: Axis, y: Axis, part: Part | None = None) -> Figure:
        """Points of all scans, or of one group."""
        from bokeh.models import CDSView, IndexFilter

        look = point_look(len(self.names))
        if part is None:
            return plot.scatter(x.column, y.column, source=self.source, fill_color={"field": "colour"}, name="points", **look)
        label, rows, colour = part
        view = CDSView(filter=IndexFilter(rows.tolist()))
        return plot.scatter(x.column, y.column, source=self.source, view=view, fill_color=colour, legend_label=label, name="group", **look)

    def _doubtful(self, plot: Figure, x: str, y: str) -> None:
        """Rings round points that somebody should look at."""
        from bokeh.models import CDSView, IndexFilter

        if len(self.doubtful):
            view = CDSView(filter=IndexFilter(self.doubtful.tolist()))
            size = point_look(len(self.names))["size"] + 4
            ring = plot.scatter(
                x, y, source=self.source, view=view, size=size, fill_color=None, line_color=GREY, line_width=1.3, name="doubtful"
            )
            ring.nonselection_glyph = None

    def _arrows(self, plot: Figure, x: Axis, y: Axis, *, changes: bool) -> list[Figure]:
        """Arrows at the border for scans beyond an axis; none yet, but their place, where the axes may change."""
        from bokeh.models import ColumnDataSource

        known = np.isfinite(x.values) & np.isfinite(y.values)
        aside, above = beyond(x.values, x.ends), beyond(y.values, y.ends)
        rows = np.flatnonzero(known & ((aside != 0) | (above != 0)))
        if not len(rows) and not changes:
            return []
        data = {
            "row": rows,
            "name": [self.names[row] for row in rows.tolist()],
            "angle": np.arctan2(above[rows], aside[rows]) - pi / 2,
            "at_x": within(x.values[rows], x.ends),
            "at_y": within(y.values[rows], y.ends),
            x.column: x.values[rows],
            y.column: y.values[rows],
        }
        source = ColumnDataSource(data, name=f"beyond {plot.name}")
        arrow = plot.scatter(
            "at_x", "at_y", source=source, marker="triangle", angle="angle", size=11, fill_color=GREY, line_color=None, name="beyond"
        )
        return [arrow]

    def _lit(self, plot: Figure, name: str) -> None:
        """The ring round the scan that is lit, drawn over all without a second drawing of the points."""
        from bokeh.models import CDSView, GroupFilter

        view = CDSView(filter=GroupFilter(column_name="plot", group=name))
        look = {"size": 15, "fill_color": None, "line_width": 2.5, "line_color": GREY}
        plot.scatter("x", "y", source=self.lit, view=view, level="overlay", name="lit", **look)


def blank_plot(name: str, x: Axis, y: Axis, *, height: int = HEIGHT, dates: bool = False) -> Figure:
    """A figure without points; see-through, so that it has the colours of the page."""
    from bokeh.models import NumeralTickFormatter, Range1d
    from bokeh.plotting import figure

    ranges = [Range1d(start=axis.ends.low, end=axis.ends.high) for axis in (x, y)]
    plot: Figure = figure(  # type: ignore[call-arg]
        name=name, height=height, sizing_mode="stretch_width", x_range=ranges[0], y_range=ranges[1], tools="", toolbar_location="above",
        x_axis_label=x.label, y_axis_label=y.label, x_axis_type="datetime" if dates else "linear", background_fill_alpha=0,
        border_fill_alpha=0, outline_line_color=None, min_border_right=16, lod_threshold=3000, lod_factor=20,
    )  # fmt: skip
    for axis, side in ((plot.xaxis, x), (plot.yaxis, y)):
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
        if not (dates and side is x) and abs(side.ends.high) >= 1000:
            axis.formatter = NumeralTickFormatter(format="0,0")
    if x.ends.high >= 1000 and not dates:
        plot.xaxis.ticker.desired_num_ticks = 5
    plot.toolbar.logo = None
    plot.toolbar.autohide = False
    return plot


def legend_above(plot: Figure) -> None:
    """Move the legend out of the way of points."""
    (legend,) = plot.legend
    legend.orientation = "horizontal"
    legend.border_line_color = None
    legend.background_fill_alpha = 0
    legend.padding = legend.margin = 0
    plot.center.remove(legend)
    plot.add_layout(legend, "above")


def add_tools(plot: Figure, shown: Sequence[Figure], tips: Sequence[tuple[str, str]], *, dates: bool = False) -> None:
    """Tools for hovering, brushing and a click; scrolling stays with the page until somebody asks for the wheel."""
    from bokeh.models import BoxSelectTool, HoverTool, LassoSelectTool, PanTool, ResetTool, SaveTool, TapTool, WheelZoomTool

    selected = [one for one in shown if one.name != "beyond"]
    formats: Any = {"@date": "datetime"} if dates else {}
    hover = HoverTool(renderers=list(shown), tooltips=list(tips), formatters=formats, point_policy="snap_to_data", limit=TOLD)
    box, lasso = BoxSelectTool(renderers=selected), LassoSelectTool(renderers=selected, continuous=False)
    plot.add_tools(box, lasso, TapTool(renderers=list(shown)), PanTool(), WheelZoomTool(), ResetTool(), SaveTool(filename=plot.name), hover)
    plot.toolbar.active_drag = box
    plot.toolbar.active_scroll = None


def point_look(scans: int) -> dict[str, Any]:
    """Size and opacity of points, of those that are chosen and of the others."""
    size, alpha = next((size, alpha) for most, size, alpha in SIZES if scans <= most)
    return {
        "size": size, "fill_alpha": alpha, "line_color": None, "selection_fill_alpha": 1.0, "nonselection_fill_alpha": alpha / 6,
    }  # fmt: skip


def group_colours(grouping: ScanGroups | None, scans: int) -> list[str]:
    """The colour of every scan; all the same where there are no groups."""
    if grouping is None:
        return [GROUP_COLOURS[0]] * scans
    return [GROUP_COLOURS[code % len(GROUP_COLOURS)] for code in grouping.codes.tolist()]


def document_json(figures: Mapping[str, Figure]) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures as one document of bokeh, the same bytes at each call, and the id of each in it."""
    from bokeh.document import Document

    document = Document(title="")
    with document.models.freeze():
        for figure in figures.values():
            document.add_root(figure)
    numbers: dict[str, str] = {}
    found: dict[str, Any] = _renumbered(document.to_json(deferred=False), numbers)
    return found, {name: numbers[figure.id] for name, figure in figures.items()}


def _renumbered(value: Any, numbers: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """The same with ids of models counted from the beginning: those of bokeh depend on what the process drew before."""
    if isinstance(value, dict):
        own = value.get("id")
        name = {"id": numbers.setdefault(own, f"m{len(numbers)}")} if isinstance(own, str) else {}
        return {key: name.get(key) or _renumbered(part, numbers) for key, part in value.items()}
    return [_renumbered(part, numbers) for part in value] if isinstance(value, list) else value


def _parts(groups: ScanGroups) -> list[Part]:
    """Label, rows and colour of every group."""
    return [(label, groups.rows(label), GROUP_COLOURS[place % len(GROUP_COLOURS)]) for place, label in enumerate(groups.labels)]
