"""One scan on its way through the app: what the page shows of it, and the small file beside the session's cohort that keeps it."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol, get_args, runtime_checkable

from hypojax.reason import visible

State = Literal["waiting", "reading", "measuring", "drawing", "done", "failed", "cancelled"]
SourceKind = Literal["image", "zip", "dicom", "sample"]

ENDED: Final[frozenset[State]] = frozenset({"done", "failed", "cancelled"})
"""States that a job never leaves."""

JOBS: Final = "jobs"
"""Folder of a session with one file a job."""

ID: Final = re.compile(r"[0-9a-f]{32}")
LONGEST_NAME: Final = 120
"""Characters of a name that is shown."""

LONGEST_SCAN: Final = 60
"""Characters of a scan's id."""

SUFFIXES: Final = re.compile(r"(\.(nii|mgz|mgh|zip|dcm|ima|gz))+$", re.IGNORECASE)


@runtime_checkable
class SessionFolder(Protocol):
    """What jobs need to know of a visitor's session (`hypojax.app.visits.Session`)."""

    @property
    def id(self) -> str:
        """Its public name."""

    @property
    def folder(self) -> Path:
        """All that belongs to it."""

    @property
    def uploads(self) -> Path:
        """Files as they were uploaded."""

    @property
    def cohort(self) -> Path:
        """Output folder of its cohort."""

    def touch(self) -> None:
        """Begin its hour anew."""


@dataclass(frozen=True)
class ScanJob:
    """One scan of a session.

    Parameters
    ----------
    id
        32 hexadecimal digits.
    name
        File name as it is shown, without control characters; of a DICOM series a neutral one, never that of a patient. HTML in it is to
        be escaped where it is drawn.
    state
        Where it is.
    position
        Scans before it in the queue of this machine; 0 when it is its turn.
    read
        What was read: ``dimensions``, ``voxel_size_mm``, ``orientation``, ``format``; empty before.
    scan
        Its id in the session's cohort; empty before it has one.
    reason, message
        Why it failed: typed reason (`hypojax.reason.Reason`, or ``zip_too_large``), and a sentence without paths.
    seconds
        Time that was spent on it.
    origin
        Id of the job of the zip or DICOM files that it was found in, whose place the first scan of them takes; empty otherwise.
    """

    id: str
    name: str
    state: State = "waiting"
    position: int = 0
    read: Mapping[str, str] = field(default_factory=dict)
    scan: str = ""
    reason: str = ""
    message: str = ""
    seconds: float = 0.0
    origin: str = ""


@dataclass(frozen=True)
class JobRecord:
    """A job, and what only this machine needs to know of it.

    Parameters
    ----------
    job
        What is shown.
    kind
        What its source is.
    sources
        Its files or folder, below the session's folder.
    clean
        Name of the clean copy; empty before it was read, and once it is in the cohort.
    number
        Its place among the jobs of its session.
    attempts
        How often measuring it was begun.
    """

    job: ScanJob
    kind: SourceKind
    sources: tuple[str, ...] = ()
    clean: str = ""
    number: int = 0
    attempts: int = 0

    def with_job(self, **changes: Any) -> "JobRecord":  # noqa: ANN401 - fields of a job
        """The record with other values of its job."""
        return replace(self, job=replace(self.job, **changes))


def new_id() -> str:
    """A name that nobody can guess."""
    return secrets.token_hex(16)


def shown_name(name: str) -> str:
    r"""A file's name as people see it, without folders and control characters.

    >>> shown_name("C:\\scans\\Ana.nii"), shown_name("a/b\nc.nii")
    ('Ana.nii', 'b\\nc.nii')
    """
    return visible(re.split(r"[/\\]", name)[-1])[:LONGEST_NAME] or "scan"


def scan_name(name: str, taken: Sequence[str]) -> str:
    """An id for a scan, after the name of its file: safe as a file's name, and unlike all others also where case does not count.

    >>> scan_name("sub-01_T1w.nii.gz", []), scan_name("T1.mgz", ["t1"]), scan_name("<b>.nii", [])
    ('sub-01', 'T1-2', 'b')
    """
    plain = re.sub(r"[^\w.-]+", "_", SUFFIXES.sub("", name)).strip("._-")
    while plain.endswith("_T1w"):
        plain = plain.removesuffix("_T1w")
    plain = plain.encode()[:LONGEST_SCAN].decode(errors="ignore").strip("._-") or "scan"
    known, number, free = {one.casefold() for one in taken}, 1, plain
    while free.casefold() in known:
        number += 1
        free = f"{plain}-{number}"
    return free


def save_record(folder: Path, record: JobRecord) -> bool:
    """Keep a job in its session's folder, whole or not at all; False where the session is gone."""
    part = folder / JOBS / f"{record.job.id}.part"
    try:
        part.write_text(json.dumps(asdict(record)), encoding="utf-8")
        part.replace(part.with_suffix(".json"))
    except OSError:
        return False
    return True


def read_records(folder: Path) -> list[JobRecord]:
    """The jobs of a session, in their order; a file that is none is left out."""
    found = []
    for path in (folder / JOBS).glob("*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError):
            found.append(_record(json.loads(path.read_text(encoding="utf-8"))))
    return sorted(found, key=lambda record: record.number)


def _record(table: dict[str, Any]) -> JobRecord:
    """A record as it was kept."""
    job = ScanJob(**table.pop("job"))
    record = JobRecord(job, **{**table, "sources": tuple(table["sources"])})
    if not ID.fullmatch(job.id) or job.state not in get_args(State) or record.kind not in get_args(SourceKind):
        raise ValueError("no job")
    return record
