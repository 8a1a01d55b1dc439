"""The page of a scan: its sections, its viewer, its volumes among those of the cohort, and its quality in words.

Two files: the page, and a script with what the viewer shows (`hypojax.reporting.viewer_data`).
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from markupsafe import Markup

from hypojax.pages.palette import INTRACRANIAL_COLOUR, SUBUNIT_COLOURS
from hypojax.pages.rendering import render_page
from hypojax.reason import ScanError, visible
from hypojax.reporting.doubts import flag_in_words
from hypojax.reporting.head_pictures import head_sections, head_sentence
from hypojax.reporting.quality_words import quality_rows
from hypojax.reporting.report_data import ReportData
from hypojax.reporting.scan_images import ScanImages
from hypojax.reporting.scan_volumes import volume_rows
from hypojax.reporting.section_pictures import SectionPicture, scan_sections
from hypojax.reporting.viewer_data import viewer_script
from hypojax.schema import SUBUNITS

FOLDERS: Final = (Path(__file__).parent / "templates", Path(__file__).parent / "static")
"""Where the template, its style and its scripts lie."""

RATING: Final = "rating.js"
"""Script of the rating bar."""

PLANES: Final = (
    ("coronal", "Coronal", "from front to back"),
    ("sagittal", "Sagittal", "from left to right"),
    ("axial", "Axial", "from top to bottom"),
)
"""Strips of a page: plane, title, and the way they run."""

NO_CENTILES: Final = "No centiles of the norms; the reason is left out because it can hold names."

TEXTS: Final = {"status": "", "reason": "", "message": "", "notes": "", "path": "", "dataset": "", "duplicate_of": ""}
"""Columns of text that a page shows, and what stands for one that a cohort has not."""


def scan_page(data: ReportData, scan: str) -> dict[str, bytes]:
    """Files of a scan's page, below the report → their content: the page, and the viewer's script where there is something to show.

    Parameters
    ----------
    data
        Of the report.
    scan
        The scan's id; it has a file in ``data.files``.
    """
    file = data.files[scan]
    images, script = ScanImages(data.cohort, scan), PurePosixPath(file).with_suffix(".js")
    try:
        volumes = viewer_script(images, whole_head=data.settings.whole_head)
    except ScanError:
        volumes = b""
    values = {**scan_values(data, images), "volumes_script": script.name if volumes else ""}
    page = render_page("scan.html", values, folders=FOLDERS).encode()
    return {file: page, str(script): volumes} if volumes else {file: page}


def scan_values(data: ReportData, images: ScanImages) -> dict[str, Any]:
    """What the template shows of a scan."""
    scan = images.scan
    row = data.cohort.drop_dims([dim for dim in ("anterior", "head_anterior") if dim in data.cohort.dims]).sel(scan=scan)
    text = {name: str(row[name].item()) if name in row else usual for name, usual in TEXTS.items()}
    rows, norms = volume_rows(data.cohort, scan, norms=data.settings.norms)
    if data.settings.share and norms and not any(one.centile for one in rows):
        norms = NO_CENTILES
    strips, heads, whole_head = _strips(images), _heads(data, images), data.settings.whole_head
    return {
        "name": data.names[scan],
        "scan": scan,
        "alone": False,
        "facts": facts(data, scan, row),
        "doubts": data.doubts.get(scan, ()),
        "flags": _flags(row),
        "text": text,
        "links": links(data, scan),
        "strips": strips,
        "no_pictures": "" if strips else images.missing,
        "heads": heads,
        "no_heads": "" if heads and not rows[0].missing else head_sentence(images, whole_head=whole_head),
        "whole_head": whole_head,
        "volumes": rows,
        "norms": norms,
        "others": max(0, int((data.cohort["status"] == "done").sum()) - 1),
        "quality": quality_rows(data.cohort, scan),
        "legend": _legend(),
        "viewer": {"labels": _labels(), "colours": [*SUBUNIT_COLOURS, *SUBUNIT_COLOURS, INTRACRANIAL_COLOUR]},
        "rating_script": f"../static/{RATING}" if (FOLDERS[1] / RATING).is_file() and not data.settings.share else "",
    }


def links(data: ReportData, scan: str) -> Mapping[str, str]:
    """Addresses of other pages, seen from this one; empty where there is none.

    ``previous`` and ``next`` go through the scans from the most doubtful one, ``doubtful`` to the next one that has doubts, and from the
    last such one to the first.
    """
    listed = [one for one in data.order if one in data.files]
    place = listed.index(scan)
    others = listed[place + 1 :] + listed[:place]

    def address(scans: list[str]) -> str:
        return PurePosixPath(data.files[scans[0]]).name if scans else ""

    return {
        "previous": address(listed[max(0, place - 1) : place]),
        "next": address(listed[place + 1 : place + 2]),
        "doubtful": address([one for one in others if data.doubts.get(one)]),
        "place": f"{place + 1:,} of {len(listed):,}",
    }


def facts(data: ReportData, scan: str, row: xr.Dataset) -> list[tuple[str, str]]:
    """What is known of the person and of the file, as name and value."""
    known = [("dataset", str(row["dataset"].item()))] if "dataset" in row.coords else []
    if scan in data.people.index:
        known += [(str(name).replace("_", " "), _cell(value)) for name, value in data.people.loc[scan].items()]
    sizes = [f"{value:.4g}" for value in row["voxel_size_mm"].values if np.isfinite(value)]
    matrix = [f"{value:.0f}" for value in row["matrix"].values if np.isfinite(value)]
    known += [("voxels", f"{' × '.join(sizes)} mm")] * bool(sizes) + [("matrix", " × ".join(matrix))] * bool(matrix)
    return [(name, value) for name, value in known if value]


def _cell(value: object) -> str:
    """A value of a table of people; empty where it is missing."""
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flags(row: xr.Dataset) -> list[tuple[str, str]]:
    """Flags that the scan carries: name in words, and what it says."""
    carried = [str(flag) for flag, raised in zip(row["flag"].values, row["flagged"].values, strict=True) if raised]
    return [(visible(flag).replace("_", " "), flag_in_words(flag)) for flag in carried]


def _strips(images: ScanImages) -> list[dict[str, Any]]:
    """Sections by plane, in the order of a page."""
    found = scan_sections(images)
    return [
        {"plane": plane, "title": title, "way": way, "pictures": _pictures(found[plane])}
        for plane, title, way in PLANES
        if found.get(plane)
    ]


def _heads(data: ReportData, images: ScanImages) -> list[dict[str, Any]]:
    """Sections through the whole head, where they can be drawn."""
    try:
        return _pictures(head_sections(images, whole_head=data.settings.whole_head))
    except ScanError:
        return []


def _pictures(pictures: list[SectionPicture]) -> list[dict[str, Any]]:
    """Pictures as the template takes them; their outlines are markup of ours."""
    return [
        {
            **{name: getattr(picture, name) for name in ("title", "width", "height", "alt", "source")},
            "outlines": Markup(picture.outlines),  # noqa: S704 - numbers and classes only
            "sides": getattr(picture, "sides", ("", "")),
        }
        for picture in pictures
    ]


def _legend() -> list[tuple[int, str]]:
    """Number and name of every subunit."""
    return [(number, name.replace("_", " ")) for number, name in enumerate(SUBUNITS, 1)]


def _labels() -> list[str]:
    """Names of label values, background first, as the viewer says them."""
    sides = [f"{side} {name.replace('_', ' ')}" for side in ("left", "right") for name in SUBUNITS]
    return ["outside the hypothalamus", *sides, "surface of the intracranial volume"]
