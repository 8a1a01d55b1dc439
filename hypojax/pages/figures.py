"""Figures: coronal slices through the hypothalamus with the outlines of what was measured, and intervals side by side.

Slices are drawn with matplotlib (extra ``report``), without a display; intervals are plain SVG.
"""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Num, UInt8

from hypojax.grid import Affine, Grid, centred_grid, coronal_view, model_directions, resample, to_world
from hypojax.pages.page import per_cent
from hypojax.pages.palette import INTRACRANIAL_COLOUR, SUBUNIT_COLOURS
from hypojax.reason import HypojaxError, Reason, visible
from hypojax.schema import LABELS, SUBUNITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLICES: Final = 6
"""Coronal slices through the hypothalamus, evenly from its front to its back."""

CLOSE_WIDTH: Final = 48.0
"""Width and height of a close-up, mm."""

HEAD_WIDTH: Final = 190.0
HEAD_HEIGHT: Final = 210.0
"""Width and height of the whole-head slice, mm."""

SPACING: Final = 0.2
"""Pixel of a close-up, mm."""

WINDOW: Final = (1.0, 99.0)
"""Percentiles of the head slice that are shown black and white."""

WIDTH, ROW = 900, 22
"""Of the figure of intervals: its width, and the height of a row, pixels."""

LETTER, MARGIN = 6.6, 28
"""Width of a letter of a label, and what is left free beside labels and at the right end, pixels."""

LONGEST_LABEL: Final = 60
"""Characters of a label that fit beside the figure of intervals."""


class IntervalRow(NamedTuple):
    """One row of `interval_figure`: its label, the estimate with its interval, and whether it is highlighted."""

    label: str
    estimate: float
    low: float
    high: float
    strong: bool = False


