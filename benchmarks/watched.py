"""A command in a process of its own, watched while it runs: processor time and resident memory of it and all it starts."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psutil

EVERY: Final = 0.5
"""Seconds between two looks: each costs a few milliseconds of the machine that is measured."""

HYPOJAX: Final = (sys.executable, "-c", "import sys; from hypojax.cli import main; sys.exit(main())")
"""The command line of this checkout, installed or not."""


@dataclass(frozen=True)
class Look:
    """One look at the processes: seconds since the epoch, processor seconds so far, resident bytes, device busy 0 to 1 (NaN: none)."""

    time: float
    cpu: float
    resident: int
    device: float


@dataclass(frozen=True)
class Run:
    """What was seen of a command.

    Parameters
    ----------
    code
        Its exit code.
    start, end
        When (seconds since the epoch).
    looks
        One after the other.
    output
        What it wrote on both its channels.
    """

    code: int
    start: float
    end: float
    looks: tuple[Look, ...]
    output: str

    @property
    def seconds(self) -> float:
        """Wall time."""
        return self.end - self.start

    @property
    def peak(self) -> int:
        """Highest resident size seen, bytes, of all its processes together."""
        return max((look.resident for look in self.looks), default=0)

    def cpu_between(self, start: float, end: float) -> float:
        """Processor seconds from one time to another."""
        times, cpu = [look.time for look in self.looks], [look.cpu for look in self.looks]
        return float(np.interp(end, times, cpu) - np.interp(start, times, cpu))

    def resident_at(self, when: float) -> float:
        """Resident size at a time, bytes."""
        return float(np.interp(when, [look.time for look in self.looks], [look.resident for look in self.looks]))

    def device_between(self, start: float, end: float) -> float:
        """Share of a time that the device was busy; NaN where there is none."""
        seen = [look.device for look in self.looks if start <= look.time <= end and not np.isnan(look.device)]
        return float(np.mean(seen)) if seen else float("nan")

    def checked(self, *codes: int) -> "Run":
        """The same; its output and the end of everything when it failed."""
        if self.code not in (codes or (0,)):
            raise SystemExit(f"exit code {self.code} of the command measured:\n{self.output[-3000:]}")
        return self


class Tree:
    """A process and all it started; the processor time of those that ended still counts."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._spent: dict[int, float] = {}

    def look(self) -> Look:
        """Take one look."""
        resident = 0
        for process in [self._root, *self._root.children(recursive=True)]:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    self._spent[process.pid] = times.user + times.system
                    resident += process.memory_info().rss
            except psutil.Error:
                continue  # ended just now
        return Look(time.time(), sum(self._spent.values()), resident, device_busy())


def device_busy() -> float:
    """How busy the first NVIDIA GPU is, 0 to 1; NaN where there is none."""
    if not gpus():
        return float("nan")
    query = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    said = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    return float(said) / 100 if said.isdigit() else float("nan")


def gpus() -> int:
    """NVIDIA GPUs of this machine."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def watch(command: Sequence[str], *, cores: Sequence[int] | None = None, environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end.

    Parameters
    ----------
    command
        Program and arguments.
    cores
        It and all it starts keep to these; all of this process when left out.
    environment
        Variables besides those of this process.
    """
    start = time.time()
    with on_cores(cores):
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**surroundings(), **(environment or {})}
        )
    tree, looks = Tree(child.pid), []
    with child:
        while True:
            try:
                looks.append(tree.look())
                output, _ = child.communicate(timeout=EVERY)
                break
            except subprocess.TimeoutExpired:
                continue
    return Run(child.returncode, start, time.time(), tuple(looks), output)


def surroundings() -> dict[str, str]:
    """Variables of a command: this checkout before any other hypojax."""
    root = str(Path(__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}


@contextmanager
def on_cores(cores: Sequence[int] | None) -> Iterator[None]:
    """Keep to some cores, which whatever is started meanwhile inherits."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
