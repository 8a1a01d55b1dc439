"""One run over the scans of one store, in this process or on a cluster."""

import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypojax.execute.line import Line, Refused, Segments
from hypojax.execute.outcome import ScanResult, Watch
from hypojax.execute.output import DERIVATIVES
from hypojax.execute.process import process
from hypojax.execute.todo import Todo
from hypojax.reason import Reason
from hypojax.settings import ClusterSettings, RunSettings
from hypojax.store import CohortStore

if TYPE_CHECKING:
    from hypojax.execute.dispatch import Dispatch


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
    network
        The network; None where workers load it themselves.
    share
        The scans that this run does where several do them all; None where it does them all itself.
    """

    store: CohortStore
    out: Path
    settings: RunSettings
    where: ClusterSettings
    network: Segments | None = None
    share: tuple[str, ...] | None = None

    @property
    def line(self) -> Line:
        """Where scans come from and go to."""
        return Line(self.store, self.out / DERIVATIVES, self.network, write_maps=self.settings.derivatives)

    def results(self, todo: Todo, *, watch: Watch) -> Iterator[ScanResult]:
        """What becomes of each scan, as it is known.

        Raises
        ------
        RunError
            What concerns the run and not a scan.
        """
        if not todo.total:
            return iter(())
        if self.where.distributed:
            return self._there(todo, watch=watch)
        watch.noted(f"in this process, on {self.network.provenance.get('device', 'no device') if self.network else 'no device'}")
        return self._here(todo)

    def _here(self, todo: Todo) -> Generator[ScanResult, None, None]:
        """In this process."""
        least = self.network.batch if self.network else 1
        return process(self.line, todo, read_ahead=self.settings.read_ahead, batch=max(self.settings.batch or 1, least))

    def _there(self, todo: Todo, *, watch: Watch) -> Generator[ScanResult, None, None]:
        """On a cluster."""
        from hypojax.execute.cluster import connected  # here, because Dask's scheduler takes a second to import
        from hypojax.execute.dispatch import Dispatch
        from hypojax.execute.worker import Assignment, LinePlugin

        name = f"hypojax-{uuid.uuid4().hex[:12]}"
        with connected(self.where, say=watch.noted) as client:
            client.register_plugin(LinePlugin(Assignment(name, self.out.absolute(), self.settings, self.network)))
            sent = Dispatch(client, name)
            yield from sent.results(todo, least=self.settings.batch or 1)
            client.unregister_worker_plugin(name)
        yield from self._condemned(sent)
        for made in sent.provenance.values():
            CohortStore.create(self.store.root, scans=self.store.scans, settings=self.store.index.settings, provenance=made)

    def _condemned(self, sent: "Dispatch") -> Iterator[ScanResult]:
        """Records of scans that took their worker down each time it had nothing else to do."""
        for scan in sent.deadly:
            message = f"scan {scan!r}: every process that worked on it died (a crash, or more memory than a worker has)"
            advice = "look at the file, give workers more memory, or exclude the scan; --retry-failed tries it again"
            yield self.line.finish(Refused(ScanResult(scan, "failed", str(Reason.CRASHED), f"{message}; {advice}")))
