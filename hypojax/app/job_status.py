"""How far a scan is, in words: what was read, its place in the queue, and why it failed with the next step."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from hypojax.app.page_parts import page_part
from hypojax.app.scan_job import ENDED, ScanJob
from hypojax.app.words import Words

READ: Final = ("dimensions", "voxel_size_mm", "orientation", "format")
"""What is said of a file, in this order."""


class FailureText(NamedTuple):
    """Why a scan failed, and what to do."""

    words: str
    step: str


def is_open(job: ScanJob) -> bool:
    """Whether something still happens to a scan."""
    return job.state not in ENDED


def distinct_names(jobs: Sequence[ScanJob]) -> dict[str, str]:
    """Id → name as it is shown: the second of several files of one name is numbered, as its results are.

    >>> distinct_names([ScanJob("a", "T1.nii"), ScanJob("b", "T1.nii"), ScanJob("c", "T2.nii")])
    {'a': 'T1.nii', 'b': 'T1.nii (2)', 'c': 'T2.nii'}
    """
    seen = Counter[str]()
    names = {}
    for job in jobs:
        seen[job.name] += 1
        names[job.id] = job.name if seen[job.name] == 1 else f"{job.name} ({seen[job.name]})"
    return names


def failure_text(words: Words, language: str, reason: str) -> FailureText:
    """A failure in words; one without words of its own as any file that cannot be used.

    >>> failure_text(Words(), "en", "truncated")
    FailureText(words='the file ends too early', step='Copy or convert it again.')
    >>> failure_text(Words(), "en", "of_tomorrow").words
    'it cannot be used'
    """
    key = f"failures.{reason}" if f"failures.{reason}_step" in words.texts("en") else "failures.usual"
    step = words.text(f"{key}_step", language)
    return FailureText(words.text(key, language), step[:1].upper() + step[1:] + "." * (not step.endswith("?")))


def state_text(words: Words, language: str, job: ScanJob) -> str:
    """Where a scan is, in a sentence."""
    match job.state:
        case "waiting":
            number = max(job.position, 0)
            key = ("waiting_next", "waiting_one")[number] if number < 2 else "waiting_many"
            return words.text(f"one_scan.{key}", language, number=number)
        case "failed":
            return words.text("one_scan.failed", language, name=job.name, words=failure_text(words, language, job.reason).words)
        case _:
            return words.text(f"one_scan.{job.state}", language, name=job.name)


def status_html(words: Words, language: str, jobs: Sequence[ScanJob], job: ScanJob | None, notice: str = "") -> str:
    """The status of the scan that is shown, and a list to choose another one from.

    Parameters
    ----------
    words
        All texts.
    language
        Of who looks.
    jobs
        All scans of the session.
    job
        The one that is shown; None where there is none.
    notice
        Why something that the visitor just did was refused; empty where it was not.

    Returns
    -------
    HTML. What stands in ``data-say`` is read aloud.
    """
    names = distinct_names(jobs)
    job = replace(job, name=names.get(job.id, job.name)) if job else None
    values = {
        "notice": notice,
        "jobs": list(names.items()),
        "job": job,
        "said": state_text(words, language, job) if job else "",
        "step": "",
        "open": bool(job and is_open(job)),
        "read": [(f"one_scan.{name}", _read(job, name, language)) for name in READ if job.read.get(name)] if job else [],
    }
    if job and job.state == "failed":
        values["step"] = words.text("one_scan.step", language, step=failure_text(words, language, job.reason).step)
    return page_part("status.html", words, language, values)


def _read(job: ScanJob, name: str, language: str) -> str:
    """What was read of a file; sizes with the decimal sign of the language."""
    return job.read[name].replace(".", ",") if name == "voxel_size_mm" and language == "de" else job.read[name]


def status_key(job: ScanJob | None, language: str, jobs: Sequence[ScanJob], notice: str = "") -> str:
    """A text that differs wherever `status_html` does: while it stays the same nothing is sent to the browser."""
    parts = (job.id, job.state, job.position, len(job.read)) if job else ()
    return "/".join(str(part) for part in (*parts, len(jobs), language, notice))
