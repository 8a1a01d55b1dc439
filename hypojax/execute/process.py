"""Scans sent down the line in this process, those that may bring it down at the end."""

from collections.abc import Generator

from hypojax.execute.outcome import ScanResult
from hypojax.execute.pipeline import Line
from hypojax.execute.todo import Todo
from hypojax.settings import RunSettings


def process(line: Line, todo: Todo, *, settings: RunSettings) -> Generator[ScanResult, None, None]:
    """What becomes of each scan; those at work when an earlier process died come last, each with nothing else at work.

    Raises
    ------
    RunError
        What concerns the run and not a scan.
    """
    yield from line.results(todo.scans, settings=settings)
    for scan in todo.alone:
        yield from line.results((scan,), settings=settings)
