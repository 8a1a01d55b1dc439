"""The client's side of a run on a cluster: a few batches on their way to each worker at any time, and what comes back of them.

A worker that dies costs nothing but time. Markers in the store tell which scans it had in flight: those are done again, each alone on a
worker, and where one takes that down too, with nothing else at work. If its worker dies even then the scan fails; all others go on.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Final

from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from hypojax.execute.cluster import revive
from hypojax.execute.outcome import ScanResult
from hypojax.execute.todo import Todo
from hypojax.execute.worker import process_batch
from hypojax.reason import Reason, RunError

IN_FLIGHT: Final = 3
"""Batches on their way to each worker: one at work, two that wait, so that no worker ever does."""

LARGEST: Final = 32
"""Scans of a batch at most: a task costs milliseconds, and what a lost worker was at is done again."""

SHARES: Final = 4
"""The next batch is this part of what one worker has left: large ones first, so that workers seldom begin anew; small ones at the end, so
that all end at about the same time."""

MOST_EARLY_DEATHS: Final = 5
"""Times that every worker may die before it begins a scan, until the run gives up: the networks may not fit into its memory."""

HEARTBEAT: Final = 5.0
"""Seconds between two looks at whether the scheduler is still there."""

Sent = Future[Any]
"""A batch on its way."""

Inbox = SimpleQueue[Sent | tuple[float, Mapping[str, Any]]]


def batches(scans: Sequence[str], *, workers: int, least: int) -> list[tuple[str, ...]]:
    """Scans in batches, each at least so many as are segmented together, the larger ones first.

    >>> [len(batch) for batch in batches([str(n) for n in range(20)], workers=1, least=1)]
    [5, 4, 3, 2, 2, 1, 1, 1, 1]
    """
    made, start = [], 0
    while start < len(scans):
        size = max(least, min(LARGEST, -(-(len(scans) - start) // (SHARES * workers))))
        made.append(tuple(scans[start : start + size]))
        start += size
    return made


class Dispatch:
    """Batches of scans on a cluster, and the results that come back.

    Parameters
    ----------
    client
        Connected to a scheduler whose workers have the plugin of the run.
    name
        Of the run, as in its `Assignment`.
    begun
        How often a scan was begun and not brought to its record, as its in-flight marker says.
    say
        Called when there is no worker.
    """

    def __init__(self, client: Client, name: str, *, begun: Callable[[str], int], say: Callable[[str], None]) -> None:
        self._client = client
        self._name = name
        self._begun = begun
        self._say = say
        self._looked = time.monotonic()
        self._alone = False
        self._inbox: Inbox = SimpleQueue()
        self._reported: set[str] = set()
        self._suspects: list[str] = []
        self._before: dict[str, int] = {}
        self._early_deaths = 0
        self.crashed: tuple[str, ...] = ()
        self.provenance: dict[str, Mapping[str, str]] = {}

    def results(self, todo: Todo, *, least: int) -> Iterator[ScanResult]:
        """What becomes of each scan, as it is known; those that took down a worker with nothing else at work are left in `crashed`.

        Raises
        ------
        RunError
            What concerns the run and not a scan: disk full, other weights on a worker, the cluster lost.
        """
        with self._listening():
            yield from self._sent(batches(todo.scans, workers=self._workers(), least=least), each=IN_FLIGHT)
            yield from self._sent([(scan,) for scan in self._take_suspects(todo.alone)], each=1)
            for scan in self._take_suspects():
                yield from self._sent([(scan,)], each=1)
            self.crashed = self._take_suspects()

    def _take_suspects(self, more: Sequence[str] = ()) -> tuple[str, ...]:
        """Scans that workers died of since this was last asked, and ``more``; what counts from here on is what happens from here on."""
        found = tuple(scan for scan in (*more, *self._suspects) if scan not in self._reported)
        self._suspects = []
        self._before = {scan: self._begun(scan) for scan in found}
        return found

    def _sent(self, work: Sequence[tuple[str, ...]], *, each: int) -> Iterator[ScanResult]:
        """Send batches, never more than ``each`` a worker."""
        waiting, in_flight = list(reversed(work)), dict[Any, tuple[Sent, tuple[str, ...]]]()
        try:
            while waiting or in_flight:
                while waiting and len(in_flight) < each * self._workers():
                    batch = waiting.pop()
                    future = self._client.submit(process_batch, batch, self._name, pure=False)
                    future.add_done_callback(self._inbox.put)
                    in_flight[future.key] = (future, batch)
                item = self._next()
                if not isinstance(item, Future):
                    yield from self._new([ScanResult(**json.loads(item[1]["result"]))])
                elif item.key in in_flight:
                    results, again = self._outcome_of(item, in_flight.pop(item.key)[1])
                    waiting += [again] if again else []
                    yield from self._new(results)
        finally:
            if self._client.status == "running":
                self._client.cancel([future for future, _ in in_flight.values()])

    def _outcome_of(self, future: Sent, batch: tuple[str, ...]) -> tuple[list[ScanResult], tuple[str, ...]]:
        """Results of a batch that came to its end, and what of it is to be sent again."""
        try:
            results, made = future.result()
        except KilledWorker:
            return [], self._after_a_death(batch)
        except (FutureCancelledError, OSError) as error:
            raise lost() from error
        self.provenance[repr(sorted(made.items()))] = made
        return list(results), ()

    def _after_a_death(self, batch: tuple[str, ...]) -> tuple[str, ...]:
        """Suspect what a worker that died had begun of a batch; the rest is to be sent again."""
        left = [scan for scan in batch if scan not in self._reported]
        begun = [scan for scan in left if self._begun(scan) > self._before.get(scan, 0)]
        self._suspects += begun
        self._early_deaths = 0 if begun else self._early_deaths + 1
        if self._early_deaths > MOST_EARLY_DEATHS * IN_FLIGHT * self._workers():
            message = "workers die before they begin a scan: the networks may not fit into their memory, or JAX cannot start there"
            raise RunError(Reason.CLUSTER_LOST, f"{message}; try fewer --workers, or one scan with --cluster here, which shows more")
        return tuple(scan for scan in left if scan not in begun)

    def _new(self, results: Sequence[ScanResult]) -> Iterator[ScanResult]:
        """Results not reported yet: each comes twice, at once and with its batch, and again where a batch was done again."""
        for result in results:
            if result.scan not in self._reported:
                self._reported.add(result.scan)
                self._early_deaths = 0
                yield result

    def _next(self) -> Sent | tuple[float, Mapping[str, Any]]:
        """The next that comes in.

        Raises
        ------
        RunError
            ``CLUSTER_LOST``.
        """
        while True:
            if time.monotonic() > self._looked + HEARTBEAT:
                self._look()
            try:
                return self._inbox.get(timeout=HEARTBEAT)
            except Empty:
                continue

    def _look(self) -> None:
        """Whether scheduler and workers are still there; errors as `_next`."""
        self._looked = time.monotonic()
        if self._client.status not in ("running", "connecting"):
            raise lost()
        revive(self._client)
        alone = not self._count()
        if alone and not self._alone:
            self._say("no worker is there at the moment: waiting for one to start")
        self._alone = alone

    def _workers(self) -> int:
        """Workers to send work for: one at least, for work must wait for the first; errors as `_count`."""
        return max(1, self._count())

    def _count(self) -> int:
        """Workers that are there now.

        Raises
        ------
        RunError
            ``CLUSTER_LOST``.
        """
        try:
            return len(self._client.nthreads())
        except (OSError, TypeError) as error:  # TypeError: how a client says that it has lost its scheduler
            raise lost() from error

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
    return RunError(Reason.CLUSTER_LOST, "the Dask scheduler is gone; finished scans are kept: run the same command again to continue")
