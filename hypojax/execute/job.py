"""One run over the scans of one store, in this process or on a cluster."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypojax.execute.budget import scan_room
from hypojax.execute.item import Refused
from hypojax.execute.lock import settling
from hypojax.execute.outcome import ScanResult, Watch
from hypojax.execute.output import DERIVATIVES, STORE
from hypojax.execute.pipeline import Line, Segments
from hypojax.execute.process import process
from hypojax.execute.todo import Todo
from hypojax.execute.turn import Turn
from hypojax.reason import Reason
from hypojax.settings import ClusterSettings, RunSettings
from hypojax.storage import Location, ObjectPath
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
    turn
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
    turn: Turn
    network: Segments | None = None
    share: tuple[str, ...] | None = None

    @property
    def line(self) -> Line:
        """Where scans come from and go to."""
        room = scan_room(self.settings.memory_bytes)
        return Line(self.store, self.out / DERIVATIVES, self.network, write_maps=self.settings.derivatives, room=room)

    def results(self, todo: Todo, *, watch: Watch) -> Generator[ScanResult, None, None]:
        """What becomes of each scan, as it is known.

        Raises
        ------
        RunError
            What concerns the run and not a scan.
        """
        if not todo.total:
            return
        if self.where.distributed:
            yield from self._there(todo, watch=watch)
            return
        watch.noted(f"in this process, on {self.network.provenance.get('device', 'no device') if self.network else 'no device'}")
        if todo.alone:
            watch.noted(suspected(todo.alone))
        yield from process(self.line, todo, settings=self.settings)

    def _there(self, todo: Todo, *, watch: Watch) -> Generator[ScanResult, None, None]:
        """On a cluster."""
        from hypojax.execute.cluster import connected  # here, because Dask's scheduler takes a second to import
        from hypojax.execute.dispatch import Dispatch
        from hypojax.execute.worker import Assignment, assigned

        out = self.out if isinstance(self.out, ObjectPath) else self.out.resolve()  # an object's place carries its fence to the workers
        assignment = Assignment(self.turn, out, self.settings, self.network)
        with connected(self.where, say=watch.noted) as client, assigned(client, assignment):
            sent = Dispatch(client, self.turn.name, begun=self.store.begun, say=watch.noted)
            yield from sent.results(todo, least=self.settings.batch or 1)
        yield from self._condemned(sent)
        with settling(self.out) as common:  # shards share the index
            for made in sent.provenance.values():
                now = CohortStore.open(common / STORE)
                CohortStore.create(now.root, scans=now.scans, settings=now.index.settings, provenance=made)

    def _condemned(self, sent: "Dispatch") -> Iterator[ScanResult]:
        """Records of scans that took their worker down each time it had nothing else to do."""
        for scan in sent.deadly:
            message = f"scan {scan!r}: every process that worked on it died (a crash, or more memory than a worker has)"
            advice = "look at the file, give workers more memory, or exclude the scan; --retry-failed tries it again"
            yield self.line.finish(Refused(ScanResult(scan, "failed", str(Reason.CRASHED), f"{message}; {advice}")))


def suspected(scans: Sequence[str]) -> str:
    """What to know of scans that were at work when an earlier run died.

    >>> suspected(["sub-02"])
    'at work when an earlier run died: sub-02, left for last, one at a time; --cluster local lets one that does it again fail alone'
    """
    named = ", ".join(scans[:NAMED]) + (f" and {len(scans) - NAMED} more" if len(scans) > NAMED else "")
    return f"at work when an earlier run died: {named}, left for last, one at a time; {ADVICE}"
