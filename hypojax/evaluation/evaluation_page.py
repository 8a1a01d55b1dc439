"""An evaluation to read: tables of text for the terminal and for a page, all from one summary."""

from collections.abc import Callable, Sequence
from math import isnan
from typing import Final

import numpy as np
import xarray as xr

from hypojax.evaluation.summary import EVERYONE
from hypojax.pages import Bullets, Heading, Page, TextTable, number

WHOLES: Final = ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right")
"""Regions shown for strata; the Dataset has them all."""

NOTES: Final = """\
Means over scored scans, with 95 % confidence intervals clustered by subject (bootstrap: BCa; percentiles above 1000 scans).
A reference without a usable prediction is a failure: it keeps its row and counts in the failure rate (failed %, with Wilson's \
interval), but in no mean.
If both maps lack a region: Dice 1, distances 0. If one lacks it: Dice 0, distances infinite; it counts as missed and in no mean distance.
Distances are between the middles of voxel faces, weighted by area. NSD: share of both surfaces within the tolerance; \
HD95: the larger of the two directed 95th percentiles; ASSD: mean over both surfaces.
Predictions on another grid were brought to that of the reference by nearest neighbour; volumes are counted on each map's own grid.
Bias and limits of agreement after Bland and Altman, ICC after Shrout and Fleiss with the intervals of McGraw and Wong. Where any subject \
has several scans, the intervals of all these come from a bootstrap over subjects instead.
CV and MDC (coefficient of variation, minimal detectable change) take both volumes as repeats: a constant difference between the two \
counts as error. To measure repeatability, compare two sessions of one tool.
""".splitlines()
"""How to read the tables, a sentence or two each."""

Cell = Callable[[xr.Dataset], str]


def tables(evaluation: xr.Dataset, summary: xr.Dataset) -> tuple[TextTable, ...]:
    """All tables of an evaluation, in reading order: overlap, volumes, strata, failures."""
    everyone = summary.sel(stratum=EVERYONE)
    regions = tuple(str(region) for region in summary["region"].values)
    found = [_by_region("Overlap and distance", everyone, regions, OVERLAP), _by_region("Volumes", everyone, regions, VOLUMES)]
    others = tuple(str(stratum) for stratum in summary["stratum"].values if stratum != EVERYONE)
    for region in (region for region in regions if others and region in WHOLES):
        rows = tuple((stratum, *(cell(summary.sel(stratum=stratum, region=region)) for cell in STRATA.values())) for stratum in others)
        found.append(TextTable(("scans", *STRATA), rows, title=f"{region} by stratum"))
    failed = evaluation.isel(scan=np.flatnonzero(evaluation["status"].values == "failed"))
    columns = (failed[name].values.astype(str).tolist() for name in ("scan", "reason", "message"))
    failures = tuple(zip(*columns, strict=True))
    return (*found, *([TextTable(("scan", "reason", "message"), failures, title="Failed", words=True)] if failures else []))


def brief(summary: xr.Dataset) -> TextTable:
    """One table for a terminal: all regions over all scans; intervals and the rest are in the files."""
    regions = tuple(str(region) for region in summary["region"].values)
    return _by_region("Against the reference", summary.sel(stratum=EVERYONE), regions, BRIEF)


def evaluation_page(evaluation: xr.Dataset, summary: xr.Dataset) -> Page:
    """What was compared, all tables, and how to read them."""
    shown = [block for table in tables(evaluation, summary) for block in (Heading(table.title), table)]
    about = [f"{name.replace('_', ' ')}: {value}" for name, value in facts(evaluation).items()]
    return Page("Evaluation", [Bullets(about), *shown, Heading("How to read this"), Bullets(NOTES)])


def facts(evaluation: xr.Dataset) -> dict[str, str]:
    """What was compared, by name."""
    status = evaluation["status"].values
    counts = {"scans": str(len(status)), "failed": str(int((status == "failed").sum()))}
    return {**{str(name): str(value) for name, value in evaluation.attrs.items() if name not in ("title", "comment")}, **counts}


def _by_region(title: str, summary: xr.Dataset, regions: Sequence[str], columns: dict[str, Cell]) -> TextTable:
    rows = tuple((region, *(cell(summary.sel(region=region)) for cell in columns.values())) for region in regions)
    return TextTable(("region", *columns), rows, title=title)


def _within(estimate: float, low: float, high: float, digits: int) -> str:
    """An estimate with its interval.

    >>> _within(0.9, 0.85, 0.93, 2), _within(0.9, float("nan"), float("nan"), 2)
    ('0.90 (0.85 to 0.93)', '0.90')
    """
    return number(estimate, digits) + ("" if isnan(low) or isnan(high) else f" ({number(low, digits)} to {number(high, digits)})")


def _mean(metric: str, digits: int = 3, *, times: float = 1.0) -> Cell:

    def cell(one: xr.Dataset) -> str:
        chosen = one.sel(metric=metric)
        estimate, low, high = (times * float(chosen[name]) for name in ("mean", "mean_low", "mean_high"))
        return _within(estimate, low, high, digits)

    return cell


def _worst(metric: str, digits: int = 3) -> Cell:
    return lambda one: number(float(one.sel(metric=metric)["worst"]), digits)


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
    "reference mm³": lambda one: number(float(one.sel(metric="volume_reference_mm3")["mean"]), 0),
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
    "Dice": lambda one: number(float(one.sel(metric="dice")["mean"])),
    "HD95 mm": lambda one: number(float(one.sel(metric="hd95_mm")["mean"]), 2),
    "error %": lambda one: number(100 * float(one.sel(metric="relative_volume_error")["mean"]), 1),
    "ICC(3,1)": lambda one: number(float(one["icc31"]), 2),
}
"""What fits a terminal."""
