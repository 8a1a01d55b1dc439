"""What all verbs of the command line have in common: options, exit codes, arguments that are places, and an end in order.

SIGTERM and SIGHUP end a verb as Ctrl-C does: what was finished is kept. Queues send SIGTERM before they take a machine away; a terminal
that is closed sends SIGHUP. A signal that the process was told to ignore before it began stays ignored: ``nohup`` does that with SIGHUP,
and shells with SIGINT for a job that a script starts with ``&``.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Annotated, Any, Final

from tyro.conf import FlagCreatePairsOff
from tyro.constructors import PrimitiveConstructorSpec

from hypojax.cli.screen import Screen
from hypojax.storage import Location, locate

OK: Final = 0
USAGE: Final = 1
SOME_FAILED: Final = 2
NONE_SUCCEEDED: Final = 3

ASKING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end; Ctrl-C (SIGINT) is Python's own affair."""

SIGNALLED: Final = 128
"""What shells add to the number of the signal that ended a process."""

SPEC: Final = PrimitiveConstructorSpec[Any](
    nargs=1,
    metavar="PATH|URL",
    instance_from_str=lambda words: locate(words[0]),
    is_instance=lambda value: isinstance(value, Location),
    str_from_instance=lambda place: [str(place)],
)

Place = Annotated[Location, SPEC]
"""A path, or a URL (``s3://bucket/out``)."""


@dataclass(frozen=True)
class Verb:
    """What every verb takes."""

    debug: FlagCreatePairsOff[bool] = field(default=False, kw_only=True)
    """Show where unexpected errors come from."""
    quiet: FlagCreatePairsOff[bool] = field(default=False, kw_only=True)
    """Show only results and errors: no progress, no notes."""
    json: FlagCreatePairsOff[bool] = field(default=False, kw_only=True)
    """Print one JSON document to standard output instead of tables; its `exit_code` is that of the process."""

    def __call__(self, screen: Screen) -> int:
        """Do it and give the exit code."""
        raise NotImplementedError


def exit_code(good: int, bad: int) -> int:
    """Exit code for so many scans."""
    if not bad:
        return OK
    return SOME_FAILED if good else NONE_SUCCEEDED


class Terminated(KeyboardInterrupt):
    """The process was asked to end.

    Parameters
    ----------
    number
        The signal that came.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"asked to end ({signal.Signals(number).name})")
        self.exit_code = SIGNALLED + number


@contextmanager
def terminable() -> Iterator[None]:
    """Raise at the first SIGTERM or SIGHUP while the block runs (in the main thread; elsewhere none can come).

    A second SIGTERM has its default effect. A terminal that goes may send SIGHUP more than once, so that all after the first signal
    are ignored.

    Raises
    ------
    Terminated
        One of them came.

    Examples
    --------
    >>> try:
    ...     with terminable():
    ...         signal.raise_signal(signal.SIGTERM)
    ... except Terminated as ended:
    ...     print(ended, ended.exit_code)
    asked to end (SIGTERM) 143
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ASKING if signal.getsignal(number) != signal.SIG_IGN}

    def end(number: int, _frame: FrameType | None) -> None:
        for other, handler in before.items():
            signal.signal(other, signal.SIG_IGN if other == signal.SIGHUP else handler)
        raise Terminated(number)

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def deaf_to() -> str:
    """A sentence that names the signals which this process ignores; empty where it ignores none."""
    ignored = [number.name for number in (signal.SIGINT, *ASKING) if signal.getsignal(number) == signal.SIG_IGN]
    if not ignored:
        return ""
    way = "" if "SIGTERM" in ignored else f"; kill -TERM {os.getpid()} ends it cleanly"
    names, were = " and ".join(ignored), "is" if len(ignored) == 1 else "are"
    return f"{names} {were} ignored here, as when this process was started (nohup, or a job started with & from a script){way}"
