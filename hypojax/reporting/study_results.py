"""Results of a study that lies beside a cohort, read from its files: answers in words, effects with intervals, other head-size methods."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pandas as pd

from hypojax.pages import interval_figure
from hypojax.pages.figures import IntervalRow
from hypojax.reason import visible
from hypojax.reporting.report_data import ReportData
from hypojax.storage import Location
from hypojax.study.writing.wording import figure, p_text, region_name

HEADER: Final = ("region", "contrast", "difference (95 % interval)", "%", "p", "p FDR", "n")

FILES: Final = ("study.html", "study.md", "effects.tsv")
"""Of a study, to read on."""

MAIN_REGION: Final = "hypothalamus"

MOST_ROWS: Final = 60


@dataclass(frozen=True)
class StudyResults:
    """What the page shows of a study.

    Parameters
    ----------
    answers
        Sentences, the main one first.
    forest, sizes
        SVG of the effects by region, and of the main region by way of correcting for head size; empty where there are none.
    sized
        What ``sizes`` is of.
    rows
        Effects as text, columns as in `HEADER`.
    files
        Names of files of the study to read on.
    notes
        What is not shown, and why.
    """

    answers: tuple[str, ...] = ()
    forest: str = ""
    sizes: str = ""
    sized: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_results(data: ReportData) -> StudyResults | None:
    """Results of the study beside the cohort; None where there is none.

    A report to be shared shows them only where the columns that the study compares were asked for.
    """
    if data.study is None:
        return None
    try:
        record = json.loads((data.study / "study.json").read_bytes())
        effects = _table(data.study, "effects.tsv")
    except (OSError, ValueError) as error:
        why = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)  # no path, which tells of the user
        return StudyResults(notes=(f"The study in {visible(data.study.name)}/ cannot be read: {visible(why)}.",))
    if data.settings.share and (unasked := _unasked(record, data.settings.columns)):
        return StudyResults(notes=(f"Results of the study are left out of a report that is shared: add --columns {' '.join(unasked)}.",))
    shown = _main(effects)
    percent = shown[shown["quantity"] == "percent"]
    sizes = _sizes(data.study, percent)
    return StudyResults(
        answers=tuple(str(said) for said in record.get("answers", ())),
        forest=interval_figure(_rows(percent, several=percent["contrast"].nunique() > 1), limit=0.0),
        sizes=interval_figure([_row(str(one["analysis"]), one) for one in sizes], limit=0.0),
        sized=f"{region_name(MAIN_REGION)}, {sizes[0]['contrast']}" if sizes else "",
        rows=tuple(_cells(shown)),
        files=() if data.settings.share else tuple(name for name in FILES if name in record.get("files", ())),
    )


def study_address(study: Location | None, folder: Path | None) -> str:
    """Address of the folder of a study, seen from a page in ``folder``; empty where no link can lead there.

    >>> study_address(Path("out/study"), Path("my pages"))
    '../out/study/'
    """
    if not isinstance(study, Path) or folder is None:
        return ""
    return quote(os.fsencode(os.path.relpath(study, folder)).replace(os.sep.encode(), b"/")) + "/"


def _unasked(record: dict[str, Any], asked: Sequence[str]) -> list[str]:
    """Columns that tell groups apart in the study's sentences and were not asked for."""
    settings = record.get("settings", {})
    used = [str(settings.get("group") or "group"), *([str(settings["site"])] if settings.get("site") else [])]
    return [name for name in used if name.casefold() not in {one.casefold() for one in asked}]


def _table(folder: Location, name: str) -> pd.DataFrame:
    """A table of a study."""
    return pd.read_csv(BytesIO((folder / name).read_bytes()), sep="\t", na_values=["n/a"], keep_default_na=False)


def _main(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of the term that the study is about: the first one."""
    if effects.empty:
        return effects
    return effects[(effects["term"] == effects["term"].iloc[0]) & effects["quantity"].isin(["difference", "percent", "slope"])]


def _sizes(folder: Location, percent: pd.DataFrame) -> list[dict[str, Any]]:
    """Per cent of the main region and the first contrast, by way of correcting for head size."""
    try:
        table = _table(folder, "head_size.tsv")
    except (OSError, ValueError):
        return []
    if percent.empty or table.empty:
        return []
    main = percent[percent["region"] == MAIN_REGION]
    first = (main if len(main) else percent).iloc[0]
    same = (table["quantity"] == "percent") & (table["region"] == first["region"])
    same &= (table["term"] == first["term"]) & (table["contrast"] == first["contrast"])
    return [dict(row) for _, row in table[same].iterrows()]


def _rows(percent: pd.DataFrame, *, several: bool) -> list[IntervalRow]:
    labels = [f"{region_name(str(row['region']))}{', ' + str(row['contrast']) if several else ''}" for _, row in percent.iterrows()]
    return [_row(label, dict(row)) for label, (_, row) in zip(labels, percent.iterrows(), strict=True)][:MOST_ROWS]


def _row(label: str, row: dict[str, Any]) -> IntervalRow:
    low, high = float(row["ci_low"]) / 100, float(row["ci_high"]) / 100
    return IntervalRow(label, float(row["estimate"]) / 100, low, high, strong=low > 0 or high < 0)


def _cells(shown: pd.DataFrame) -> list[tuple[str, ...]]:
    """One row a region and contrast."""
    percents = shown[shown["quantity"] == "percent"].set_index(["region", "contrast"])
    rows: list[tuple[str, ...]] = []
    for _, row in shown[shown["quantity"] != "percent"].iterrows():
        key = (row["region"], row["contrast"])
        percent = percents.loc[[key]].iloc[0] if key in percents.index else None
        rows.append(
            (
                region_name(str(row["region"])),
                str(row["contrast"]),
                f"{_interval(row, str(row['unit']))}",
                _interval(percent, "%") if percent is not None else "–",
                p_text(float(row["p"])).removeprefix("= "),
                p_text(float(row["p_fdr"])).removeprefix("= "),
                f"{int(row['n']):,}",
            )
        )
    return rows[:MOST_ROWS]


def _interval(row: "pd.Series[Any]", unit: str) -> str:
    estimate, low, high = (figure(float(row[name]), unit, size=abs(float(row["estimate"]))) for name in ("estimate", "ci_low", "ci_high"))
    return f"{estimate} ({low} to {high}){' mm³' if unit == 'mm3' else ''}"
