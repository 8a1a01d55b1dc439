"""SIGTERM and SIGHUP end a verb as Ctrl-C does: in order, with what was finished kept.

Queues send SIGTERM before they take a machine away; a terminal that is closed sends SIGHUP. A signal that the process was told to ignore
before it began stays ignored: ``nohup`` does that with SIGHUP, and shells with SIGINT for a job that a script starts with ``&``.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ASKING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end; Ctrl-C (SIGINT) is Python's own affair."""

SIGNALLED: Final = 128
"""What shells add to the number of the signal that ended a process."""


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
    """Which of the usual ways to end this process do nothing, in a sentence; empty where all do what they do elsewhere."""
    ignored = [number.name for number in (signal.SIGINT, *ASKING) if signal.getsignal(number) == signal.SIG_IGN]
    if not ignored:
        return ""
    way = "" if "SIGTERM" in ignored else f"; kill -TERM {os.getpid()} ends it in order"
    names, were = " and ".join(ignored), "is" if len(ignored) == 1 else "are"
    return f"{names} {were} ignored here, as when this process was started (nohup, or a job started with & from a script){way}"
