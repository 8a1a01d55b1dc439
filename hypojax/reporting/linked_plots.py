"""Linked plots of a cohort, for a page that needs no network: one scan lit in all, brushing, and a click that leads to its page.

The plots are models of bokeh on one shared source of columns, as JSON that ``static/plots.js`` draws. No ``CustomJS`` is used, so that the
page's policy needs no ``unsafe-eval``; what the controls do is done in that script. What cannot be drawn is said in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int32
from markupsafe import Markup

from hypojax.pages.palette import GROUP_COLOURS
from hypojax.reason import visible
from hypojax.reporting.plot_board import Axis, Figure, PlotBoard, document_json, group_colours
from hypojax.reporting.plot_columns import (
    QUALITY,
    AxisEnds,
    ScanGroups,
    dates_of,
    grouping_of,
    numbers_of,
    quality_columns,
    short_region,
    sound_limits,
    spread_out,
    volume_columns,
)
from hypojax.reporting.plot_words import beyond_words, group_words, not_drawn, region_words, related_words, side_words
from hypojax.reporting.region_plot import draw_regions, region_entries
from hypojax.reporting.report_data import ReportData
from hypojax.reporting.unlike_others import robust_slope

STATIC: Final = Path(__file__).parent / "static"

GROUPINGS: Final = ("group", "site", "sex")
"""Columns of people by which points are coloured; the first that there is at first."""

LEAST_OF_A_LINE: Final = 10
"""Points from which on a line is drawn through them."""

SELECTED: Final = Markup(" selected")
NOTHING: Final = Markup("")

Values = Float64[np.ndarray, "scan"]


@dataclass(frozen=True)
class Plots:
    """The plots of a page.

    Parameters
    ----------
    data
        For ``json_data("plots-data", ...)``; empty where nothing is plot.
    scripts
        Scripts of the page, in this order, after the data; none where nothing is plot.
    style
        Style sheet of the page.
    controls
        What stands once, above the plots: the colours, their legend, and which scans are chosen.
    parts
        Section (``regions``, ``groups``, ``head``, ``sides``, ``age``, ``quality``, ``dates``) → its figure with its text, or a sentence
        why it is not plot.
    """

    data: Mapping[str, Any]
    scripts: tuple[str, ...]
    style: str
    controls: Markup
    parts: Mapping[str, Markup]


def cohort_plots(data: ReportData) -> Plots:
    """All plots of a cohort.

    Raises
    ------
    RunError
        ``USAGE``: bokeh (extra ``report``) is not installed.
    """
    measured = _Measured(data)
    board = PlotBoard(measured.names, measured.doubtful, group_colours(measured.first_grouping, len(measured.names)))
    board.add("jitter", spread_out(len(measured.names)))
    parts = {name: draw(measured, board) for name, draw in DRAWN.items()}
    style = (STATIC / "plots.css").read_text(encoding="utf-8")
    if not board.figures:
        return Plots({}, (), style, NOTHING, parts)
    document, roots = document_json(board.figures)
    told = {"document": document, "roots": roots, **_told(measured, board)}
    return Plots(told, (_bokeh(), (STATIC / "plots.js").read_text(encoding="utf-8")), style, _controls(measured), parts)


class _Measured:
    """What of the cohort the plots show."""

    def __init__(self, data: ReportData) -> None:
        scans = [str(scan) for scan in data.cohort["scan"].values]
        people = data.people.reindex(scans)
        self.data = data
        self.scans = scans
        self.names = [visible(data.names.get(scan, scan)) for scan in scans]
        self.volumes = volume_columns(data.cohort)
        self.quality = quality_columns(data.cohort)
        self.age = numbers_of(people, "age")
        self.dates = np.full(len(scans), np.nan) if data.settings.share else dates_of(data.cohort)
        self.groupings = [found for name in GROUPINGS if (found := grouping_of(people, name)) is not None]
        done = data.cohort["status"].values == "done"
        self.doubtful: Int32[np.ndarray, "n"] = np.array(
            [row for row, scan in enumerate(scans) if done[row] and data.doubts.get(scan)], np.int32
        )

    @property
    def first_grouping(self) -> ScanGroups | None:
        """Groups by which the points are coloured at first."""
        return self.groupings[0] if self.groupings else None

    def volume(self, region: str) -> Values:
        """Volumes of a region; NaN throughout where the cohort does not have it."""
        return self.volumes.get(region, np.full(len(self.names), np.nan))

    def axis(self, region: str, *, limits: AxisEnds | None = None) -> Axis:
        """The axis of a volume."""
        unit = "mL" if region == "icv" else "mm³"
        label = short_region(region)
        return Axis(region, f"{label[:1].upper()}{label[1:]} ({unit})", "{0,0}", self.volume(region), limits)


def _regions(measured: _Measured, board: PlotBoard) -> Markup:
    title = "Volumes by region"
    if not any(np.isfinite(values).any() for values in measured.volumes.values()):
        return _sentence("regions", f"{title} are not drawn: no scan has a volume.")
    draw_regions(board, measured.volumes)
    how = "Each region as its difference from the median of this cohort; box: middle half, line: middle 90 %."
    return _figure("regions", title, f"{how} {region_words(measured.volumes)}")


def _groups(measured: _Measured, board: PlotBoard) -> Markup:
    grouping = measured.first_grouping
    title = f"Volumes by {grouping.name if grouping else 'region'}"
    entries = [entry for entry in region_entries(measured.volumes) if entry["known"]]
    if not entries:
        return _sentence("groups", f"{title} are not drawn: no scan has a volume.")
    region = next((entry["name"] for entry in entries if entry["name"] == "hypothalamus"), entries[0]["name"])
    codes = grouping.codes if grouping else np.zeros(len(measured.names), np.int32)
    count = len(grouping.labels) if grouping else 1
    place = Axis("place", grouping.name if grouping else "", "{0}", codes + board.source.data["jitter"], AxisEnds(-0.5, count - 0.5))
    shown = measured.axis(region)
    chosen = Axis("chosen", shown.label, "{0,0}", shown.values)
    plot = board.points("groups", place, chosen, changes=True)
    plot.xaxis.ticker = list(range(count))
    plot.xgrid.grid_line_color = None
    _boxes(plot)
    choices = _choice("plots-region", "Region", [(entry["name"], entry["label"]) for entry in entries], region)
    if len(measured.groupings) > 1:
        choices += _choice("plots-grouping", "By", [(found.name, found.name) for found in measured.groupings], measured.groupings[0].name)
    unit = "mL" if region == "icv" else "mm³"
    words = [group_words(shown.values, found, what=short_region(region), unit=unit) for found in (measured.groupings or (None,))]
    return _figure("groups", title, " ".join(words), choices)


def _boxes(plot: Figure) -> None:
    """Boxes by group, whose numbers the page's script computes for what is chosen."""
    from bokeh.models import ColumnDataSource

    source = ColumnDataSource(data={name: [] for name in ("x", "left", "right", "low", "first", "middle", "third", "high")}, name="boxes")
    look = {"source": source, "level": "underlay", "line_color": "#808080"}
    plot.segment("x", "low", "x", "high", **look, name="box")
    plot.vbar("x", 0.72, "third", "first", **look, fill_alpha=0.15, fill_color="#808080", name="box")
    plot.segment("left", "middle", "right", "middle", **look, line_width=2.5, name="middle")


