"""Loss and scores of a run as a picture, ``log.png``; drawn with matplotlib (extra ``report``), without a display."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hypojax.reason import Reason, RunError
from hypojax.training.history import Entry, best

PLOT: Final = "log.png"
"""Name of the picture in the folder of a run."""


def draw_history(entries: Sequence[Entry], path: Path, *, title: str) -> Path:
    """Draw the loss, and the scores on what is held out where there are some, over the steps.

    Raises
    ------
    RunError
        ``USAGE``: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RunError(
            Reason.USAGE, f"{path.name} needs matplotlib, which is not installed; run: python -m pip install 'hypojax[report]'"
        ) from error
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss, dice = figure.subplots(1, 2)
    loss.semilogy([entry.step for entry in entries], [entry.loss for entry in entries], color="0.2")
    loss.set(title=title, xlabel="step", ylabel="mean loss since the point before")
    for name in sorted({name for entry in entries for name in entry.scores if name.startswith("dice")}):
        scored = [(entry.step, entry.scores[name]) for entry in entries if name in entry.scores]
        dice.plot(*zip(*scored, strict=True), marker="o", markersize=3, label=name)
    if (leader := best(entries)) is None:
        dice.set_axis_off()
    else:
        dice.axvline(leader.step, color="0.7", linestyle=":", label=f"best, step {leader.step}")
        dice.set(title="held out, averaged weights", xlabel="step", ylabel="Dice")
        dice.legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": "hypojax"})
    return path
