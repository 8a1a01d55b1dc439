"""Plots of what is shown of a cohort: volumes by group, against age, and left against right; drawn here, as SVG within the page."""

import base64
import threading
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64
from markupsafe import Markup

from hypojax.app.cohort_filter import Mask
from hypojax.app.cohort_view import VOLUME
from hypojax.pages.figures import blank_figure
from hypojax.pages.palette import GROUP_COLOURS
from hypojax.plot import volumes
from hypojax.plot.house_style import MANY, STYLE, style_axes
from hypojax.reporting.plot_columns import ScanGroups

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Say = Callable[..., str]

SIZE: Final = (4.2, 3.0)
"""Width and height of a plot, inches."""

DOTS: Final = 120
"""Dots per inch of points that are held as an image."""

FEWEST: Final = 2
"""Points of a plot; fewer are said in words."""

DRAWING: Final = threading.Lock()
"""Matplotlib keeps its style for the whole process: one figure is drawn at a time."""


class Plot(NamedTuple):
    """A plot: its name, title, what it shows in words, and SVG; no SVG where there is nothing to draw, and why in the words."""

    name: str
    title: str
    words: str
    svg: bytes = b""


class Points(NamedTuple):
    """What is drawn: volumes (mm³, mL of the head) of the scans that count, ages (years), both sides, and groups."""

    region: str
    volumes: Float64[np.ndarray, " scan"]
    ages: Float64[np.ndarray, " scan"]
    left: Float64[np.ndarray, " scan"]
    right: Float64[np.ndarray, " scan"]
    labels: tuple[str, ...]
    codes: np.ndarray


def points_of(scans: pd.DataFrame, counted: Mask, groups: ScanGroups | None, region: str, *, label: Callable[[str], str] = str) -> Points:
    """Columns of the scans that count; ``label`` puts names of groups into the language of the reader."""
    own = scans[counted]
    size = 1000.0 if region == "icv" else 1.0
    left, right = (_column(own, f"{VOLUME}{side}") for side in sides_of(region))
    names = [""] * len(own) if groups is None else [label(groups.labels[code]) for code in groups.codes[counted].tolist()]
    labels = tuple(sorted(set(names)))  # the order of hypojax.plot.volumes, so that a group has one colour in all plots
    codes = np.array([labels.index(name) for name in names], np.int32)
    return Points(region, _column(own, f"{VOLUME}{region}") / size, _column(own, "age"), left, right, labels, codes)


def sides_of(region: str) -> tuple[str, str]:
    """Left and right of a structure; of the hypothalamus where the region has no sides.

    >>> sides_of("right_posterior"), sides_of("icv")
    (('left_posterior', 'right_posterior'), ('hypothalamus_left', 'hypothalamus_right'))
    """
    if region.startswith(("left_", "right_")):
        name = region.partition("_")[2]
        return f"left_{name}", f"right_{name}"
    return "hypothalamus_left", "hypothalamus_right"


def cohort_plots(points: Points, say: Say) -> list[Plot]:
    """The plots of some scans.

    Parameters
    ----------
    points
        What is drawn.
    say
        Gives a text of the page by its key.
    """
    drawn: Mapping[str, tuple[Callable[[Axes, Points, Say], None], np.ndarray]] = {
        "groups": (_draw_groups, np.isfinite(points.volumes)),
        "age": (_draw_age, np.isfinite(points.volumes) & np.isfinite(points.ages)),
        "sides": (_draw_sides, np.isfinite(points.left) & np.isfinite(points.right)),
    }
    return [_plot(name, draw, _part(points, known), say) for name, (draw, known) in drawn.items()]


def plots_html(plots: list[Plot]) -> Markup:
    """Plots beside each other, each with its words as text for those who cannot see it."""
    return Markup('<div class="plots">{}</div>').format(Markup("").join(_figure(plot) for plot in plots))


def svg_bytes(draw: "Callable[[Axes], None]", *, size: tuple[float, float] = SIZE) -> bytes:
    """A figure as SVG; the same bytes from the same data."""
    from matplotlib import rc_context

    with DRAWING, rc_context(STYLE):
        figure = blank_figure(*size)
        figure.set_layout_engine("constrained")
        draw(figure.subplots())
        written = BytesIO()
        figure.savefig(written, format="svg", dpi=DOTS, metadata={"Date": None, "Creator": "hypojax"})
    return written.getvalue()


