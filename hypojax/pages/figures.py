"""Figures of pages: intervals side by side as plain SVG, and empty figures of matplotlib that need no display (extra ``report``)."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Final, NamedTuple

from hypojax.pages.page import per_cent
from hypojax.reason import HypojaxError, Reason, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