@dataclass(frozen=True)
class _Against:
    """A plot of two measures: section and title, both axes, what they need in words, and what is said and drawn beside the points."""

    name: str
    title: str
    x: Axis
    y: Axis
    need: tuple[str, str]
    groups: ScanGroups | None = None
    words: str = ""
    has_line: bool = False
    controls: Markup = field(default_factory=Markup)

    def draw(self, board: PlotBoard) -> Markup:
        """The plot with its text, or the sentence why it is not drawn."""
        x, y = self.x, self.y
        if why := not_drawn(self.title, x.values, y.values, need=self.need):
            return _sentence(self.name, why)
        board.points(self.name, x, y, groups=self.groups, dates=x.column == "date", changes=bool(self.controls))
        line = _slope(board, self.name, x, y) if self.has_line else ""
        said = [related_words(x.values, y.values), self.words, line, beyond_words(x.values, y.values, (x.ends, y.ends))]
        return _figure(self.name, self.title, " ".join(filter(None, said)), self.controls)


def _head(measured: _Measured, board: PlotBoard) -> Markup:
    need = ("intracranial volume", "volume of the hypothalamus")
    x, y = measured.axis("icv"), measured.axis("hypothalamus")
    return _Against("head", "Hypothalamus against head size", x, y, need, has_line=True).draw(board)


