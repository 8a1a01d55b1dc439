"""One scan on its way through the app: what the page shows of it, and the small file beside the session's cohort that keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

State = Literal["waiting", "reading", "measuring", "drawing", "done", "failed", "cancelled"]

ENDED: Final[frozenset[State]] = frozenset({"done", "failed", "cancelled"})
"""States that a job never leaves."""


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
        Why it failed: typed reason (`hypojax.reason.Reason`), and a sentence without paths.
    seconds
        Time that was spent on it.
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
