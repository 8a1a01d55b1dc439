"""Ending in order: the first SIGTERM, SIGHUP or Ctrl-C lets a run finish its step and save; a second has its default effect.

A signal that was ignored when the process began stays ignored (``nohup``; Ctrl-C for a job that a script starts with ``&``).
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interruption:
    """Whether the process was asked to end, and by which signal.

    Examples
    --------
    >>> with interruptible() as interruption:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     interruption.happened, interruption.signal == signal.SIGTERM
    (True, True)
    """

    def __init__(self) -> None:
        self.signal = 0

    @property
    def happened(self) -> bool:
        """Whether a signal came."""
        return self.signal != 0


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Catch the first signal of each kind while the block runs (in the main thread; elsewhere none can come)."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN}

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        # A terminal that goes may send SIGHUP more than once.
        signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
