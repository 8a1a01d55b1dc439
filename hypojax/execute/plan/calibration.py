"""A short calibration: a handful of real scans, sent down the real line in a process of its own."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hypojax.execute.plan.probe import ANSWER, ORDER
from hypojax.execute.sizes import Size
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings

SCANS: Final = 4
"""Scans of a calibration when nothing else is said: the smallest, the largest and two between."""

MODULE: Final = "hypojax.execute.plan.probe"


@dataclass(frozen=True)
class Sample:
    """What one scan of a calibration took, while the line held nothing else.

    Parameters
    ----------
    size
        How large it is.
    seconds, cpu_seconds
        Time between one such scan and the next, and time of all processors together.
    peak_bytes
        Highest resident memory of the process by then.
    disk_bytes
        What was written of it.
    problem
        Why it failed; empty when it did not.
    """

    size: Size
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    disk_bytes: float
    problem: str = ""


@dataclass(frozen=True)
class Calibration:
    """What a calibration found.

    Parameters
    ----------
    samples
        Smallest scan first.
    cores
        Cores that it had.
    batch
        Scans that the network took at once.
    sent
        Scans sent down the line in all.
    startup_s
        Time until the first batch was done: starting, loading weights, compiling.
    device_bytes, device_room
        Most that a device held, and what it has; None without a device that has memory of its own.
    """

    samples: tuple[Sample, ...]
    cores: int
    batch: int
    sent: int
    startup_s: float
    device_bytes: int | None = None
    device_room: int | None = None

    @property
    def good(self) -> tuple[Sample, ...]:
        """Samples of scans that were done."""
        return tuple(sample for sample in self.samples if not sample.problem)


def choose(sizes: Sequence[Size], *, count: int) -> list[Size]:
    """Scans for a calibration, evenly spread over the sizes, smallest and largest included.

    >>> sizes = [Size(str(voxels), Path(), voxels, 2, voxels) for voxels in (5, 1, 4, 2, 3)]
    >>> [size.scan for size in choose(sizes, count=3)]
    ['1', '3', '5']
    """
    ordered = sorted(sizes, key=lambda size: (size.held_bytes, size.scan))
    places = np.unique(np.linspace(len(ordered) - 1, 0, min(count, len(ordered))).round().astype(int))
    return [ordered[place] for place in places]


def calibrate(chosen: Sequence[Size], *, settings: RunSettings, cores: int | None = None) -> Calibration:
    """Send scans down the line, several times each, and measure what they take; all that is written is removed again.

    Parameters
    ----------
    chosen
        The scans, smallest first.
    settings
        Those of the run that is planned.
    cores
        Keep to so many cores, where this machine has them; all of them when left out.

    Raises
    ------
    RunError
        As `hypojax.execute.run`; ``OUT_OF_MEMORY`` where the system ended the process; ``UNEXPECTED`` where it broke off otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="hypojax-plan-") as temporary:
        folder = Path(temporary)
        paths = [str(size.path.absolute() if isinstance(size.path, Path) else size.path) for size in chosen]
        order = {"paths": paths, "settings": asdict(replace(settings, check=False)), "cores": cores, "begun": time.time()}
        (folder / ORDER).write_text(json.dumps(order, default=str))
        done = subprocess.run([sys.executable, "-m", MODULE, temporary], capture_output=True, text=True, check=False)  # noqa: S603
        answer = json.loads((folder / ANSWER).read_text()) if (folder / ANSWER).exists() else broken(done)
    if "reason" in answer:
        raise RunError(Reason(answer["reason"]), answer["message"])
    found = zip(chosen, answer.pop("samples"), strict=True)
    return Calibration(samples=tuple(Sample(size, **sample) for size, sample in found), **answer)


def broken(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The refusal of a calibration whose process ended without an answer."""
    if done.returncode == -signal.SIGKILL:
        message = "the system ended the calibration, most likely because memory ran out"
        return {"reason": Reason.OUT_OF_MEMORY, "message": f"{message}; close other programs, or name a smaller --batch or --read-ahead"}
    said = (done.stderr.strip().splitlines() or ["no word"])[-1]
    message = f"the calibration broke off (exit code {done.returncode}): {said}"
    return {"reason": Reason.UNEXPECTED, "message": f"{message}; try hypojax run on one scan with --debug, and report this"}
