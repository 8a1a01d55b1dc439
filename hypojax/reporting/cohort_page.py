"""The page of a cohort, ``index.html``: one file that asks for no other, the doubtful scans first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from hypojax.cohort.ratings import latest_ratings
from hypojax.pages.rendering import render_page
from hypojax.reason import ScanError
from hypojax.reporting import cohort_words, how_measured, scan_counts
from hypojax.reporting.early_and_late import early_and_late
from hypojax.reporting.group_average import group_averages
from hypojax.reporting.linked_plots import cohort_plots
from hypojax.reporting.norms_section import norms_shown
from hypojax.reporting.rating_section import rating_blocks
from hypojax.reporting.report_data import ReportData
from hypojax.reporting.scan_images import ScanImages
from hypojax.reporting.scan_table import scan_rows
from hypojax.reporting.section_pictures import SectionPicture, section_picture
from hypojax.reporting.study_results import HEADER, read_results, study_address
from hypojax.schema import SUBUNITS

FOLDER: Final = Path(__file__).parent / "templates"
STATIC: Final = Path(__file__).parent / "static"

SHOWN: Final = 20
"""Doubtful scans with a picture; the table of all scans has the others."""

SECTIONS: Final = (
    ("flow", "Scans"), ("doubtful", "Doubtful scans"), ("volumes", "Volumes"), ("averages", "Averages"), ("all", "All scans"),
    ("ratings", "Ratings"), ("missing", "Missing"), ("failed", "Failed"), ("time", "Over time"), ("norms", "Norms"), ("study", "Study"),
    ("methods", "Methods"),
)  # fmt: skip
"""Sections of the page in order: mark and heading."""


@dataclass(frozen=True)
class DoubtfulScan:
    """A scan that somebody should look at.

    Parameters
    ----------
    name
        As pages show it.
    file
        Of its page; empty where it has none.
    reasons
        Sentences, the weightiest first.
    picture
        The section through the middle of its hypothalamus; None where it has no posterior.
    rating
        What people said of it; empty where nobody did.
    """

    name: str
    file: str
    reasons: Sequence[str]
    picture: SectionPicture | None
    rating: str


def cohort_page(data: ReportData, *, day: date | None = None, folder: Path | None = None) -> bytes:
    """The page of a cohort, as HTML.

    Parameters
    ----------
    data
        What it is drawn from.
    day
        When it was drawn, which is said unless it is to be shared. Default: today.
    folder
        Where it will lie, from which links lead to the files of a study. Default: nowhere, without such links.

    Raises
    ------
    RunError
        ``USAGE``: the extra ``report`` is not installed.
    """
    said = None if data.settings.share else day or datetime.now(tz=UTC).astimezone().date()
    values = {
        "title": cohort_words.cohort_title(data),
        "day": f"{said.day} {said:%B %Y}" if said else "",
        "summary": cohort_words.summary(data),
        "flow": scan_counts.flow(data),
        "counts": scan_counts.count_rows(data),
        **_doubtful(data),
        "regions": cohort_words.region_rows(data),
        "ratings": [(type(block).__name__, block) for block in rating_blocks(data)],
        "gaps": scan_counts.gaps_of(data.cohort),
        "unknown": scan_counts.unknown_people(data),
        "failures": scan_counts.failures(data),
        "halves": early_and_late(data),
        "norms": norms_shown(data),
        "study": read_results(data),
        "study_header": HEADER,
        "study_folder": study_address(data.study, folder),
        "cards": how_measured.cards(data),
        "versions": how_measured.version_rows(data),
        "methods": how_measured.methods_paragraph(data),
        "bibtex": how_measured.bibtex(data),
        "notes": data.notes,
        "subunits": [(number, name.replace("_", " ")) for number, name in enumerate(SUBUNITS, 1)],
        "plots": cohort_plots(data),
        "averages": group_averages(data),
        "table": scan_rows(data),
    }
    return render_page("cohort.html", {**values, "sections": _sections(values)}, folders=(FOLDER, STATIC)).encode()


def _doubtful(data: ReportData) -> Mapping[str, Any]:
    """The most doubtful measured scans, and how many there are."""
    status = dict(zip(data.cohort["scan"].values.tolist(), data.cohort["status"].values.tolist(), strict=True))
    found = [scan for scan in data.order if data.doubts.get(scan) and status[scan] == "done"]
    ratings, _ = latest_ratings(data.ratings, found)
    shown = [
        DoubtfulScan(data.names[scan], data.files.get(scan, ""), data.doubts[scan], _picture(data, scan), str(ratings[scan]))
        for scan in found[:SHOWN]
    ]
    return {"doubtful": shown, "doubtful_count": len(found)}


def _picture(data: ReportData, scan: str) -> SectionPicture | None:
    """The coronal section through the middle of the hypothalamus."""
    try:
        box = ScanImages(data.cohort, scan).box
    except ScanError:
        return None
    if box is None:
        return None
    sections = box.sections("coronal")
    return section_picture(sections[len(sections) // 2], box.window)


def _sections(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Sections that this cohort has something for."""
    has = {
        "doubtful": bool(np.any([step.words == "measured" and step.count for step in values["flow"]])),
        "averages": values["averages"] is not None,
        "missing": bool(values["gaps"] or values["unknown"]),
        "failed": bool(values["failures"]),
        "time": values["halves"] is not None,
        "norms": values["norms"] is not None,
        "study": values["study"] is not None,
    }
    return [(mark, heading) for mark, heading in SECTIONS if has.get(mark, True)]
