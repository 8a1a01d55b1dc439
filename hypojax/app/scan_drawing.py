"""What is drawn of one scan as soon as it is measured: its page, its sections, and what was found in it, for the page of the app."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hypojax.pages.rendering import render_page
from hypojax.reason import ScanError
from hypojax.reporting.report_data import ReportSettings, read_report_data
from hypojax.reporting.scan_images import ScanImages
from hypojax.reporting.scan_page import FOLDERS, scan_values
from hypojax.reporting.scan_volumes import VolumeRow
from hypojax.reporting.section_pictures import SCALE, SectionPicture
from hypojax.reporting.viewer_data import viewer_script

PAGE, VIEWER, SECTIONS, SUMMARY = "page.html", "page.js", "sections.json", "summary.json"
"""Files that are drawn."""


def draw_scan(cohort: str, scan: str, *, name: str, into: Path, norms: Path | None = None) -> None:
    """Draw a scan of a cohort; only what concerns this scan is drawn, so that it takes as long in a large cohort.

    Parameters
    ----------
    cohort
        Output folder of a run.
    scan
        Its id.
    name
        Name of its file, as people see it.
    into
        Folder for the files; the summary is written last.
    norms
        File of norms.
    """
    data = read_report_data(cohort, ReportSettings(scans=(scan,), norms=norms))
    data = replace(data, names={**data.names, scan: name}, files={scan: PAGE})
    images = ScanImages(data.cohort, scan)
    try:
        viewer = viewer_script(images)
    except ScanError:
        viewer = b""
    values = scan_values(data, images)
    own = {"volumes_script": VIEWER if viewer else "", "rating_script": "", "alone": True, "text": {**values["text"], "path": ""}}
    page = render_page("scan.html", {**values, **own}, folders=FOLDERS)
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    if viewer:
        put(into / VIEWER, viewer)
    put(into / PAGE, page.encode())
    put(into / SECTIONS, json.dumps({strip["plane"]: list(map(_as_json, strip["pictures"])) for strip in values["strips"]}).encode())
    put(into / SUMMARY, json.dumps(summary_of(values, name=name)).encode())


def summary_of(values: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """What was found in a scan as JSON has it, from what its page shows; what is missing is null, with the reason in words."""
    return {
        "scan": values["scan"],
        "name": name,
        "volumes": [_volume(row) for row in values["volumes"]],
        "norms": str(values["norms"]),
        "doubts": [str(sentence) for sentence in values["doubts"]],
        "flags": [{"flag": str(flag), "meaning": str(sentence)} for flag, sentence in values["flags"]],
        "quality": [{key: plain(value) for key, value in row._asdict().items()} for row in values["quality"]],
        "notes": values["text"]["notes"],
    }


def _volume(row: VolumeRow) -> dict[str, object]:
    """One region: mm³, thousandths of the head, and where it lies among the others and the norms, in words."""
    return {
        "region": row.region,
        "name": row.name,
        "volume_mm3": plain(row.volume),
        "uncertainty_mm3": plain(row.uncertainty),
        "share_permille": plain(row.share),
        "missing": row.missing,
        "rank": row.rank,
        "centile": row.centile,
    }


def plain(value: object) -> object:
    """A value as JSON has it: numbers that are none are null.

    >>> plain(np.float32(0.5)), plain(float("nan")), plain("a")
    (0.5, None, 'a')
    """
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool)) or value is None else str(value)


def put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, into a folder that is there."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def read_sections(folder: Path) -> dict[str, list[SectionPicture]]:
    """The pictures that were drawn; none where there are none."""
    try:
        drawn = json.loads((folder / SECTIONS).read_bytes())
    except (OSError, ValueError):
        return {}
    return {plane: [_picture(one) for one in pictures] for plane, pictures in drawn.items()}


def _as_json(picture: Mapping[str, Any]) -> dict[str, Any]:
    """A picture of a page as JSON has it."""
    return {**picture, "outlines": str(picture["outlines"])}


def _picture(table: dict[str, Any]) -> SectionPicture:
    """A picture of a page as it was before that."""
    image = base64.b64decode(table.pop("source").rpartition(",")[2])
    return SectionPicture(**{**table, "image": image, "sides": tuple(table["sides"]), "millimetre": float(SCALE)})
