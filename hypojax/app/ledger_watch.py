"""How far the run of a cohort is, read from its ledger: what others write is looked at and never locked or changed."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hypojax.execute.outcome import ScanResult, from_record
from hypojax.execute.output import STORE
from hypojax.reason import HypojaxError
from hypojax.store import CohortStore
from hypojax.store.index import index_path
from hypojax.store.ledger import record_path

LATEST: Final = 50
"""Scans that the pace is taken from."""

Version = tuple[int, int]
"""Time of the last change (ns) and size of a file: a record that has the same is the same."""


@dataclass(frozen=True)
class LedgerState:
    """What the ledger says.

    Parameters
    ----------
    total
        Scans of the cohort; 0 before they were found.
    done, failed
        How many of them are done, and failed.
    failures
        Those that failed, with reason and sentence.
    finished_at
        When the latest scans were finished, seconds since 1970, in order.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    failures: tuple[ScanResult, ...] = ()
    finished_at: tuple[float, ...] = ()

    @property
    def waiting(self) -> int:
        """Scans that are neither done nor failed."""
        return self.total - self.done - self.failed

    def scans_per_second(self, *, since: float, now: float | None = None) -> float:
        """Pace of the latest scans that were finished after ``since``, scans a second; 0 before there are two.

        The last interval ends now, so that a run that stands still gets slower.

        >>> LedgerState(finished_at=(100.0, 102.0, 104.0)).scans_per_second(since=99.0, now=104.0)
        0.5
        """
        times = [at for at in self.finished_at if at > since]
        elapsed = (time.time() if now is None else now) - times[0] if times else 0.0
        return (len(times) - 1) / elapsed if len(times) > 1 and elapsed > 0 else 0.0


class LedgerWatch:
    """The ledger of one cohort, of which each record is read once and again only after it changed.

    Parameters
    ----------
    out
        Folder of the cohort.
    """

    def __init__(self, out: Path) -> None:
        self._root = out / STORE
        self._index: Version | None = None
        self._store: CohortStore | None = None
        self._known: dict[str, tuple[Version, ScanResult | None]] = {}

    def look(self) -> LedgerState:
        """What the ledger says now; nothing before there is one, or while its index is being replaced."""
        if (store := self._opened()) is None:
            return LedgerState()
        for scan in store.index.ids:
            self._read(store, scan)
        found = [self._known[scan] for scan in store.index.ids if scan in self._known]
        results = [result for _, result in found if result is not None]
        count = Counter(result.status for result in results)
        times = sorted(version[0] / 1e9 for version, result in found if result is not None)
        failures = tuple(result for result in results if result.failed)
        return LedgerState(len(store.index.ids), count["done"], count["failed"], failures, tuple(times[-LATEST:]))

    def _opened(self) -> CohortStore | None:
        """The store with its index as it is now."""
        version = _version(Path(str(index_path(self._root))))
        if version != self._index or self._store is None:
            try:
                self._store = CohortStore.open(self._root) if version else None
            except (HypojaxError, OSError):
                self._store = None
            self._index, self._known = version, {}
        return self._store

    def _read(self, store: CohortStore, scan: str) -> None:
        """Bring what is known of one scan up to date."""
        version = _version(Path(str(record_path(store.root, scan))))
        if version is None:
            self._known.pop(scan, None)
        elif scan not in self._known or self._known[scan][0] != version:
            try:
                record = store.record(scan)
            except (HypojaxError, OSError):
                record = None
            finished = record is not None and record["status"] != "pending"
            self._known[scan] = (version, from_record(record) if record is not None and finished else None)


def _version(path: Path) -> Version | None:
    """Which version of a file is there; None where none is."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