def _sides(measured: _Measured, board: PlotBoard) -> Markup:
    left, right = (measured.volume(f"hypothalamus_{side}") for side in ("left", "right"))
    ends = sound_limits(left, right)
    x, y = (measured.axis(f"hypothalamus_{side}", limits=ends) for side in ("left", "right"))
    need = ("left hypothalamus", "right hypothalamus")
    part = _Against("sides", "Left against right hypothalamus", x, y, need, words=side_words(left, right)).draw(board)
    if "sides" in board.figures:
        _line(board, "sides", ends, ends)
    return part


def _age(measured: _Measured, board: PlotBoard) -> Markup:
    sex = next((found for found in measured.groupings if found.name == "sex"), None)
    region = "icv" if np.isfinite(measured.volume("icv")).any() else "hypothalamus"
    title = f"{'Intracranial volume' if region == 'icv' else 'Hypothalamus (no scan has an intracranial volume)'} against age"
    words = group_words(measured.volume(region), sex, what=short_region(region), unit="mL" if region == "icv" else "mm³") if sex else ""
    x, y = Axis("age", "Age (years)", "{0.0}", measured.age), measured.axis(region)
    return _Against("age", f"{title}{' by sex' if sex else ''}", x, y, ("age", short_region(region)), groups=sex, words=words).draw(board)


def _quality(measured: _Measured, board: PlotBoard) -> Markup:
    names = list(measured.quality)
    first = names[0] if names else next(iter(QUALITY))
    x = Axis(first, QUALITY[first], "{0.000}", measured.quality.get(first, np.full(len(measured.names), np.nan)))
    need = ("measure of quality", "volume of the hypothalamus")
    choice = _choice("plots-measure", "Quality", [(name, QUALITY[name]) for name in names], first) if len(names) > 1 else NOTHING
    part = _Against("quality", "Quality against volume", x, measured.axis("hypothalamus"), need, controls=choice).draw(board)
    if "quality" in board.figures:
        for name in names[1:]:
            board.add(name, measured.quality[name])
    return part


def _dates(measured: _Measured, board: PlotBoard) -> Markup:
    if measured.data.settings.share:
        return _sentence("dates", "Volumes over the date of acquisition are not drawn: a report that may be passed on holds no dates.")
    days = Axis("date", "Date of acquisition", "{%F}", measured.dates)
    need = ("date of acquisition (column acq_time, scan_date, acquisition_date or date)", "volume of the hypothalamus")
    return _Against("dates", "Hypothalamus over the date of acquisition", days, measured.axis("hypothalamus"), need).draw(board)


def _slope(board: PlotBoard, name: str, x: Axis, y: Axis) -> str:
    """Draw the robust line through points, and say its slope; nothing of few points."""
    both = np.isfinite(x.values) & np.isfinite(y.values)
    if both.sum() <= LEAST_OF_A_LINE:
        return ""
    slope = robust_slope(x.values[both], y.values[both])
    middle = float(np.median(x.values[both])), float(np.median(y.values[both]))
    _line(board, name, x.ends, AxisEnds(*(middle[1] + slope * (end - middle[0]) for end in x.ends)))
    return f"Line: {slope * 100:.0f} mm³ more hypothalamus for 100 mL more head (robust slope, Theil 1950)."


