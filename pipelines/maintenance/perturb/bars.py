"""Every figure of steadiness beside what it ought to be, as tables in Markdown."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hypojax.metrics import Interval
from pipelines.maintenance.perturb.steadiness import HYPOTHALAMUS, ICV, changes, per_scan, shrinkage_slope, variation, volumes


@dataclass(frozen=True)
class Bar:
    """One figure beside what it ought to be.

    Parameters
    ----------
    what
        The figure in words.
    bar, measured
        As they are printed.
    worst
        The scan in which it is worst, with its own figure.
    met
        Whether the figure reaches the bar.
    """

    what: str
    bar: str
    measured: str
    worst: str
    met: bool


def bars(table: pd.DataFrame) -> list[Bar]:
    """Every figure that has a bar, beside it."""
    return [
        _variation_bar(table, HYPOTHALAMUS, "hypothalamus", 0.02),
        _variation_bar(table, ICV, "intracranial volume", 0.005),
        _brightness_bar(changes(table, "brightness"), 0.02),
        _orientation_bar(table.groupby("scan")["labels_equal"].min(), 0.995),
        _slope_bar(*shrinkage_slope(table), 0.15),
    ]


def _variation_bar(table: pd.DataFrame, column: str, structure: str, bar: float) -> Bar:
    """Test–retest of one structure."""
    overall, each = variation(table, "sessions", column=column)
    what = f"test–retest, {structure}: within-scan coefficient of variation"
    lost = int(volumes(table, "sessions", column=column).isna().to_numpy().sum())
    return Bar(what, f"≤ {bar:.1%}", f"{overall:.2%}{_without(lost)}", _worst(each, each, ".2%"), bool(overall <= bar) and not lost)


def _brightness_bar(found: pd.DataFrame, bar: float) -> Bar:
    """Brightness: the largest change of all, and how many keep to the bar."""
    size = found.abs()
    largest = size.max(axis=1)
    lost, kept = int(size.isna().to_numpy().sum()), float((size <= bar).to_numpy().mean())
    measured = f"{float(largest.max()):.2%}; {kept:.0%} of changes within{_without(lost)}"
    worst = f"{_worst(largest, largest, '.2%')}, {size.loc[str(largest.idxmax())].idxmax()}"
    return Bar("brightness: largest change of the hypothalamus", f"≤ {bar:.0%}", measured, worst, bool(largest.max() <= bar) and not lost)


def _without(lost: int) -> str:
    """How many changed scans gave no volume: no bar is met with any."""
    return f"; {lost} without a volume" if lost else ""


def _orientation_bar(equal: pd.Series, bar: float) -> Bar:
    """Orders of storage: the least share of labels that stay."""
    worst, what = _worst(-equal, equal, ".2%"), "axis orders and flips, up to 48 a scan: equal labels, least"
    return Bar(what, f"≥ {bar:.1%}", f"{equal.min():.2%}", worst, bool(equal.min() >= bar))


def _slope_bar(line: Interval, slopes: pd.Series, bar: float) -> Bar:
    """Known shrinkage: measured on true."""
    measured = f"{line.estimate:.3f} ({line.low:.3f} to {line.high:.3f})"
    worst = _worst((slopes - 1).abs(), slopes, ".3f")
    return Bar("known shrinkage: slope of measured on true", f"1.0 ± {bar}", measured, worst, bool(abs(line.estimate - 1) <= bar))


def _worst(by: pd.Series, values: pd.Series, form: str) -> str:
    """The scan with the largest ``by``, and its value."""
    scan = str(by.idxmax())
    return f"{scan} {values[scan]:{form}}"


def bars_table(table: pd.DataFrame) -> str:
    """Markdown: every figure beside its bar."""
    rows = [[bar.what, bar.bar, bar.measured, bar.worst, "yes" if bar.met else "**no**"] for bar in bars(table)]
    return markdown(["what", "bar", "measured", "worst scan", "met"], rows)


def scans_table(table: pd.DataFrame) -> str:
    """Markdown: every scan's own figures."""
    found = per_scan(table)
    names = [str(name) for name in found.data_vars]
    rows = [[str(scan), *(_figure(name, float(found[name].sel(scan=scan))) for name in names)] for scan in found["scan"].values]
    return markdown(["scan", *(name.replace("_", " ") for name in names)], rows)


def _figure(name: str, value: float) -> str:
    """A figure as it is printed."""
    return "–" if np.isnan(value) else f"{value:.3f}" if name.endswith("slope") else f"{value:.2%}"


def changes_table(table: pd.DataFrame) -> str:
    """Markdown: mean and largest change over scans, a line a change."""
    rows = []
    for question in dict.fromkeys(table.loc[~table["question"].isin(["none", "orientations"]), "question"]):
        found, icv = (changes(table, question, column=column) for column in (HYPOTHALAMUS, ICV))
        rows += [[question, str(change), _mean_and_largest(found[change]), _mean_and_largest(icv[change])] for change in found]
    return markdown(["question", "change", "hypothalamus, mean (largest)", "intracranial, mean (largest)"], rows)


def _mean_and_largest(found: pd.Series) -> str:
    """Mean change and the one farthest from zero."""
    known = found.dropna()
    return f"{known.mean():+.2%} ({known.iloc[int(known.abs().argmax())]:+.2%})" if len(known) else "missing"


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown.

    >>> print(markdown(["a"], [["1"]]))
    | a |
    | --- |
    | 1 |
    """
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [columns, ["---"] * len(columns), *rows])
