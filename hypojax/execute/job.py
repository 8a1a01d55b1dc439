"""One run over the scans of one store, in this process or on a cluster."""

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from hypojax.execute.budget import scan_budget
from hypojax.execute.lock import WorkerLock, table_lock
from hypojax.execute.outcome import Callback, ScanResult
from hypojax.execute.output import DERIVATIVES, STORE
from hypojax.execute.pipeline import Item, Pipeline, Segments
from hypojax.reason import Reason
from hypojax.settings import ClusterSettings, RunSettings
from hypojax.storage import Location, absolute
from hypojax.store import CohortStore, ScanRecord

if TYPE_CHECKING:
    from hypojax.execute.dispatch import Dispatch

NAMED: Final = 5
"""Scans that a note names; of the rest it says how many they are."""

ADVICE: Final = "--cluster local lets one that does it again fail alone"


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


@dataclass(frozen=True)
class Job:
    """What a run works with.

    Parameters
    ----------
    store
        The cohort store in ``out``.
    out
        Output folder.
    settings, where
        How, and where.
    workers
        What lets workers write.
    network
        The network; None where workers load it themselves.
    share
        The scans that this run does where several do them all; None where it does them all itself.
    """

    store: CohortStore
    out: Location
    settings: RunSettings
    where: ClusterSettings
    workers: WorkerLock
    network: Segments | None = None
    share: tuple[str, ...] | None = None

    @property
    def pipeline(self) -> Pipeline:
        """Where scans come from and go to."""
        budget = scan_budget(self.settings.memory_bytes)
        return Pipeline(self.store, self.out / DERIVATIVES, self.network, write_maps=self.settings.derivatives, budget=budget)

    def results(self, todo: Todo, *, callback: Callback) -> Generator[ScanResult, None, None]:
        """What becomes of each scan, as it is known.

        Raises
        ------
        RunError
            What concerns the run and not a scan.
        """
        if not todo.total:
            return
        if self.where.distributed:
            yield from self._there(todo, callback=callback)
            return
        callback.noted(f"in this process, on {self.network.provenance.get('device', 'no device') if self.network else 'no device'}")
        if todo.alone:
            callback.noted(suspected(todo.alone))
        yield from self.pipeline.results(todo.scans, settings=self.settings)
        for scan in todo.alone:
            yield from self.pipeline.results((scan,), settings=self.settings)

    def _there(self, todo: Todo, *, callback: Callback) -> Generator[ScanResult, None, None]:
        """On a cluster."""
        from hypojax.execute.cluster import connected  # here, because Dask's scheduler takes a second to import
        from hypojax.execute.dispatch import Dispatch
        from hypojax.execute.worker import Assignment, assigned

        out = absolute(self.out)
        self.workers.admit()
        assignment = Assignment(self.workers, out, self.settings, self.network)
        with connected(self.where, say=callback.noted) as client, assigned(client, assignment):
            sent = Dispatch(client, self.workers.run, begun=self.store.begun, say=callback.noted)
            yield from sent.results(todo, least=self.settings.batch or 1)
        yield from self._crashed(sent)
        with table_lock(self.out) as common:  # shards share the index
            for made in sent.provenance.values():
                now = CohortStore.open(common / STORE)
                CohortStore.create(now.root, scans=now.scans, settings=now.index.settings, provenance=made)

    def _crashed(self, sent: "Dispatch") -> Iterator[ScanResult]:
        """Records of scans that took their worker down each time it had nothing else to do."""
        for scan in sent.crashed:
            message = f"scan {scan!r}: every process that worked on it died (a crash, or more memory than a worker has)"
            advice = "look at the file, give workers more memory, or exclude the scan; --retry-failed tries it again"
            result = ScanResult(scan, "failed", str(Reason.CRASHED), f"{message}; {advice}")
            yield self.pipeline.finish(Item(scan, result=result))


def suspected(scans: Sequence[str]) -> str:
    """What to know of scans that were at work when an earlier run died.

    >>> suspected(["sub-02"])
    'at work when an earlier run died: sub-02, left for last, one at a time; --cluster local lets one that does it again fail alone'
    """
    named = ", ".join(scans[:NAMED]) + (f" and {len(scans) - NAMED} more" if len(scans) > NAMED else "")
    return f"at work when an earlier run died: {named}, left for last, one at a time; {ADVICE}"
