"""What is known of a cohort over time: recorded evaluations, results of drift that lie beside it, and its earlier and later scans."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from hypojax.app.cohort_figures import svg_bytes
from hypojax.app.cohort_view import CohortView, inside
from hypojax.monitoring.finding import trend_of, trend_rows, trend_sentences
from hypojax.pages.palette import GROUP_COLOURS
from hypojax.plot.house_style import style_axes
from hypojax.reason import RunError
from hypojax.reporting.early_and_late import Halves, early_and_late

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRIFT: Final = "drift.tsv"
"""What ``hypojax drift`` writes, in the folder of a cohort or in one of its folders."""

MOST: Final = 20
"""Results of drift, the latest first, that are read."""

LARGEST: Final = 5_000_000
"""Bytes of such a result."""

NEEDED: Final = ("measure", "reference", "new", "verdict")

MOVED: Final = "moved"


@dataclass(frozen=True)
class DriftFile:
    """A result of drift.

    Parameters
    ----------
    name
        Of the file, below the folder of the cohort.
    written
        When.
    moved
        Rows of what moved: columns ``measure``, ``reference``, ``new`` and ``verdict``.
    """

    name: str
    written: datetime
    moved: pd.DataFrame


@dataclass(frozen=True)
class MonitoringHistory:
    """What is known of a cohort over time.

    Parameters
    ----------
    evaluations
        Recorded evaluations of whole regions, oldest first, as `trend_of` gives them.
    drift
        Results of drift, the latest first.
    halves
        Earlier against later scans; None where no dates are known.
    """

    evaluations: pd.DataFrame
    drift: tuple[DriftFile, ...]
    halves: Halves | None

    @property
    def rows(self) -> list[list[str]]:
        """Evaluations as cells: date, reference, region, weights, scans, Dice, bias."""
        return trend_rows(self.evaluations)[1:]

    @property
    def changed(self) -> list[str]:
        """How the last evaluations changed, in sentences."""
        return trend_sentences(self.evaluations, moved=True)

    @property
    def steady(self) -> list[str]:
        """How they did not change beyond chance."""
        return trend_sentences(self.evaluations)


def history_of(view: CohortView) -> MonitoringHistory:
    """What is known of a cohort over time.

    Raises
    ------
    RunError
        ``STORE_DAMAGED``: the store cannot be read.
    """
    return MonitoringHistory(trend_of(view.folder), tuple(drift_files(view.folder)), early_and_late(view.report()))


def drift_files(folder: Path) -> Iterator[DriftFile]:
    """Results of drift in a folder and its folders, the latest first; links that lead outside are passed over, as is what is no result."""
    found = [path for path in (folder / DRIFT, *sorted(folder.glob(f"*/{DRIFT}"))) if path.is_file() and inside(path, folder)]
    dated = sorted(((path.stat().st_mtime, path) for path in found), reverse=True)
    for seconds, path in dated[:MOST]:
        table = _drift_table(path)
        if table is not None:
            moved = table.loc[table["verdict"] == MOVED, list(NEEDED)].reset_index(drop=True)
            yield DriftFile(str(path.relative_to(folder)), datetime.fromtimestamp(seconds).astimezone(), moved)


def evaluations_svg(evaluations: pd.DataFrame, *, date: str) -> bytes:
    """Dice of every recorded evaluation with its interval over time, a line for each region and reference.

    Parameters
    ----------
    evaluations
        As `trend_of` gives them, one or more.
    date
        Name of the axis of time.
    """
    return svg_bytes(lambda ax: _draw(ax, evaluations, date), size=(6.4, 3.0))


def _draw(ax: "Axes", evaluations: pd.DataFrame, date: str) -> None:
    lines = evaluations.dropna(subset=["dice"]).groupby(["region", "reference"], sort=True)
    for number, ((region, reference), line) in enumerate(lines):
        colour, (dice, low, high) = (
            GROUP_COLOURS[number % len(GROUP_COLOURS)],
            (line[name].to_numpy(float) for name in ("dice", "dice_low", "dice_high")),
        )
        ends = np.nan_to_num(np.array([dice - low, high - dice]))
        label = f"{str(region).replace('_', ' ')}, {reference}"
        ax.errorbar(
            line["date"].dt.tz_localize(None),
            dice,
            yerr=np.maximum(ends, 0),
            color=colour,
            marker="o",
            markersize=4,
            capsize=2,
            label=label,
        )
    ax.set_xlabel(date)
    ax.tick_params(axis="x", rotation=30)
    ax.legend(loc="best")
    style_axes(ax, ylabel="Dice")


def _drift_table(path: Path) -> pd.DataFrame | None:
    """The table of a result; None where the file is another one."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        table = pd.read_csv(path, sep="\t", na_values=["n/a"])
    except (OSError, ValueError, RunError):
        return None
    return table if set(NEEDED) <= set(table.columns) else None
