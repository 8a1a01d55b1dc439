"""The worker's side of a run on a cluster: networks loaded once a process, batches of scans sent through the pipeline.

A worker reads scans and writes the store itself; only small results travel.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from distributed import Client, Scheduler, SchedulerPlugin, Worker, WorkerPlugin, get_worker

from hypojax.execute.budget import scan_budget
from hypojax.execute.lock import WorkerLock
from hypojax.execute.machine import load_segmenter, provenance, weights_of
from hypojax.execute.outcome import ScanResult, from_record
from hypojax.execute.output import DERIVATIVES, STORE
from hypojax.execute.pipeline import Pipeline, Segments
from hypojax.reason import Reason, RunError
from hypojax.segmenter.compile_cache import use_compile_cache
from hypojax.settings import RunSettings
from hypojax.storage import Location
from hypojax.store import CohortStore, limit_threads

OURS: Final = "HYPOJAX_OWN_WORKER"
"""Variable of workers that a run starts on its own machine and ends with itself."""

CORES: Final = "HYPOJAX_CORES"
"""Environment variable: cores of this machine that a worker keeps to, such as ``0,1``."""

STORE_THREADS: Final = 2


@dataclass(frozen=True)
class Assignment:
    """What a worker must know besides the scans.

    Parameters
    ----------
    lock
        What lets workers of this run write; the run's name is what plugin and results go by.
    out
        Output folder, where workers see it.
    settings
        Of the run.
    segmenter
        The network; loaded as the settings say when None.
    """

    lock: WorkerLock
    out: Location
    settings: RunSettings
    segmenter: Segments | None = None


class Reports(Protocol):
    """Whatever tells the client of a result at once: a Dask worker."""

    def log_event(self, topic: str, message: Any) -> None:  # noqa: ANN401  (as Dask has it)
        """Send a message to whoever listens to the topic."""


@contextmanager
def assigned(client: Client, assignment: Assignment) -> Iterator[None]:
    """Give an assignment to all workers of a client, also to those that join later, until the block ends or the client is gone."""
    plugin = PipelinePlugin(assignment)
    removal = PluginRemoval(plugin.name, client.id)
    with suppress(ImportError):  # a scheduler that others started may lack hypojax; its workers must have it
        client.register_plugin(removal)
    client.register_plugin(plugin)
    try:
        yield
    finally:
        if client.status == "running":
            with suppress(OSError, ValueError, TypeError):  # the scheduler has gone, and with it what it knew
                client.unregister_worker_plugin(plugin.name)
                client.unregister_scheduler_plugin(removal.name)


class PipelinePlugin(WorkerPlugin):
    """Holds the pipeline of one run in a worker process: store opened, networks loaded and compiled once."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.name = assignment.lock.run
        self.dismissed = False

    def setup(self, worker: Worker) -> None:
        """Keep to the cores given, before JAX counts them; nothing heavy, the worker's own heart beats in this thread."""
        if OURS in os.environ:
            leave_signals_to_client()
        if cores := os.environ.get(CORES):
            os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
        limit_threads(STORE_THREADS)
        use_compile_cache()
        self._memory: int | None = worker.memory_manager.memory_limit  # beyond it Dask ends the process
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002  (as Dask calls it)
        """Begin no further scan, and keep neither networks nor store: the run has ended, or whoever sent it is gone."""
        self.dismissed = True
        self._pipeline = None

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline, made when the first batch comes."""
        with self._lock:
            if self._pipeline is None:
                self._pipeline = self._opened()
            return self._pipeline

    def _opened(self) -> Pipeline:
        """Open the store and load the networks, which must be those that the store was made for."""
        out, settings = self.assignment.out, self.assignment.settings
        store = CohortStore.open(out / STORE)
        network = self.assignment.segmenter or load_segmenter(settings)
        for name, value in weights_of(network).items():
            if store.index.settings.get(name) != value:
                message = f"a worker has other weights ({name} {value}) than the run began with ({store.index.settings.get(name)})"
                raise RunError(Reason.OTHER_SETTINGS, f"{message}; install the same hypojax, and the same --weights, for all workers")
        budget = scan_budget(min(filter(None, (settings.memory_bytes, self._memory)), default=None))
        return Pipeline(store, out / DERIVATIVES, network, write_maps=settings.derivatives, budget=budget)


def leave_signals_to_client() -> None:
    """Ignore what a terminal sends to all processes of a run: its client ends workers in order, with nothing half done."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


def process_batch(scans: Sequence[str], name: str) -> tuple[list[ScanResult], Mapping[str, str]]:
    """Send scans through the pipeline of a worker.

    Returns
    -------
    What became of each, and the provenance of the networks.

    Raises
    ------
    RunError
        What concerns the run and not a scan; ``BUSY`` where this worker was left behind and another run has begun.
    """
    worker = get_worker()
    plugin: Any = worker.plugins[name]
    results: list[ScanResult] = []
    with plugin.assignment.lock.held():
        pipeline, settings = plugin.pipeline, plugin.assignment.settings
        for result in pipeline.results(_unwritten(plugin, pipeline, scans, results), settings=settings):
            # Dask adds the name of the worker beside it, and cannot send text that UTF-8 cannot hold, as some names of files; JSON can.
            worker.log_event(name, {"result": json.dumps(asdict(result))})
            results.append(result)
    return results, provenance(pipeline.segmenter)


def _unwritten(plugin: PipelinePlugin, pipeline: Pipeline, scans: Sequence[str], results: list[ScanResult]) -> Iterator[str]:
    """Scans that have no record yet; others were done by a worker believed lost, or instead of this one, and are left."""
    for scan in scans:
        if plugin.dismissed:
            return
        record = pipeline.store.record(scan)
        if record is None or record["status"] == "pending":
            yield scan
        else:
            results.append(from_record(record))


class PluginRemoval(SchedulerPlugin):
    """Takes the plugin of a run from all workers when its client is gone: one that is killed cannot clean up behind itself.

    Parameters
    ----------
    worker_plugin
        Name of the plugin of the run.
    client
        Which client, by its `distributed.Client.id`.
    """

    def __init__(self, worker_plugin: str, client: str) -> None:
        self.name = f"{worker_plugin}-removal"
        self._worker_plugin = worker_plugin
        self._client = client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Take away both plugins of the run when it is its client that leaves (as Dask calls it)."""
        if client == self._client:
            scheduler.loop.add_callback(self._take_away, scheduler)

    async def _take_away(self, scheduler: Scheduler) -> None:
        """Take them away, unless the client has done so itself."""
        with suppress(ValueError):
            scheduler.remove_plugin(self.name)
        with suppress(ValueError):
            await scheduler.unregister_worker_plugin(comm=None, name=self._worker_plugin)