def picture_html(svg: bytes, words: str) -> Markup:
    """SVG as a picture of its own: no script in it runs, and nothing in it is loaded."""
    return Markup('<img src="data:image/svg+xml;base64,{}" alt="{}">').format(base64.b64encode(svg).decode(), words)


def _column(scans: pd.DataFrame, name: str) -> Float64[np.ndarray, " scan"]:
    return scans[name].to_numpy(np.float64, na_value=np.nan) if name in scans else np.full(len(scans), np.nan)


def _part(points: Points, known: Mask) -> Points:
    own = {name: getattr(points, name)[known] for name in ("volumes", "ages", "left", "right", "codes")}
    return points._replace(**own)


def _plot(name: str, draw: "Callable[[Axes, Points, Say], None]", points: Points, say: Say) -> Plot:
    region = say(f"region_{points.region}")
    title = say(f"plot_{name}", region=region)
    if len(points.volumes) < FEWEST:
        return Plot(name, title, say("plot_too_few"))
    svg = svg_bytes(lambda ax: draw(ax, points, say))
    return Plot(name, title, say(f"plot_{name}_words", region=region, n=len(points.volumes)), svg)


def _draw_groups(ax: "Axes", points: Points, say: Say) -> None:
    """A column of points a group, its mean and 95 % interval (`hypojax.plot.volumes`)."""
    names = [points.labels[code] for code in points.codes.tolist()]
    values = points.volumes * (1000 if points.region == "icv" else 1)
    variables = {"volume_mm3": (("scan", "region"), values[:, None]), "status": ("scan", np.full(len(values), "done", object))}
    own: Any = {**variables, "group": ("scan", np.array(names, object))}
    table = xr.Dataset(own, coords={"scan": np.arange(len(values)).astype(str).astype(object), "region": np.array([points.region], object)})
    volumes(table, by=None if points.labels == ("",) else "group", region=points.region, ax=ax)
    style_axes(ax, ylabel=_volume(points, say))


def _draw_age(ax: "Axes", points: Points, say: Say) -> None:
    for code, label, colour in _groups(points):
        own = points.codes == code
        _scatter(ax, points.ages[own], points.volumes[own], label, colour, of=len(points.codes))
    ax.set_xlabel(say("axis_age"))
    style_axes(ax, ylabel=_volume(points, say))
    _legend(ax, points)


def _draw_sides(ax: "Axes", points: Points, say: Say) -> None:
    """Left against right, with the line on which both are equal."""
    for code, label, colour in _groups(points):
        own = points.codes == code
        _scatter(ax, points.left[own], points.right[own], label, colour, of=len(points.codes))
    ends = [float(np.min([points.left, points.right])), float(np.max([points.left, points.right]))]
    ax.plot(ends, ends, color="#808080", linewidth=0.8, zorder=0)
    ax.set_xlabel(say("axis_left"))
    style_axes(ax, ylabel=say("axis_right"))
    _legend(ax, points)


def _scatter(ax: "Axes", x: np.ndarray, y: np.ndarray, label: str, colour: str, *, of: int) -> None:
    many = of > MANY
    ax.scatter(x, y, s=4 if many else 12, color=colour, alpha=0.4 if many else 0.75, linewidths=0, rasterized=many, label=label)


def _groups(points: Points) -> list[tuple[int, str, str]]:
    """Code, label and colour of every group that has points."""
    present = set(points.codes.tolist())
    found = enumerate(points.labels)
    return [(code, label, GROUP_COLOURS[code % len(GROUP_COLOURS)]) for code, label in found if code in present]


def _legend(ax: "Axes", points: Points) -> None:
    if points.labels != ("",):
        ax.legend(loc="best", markerscale=1.5)


def _volume(points: Points, say: Say) -> str:
    """Name of an axis of volumes."""
    return f"{say(f'region_{points.region}')} ({'mL' if points.region == 'icv' else 'mm³'})"


def _figure(plot: Plot) -> Markup:
    if not plot.svg:
        return Markup('<figure id="plot-{}"><figcaption>{}</figcaption><p>{}</p></figure>').format(plot.name, plot.title, plot.words)
    picture = picture_html(plot.svg, plot.words)
    return Markup('<figure id="plot-{}"><figcaption>{}</figcaption>{}</figure>').format(plot.name, plot.title, picture)
