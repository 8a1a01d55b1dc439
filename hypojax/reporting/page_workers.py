"""Drawing pages of scans: here, or in several processes that each get the cohort once and then the names of scans.

The processes are started as programs of their own, not by `multiprocessing`: so a script that calls `hypojax.report` needs no
``if __name__ == "__main__"``, and one that dies of a scan (memory) takes that scan with it and no other.
"""

import logging
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Final, NamedTuple

from hypojax.reason import HypojaxError, visible
from hypojax.reporting.page_log import lengths
from hypojax.reporting.report_data import ReportData
from hypojax.storage import place

FEW: Final = 8
"""Pages for which no process is started: starting one takes as long as drawing so many."""

LONGEST: Final = 300
"""Characters kept of what an unforeseen error says."""

COMMAND: Final = (sys.executable, "-P", "-c", "from hypojax.reporting.page_workers import main; main()")
"""Modules are not looked for in the folder that somebody happens to be in (``-P``), but where this process found them."""


class PageResult(NamedTuple):
    """What became of the page of one scan.

    Parameters
    ----------
    scan
        The name that pages show.
    status
        ``done`` or ``failed``.
    message
        Why it could not be drawn.
    seconds
        Time it took.
    files
        Files that were written, below the report → their length, bytes.
    """

    scan: str
    status: str = "done"
    message: str = ""
    seconds: float = 0.0
    files: dict[str, int] = {}  # noqa: RUF012 - never changed

    @property
    def failed(self) -> bool:
        """Whether there is no page."""
        return self.status == "failed"


def draw_page(data: ReportData, scan: str, folder: Path) -> PageResult:
    """Write the page of one scan, the page itself last. Whatever is wrong with it is told, and does not stop the others.

    Parameters
    ----------
    data
        Of the report.
    scan
        Its id.
    folder
        The report.
    """
    from hypojax.reporting.scan_page import scan_page

    start, name = time.monotonic(), data.names[scan]
    try:
        files = scan_page(data, scan)
        for file in sorted(files, key=lambda file: file == data.files[scan]):
            place(folder / file, files[file], through=False)
    except MemoryError:
        return PageResult(
            name, "failed", f"scan {name!r}: its page needs more memory than there is; take fewer --jobs", time.monotonic() - start
        )
    except Exception as error:
        logging.getLogger(__name__).debug("page of %s", scan, exc_info=True)
        kind = "" if isinstance(error, HypojaxError) else f"{type(error).__name__}: "
        said = visible(f"{kind}{error}"[:LONGEST])
        return PageResult(name, "failed", f"scan {name!r}: its page cannot be drawn: {said}", time.monotonic() - start)
    return PageResult(name, seconds=time.monotonic() - start, files=lengths(files))


def processors() -> int:
    """Processors that this process may use; all of them where the system cannot tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def draw_pages(data: ReportData, scans: Sequence[str], folder: Path, *, jobs: int) -> Iterator[tuple[str, PageResult]]:
    """Draw the pages of scans; each scan, and what became of its page, as they are finished.

    Parameters
    ----------
    data
        Of the report.
    scans
        Their ids.
    folder
        The report.
    jobs
        Processes; 0: one for each processor.
    """
    jobs = min(jobs or processors(), -(-len(scans) // FEW))
    if jobs <= 1:
        yield from ((scan, draw_page(data, scan, folder)) for scan in scans)
        return
    given = pickle.dumps((data, folder), protocol=pickle.HIGHEST_PROTOCOL)
    idle: SimpleQueue[PageWorker] = SimpleQueue()
    workers = [PageWorker(given) for _ in range(jobs)]
    for worker in workers:
        idle.put(worker)
    pool = ThreadPoolExecutor(jobs)
    try:
        futures = {pool.submit(_next, idle, data, scan): scan for scan in scans}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.end()


class PageWorker:
    """A process that draws pages; it starts with the first, and anew after it died.

    Parameters
    ----------
    given
        The data of the report and its folder, pickled.
    """

    def __init__(self, given: bytes) -> None:
        self._given = given
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def draw(self, scan: str, name: str) -> PageResult:
        """Let it draw the page of a scan."""
        try:
            process = self._process or self._start()
            assert process.stdin is not None  # noqa: S101 - for mypy: pipes were asked for
            assert process.stdout is not None  # noqa: S101
            _send(process.stdin, scan)
            found = pickle.load(process.stdout)  # noqa: S301 - of a process of ours
        except (OSError, EOFError, pickle.UnpicklingError):
            self._stop()
            return PageResult(
                name, "failed", f"scan {name!r}: the process that drew its page died, of too little memory perhaps; take fewer --jobs"
            )
        return found if isinstance(found, PageResult) else PageResult(name, "failed", f"scan {name!r}: {found}")

    def end(self) -> None:
        """End it, whatever it does."""
        self._ended = True
        self._stop()

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._ended:
            raise OSError("ended")
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)  # noqa: PTH100 - "" is the folder that one is in
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603 - of ours
        self._process = process
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(self._given)
        process.stdin.flush()
        return process

    def _stop(self) -> None:
        process, self._process = self._process, None  # at once: the thread that draws, and the one that ends it, may both come here
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]


def _next(idle: "SimpleQueue[PageWorker]", data: ReportData, scan: str) -> PageResult:
    """A page drawn by a process that is free."""
    worker = idle.get()
    try:
        return worker.draw(scan, data.names[scan])
    finally:
        idle.put(worker)


def _send(pipe: IO[bytes], value: object) -> None:
    pipe.write(pickle.dumps(value))
    pipe.flush()


def main() -> None:
    """The process: the data of the report, then scans, from the standard input; what became of each to the standard output."""
    import dask

    told = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not come between
    with dask.config.set(scheduler="synchronous"), suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        data, folder = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the process that started this one
        while True:
            _send(told, draw_page(data, pickle.load(sys.stdin.buffer), folder))  # noqa: S301