def _line(board: PlotBoard, name: str, x: AxisEnds, y: AxisEnds) -> None:
    plot = board.figures[name]
    plot.line(list(x), list(y), line_dash="dashed", line_color="#808080", line_width=1.5, level="underlay", name="guide")


DRAWN: Final = {
    "regions": _regions, "groups": _groups, "head": _head, "sides": _sides, "age": _age, "quality": _quality, "dates": _dates,
}  # fmt: skip
"""Section → how it is drawn, in the order of the page."""


def _told(measured: _Measured, board: PlotBoard) -> dict[str, Any]:
    """What the page's script needs beside the models of bokeh."""
    plots = {}
    for name, plot in board.figures.items():
        first = next((one for one in plot.renderers if one.name in ("points", "group")), None)
        ends = [plot.x_range.start, plot.x_range.end, plot.y_range.start, plot.y_range.end]
        plots[name] = {"x": first.glyph.x, "y": first.glyph.y, "ends": ends} if first else {"ends": ends}
    return {
        "plots": plots,
        "pages": [measured.data.files.get(scan, "") for scan in measured.scans],
        "why": {row: measured.data.doubts[measured.scans[row]][0] for row in measured.doubtful.tolist()},
        "regions": region_entries(measured.volumes),
        "measures": {name: _measure(measured, name, values) for name, values in measured.quality.items()},
        "colours": list(GROUP_COLOURS),
        "groupings": {found.name: _grouping(found) for found in measured.groupings},
    }


def _measure(measured: _Measured, name: str, values: Values) -> dict[str, Any]:
    """Name, axis and words of a measure of quality, for when it is chosen."""
    ends, y = sound_limits(values), measured.axis("hypothalamus")
    words = f"{related_words(values, y.values)} {beyond_words(values, y.values, (ends, y.ends))}".strip()
    return {"label": QUALITY[name], "ends": list(ends), "words": words}


def _grouping(found: ScanGroups) -> dict[str, Any]:
    return {"labels": list(found.labels), "codes": found.codes.tolist()}


def _controls(measured: _Measured) -> Markup:
    """What stands above the plots; shown by the script, without which there are no plots."""
    names = [found.name for found in measured.groupings]
    colour = _choice("plots-colour", "Colour by", [(name, name) for name in names], names[0]) if names else NOTHING
    rings = " A ring marks a doubtful scan." if len(measured.doubtful) else ""
    hint = f"Draw a box to choose scans in all plots; a click on a point opens its page.{rings}"
    return Markup(
        '<div class="plots-controls" hidden>{}<ul class="plots-legend" id="plots-legend"></ul>'
        '<p id="plots-status" role="status" data-hint="{}">{}</p>'
        '<button type="button" id="plots-clear" hidden>Clear the choice</button></div>'
    ).format(colour, hint, hint)


def _choice(name: str, label: str, options: list[tuple[str, str]], first: str) -> Markup:
    """A choice of the page, as a form has it."""
    every = NOTHING.join(
        Markup('<option value="{}"{}>{}</option>').format(value, SELECTED if value == first else NOTHING, visible(text))
        for value, text in options
    )
    return Markup('<label class="plots-choice">{} <select id="{}" autocomplete="off">{}</select></label>').format(label, name, every)


def _figure(name: str, title: str, words: str, controls: Markup = NOTHING) -> Markup:
    """A figure with its title, its place for the plot, and what it shows in words."""
    return Markup(
        '<figure class="plot" id="plot-{0}"><h3 id="plot-{0}-title">{1}</h3>{2}'
        '<div class="plot-canvas" id="plot-{0}-canvas" role="group" aria-labelledby="plot-{0}-title" '
        'aria-describedby="plot-{0}-words"></div>'
        '<figcaption id="plot-{0}-words">{3}</figcaption></figure>'
    ).format(name, title, controls, words)


def _sentence(name: str, words: str) -> Markup:
    return Markup('<p class="plot-missing" id="plot-{}">{}</p>').format(name, words)


def _bokeh() -> str:
    """The library in one script, without its map of sources, which a browser would look for."""
    import bokeh

    text = (Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("//# sourceMappingURL"))
