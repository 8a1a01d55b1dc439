"""The table of all scans on the cohort page: its columns and rows as data, which ``static/table.js`` sorts, filters and draws.

Numbers are those of ``volumes.tsv``, to the last digit; only what is shown is rounded. They travel as 64-bit numbers, and text that repeats
once, so that 10,000 scans take about a megabyte.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float64
from markupsafe import Markup

from hypojax.cohort.ratings import latest_ratings
from hypojax.cohort.region_scores import measure_of
from hypojax.reason import visible
from hypojax.reporting.report_data import ReportData
from hypojax.tables import text_of
from hypojax.tables.cells import encoded

STATIC: Final = Path(__file__).parent / "static"

VOLUMES: Final = ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right")
"""Regions that the table has; the ten subunits are in ``volumes.tsv``."""

LABELS: Final[Mapping[str, str]] = {
    "icv": "Intracranial volume", "hypothalamus": "Hypothalamus", "hypothalamus_left": "left", "hypothalamus_right": "right",
}  # fmt: skip

MEASURES: Final[Mapping[str, tuple[str, str, int]]] = {
    "brain_mask_mm3": ("Brain mask", "mm³", 0),
    "quality_score_hypothalamus": ("Quality", "", 2),
    "quality_score_icv": ("Quality of the head", "", 2),
    "quality_asymmetry": ("Asymmetry", "", 3),
}
"""Measure → label, unit and digits that are shown."""

MOST_CHOICES: Final = 60
"""Different texts up to which a column of people can be filtered by a choice."""

Kind = Literal["scan", "text", "number", "doubts"]


@dataclass(frozen=True)
class TableColumn:
    """A column of the table.

    Parameters
    ----------
    name
        Its name in a file.
    label, unit
        What stands above it.
    kind
        ``scan`` (a link), ``text``, ``number``, or ``doubts`` (sentences).
    values
        One a scan; NaN, or empty text, where missing.
    digits
        Behind the point, of numbers that are shown.
    choice
        Name of the choice by which it can be filtered; empty where there is none.
    """

    name: str
    label: str
    kind: Kind
    values: Float64[np.ndarray, "scan"] | Sequence[str] | Sequence[Sequence[str]]
    unit: str = ""
    digits: int = 0
    choice: str = ""

    @property
    def data(self) -> dict[str, Any]:
        """The column as JSON."""
        told = {"name": self.name, "label": self.label, "unit": self.unit, "kind": self.kind, "digits": self.digits, "choice": self.choice}
        if isinstance(self.values, np.ndarray):
            known = self.values[np.isfinite(self.values)]
            is_whole = self.kind == "number" and not self.unit and bool(np.all(known == np.round(known)))
            return {**told, "whole": is_whole, "numbers": b64encode(self.values.astype("<f8").tobytes()).decode()}
        if self.kind == "doubts":
            return {**told, "sentences": {row: list(said) for row, said in enumerate(self.values) if said}}
        texts = [visible(str(text)) for text in self.values]
        unique = list(dict.fromkeys(texts))
        if len(unique) > len(texts) / 2:
            return {**told, "texts": texts}
        place = {text: number for number, text in enumerate(unique)}
        return {**told, "unique": unique, "codes": [place[text] for text in texts]}


@dataclass(frozen=True)
class ScanTable:
    """The table of all scans.

    Parameters
    ----------
    columns
        Its columns, in the order in which they stand.
    data
        For ``json_data("scans-data", ...)``.
    frame
        Its place in the page: filters, count, and the table with its heading, to which the script adds rows.
    script
        Script of the page, after the data.
    style
        Style sheet of the page.
    """

    columns: tuple[TableColumn, ...]
    data: Mapping[str, Any]
    frame: Markup
    script: str
    style: str


def scan_rows(data: ReportData) -> ScanTable:
    """The table of all scans of a cohort, those that failed too, the most doubtful first."""
    columns = _columns(data)
    scans = [str(scan) for scan in data.cohort["scan"].values]
    row = {scan: number for number, scan in enumerate(scans)}
    told = {
        "columns": [column.data for column in columns],
        "order": [row[scan] for scan in data.order],
        "pages": {row[scan]: file for scan, file in data.files.items()},
        "spelled": _spelled(columns),
    }
    script, style = ((STATIC / name).read_text(encoding="utf-8") for name in ("table.js", "table.css"))
    return ScanTable(columns, told, _frame(columns, scans=len(scans)), script, style)


def _columns(data: ReportData) -> tuple[TableColumn, ...]:
    """All columns in their order; measures that no scan has are left out."""
    cohort = data.cohort
    scans = [str(scan) for scan in cohort["scan"].values]
    status = [str(value) for value in cohort["status"].values]
    numbers = {region: cohort["volume_mm3"].sel(region=region).to_numpy() for region in VOLUMES if region in cohort["region"].values}
    volumes = [
        TableColumn(f"{region}_mm3", LABELS[region], "number", values, "mm³")
        for region, values in numbers.items()
        if region == "hypothalamus" or np.isfinite(values).any()
    ]
    measures = [
        TableColumn(name, label, "number", values, unit, digits)
        for name, (label, unit, digits) in MEASURES.items()
        if np.isfinite(values := measure_of(cohort, name)).any()
    ]
    return (
        TableColumn("scan", "Scan", "scan", [data.names.get(scan, scan) for scan in scans]),
        TableColumn("status", "Status", "text", status, choice="Status"),
        TableColumn("doubts", "Why to look at it", "doubts", [data.doubts.get(scan, ()) for scan in scans]),
        TableColumn("rating", "Rating", "text", latest_ratings(data.ratings, scans)[0].tolist()),
        *_people(data, scans),
        *volumes,
        *measures,
        TableColumn("flags", "Flags", "text", _flags(data), choice="Flag"),
    )


def _people(data: ReportData, scans: Sequence[str]) -> list[TableColumn]:
    """Columns of people: numbers where all are, else text, with a choice where few differ."""
    people, found = data.people.reindex(list(scans)), []
    for name in people.columns:
        column, label = people[name], visible(str(name))
        title = label[:1].upper() + label[1:]
        if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            found.append(TableColumn(label, title, "number", values, "years" if name == "age" else "", 1))
            continue
        texts = ["" if pd.isna(value) else text_of(value) for value in column.tolist()]
        found.append(TableColumn(label, title, "text", texts, choice=title if 1 < len(set(texts)) <= MOST_CHOICES else ""))
    return found


def _flags(data: ReportData) -> list[str]:
    """Flags of each scan as volumes.tsv has them."""
    flags = data.cohort["flag"].values
    return [" ".join(map(str, flags[carried])) for carried in data.cohort["flagged"].values]


def _spelled(columns: Sequence[TableColumn]) -> dict[str, str]:
    """Text → its cell in a file, where that is another: nothing that a spreadsheet would obey."""
    texts: set[str] = {visible(column.name) for column in columns}
    for column in columns:
        if column.kind == "doubts":
            texts |= {"; ".join(said) for said in column.values if said}
        elif column.kind != "number":
            texts |= {visible(str(text)) for text in column.values}
    return {text: encoded(text) for text in sorted(texts) if text and encoded(text) != text}


def _frame(columns: Sequence[TableColumn], *, scans: int) -> Markup:
    """Filters, count and heading of the table."""
    heads = Markup("").join(
        Markup('<th scope="col" data-column="{}" class="{}"><button type="button">{}{}</button></th>').format(
            place, column.kind, column.label, Markup(' <span class="unit">{}</span>').format(column.unit) if column.unit else ""
        )
        for place, column in enumerate(columns)
    )
    choices = Markup("").join(_choice(place, column) for place, column in enumerate(columns) if column.choice)
    return Markup(
        '<div class="scans" id="scans"><div class="scans-filters" role="search" aria-label="Filter scans" hidden>'
        '<label>Search <input type="search" id="scans-search" autocomplete="off" spellcheck="false"></label>{}'
        '<label><input type="checkbox" id="scans-doubtful" autocomplete="off"> only doubtful</label>'
        '<label><input type="checkbox" id="scans-unrated" autocomplete="off"> only unrated</label>'
        '<button type="button" id="scans-chosen" aria-pressed="true" hidden></button>'
        '<button type="button" id="scans-all" hidden>Show all</button>'
        '<button type="button" id="scans-save">Save as TSV</button></div>'
        '<p id="scans-count" role="status" aria-live="polite"></p>'
        "<noscript><p>This table needs scripts. All numbers are in volumes.tsv.</p></noscript>"
        '<div class="scans-window" id="scans-window" tabindex="0" role="region" aria-label="Table of scans" hidden>'
        '<table id="scans-table" aria-rowcount="{}"><caption class="visually-hidden">All scans, most doubtful first; '
        "buttons in the heading sort</caption><thead><tr>{}</tr></thead><tbody></tbody></table></div></div>"
    ).format(choices, scans + 1, heads)


def _choice(place: int, column: TableColumn) -> Markup:
    """A choice by which a column is filtered; the texts of a column of flags are several, parted by spaces."""
    texts = [visible(str(text)) for text in column.values]
    names = {flag for text in texts for flag in text.split()} if column.name == "flags" else {text for text in texts if text}
    if len(names) < (1 if column.name == "flags" else 2):
        return Markup("")
    options = Markup("").join(Markup('<option value="{}">{}</option>').format(name, name.replace("_", " ")) for name in sorted(names))
    return Markup('<label>{} <select data-filter="{}" autocomplete="off"><option value="">all</option>{}</select></label>').format(
        column.choice, place, options
    )
