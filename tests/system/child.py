"""A process that a test may kill: one ``hypojax run`` over phantoms, or any other Python, in a process group of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).resolve().parent
SEARCHED = os.pathsep.join(map(str, (HERE.parents[1], HERE.parent, HERE)))
"""Where a child looks for hypojax and for the modules of the tests."""

RUN = str(HERE / "run_phantoms.py")
"""``hypojax run`` over phantoms."""

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end; ``nohup`` and ``&`` in a script make all that they start ignore some."""

PATIENCE = 600.0
"""Seconds that a child may take for anything; no test asserts how long it takes."""


class Child:
    """A process group, killed with the block if it has not ended by then.

    Parameters
    ----------
    command
        What stands behind ``python``.
    log
        File for all that it says.
    ignoring
        Signals that it is started to ignore, as ``nohup`` and ``&`` in a script do.
    """

    def __init__(self, command: Sequence[str], *, log: Path, ignoring: Collection[signal.Signals] = ()) -> None:
        self._log = log
        with log.open("wb") as file, handed_on(ignoring):
            self.process = subprocess.Popen(
                [sys.executable, *command], stdout=file, stderr=subprocess.STDOUT, env=environment(), start_new_session=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            print(self.said)
        self.kill_all()

    @property
    def said(self) -> str:
        """All that it has said so far."""
        return self._log.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        """Whether the first process of the group has ended."""
        return self.process.poll() is not None

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true while the child is at work."""
        wait_until(lambda: condition() or self.ended)
        assert condition(), f"the child ended first: {self.said}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process alone."""
        self.process.send_signal(number)

    def kill_all(self) -> None:
        """SIGKILL to the whole group, as when the power goes; nothing where it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def end(self) -> int:
        """Its exit code, when it has ended."""
        return self.process.wait(PATIENCE)


def environment() -> dict[str, str]:
    """Variables of a child."""
    return {**os.environ, "PYTHONPATH": SEARCHED, "JAX_PLATFORMS": "cpu", "COLUMNS": "200"}


@contextmanager
def handed_on(ignoring: Collection[signal.Signals]) -> Iterator[None]:
    """Ignore these signals while a child is started, and heed the others, however the tests were started; the child takes that over."""
    own = {number: signal.getsignal(number) for number in ASKING}
    heeded = {number: signal.SIG_DFL for number, handler in own.items() if handler is signal.SIG_IGN}
    chosen = heeded | dict.fromkeys(ignoring, signal.SIG_IGN)
    before = {number: signal.signal(number, handler) for number, handler in chosen.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_of(*arguments: object, log: Path, ignoring: Collection[signal.Signals] = ()) -> Child:
    """``hypojax run`` with these arguments; see ``run_phantoms.py``."""
    return Child([RUN, *map(str, arguments)], log=log, ignoring=ignoring)


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again until something is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "this did not come about in time"
        time.sleep(0.02)
