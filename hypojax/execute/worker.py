"""The worker's side of a run on a cluster: networks loaded once a process, batches of scans sent down the line.

A worker reads scans and writes the store itself; only small results travel.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from distributed import Worker, WorkerPlugin, get_worker

from hypojax.execute.line import Line, Segments
from hypojax.execute.network import load_segmenter, provenance, weights_of
from hypojax.execute.outcome import ScanResult, from_record
from hypojax.execute.output import DERIVATIVES, STORE
from hypojax.execute.process import process
from hypojax.execute.todo import Todo
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings
from hypojax.store import CohortStore, limit_threads

CORES: Final = "HYPOJAX_CORES"
"""Environment variable: cores of this machine that a worker keeps to, such as ``0,1``."""

STORE_THREADS: Final = 2


@dataclass(frozen=True)
class Assignment:
    """What a worker must know besides the scans.

    Parameters
    ----------
    name
        Of this run: what its plugin and its results go by.
    out
        Output folder, where workers see it.
    settings
        Of the run.
    segmenter
        The network; loaded as the settings say when None.
    """

    name: str
    out: Path
    settings: RunSettings
    segmenter: Segments | None = None


class Reports(Protocol):
    """Whatever tells the client of a result at once: a Dask worker."""

    def log_event(self, topic: str, message: Any) -> None:  # noqa: ANN401  (as Dask has it)
        """Send a message to whoever listens to the topic."""


class LinePlugin(WorkerPlugin):
    """Holds the line of one run in a worker process: store opened, networks loaded and compiled once."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.name = assignment.name

    def setup(self, worker: Worker) -> None:  # noqa: ARG002  (as Dask calls it)
        """Keep to the cores given, before JAX counts them; nothing heavy, the worker's own heart beats in this thread."""
        if cores := os.environ.get(CORES):
            os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
        limit_threads(STORE_THREADS)
        self._lock = threading.Lock()
        self._line: Line | None = None

    @property
    def line(self) -> Line:
        """The line, made when the first batch comes."""
        with self._lock:
            if self._line is None:
                self._line = self._opened()
            return self._line

    def _opened(self) -> Line:
        """Open the store and load the networks, which must be those that the store was made for."""
        out, settings = self.assignment.out, self.assignment.settings
        store = CohortStore.open(out / STORE)
        network = self.assignment.segmenter or load_segmenter(settings)
        for name, value in weights_of(network).items():
            if store.index.settings.get(name) != value:
                message = f"a worker has other weights ({name} {value}) than the run began with ({store.index.settings.get(name)})"
                raise RunError(Reason.OTHER_SETTINGS, f"{message}; install the same hypojax, and the same --weights, for all workers")
        return Line(store, out / DERIVATIVES, network, write_maps=settings.derivatives)


def process_batch(scans: Sequence[str], name: str) -> tuple[list[ScanResult], Mapping[str, str]]:
    """Send scans down the line of a worker; those that have a record by now were done by a worker that was lost, and are left.

    Returns
    -------
    What became of each, and the provenance of the networks.
    """
    worker = get_worker()
    plugin = worker.plugins[name]
    line, settings = plugin.line, plugin.assignment.settings
    results, due = [], []
    for scan in scans:
        record = line.store.record(scan)
        if record is None or record["status"] == "pending":
            due.append(scan)
        else:
            results.append(from_record(record))
    batch = max(settings.batch or 1, line.segmenter.batch)
    for result in process(line, Todo(tuple(due)), read_ahead=settings.read_ahead, batch=batch):
        worker.log_event(name, {"result": asdict(result)})  # Dask adds the name of the worker beside it
        results.append(result)
    return results, provenance(line.segmenter)
