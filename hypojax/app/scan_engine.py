"""The one process that measures: it holds the networks, takes one scan at a time, and is started again when a scan ends it."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from hypojax.app.safe_reader import without_paths
from hypojax.reason import HypojaxError, Reason

COMMAND: Final = (sys.executable, "-P", "-c", "from hypojax.app.engine_process import main; main()")

MOST_MESSAGE: Final = 1 << 20
"""Bytes of an answer."""


ARENAS: Final = "2"
"""Pools of memory of the C library: by default each thread has one and keeps what scans took, so that memory grows from scan to scan."""


@dataclass(frozen=True)
class EngineSettings:
    """How the engine measures.

    Parameters
    ----------
    weights
        Folder of weights; the released ones when left out.
    norms
        File of norms to show each person against.
    network
        ``module:function`` that gives the networks in place of those of the weights.
    start_seconds
        Time for loading the networks.
    scan_seconds
        Time for one step of one scan; the first one also compiles the networks.
    """

    weights: Path | None = None
    norms: Path | None = None
    network: str = ""
    start_seconds: float = 900.0
    scan_seconds: float = 1200.0


class EngineEndedError(HypojaxError):
    """The process of the engine ended, or was ended since it took too long, while it worked on a scan."""


class ScanEngine:
    """The process and the way to it. One thread asks; others may end it.

    Parameters
    ----------
    settings
        How it measures.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process; None where there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the process and load the networks, where that was not done.

        Raises
        ------
        HypojaxError
            The networks cannot be loaded; `EngineEndedError` where the process ends.
        """
        if self.pid is None:
            self.end()
            self._begin()
            try:
                self._answer(self._settings.start_seconds, "loading the networks")
            except HypojaxError:  # the process that cannot load them ends
                self.end()
                raise

    def ask(self, task: str, **values: str) -> Mapping[str, Any]:
        """Have something done.

        Parameters
        ----------
        task
            ``measure``, ``draw`` or ``forget``.
        values
            What it needs.

        Raises
        ------
        HypojaxError
            It was refused; `EngineEndedError` where the process ended or took too long, and is gone.
        """
        self.start()
        line = self._line
        if line is None:
            raise _ended("the engine was ended")
        try:
            line.send_bytes(json.dumps({"task": task, **values}).encode())
        except OSError as error:
            self.end()
            raise _ended("the program that measures ended unexpectedly") from error
        return self._answer(self._settings.scan_seconds, "measuring this scan")

    def end(self) -> None:
        """End the process at once; the next request starts another."""
        with self._lock:
            process, self._process = self._process, None
            line, self._line = self._line, None
        if process is not None:
            process.kill()
            process.wait()
        if line is not None:
            line.close()

    def interrupt(self) -> None:
        """End the process from another thread than the one that asks, which then gets `EngineEndedError`."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End it for good."""
        with self._lock:
            self._closed = True
        self.interrupt()

    def _begin(self) -> None:
        """Start the process. It is told its settings by the first message, and ends with this process."""
        ours, theirs = socket.socketpair()
        with theirs:
            path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)  # noqa: PTH100 - "" is the folder that one is in
            own = {"PYTHONPATH": path, "HYPOJAX_ENGINE_LINE": str(theirs.fileno())}
            environment = {"MALLOC_ARENA_MAX": ARENAS, **os.environ, **own}
            with self._lock:
                if self._closed:
                    ours.close()
                    raise _ended("the server ends")
                self._process = subprocess.Popen(  # noqa: S603 - a command of ours
                    COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env=environment, pass_fds=[theirs.fileno()], start_new_session=True,
                )  # fmt: skip
                self._line = Connection(ours.detach())
                line = self._line
        known = self._settings
        told = {"weights": str(known.weights or ""), "norms": str(known.norms or ""), "network": known.network, "parent": os.getpid()}
        line.send_bytes(json.dumps(told).encode())

    def _answer(self, seconds: float, what: str) -> Mapping[str, Any]:
        """The answer to what was asked last; the process is ended where none comes."""
        line = self._line
        try:
            is_there = line is not None and line.poll(seconds)
            found = json.loads(line.recv_bytes(MOST_MESSAGE)) if line is not None and is_there else {}
        except (OSError, EOFError, ValueError) as error:
            self.end()
            raise _ended("the program that measures ended unexpectedly") from error
        if not is_there:
            self.end()
            raise _ended(f"{what} took longer than {seconds:.0f} seconds and was stopped")
        if reason := found.get("reason"):
            raise HypojaxError(Reason(reason) if reason in set(Reason) else Reason.UNEXPECTED, without_paths(str(found.get("message", ""))))
        return found


def _ended(why: str) -> EngineEndedError:
    return EngineEndedError(Reason.CRASHED, f"{why}; the scans after it go on. Send it once more; if it ends so again, look at the file")