def coronal_figure(
    volume: Num[np.ndarray, "i j k"],
    affine: Affine,
    hypothalamus: UInt8[np.ndarray, "i j k"],
    intracranial: UInt8[np.ndarray, "i j k"],
    path: Path,
) -> Path:
    """Draw coronal slices of a scan with the outlines of subunits and intracranial volume, as a PNG.

    The whole head at the middle of the hypothalamus, then close-ups from front to back; the left of the head is on the
    left of the picture. Where there is no label the slices go through the middle of the intracranial volume.

    Parameters
    ----------
    volume, affine
        The scan in stored orientation, and its voxel-to-world matrix (mm, RAS+).
    hypothalamus, intracranial
        Label maps on the scan's own grid; 1–5 left, 6–10 right, and 0 or 1.
    path
        The PNG to write; its folder is made.

    Raises
    ------
    HypojaxError
        USAGE when matplotlib is not installed.
    """
    figure = blank_figure()
    axes = figure.subplots(2, 4, gridspec_kw={"wspace": 0.03, "hspace": 0.08, "left": 0.01, "right": 0.99, "top": 0.95, "bottom": 0.02})
    middle, front, back = _extent(hypothalamus if hypothalamus.any() else intracranial, affine)
    head = _slice_grid(affine, middle, width=HEAD_WIDTH, height=HEAD_HEIGHT, spacing=1.0)
    window = np.percentile(resample(volume, affine, head), WINDOW)
    for axis, (place, grid) in zip(axes.flat, _slices(affine, middle, front=front, back=back, head=head), strict=False):
        _draw(axis, resample(volume, affine, grid)[0], (float(window[0]), float(window[1])))
        _outline(axis, _share(intracranial > 0, affine, grid), INTRACRANIAL_COLOUR)
        for value in LABELS:
            _outline(axis, _share(hypothalamus == value, affine, grid), SUBUNIT_COLOURS[(value - 1) % len(SUBUNITS)])
        axis.set_title(place, fontsize=8, pad=2)
    _legend(axes.flat[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": "hypojax"})
    return path


def interval_figure(rows: Sequence[IntervalRow], *, limit: float) -> str:
    """Estimates with their intervals, in per cent, as SVG; ``limit`` either side of zero is shaded. Nothing without rows.

    >>> interval_figure([IntervalRow("hypothalamus", 0.03, 0.01, 0.05)], limit=0.01).count("<circle")
    1
    """
    if not rows:
        return ""
    labels = [_shortened(visible(row.label)) for row in rows]
    left = LETTER * max(len(label) for label in labels) + MARGIN
    ticks = _round_ticks(min(0.0, -limit, *(row.low for row in rows)), max(0.0, limit, *(row.high for row in rows)))
    bottom = ROW * (len(rows) + 1)

    def at(value: float) -> float:
        return left + (WIDTH - left - MARGIN) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [f'<rect class="band" x="{at(-limit):.1f}" y="0" width="{at(limit) - at(-limit):.1f}" height="{bottom}"/>'] if limit else []
    for tick in ticks:
        kind = "axis" if tick == 0 else "rule"
        parts.append(f'<line class="{kind}" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="0" y2="{bottom}"/>')
        words = f"{100 * tick:g} %".replace("-", "−")
        parts.append(f'<text class="faint" x="{at(tick):.1f}" y="{bottom + 17}" text-anchor="middle">{words}</text>')
    for order, (row, label) in enumerate(zip(rows, labels, strict=True), 1):
        parts.append(_interval_row(row, label, y=ROW * order, left=left, ends=(at(row.low), at(row.estimate), at(row.high))))
    title = f"<title>Differences in per cent with 95 % intervals{'; shaded: within the limit' if limit else ''}</title>"
    head = f'<svg class="drawing" viewBox="0 0 {WIDTH} {bottom + ROW}" width="100%" font-size="13" role="img">'
    return f"{head}{title}{''.join(parts)}</svg>"


def _interval_row(row: IntervalRow, label: str, *, y: int, left: float, ends: tuple[float, float, float]) -> str:
    """One estimate: its label, a line for the interval, a point."""
    low, estimate, high = ends
    whole = f"{visible(row.label)}: {per_cent(row.estimate)} ({per_cent(row.low)} to {per_cent(row.high)})"
    return (
        f'<g class="{"strong" if row.strong else ""}"><title>{escape(whole)}</title>'
        f'<text x="{left - 14:.1f}" y="{y + 4}" text-anchor="end">{escape(label)}</text>'
        f'<line class="interval" stroke-width="2" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'
        f'<circle class="mark" cx="{estimate:.1f}" cy="{y}" r="4"/></g>'
    )


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def _round_ticks(low: float, high: float) -> list[float]:
    """Round numbers that hold a range, four to nine of them.

    >>> _round_ticks(-0.088, 0.023)
    [-0.1, -0.08, -0.06, -0.04, -0.02, 0.0, 0.02, 0.04]
    """
    span = max(high - low, 0.01)
    power = 10.0 ** floor(log10(span / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 7)
    return [round(number * step, 12) for number in range(floor(low / step), ceil(high / step) + 1)]


def blank_figure(width: float = 12.0, height: float = 6.4) -> "Figure":
    """An empty figure that needs no display, inches.

    Raises
    ------
    HypojaxError
        USAGE when matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise HypojaxError(
            Reason.USAGE, "figures need matplotlib, which is not installed; run: python -m pip install 'hypojax[report]'"
        ) from error
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _extent(labels: UInt8[np.ndarray, "i j k"], affine: Affine) -> tuple[np.ndarray, float, float]:
    """Middle of a label map (world, mm), and how far it reaches to the front and back of it (mm)."""
    view, turned = coronal_view(labels, affine)
    index = np.argwhere(view > 0)
    if len(index) == 0:
        index = np.array([[(n - 1) / 2 for n in view.shape]])
    middle = index.mean(axis=0)
    step = float(np.linalg.norm(turned[:3, 0]))
    return to_world(turned, middle), float(index[:, 0].max() - middle[0]) * step, float(index[:, 0].min() - middle[0]) * step


def _slices(affine: Affine, middle: np.ndarray, *, front: float, back: float, head: Grid) -> list[tuple[str, Grid]]:
    """Title and grid of every picture: the head, then close-ups from front to back."""
    pictures = [("whole head", head)]
    anterior = model_directions(affine)[:, 0]
    for offset in np.linspace(front, back, SLICES + 2)[1:-1]:
        grid = _slice_grid(affine, middle + offset * anterior, width=CLOSE_WIDTH, height=CLOSE_WIDTH, spacing=SPACING)
        pictures.append((f"{offset:+.1f} mm", grid))
    return pictures


def _slice_grid(affine: Affine, centre: np.ndarray, *, width: float, height: float, spacing: float) -> Grid:
    """One coronal slice, ``width`` by ``height`` mm."""
    return centred_grid(
        model_directions(affine), shape=(1, round(height / spacing), round(width / spacing)), spacing=spacing, centre=centre
    )


def _share(mask: np.ndarray, affine: Affine, grid: Grid) -> Float32[np.ndarray, "s r"]:
    """A mask on a slice, interpolated, so that its outline is smooth."""
    return resample(mask.view(np.uint8), affine, grid)[0]


def _draw(axis: "Axes", image: Float32[np.ndarray, "s r"], window: tuple[float, float]) -> None:
    """A grey slice, superior up and left on the left."""
    axis.imshow(image, cmap="gray", vmin=window[0], vmax=window[1], origin="lower", interpolation="nearest")
    axis.set_axis_off()


def _outline(axis: "Axes", share: Float32[np.ndarray, "s r"], colour: str) -> None:
    """The outline of a mask, where the slice meets it."""
    if share.max() > 0.5:
        axis.contour(share, levels=[0.5], colors=[colour], linewidths=1.0)


def _legend(axis: "Axes") -> None:
    """What the colours mean."""
    axis.set_axis_off()
    names = [name.replace("_", " ") for name in SUBUNITS]
    for row, (name, colour) in enumerate([*zip(names, SUBUNIT_COLOURS, strict=True), ("intracranial volume", INTRACRANIAL_COLOUR)]):
        axis.plot([0.08, 0.2], [0.85 - row * 0.11] * 2, color=colour, linewidth=3)
        axis.text(0.25, 0.85 - row * 0.11, name, verticalalignment="center", fontsize=9)
    axis.text(
        0.08,
        0.12,
        "left of the head on the left;\ndistances from the middle\nof the hypothalamus, + to the front",
        fontsize=8,
        verticalalignment="center",
    )
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
