"""In-flight markers: who is at work on a scan. A marker lies in the ledger, in the place of the scan's record, until the record takes it.

The record is put only where the marker is still there, so that of two who work on one scan (a worker believed lost and the one that took
its scan; a run that was stopped and the one that took over) only the last to mark it can commit, and what the other puts beside is
refused. A marker that stays behind names a scan that was at work when its process died.

A record that still counts is not taken back in one step: first the marker is put beside it, in one document. Whoever takes over an output
renews every marker that it finds (`shut_out`), so that nothing that was on its way can still take back a record or write one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Any, Final

from hypojax.reason import HypojaxError, Reason, RunError, ScanError
from hypojax.storage import Location, Version, check_fence, each, read_version, real, swap
from hypojax.store.ledger import LedgerEntry, entry_bytes, parse_entry, record_path
from hypojax.store.sealed import DamagedDocumentError

TRIES: Final = 20
"""Times that an entry may be another one when it is to be replaced; each time somebody else got on."""


class TakenError(ScanError):
    """Another process has begun with the scan since: it is left to that one."""

    def __init__(self, scan: str) -> None:
        super().__init__(Reason.BUSY, scan, "another process has begun with it since; it is left to that one")


@dataclass(frozen=True)
class InFlight:
    """The in-flight marker of one scan, as it was put into the ledger.

    Parameters
    ----------
    path
        Of the scan's entry.
    scan
        Its id.
    entry
        What was put there.
    version
        The version that a bucket gave it.
    """

    path: Location
    scan: str
    entry: LedgerEntry
    version: Version | None = None

    def check(self) -> None:
        """Ask whether it is still there.

        Raises
        ------
        TakenError
            Another process has begun with the scan since.
        RunError
            ``BUSY``: another run took over.
        """
        if read_entry(self.path, self.scan)[0].marker != self.entry.marker:
            check_fence(self.path)
            raise TakenError(self.scan)

    def put(self, entry: LedgerEntry, *, through: bool = False) -> "InFlight":
        """Replace the entry where the marker is still there; errors as `check`, and ``DISK_FULL`` or ``NOT_WRITABLE``."""
        version = swap(self.path, entry_bytes(entry, self.scan), seen=self.version, through=through)
        if version is None:
            self.check()  # says why
            raise TakenError(self.scan)
        return replace(self, entry=entry, version=version)


@dataclass
class ScanInHand:
    """A scan that this process is writing.

    Parameters
    ----------
    marker
        Its in-flight marker.
    files
        Key of every object that is stored of it → its SHA-256.
    affines
        Columns of the table that say where box and head grid lie.
    """

    marker: InFlight
    files: dict[str, str]
    affines: dict[str, Any] = field(default_factory=dict)

    def withdraw(self) -> None:
        """Take back its record, which stood beside the marker; errors as `InFlight.put`."""
        self.marker = self.marker.put(replace(self.marker.entry, record=None))


def take(root: Location, scan: str, *, count: bool) -> InFlight:
    """Mark a scan as in flight; a record of it stays, beside the marker.

    Parameters
    ----------
    root
        The store.
    scan
        Its id.
    count
        Whether the scan counts as begun one time more.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``; ``BUSY``: another run took over.
    """
    path = record_path(root, scan)
    for _ in range(TRIES):
        before, seen = read_entry(path, scan)
        entry = replace(before, begun=before.begun + count, marker=token_hex(8))
        version = swap(path, entry_bytes(entry, scan), seen=seen)
        if version is None:
            continue
        try:
            # Once more: whoever takes over from here on finds the marker. One that came too late is taken back.
            check_fence(path)
        except HypojaxError:
            if before != LedgerEntry():
                swap(real(path), entry_bytes(before, scan), seen=version)
            raise
        return InFlight(path, scan, entry, version)
    raise TakenError(scan)


def shut_out(root: Location, scans: Iterable[str]) -> None:
    """Renew the markers of these scans, so that nobody who was at work on them can commit or take back a record.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``; ``BUSY``: another run took over.
    """
    for _ in each(root, lambda scan: _renewed(record_path(root, scan), scan), scans):
        pass


def begun(root: Location, scan: str) -> int:
    """How often a scan was begun and not brought to its record."""
    return read_entry(record_path(root, scan), scan)[0].begun


def read_entry(path: Location, scan: str) -> tuple[LedgerEntry, Version | None]:
    """The entry of a scan and its version; an empty one where none is or it does not hold."""
    version: Version | None = None
    try:
        data, version = read_version(path)
        return parse_entry(data, scan), version
    except (OSError, DamagedDocumentError):
        return LedgerEntry(), version


def _renewed(path: Location, scan: str) -> None:
    """Renew the marker of one scan, if there is one."""
    for _ in range(TRIES):
        entry, seen = read_entry(path, scan)
        if not entry.marker or swap(path, entry_bytes(replace(entry, marker=token_hex(8)), scan), seen=seen) is not None:
            return
    raise RunError(Reason.BUSY, f"{path} is written by somebody else; let one program alone write there, then run the same command again")
