"""What became of each scan and of a run, and whom to tell while it goes on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, runtime_checkable

from hypojax.cohort import Summary
from hypojax.reason import HypojaxError, Reason, ScanError
from hypojax.store import ScanRecord, TakenError

LONGEST: Final = 300
"""Characters kept of what an unforeseen error says; a message is one line of a table."""


@dataclass(frozen=True)
class ScanResult:
    """What became of one scan.

    Parameters
    ----------
    scan
        Its id.
    status
        ``done``, ``failed`` or ``pending`` (not segmented yet).
    reason, message
        Why it failed: the typed reason, and a sentence with the next step.
    seconds
        Time it took, decode to volumes.
    device_seconds
        Its share of the time that the networks took, in this run: how busy the devices are.
    notes
        What its file holds that asks for a look, in sentences.
    """

    scan: str
    status: str
    reason: str = ""
    message: str = ""
    seconds: float = 0.0
    device_seconds: float = 0.0
    notes: str = ""

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return self.status == "failed"


@runtime_checkable
class Callback(Protocol):
    """Called while a run goes on."""

    def started(self, *, total: int, kept: int) -> None:
        """So many scans are to do, so many were done before and are kept."""

    def finished(self, result: ScanResult) -> None:
        """One scan is done or failed."""

    def noted(self, text: str) -> None:
        """Something about the run as a whole that the user should know."""


class NoCallback:
    """A callback that does nothing."""

    def started(self, *, total: int, kept: int) -> None:
        """Say nothing."""

    def finished(self, result: ScanResult) -> None:
        """Say nothing."""

    def noted(self, text: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class GuardedCallback:
    """A callback that first asks whether the run may go on.

    Parameters
    ----------
    callback
        Whom to tell.
    may_go_on
        Raises where it may not.
    """

    callback: Callback
    may_go_on: Callable[[], None]

    def started(self, *, total: int, kept: int) -> None:
        """Pass it on."""
        self.callback.started(total=total, kept=kept)

    def finished(self, result: ScanResult) -> None:
        """Ask, and pass it on."""
        self.may_go_on()
        self.callback.finished(result)

    def noted(self, text: str) -> None:
        """Pass it on."""
        self.callback.noted(text)


@dataclass(frozen=True)
class Outcome:
    """How a run ended, or how far a cohort is.

    Parameters
    ----------
    results
        One for every scan of the cohort, in order.
    kept
        Scans that were done before.
    processed
        Scans that went through the pipeline in this run, whatever became of them.
    seconds
        Time the run took; 0 where nothing ran.
    summary
        Volumes and flags of the cohort in a few numbers.
    ignored
        Kind of image that was found and is no T1w scan → how many.
    notes
        What is to be known of how the scans were found, a sentence each.

    Examples
    --------
    >>> Outcome((ScanResult("sub-01", "done"), ScanResult("sub-02", "failed", "truncated", "..."))).failed
    1
    """

    results: tuple[ScanResult, ...]
    kept: int = 0
    processed: int = 0
    seconds: float = 0.0
    summary: Summary | None = None
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def count(self, status: str) -> int:
        """Scans with this status."""
        return sum(result.status == status for result in self.results)

    @property
    def done(self) -> int:
        """Scans with volumes."""
        return self.count("done")

    @property
    def failed(self) -> int:
        """Scans that failed."""
        return self.count("failed")

    @property
    def pending(self) -> int:
        """Scans that are not segmented yet."""
        return self.count("pending")

    @property
    def failures(self) -> tuple[ScanResult, ...]:
        """The scans that failed."""
        return tuple(result for result in self.results if result.failed)


def from_records(records: Iterable[ScanRecord], *, scans: Sequence[str]) -> tuple[ScanResult, ...]:
    """One result for every scan: what its record says, else pending."""
    found = {record["scan"]: from_record(record) for record in records}
    return tuple(found.get(scan, ScanResult(scan, "pending")) for scan in scans)


def from_record(record: ScanRecord) -> ScanResult:
    """The result that a ledger record holds."""
    seconds, notes = record["row"].get("seconds"), record["row"].get("notes")
    result = ScanResult(record["scan"], record["status"], record["reason"], record["message"], 0.0 if seconds is None else float(seconds))
    return replace(result, notes=notes or "")


def refusal(scan: str, error: Exception, *, seconds: float) -> ScanResult:
    """The result of a scan whose processing raised ``error``.

    >>> refusal("sub-01", ZeroDivisionError("division by zero"), seconds=0.0).reason
    'unexpected'
    """
    if isinstance(error, ScanError):  # a scan that another process has taken is neither done nor failed here
        status = "pending" if isinstance(error, TakenError) else "failed"
        return ScanResult(scan, status, str(error.reason), str(error), seconds)
    if isinstance(error, HypojaxError):
        return ScanResult(scan, "failed", str(error.reason), f"scan {scan!r}: {error}", seconds)
    if isinstance(error, MemoryError):
        message = f"scan {scan!r}: it does not fit into memory; free some, or read fewer scans at once (--read-ahead, --batch, --threads)"
        return ScanResult(scan, "failed", str(Reason.TOO_LARGE), message, seconds)
    advice = "look at the scan, or run again with --debug and report this"
    what = " ".join(str(error).split())[:LONGEST]
    message = f"scan {scan!r}: unexpected {type(error).__name__}: {what}; {advice}"
    return ScanResult(scan, "failed", str(Reason.UNEXPECTED), message, seconds)
