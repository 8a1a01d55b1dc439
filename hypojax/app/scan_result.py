"""What was found in one scan, as a part of the page: pictures, viewer, volumes, quality in words, downloads."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from hypojax.app.page_parts import page_part
from hypojax.app.section_view import sections_html
from hypojax.app.words import USUAL, Words
from hypojax.reporting.doubts import flag_in_words
from hypojax.reporting.quality_words import MEASURES
from hypojax.reporting.reason_words import GAPS
from hypojax.schema import SUBUNITS
from hypojax.volumes.flags import FLAGS

if TYPE_CHECKING:
    from hypojax.app.scan_job import ScanJob
    from hypojax.reporting.section_pictures import SectionPicture

FILES: Final = (("labels", "labels.nii.gz"), ("intracranial", "intracranial.nii.gz"), ("table", "volumes.tsv"), ("all", "scan.zip"))
"""Downloads: name of their words, and of the file."""

GAP_CODES: Final = {gap.words: reason for reason, gap in GAPS.items()}
"""Why a volume is missing: words of the report → reason."""

SAID: Final = {flag: flag_in_words(flag) for flag in FLAGS}
"""Flag → how a sentence of a report about it begins."""

WHOLES: Final = (("regions.icv", "icv"), ("regions.both", "hypothalamus"))
"""Lines without sides: words, and region."""


def result_html(
    words: Words, language: str, job: "ScanJob", summary: Mapping[str, Any], sections: "Mapping[str, Sequence[SectionPicture]]"
) -> str:
    """All that the page shows of a scan that was measured.

    Parameters
    ----------
    words
        All texts.
    language
        Of who looks.
    job
        The scan.
    summary
        As `ScanService.summary` gives it.
    sections
        As `ScanService.sections` gives them.

    Returns
    -------
    HTML.
    """
    known, rest = doubt_texts(words, language, summary)
    values = {
        "job": job,
        "sections": Markup(sections_html(words, language, sections)),  # noqa: S704 - made by a template that escapes
        "volumes": volume_lines(words, language, summary.get("volumes", ())),
        "norms": summary.get("norms", ""),
        "doubts": known + rest if language == USUAL else known,
        "remarks": [] if language == USUAL else rest,
        "quality": quality_lines(words, language, summary.get("quality", ())),
        "files": FILES,
    }
    return page_part("result.html", words, language, values)


def volume_lines(words: Words, language: str, volumes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lines of the table of volumes: wholes, then each region with its left and its right side.

    A cell has ``volume`` and ``uncertainty`` (mm³), ``percent`` of head size, each NaN where missing, ``why`` it is, and ``centile``.
    """
    found = {str(one["region"]): one for one in volumes}
    sided = [("hypothalamus", 0, "hypothalamus_left", "hypothalamus_right")]
    sided += [(name, number, f"left_{name}", f"right_{name}") for number, name in enumerate(SUBUNITS, 1)]
    head = _number(found.get("icv", {}).get("volume_mm3"))
    lines = [{"name": name, "subunit": 0, "cells": [_cell(words, language, found.get(region), head)]} for name, region in WHOLES]
    return lines + [
        {"name": f"regions.{name}", "subunit": number, "cells": [_cell(words, language, found.get(side), head) for side in sides]}
        for name, number, *sides in sided
    ]


def doubt_texts(words: Words, language: str, summary: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Why to look at a scan: what flags say, in plain words of the language, and what the program says besides, in English."""
    doubts = [str(one) for one in summary.get("doubts", ())]
    flags = [str(one["flag"]).replace(" ", "_") for one in summary.get("flags", ())]
    known = [words.text(f"flags.{flag}", language) for flag in flags if f"flags.{flag}" in words.texts("en")]
    return known, [sentence for sentence in doubts if not flag_of(sentence)]


def flag_of(sentence: str) -> str:
    """The flag that a doubt of a report comes from; empty where it comes from something else.

    >>> flag_of("a voxel edge is longer than 2.0 mm: here 3 mm"), flag_of("unlike the others")
    ('thick_voxels', '')
    """
    return next((flag for flag, begun in SAID.items() if sentence.startswith(begun)), "")


def doubt_in_words(words: Words, language: str, sentence: str) -> tuple[str, str]:
    """A doubt of a report in a language, and the language that it is in then: English where there are no words for it."""
    flag = flag_of(sentence) if language != USUAL else ""
    return (words.text(f"flags.{flag}", language), language) if flag else (sentence, USUAL)


def quality_lines(words: Words, language: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Measures of quality in a language: name, value, meaning, and the step where one is due."""
    columns = {measure.name: measure.column for measure in MEASURES}
    return [
        {
            "name": words.text(f"measures.{column}", language),
            "value": str(row["value"]).replace(".", ",") if language == "de" else str(row["value"]),
            "meaning": words.text(f"measures.{column}_meaning", language),
            "step": words.text(f"measures.{column}_step", language) if row.get("step") else "",
        }
        for row in rows
        if (column := columns.get(str(row["name"])))
    ]


def _cell(words: Words, language: str, one: Mapping[str, Any] | None, head: float) -> dict[str, Any]:
    volume = _number((one or {}).get("volume_mm3"))
    key = f"gaps.{GAP_CODES.get(str((one or {}).get('missing')), 'other')}"
    return {
        "region": str((one or {}).get("region", "")),
        "volume": volume,
        "uncertainty": _number((one or {}).get("uncertainty_mm3")),
        "percent": 100 * volume / head if one and one["region"] != "icv" else nan,
        "why": "" if isfinite(volume) else words.text("volumes.missing", language, why=words.text(key, language)),
        "centile": str((one or {}).get("centile") or ""),
    }


def _number(value: object) -> float:
    """A number as JSON has it: None where it is missing."""
    return float(value) if isinstance(value, int | float) else nan
