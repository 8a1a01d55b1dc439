"""What a run has to do: which scans of the store, as its ledger says."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from hypojax.settings import RunSettings
from hypojax.store import CohortStore, ScanRecord


@dataclass(frozen=True)
class Todo:
    """The scans of a run.

    Parameters
    ----------
    scans
        To do, in order.
    alone
        To do after those, one at a time: a process died while it worked on them, so that one of them may be to blame. Those that
        saw fewest processes die come first: one that takes down each process it meets never keeps the others from being done.
    kept
        Done before.
    left
        Failed before, and not tried again.
    """

    scans: tuple[str, ...]
    alone: tuple[str, ...] = ()
    kept: int = 0
    left: int = 0

    def __contains__(self, scan: str) -> bool:
        """Whether a scan is to do."""
        return scan in self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        """Scans to do."""
        return frozenset((*self.scans, *self.alone))

    @property
    def total(self) -> int:
        """Scans to do."""
        return len(self.scans) + len(self.alone)


def todo_of(store: CohortStore, scans: Sequence[str], *, settings: RunSettings) -> Todo:
    """What is to do of these scans. Records of scans that are done again are withdrawn: what a record speaks of is never to do.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    records = {record["scan"]: record for record in store.records()}
    damaged = {problem.scan for problem in store.verify()} if settings.check else frozenset()
    due = [scan for scan in scans if _due(records.get(scan), settings=settings, damaged=damaged)]
    for scan in due:
        if scan in records and records[scan]["status"] != "pending":
            store.withdraw(scan)
    rest = [records[scan]["status"] for scan in set(scans).difference(due)]
    begun = {scan: store.begun(scan) for scan in due}
    return Todo(
        scans=tuple(scan for scan in due if not begun[scan]),
        alone=tuple(sorted((scan for scan in due if begun[scan]), key=begun.__getitem__)),
        kept=rest.count("done"),
        left=rest.count("failed"),
    )


def _due(record: ScanRecord | None, *, settings: RunSettings, damaged: Collection[str]) -> bool:
    """Whether a scan with this record is to do."""
    if record is None or record["status"] == "pending" or settings.recompute:
        return True
    return settings.retry_failed if record["status"] == "failed" else record["scan"] in damaged
