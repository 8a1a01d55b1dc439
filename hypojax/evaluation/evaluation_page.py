"""An evaluation to read: tables of text for the terminal, Markdown and HTML, all from one summary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import isinf, isnan
from typing import Final

import numpy as np
import xarray as xr

from hypojax.evaluation.summary import EVERYONE
from hypojax.tables.writer import markdown_text

WHOLES: Final = ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right")
"""Regions shown for strata; the Dataset has them all."""

NOTES: Final = """\
Means over scored scans, with 95 % bootstrap intervals by subject (BCa; percentiles above 1000 scans).
A reference without a prediction that can be used is a failure: it keeps its row and counts in the failure rate (failed %, with the \
interval of Wilson), and is in no mean.
Both maps without a region: Dice 1, distances 0. One without it: Dice 0, distances infinite; counted as missed, in no mean distance.
Distances are between the middles of voxel faces, weighted by area. NSD: share of both surfaces within the tolerance; \
HD95: the larger of the two directed 95th percentiles; ASSD: mean over both surfaces.
Predictions on another grid were brought to that of the reference by nearest neighbour; volumes are counted on each map's own grid.
Bias and limits of agreement after Bland and Altman, ICC after Shrout and Fleiss with the intervals of McGraw and Wong. Where any subject \
has several scans, the intervals of all these come from a bootstrap over subjects instead.
CV and MDC (coefficient of variation, minimal detectable change) take both volumes as repeats: a constant difference between the two \
counts as error. For repeatability give two sessions of one tool.
""".splitlines()
"""How to read the tables, a sentence or two each."""

STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}"
    "th,td{border-bottom:1px solid #ddd;padding:.25rem .7rem;text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}td.text{text-align:left;white-space:normal}"
)

Cell = Callable[[xr.Dataset], str]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Parameters
    ----------
    title
        What it shows.
    header
        Names of its columns.
    rows
        Their cells.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(evaluation: xr.Dataset, summary: xr.Dataset) -> tuple[Table, ...]:
    """All tables of an evaluation, in reading order: overlap, volumes, strata, failures."""
    everyone = summary.sel(stratum=EVERYONE)
    regions = tuple(str(region) for region in summary["region"].values)
    found = [_by_region("Overlap and distance", everyone, regions, OVERLAP), _by_region("Volumes", everyone, regions, VOLUMES)]
    others = tuple(str(stratum) for stratum in summary["stratum"].values if stratum != EVERYONE)
    for region in (region for region in regions if others and region in WHOLES):
        rows = tuple((stratum, *(cell(summary.sel(stratum=stratum, region=region)) for cell in STRATA.values())) for stratum in others)
        found.append(Table(f"{region} by stratum", ("scans", *STRATA), rows))
    failed = evaluation.isel(scan=np.flatnonzero(evaluation["status"].values == "failed"))
    columns = (failed[name].values.astype(str).tolist() for name in ("scan", "reason", "message"))
    failures = tuple(zip(*columns, strict=True))
    return (*found, *([Table("Failed", ("scan", "reason", "what and what to do"), failures)] if failures else []))


def brief(summary: xr.Dataset) -> Table:
    """One table for a terminal: all regions over all scans; intervals and the rest stand in the files."""
    regions = tuple(str(region) for region in summary["region"].values)
    return _by_region("Against the reference", summary.sel(stratum=EVERYONE), regions, BRIEF)


def markdown(evaluation: xr.Dataset, summary: xr.Dataset) -> str:
    """The tables and how to read them, as Markdown."""
    parts = ["# Evaluation", _markdown_facts(evaluation)]
    for table in tables(evaluation, summary):
        lines = [table.header, ("---", *["---:"] * (len(table.header) - 1)), *(map(markdown_text, row) for row in table.rows)]
        parts += [f"## {markdown_text(table.title)}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join([*parts, "## How to read this", "\n".join(f"- {note}" for note in NOTES)]) + "\n"


def html(evaluation: xr.Dataset, summary: xr.Dataset) -> str:
    """The same as one HTML page that needs nothing else; everything that comes from files is escaped."""
    body = "".join(map(_html_table, tables(evaluation, summary)))
    listed = "".join(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in facts(evaluation).items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in NOTES)
    head = f'<meta charset="utf-8"><title>Evaluation</title><style>{STYLE}</style>'
    main = f"<h1>Evaluation</h1><ul>{listed}</ul>{body}<h2>How to read this</h2><ul>{notes}</ul>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{main}</body></html>\n'


def facts(evaluation: xr.Dataset) -> dict[str, str]:
    """What was compared, by name."""
    status = evaluation["status"].values
    counts = {"scans": str(len(status)), "failed": str(int((status == "failed").sum()))}
    return {**{str(name): str(value) for name, value in evaluation.attrs.items() if name not in ("title", "comment")}, **counts}


def _by_region(title: str, summary: xr.Dataset, regions: Sequence[str], columns: dict[str, Cell]) -> Table:
    rows = tuple((region, *(cell(summary.sel(region=region)) for cell in columns.values())) for region in regions)
    return Table(title, ("region", *columns), rows)


def _markdown_facts(evaluation: xr.Dataset) -> str:
    return "\n".join(f"- {markdown_text(name)}: {markdown_text(value)}" for name, value in facts(evaluation).items())


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    kind = ' class="text"' if table.title == "Failed" else ""
    rows = "".join("<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _number(value: float, digits: int = 3) -> str:
    """A number for people.

    >>> _number(0.91249), _number(float("nan")), _number(float("inf")), _number(-1234.5, 0)
    ('0.912', '–', '∞', '-1,234')
    """
    if isnan(value):
        return "–"
    return ("-" if value < 0 else "") + "∞" if isinf(value) else f"{value:,.{digits}f}"


def _within(estimate: float, low: float, high: float, digits: int) -> str:
    """An estimate with its interval.

    >>> _within(0.9, 0.85, 0.93, 2), _within(0.9, float("nan"), float("nan"), 2)
    ('0.90 (0.85 to 0.93)', '0.90')
    """
    return _number(estimate, digits) + ("" if isnan(low) or isnan(high) else f" ({_number(low, digits)} to {_number(high, digits)})")


def _mean(metric: str, digits: int = 3, *, times: float = 1.0) -> Cell:

    def cell(one: xr.Dataset) -> str:
        chosen = one.sel(metric=metric)
        estimate, low, high = (times * float(chosen[name]) for name in ("mean", "mean_low", "mean_high"))
        return _within(estimate, low, high, digits)

    return cell


def _worst(metric: str, digits: int = 3) -> Cell:
    return lambda one: _number(float(one.sel(metric=metric)["worst"]), digits)


def _value(name: str, digits: int = 3, *, unit: str = "", times: float = 1.0) -> Cell:
    """A number of a region, with its interval where it has one."""
    low, high = (f"{name.removesuffix(unit)}_{end}{unit}" for end in ("low", "high"))

    def cell(one: xr.Dataset) -> str:
        ends = (times * float(one[low]), times * float(one[high])) if low in one else (float("nan"),) * 2
        return _within(times * float(one[name]), ends[0], ends[1], digits)

    return cell


OVERLAP: Final[dict[str, Cell]] = {
    "scored": _value("scored", 0),
    "failed": _value("failed", 0),
    "failed %": _value("failure_rate", 1, times=100.0),
    "missed": _value("missed", 0),
    "Dice": _mean("dice"),
    "worst": _worst("dice"),
    "NSD 0.5 mm": _mean("nsd_0_5mm"),
    "NSD 1 mm": _mean("nsd_1mm"),
    "HD95 mm": _mean("hd95_mm", 2),
    "worst mm": _worst("hd95_mm", 2),
    "ASSD mm": _mean("assd_mm", 2),
}


VOLUMES: Final[dict[str, Cell]] = {
    "reference mm³": lambda one: _number(float(one.sel(metric="volume_reference_mm3")["mean"]), 0),
    "bias mm³": _value("bias_mm3", 1, unit="_mm3"),
    "lower limit mm³": _value("limit_lower_mm3", 0, unit="_mm3"),
    "upper limit mm³": _value("limit_upper_mm3", 0, unit="_mm3"),
    "error %": _mean("relative_volume_error", 1, times=100.0),
    "absolute error mm³": _mean("absolute_volume_error_mm3", 1),
    "similarity": _mean("volume_similarity"),
    "ICC(2,1)": _value("icc21", 2),
    "ICC(3,1)": _value("icc31", 2),
    "CV %, both as repeats": _value("within_subject_cv", 1, times=100.0),
    "MDC mm³, both as repeats": _value("minimal_detectable_change_mm3", 0),
}


STRATA: Final[dict[str, Cell]] = {
    "scored": _value("scored", 0),
    "failed": _value("failed", 0),
    "failed %": _value("failure_rate", 1, times=100.0),
    "Dice": _mean("dice"),
    "worst": _worst("dice"),
    "NSD 1 mm": _mean("nsd_1mm"),
    "HD95 mm": _mean("hd95_mm", 2),
    "bias mm³": _value("bias_mm3", 1, unit="_mm3"),
    "error %": _mean("relative_volume_error", 1, times=100.0),
    "ICC(3,1)": _value("icc31", 2),
}


BRIEF: Final[dict[str, Cell]] = {
    "failed": lambda one: f"{float(one['failed']):.0f} of {float(one['failed'] + one['scored']):.0f}",
    "Dice": lambda one: _number(float(one.sel(metric="dice")["mean"])),
    "HD95 mm": lambda one: _number(float(one.sel(metric="hd95_mm")["mean"]), 2),
    "error %": lambda one: _number(100 * float(one.sel(metric="relative_volume_error")["mean"]), 1),
    "ICC(3,1)": lambda one: _number(float(one["icc31"]), 2),
}
"""What fits a terminal."""
