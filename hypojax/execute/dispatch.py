"""The client's side of a run on a cluster: a few batches on their way to each worker at any time, and what comes back of them.

A worker that dies costs nothing but time: its batches go to others, which leave what is done. A batch that takes workers down
with it is done again scan by scan, with nothing else at work, until the scan to blame is known; that one fails, the rest goes on.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Final

from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from hypojax.execute.outcome import ScanResult
from hypojax.execute.todo import Todo
from hypojax.execute.worker import process_batch
from hypojax.reason import Reason, RunError

IN_FLIGHT: Final = 3
"""Batches on their way to each worker: one at work, two that wait, so that no worker ever does."""

LARGEST: Final = 32
"""Scans of a batch at most: a task costs milliseconds, and what a lost worker was at is done again."""

SHARES: Final = 8
"""Batches a worker gets at least where there are scans enough, so that all end at about the same time."""

HEARTBEAT: Final = 5.0
"""Seconds between two looks at whether the scheduler is still there."""

Inbox = SimpleQueue[Future | tuple[float, Mapping[str, Any]]]


def batches(scans: Sequence[str], *, workers: int, least: int) -> list[tuple[str, ...]]:
    """Scans in batches, each at least so many as are segmented together.

    >>> [len(batch) for batch in batches([str(n) for n in range(20)], workers=1, least=1)]
    [3, 3, 3, 3, 3, 3, 2]
    """
    size = max(least, min(LARGEST, -(-len(scans) // (SHARES * workers))))
    return [tuple(scans[start : start + size]) for start in range(0, len(scans), size)]


class Dispatch:
    """Batches of scans on a cluster, and the results that come back.

    Parameters
    ----------
    client
        Connected to a scheduler whose workers have the plugin of the run.
    name
        Of the run, as in its `Assignment`.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._inbox: Inbox = SimpleQueue()
        self._told: set[str] = set()
        self._suspects: list[str] = []
        self._deadly: list[str] = []
        self.provenance: dict[str, Mapping[str, str]] = {}

    @property
    def deadly(self) -> tuple[str, ...]:
        """Scans that took workers down with nothing else at work."""
        return tuple(self._deadly)

    def results(self, todo: Todo, *, least: int) -> Iterator[ScanResult]:
        """What becomes of each scan, as it is known; scans of `deadly` are not among them.

        Raises
        ------
        RunError
            What concerns the run and not a scan: disk full, other weights on a worker, the cluster lost.
        """
        with self._listening():
            work = batches(todo.scans, workers=self._workers(), least=least)
            yield from self._sent(work, blame=self._suspects)
            for scan in (*todo.alone, *self._suspects):
                if scan not in self._told:
                    yield from self._sent([(scan,)], blame=self._deadly)

    def _sent(self, work: Sequence[tuple[str, ...]], *, blame: list[str]) -> Iterator[ScanResult]:
        """Send batches, never more than a few a worker; scans of batches that took workers down go to ``blame``."""
        waiting, flying = list(reversed(work)), {}
        try:
            while waiting or flying:
                while waiting and len(flying) < IN_FLIGHT * self._workers():
                    batch = waiting.pop()
                    future = self._client.submit(process_batch, batch, self._name, pure=False)
                    future.add_done_callback(self._inbox.put)
                    flying[future.key] = (future, batch)
                item = self._next()
                if not isinstance(item, Future):
                    yield from self._new([ScanResult(**item[1]["result"])])
                elif item.key in flying:
                    yield from self._new(self._landed(item, flying.pop(item.key)[1], blame))
        finally:
            self._client.cancel([future for future, _ in flying.values()])

    def _landed(self, future: Future, batch: tuple[str, ...], blame: list[str]) -> list[ScanResult]:
        """Results of a batch that came to its end."""
        try:
            results, made = future.result()
        except KilledWorker:
            blame += [scan for scan in batch if scan not in self._told]
            return []
        except (FutureCancelledError, OSError) as error:
            raise lost() from error
        self.provenance[repr(sorted(made.items()))] = made
        return list(results)

    def _new(self, results: Sequence[ScanResult]) -> Iterator[ScanResult]:
        """Results not told yet: each comes twice, at once and with its batch, and again where a batch was done again."""
        for result in results:
            if result.scan not in self._told:
                self._told.add(result.scan)
                yield result

    def _next(self) -> Future | tuple[float, Mapping[str, Any]]:
        """The next that comes in.

        Raises
        ------
        RunError
            ``CLUSTER_LOST``.
        """
        while True:
            try:
                return self._inbox.get(timeout=HEARTBEAT)
            except Empty:
                if self._client.status not in ("running", "connecting"):
                    raise lost() from None

    def _workers(self) -> int:
        """Workers that are there now; at least one, for work must wait for the first."""
        return max(1, len(self._client.nthreads()))

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Receive what workers tell of single scans."""
        self._client.subscribe_topic(self._name, self._inbox.put)
        try:
            yield
        finally:
            if self._client.status == "running":
                self._client.unsubscribe_topic(self._name)


def lost() -> RunError:
    """The refusal to go on without a scheduler."""
    return RunError(
        Reason.CLUSTER_LOST, "the Dask scheduler is gone; what was finished is kept: run the same command again, which goes on from there"
    )
