"""A process that outlives the one that started it, and is found again by its number and the time of its start.

A number alone is not enough: the system gives it to another process once the first has ended.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
BOOT: Final = PROC / "sys/kernel/random/boot_id"

STATE, START = 0, 19
"""Where ``/proc/PID/stat`` has the state and the start of a process, behind its name."""

ENDED: Final = frozenset("ZX")
"""States of a process that has ended, and that nobody has asked yet how."""

NICENESS: Final = 10
"""How far a batch steps back behind scans that a person is waiting for."""


@dataclass(frozen=True)
class ProcessMark:
    """What no other process has.

    Parameters
    ----------
    pid
        Number of the process.
    start
        When it began, in the words of the system: on Linux its clock tick since which start of the machine.
    """

    pid: int
    start: str


def mark_of(pid: int) -> ProcessMark | None:
    """The mark of a process that is alive; None where there is none of that number."""
    start = _linux_start(pid) if BOOT.exists() else _listed_start(pid)
    return ProcessMark(pid, start) if start else None


def is_alive(mark: ProcessMark | None) -> bool:
    """Whether that very process is alive."""
    return mark is not None and mark_of(mark.pid) == mark


def ask_to_end(mark: ProcessMark | None) -> bool:
    """Ask that very process to end in order, by SIGTERM; whether it was there to be asked. No other process is ever signalled.

    SIGINT would do the same, but a process that a script started with ``&`` ignores it, and so do its children.
    """
    if mark is None or not is_alive(mark):
        return False
    if not hasattr(os, "pidfd_open"):
        with suppress(ProcessLookupError):
            os.kill(mark.pid, signal.SIGTERM)
        return True
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(mark.pid)
        try:
            if is_alive(mark):  # the handle keeps the process that has the number now, which may be another by now
                signal.pidfd_send_signal(handle, signal.SIGTERM)
                return True
        finally:
            os.close(handle)
    return False


def start_detached(command: Sequence[str], *, log: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with what it says in a file that only its owner may read.

    Parameters
    ----------
    command
        Program and arguments; no shell reads them.
    log
        File for standard output and standard error; what an earlier process said goes.
    folder
        Where it works.
    """
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - a fixed program, and arguments that no shell reads
            list(command),
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},  # a GPU is shared with the page
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        os.close(output)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
    return process


def _linux_start(pid: int) -> str:
    """When a process began, as Linux has it; nothing where there is none, or it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return "" if fields[STATE] in ENDED else f"{BOOT.read_text().strip()} {fields[START]}"
    except (OSError, IndexError):
        return ""


def _listed_start(pid: int) -> str:
    """The same elsewhere, to the second."""
    asked = subprocess.run(["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    state, _, start = asked.stdout.strip().partition(" ")
    return "" if state[:1] in ENDED or not start else " ".join(start.split())
