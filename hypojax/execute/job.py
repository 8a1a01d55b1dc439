"""One run over the scans of one store, in this process or on a cluster."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypojax.execute.budget import scan_budget
from hypojax.execute.lock import WorkerLock, table_lock
from hypojax.execute.outcome import Callback, ScanResult
from hypojax.execute.output import DERIVATIVES, STORE
from hypojax.execute.pipeline import Item, Pipeline, Segments
from hypojax.execute.todo import Todo
from hypojax.reason import Reason
from hypojax.settings import ClusterSettings, RunSettings
from hypojax.storage import Location, absolute
from hypojax.store import CohortStore

if TYPE_CHECKING:
    from hypojax.execute.dispatch import Dispatch

NAMED: Final = 5
"""Scans that a note names; of the rest it says how many they are."""

ADVICE: Final = "--cluster local lets one that does it again fail alone"


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
