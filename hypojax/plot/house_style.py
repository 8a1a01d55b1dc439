"""How figures look: fonts, sizes and lines in one place; and figures as files, the same bytes from the same data."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypojax.reason import HypojaxError, Reason
from hypojax.storage import Disk, on_disk

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS: Final = 300
"""Dots per inch of a PNG, and of what an SVG holds as an image."""

MANY: Final = 500
"""Points beyond which an SVG holds them as an image."""

STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "hypojax",
}
"""Settings of matplotlib: 8 points in a figure as wide as a page, which journals print as it is. Text of an SVG stays text."""

PAGE: Final = 7.2
COLUMN: Final = 3.5
"""Width of a figure over a page and over one of its two columns, inches."""


def new_axes(width: float, height: float) -> "Axes":
    """Axes in a new figure of pyplot, inches.

    Raises
    ------
    HypojaxError
        USAGE: matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise HypojaxError(
            Reason.USAGE, "figures need matplotlib, which is not installed; run: python -m pip install 'hypojax[report]'"
        ) from error
    with plt.rc_context(STYLE):
        return plt.figure(figsize=(width, height), layout="constrained").subplots()


def style_axes(ax: "Axes", *, title: str = "", ylabel: str = "") -> None:
    """Give axes the look of the house, also those that somebody else made."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_linewidth(STYLE["axes.linewidth"])
    ax.tick_params(labelsize=STYLE["xtick.labelsize"], width=STYLE["xtick.major.width"])
    ax.set_title(title, fontsize=STYLE["axes.titlesize"])
    ax.set_ylabel(ylabel, fontsize=STYLE["axes.labelsize"])


def save(ax: "Axes", path: Disk) -> tuple[Path, Path]:
    """Write the figure of some axes as SVG and as PNG of 300 dpi.

    Parameters
    ----------
    ax
        Of the figure.
    path
        Where, without or with a suffix; its folder is made.

    Returns
    -------
    The two files. The same drawing gives the same bytes.

    Raises
    ------
    OSError
        They cannot be written.
    """
    from matplotlib import rc_context

    figure, stem = ax.get_figure(root=True), on_disk(path)
    if figure is None:
        raise HypojaxError(Reason.USAGE, "save takes axes of a figure; these belong to none")
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem = stem.with_suffix("") if stem.suffix in {".svg", ".png"} else stem
    files = stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")
    with rc_context(STYLE):
        figure.savefig(files[0], dpi=DOTS, bbox_inches="tight", metadata={"Date": None, "Creator": "hypojax"})
        figure.savefig(files[1], dpi=DOTS, bbox_inches="tight", metadata={"Software": "hypojax"})
    return files
