"""All scans of a visit as a part of the page: how far each is, and the volumes of those that were measured."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from hypojax.app.cohort_choice import OWN
from hypojax.app.job_status import distinct_names, failure_text, is_open
from hypojax.app.page_parts import page_part
from hypojax.app.words import Words

if TYPE_CHECKING:
    from hypojax.app.scan_job import ScanJob

COLUMNS: Final = (("icv", "icv", 0), ("whole", "hypothalamus", 1), ("left", "hypothalamus_left", 1), ("right", "hypothalamus_right", 1))
"""Columns of the table of volumes: name of their words, region, decimals."""


def many_html(words: Words, language: str, jobs: "Sequence[ScanJob]", volumes: pd.DataFrame | None, notice: str = "") -> str:
    """All scans with their states, and a table of volumes to sort.

    Parameters
    ----------
    words
        All texts.
    language
        Of who looks.
    jobs
        All scans of the session.
    volumes
        As `ScanService.volumes` gives them; None where there are none.
    notice
        Why something that the visitor just did was refused; empty where it was not.

    Returns
    -------
    HTML. What stands in ``data-say`` is read aloud.
    """
    names = distinct_names(jobs)
    measured = [replace(job, name=names[job.id]) for job in jobs if job.state == "done"]
    values = {
        "notice": notice,
        "own": OWN,
        "jobs": [_line(words, language, job, names[job.id]) for job in jobs],
        "said": progress_text(words, language, jobs),
        "open": sum(map(is_open, jobs)),
        "all": len(jobs),
        "columns": [(f"many_scans.{name}", digits) for name, _, digits in COLUMNS],
        "table": volume_table(measured, volumes),
    }
    return page_part("many.html", words, language, values)


def many_key(jobs: "Sequence[ScanJob]", language: str, notice: str = "") -> str:
    """A text that differs wherever `many_html` does."""
    text = repr(([(job.id, job.state, job.position) for job in jobs], language, notice))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def progress_text(words: Words, language: str, jobs: "Sequence[ScanJob]") -> str:
    """How many scans are done."""
    if not jobs:
        return words.text("many_scans.nothing", language)
    failed, done = (sum(job.state == state for job in jobs) for state in ("failed", "done"))
    key = "progress_failed" if failed else "progress"
    return words.text(f"many_scans.{key}", language, done=done, all=len(jobs), failed=failed)


def volume_table(jobs: "Sequence[ScanJob]", volumes: pd.DataFrame | None) -> list[dict[str, Any]]:
    """A row for each scan that was measured: its job, its volumes (mm³, NaN where missing), and the share of head size in per cent."""
    if volumes is None or volumes.empty:
        return []
    cells = zip(volumes["scan"].astype(str), volumes["region"].astype(str), volumes["volume_mm3"].astype(float), strict=True)
    known = {(scan, region): volume for scan, region, volume in cells}
    rows = []
    for job in jobs:
        if (job.scan, "icv") in known:
            found = [known.get((job.scan, region), nan) for _, region, _ in COLUMNS]
            share = 100 * found[1] / found[0]
            rows.append({"id": job.id, "name": job.name, "volumes": found, "share": share if isfinite(share) else nan})
    return rows


def _line(words: Words, language: str, job: "ScanJob", name: str) -> dict[str, Any]:
    """One scan as the template takes it."""
    key, values = f"many_scans.{job.state}", {"position": job.position}
    text = failure_text(words, language, job.reason) if job.state == "failed" else None
    if job.state == "waiting" and job.position < 1:
        key = "many_scans.waiting_next"
    state = words.text(key, language, **values, words=text.words if text else "")
    return {"id": job.id, "name": name, "code": job.state, "state": state, "step": text.step if text else "", "open": is_open(job)}
