"""Scans sent down the line in this process, each marked in the store from its beginning until its record is written."""

from collections.abc import Generator, Sequence
from contextlib import closing

from hypojax.execute.line import Line, Loaded, Refused
from hypojax.execute.outcome import ScanResult
from hypojax.execute.overlap import overlapped
from hypojax.execute.todo import Todo


def process(line: Line, todo: Todo, *, read_ahead: int, batch: int) -> Generator[ScanResult, None, None]:
    """What becomes of each scan; those that may bring the process down come last, with nothing else at work.

    Parameters
    ----------
    line
        Where scans come from and go to.
    todo
        Scans to do.
    read_ahead
        Scans read while others are segmented.
    batch
        Scans segmented together.
    """
    yield from _together(line, todo.scans, read_ahead=read_ahead, batch=batch)
    for scan in todo.alone:
        yield from _together(line, (scan,), read_ahead=read_ahead, batch=batch)


def _together(line: Line, scans: Sequence[str], *, read_ahead: int, batch: int) -> Generator[ScanResult, None, None]:
    """One is read and one is finished, each in a thread, while the network is at the one between."""

    def begin(scan: str) -> Loaded | Refused:
        line.store.begin(scan)
        return line.load(scan)

    with (
        closing(overlapped(scans, begin, depth=read_ahead)) as loaded,
        closing(line.segment(loaded, batch=batch)) as segmented,
        closing(overlapped(segmented, line.finish, depth=1)) as finished,
    ):
        yield from finished
