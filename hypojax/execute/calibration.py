"""A short calibration: a handful of real scans, sent through the real pipeline in a process of its own."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hypojax.execute.budget import Size, in_flight
from hypojax.execute.machine import load_segmenter
from hypojax.execute.outcome import ScanResult
from hypojax.execute.stages import run
from hypojax.reason import HypojaxError, Reason, RunError
from hypojax.settings import RunSettings
from hypojax.store import limit_threads

SCANS: Final = 4
"""Scans of a calibration when nothing else is said: the smallest, the largest and two between."""

CODE: Final = "from hypojax.execute.calibration import main; main()"
"""What the process of a calibration runs."""


@dataclass(frozen=True)
class Trial:
    """What one scan of a calibration took, while the pipeline held nothing else.

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
        Scans sent through the pipeline in all.
    startup_s
        Time until the first batch was done: starting, loading weights, compiling.
    device_bytes, device_available
        Most that a device held, and what it has; None without a device that has memory of its own.
    """

    samples: tuple[Trial, ...]
    cores: int
    batch: int
    sent: int
    startup_s: float
    device_bytes: int | None = None
    device_available: int | None = None

    @property
    def good(self) -> tuple[Trial, ...]:
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
    """Send scans through the pipeline, several times each, and measure what they take; all that is written is removed again.

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
        order = {"paths": paths, "settings": asdict(replace(settings, check=False, exclude=None)), "cores": cores, "begun": time.time()}
        (folder / ORDER).write_text(json.dumps(order, default=str))
        done = subprocess.run([sys.executable, "-c", CODE, temporary], capture_output=True, text=True, check=False)  # noqa: S603
        answer = json.loads((folder / ANSWER).read_text()) if (folder / ANSWER).exists() else broken(done)
    if "reason" in answer:
        raise RunError(Reason(answer["reason"]), answer["message"])
    found = zip(chosen, answer.pop("samples"), strict=True)
    return Calibration(samples=tuple(Trial(size, **sample) for size, sample in found), **answer)


def broken(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The refusal of a calibration whose process ended without an answer."""
    if done.returncode == -signal.SIGKILL:
        message = "the system ended the calibration, most likely because memory ran out"
        return {"reason": Reason.OUT_OF_MEMORY, "message": f"{message}; close other programs, or name a smaller --batch or --read-ahead"}
    said = (done.stderr.strip().splitlines() or ["no word"])[-1]
    message = f"the calibration broke off (exit code {done.returncode}): {said}"
    return {"reason": Reason.UNEXPECTED, "message": f"{message}; try hypojax run on one scan with --debug, and report this"}


STORE_THREADS: Final = 2
"""Chunks encoded at once, as on the command line."""

ORDER: Final = "order.json"
ANSWER: Final = "answer.json"
UNCOUNTED: Final = -1
"""Group of scans that are sent and not counted."""

STATUS: Final = Path("/proc/self/status")
NAME: Final = "probe{:05d}"
"""Scan ids of a calibration, in the order in which they are measured; the files that it writes have these names."""


@dataclass(frozen=True)
class Reading:
    """When a scan was finished, and what the process had taken by then.

    Parameters
    ----------
    result
        What became of the scan.
    seconds, cpu_seconds
        Clock and processor time.
    peak_bytes
        Highest resident memory.
    """

    result: ScanResult
    seconds: float
    cpu_seconds: float
    peak_bytes: int


class ProbeCallback:
    """A callback that takes a mark of every scan."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def started(self, *, total: int, kept: int) -> None:
        """Nothing to note."""

    def finished(self, result: ScanResult) -> None:
        """Note one scan."""
        self.readings.append(Reading(result, time.perf_counter(), time.process_time(), peak_bytes()))

    def noted(self, text: str) -> None:
        """Nothing to note."""


def peak_bytes() -> int:
    """Highest resident memory of this process so far, bytes.

    Linux keeps it for the program; ``ru_maxrss`` would still know the memory of whoever started it.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE) if STATUS.exists() else None
    if found:
        return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def schedule(count: int, *, batch: int, flight: int) -> list[tuple[int, int]]:
    """Which scans are sent, smallest first: (number of the scan, group that it counts in).

    Each scan follows itself until the pipeline holds nothing else, in whole batches. A batch goes before, for what is compiled
    and loaded once, and the largest scan follows after, so that the pipeline is still full when the last counted one leaves it.

    >>> schedule(2, batch=1, flight=2)
    [(0, -1), (0, 0), (0, 0), (1, 1), (1, 1), (1, -1), (1, -1)]
    """
    each = -(-flight // batch) * batch
    before, after = [(0, UNCOUNTED)] * batch, [(count - 1, UNCOUNTED)] * each
    return [*before, *((scan, scan) for scan in range(count) for _ in range(each)), *after]


def probe(paths: Sequence[str], *, settings: RunSettings, folder: Path, cores: int, begun: float) -> dict[str, Any]:
    """Send scans (smallest first) through the pipeline and say what they took.

    Parameters
    ----------
    paths
        Files or folders of the scans.
    settings
        As the run that is planned will have them.
    folder
        Where to write.
    cores
        How many this process has.
    begun
        When this process was asked for, seconds since the epoch.
    """
    network = load_segmenter(settings)
    batch = max(settings.batch or 1, network.batch)
    sent = schedule(len(paths), batch=batch, flight=in_flight(settings, batch=batch, cores=cores))
    table = folder / "scans.tsv"
    rows = [f"{NAME.format(number)}\t{paths[scan]}" for number, (scan, _) in enumerate(sent)]
    table.write_text("\n".join(["scan\tpath", *rows, ""]), encoding="utf-8", errors="surrogateescape")
    probed, offset = ProbeCallback(), time.time() - time.perf_counter()
    run([table], out=folder / "out", settings=settings, segmenter=network, callback=probed)
    return {
        "cores": cores,
        "batch": batch,
        "sent": len(sent),
        "startup_s": probed.readings[batch - 1].seconds + offset - begun,
        **device_bytes(),
        "samples": list(samples(probed.readings, [group for _, group in sent], disk_bytes(folder / "out"))),
    }


def samples(readings: Sequence[Reading], groups: Sequence[int], disk: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    """What a scan of each group took, from the readings of all scans in the order in which they were sent."""
    for group in sorted({group for group in groups if group != UNCOUNTED}):
        members = [number for number, member in enumerate(groups) if member == group]
        before, last, count = readings[members[0] - 1], readings[members[-1]], len(members)
        failed = [readings[number].result for number in members if readings[number].result.failed]
        yield {
            "seconds": (last.seconds - before.seconds) / count,
            "cpu_seconds": (last.cpu_seconds - before.cpu_seconds) / count,
            "peak_bytes": last.peak_bytes,
            "disk_bytes": sum(disk.get(number, 0) for number in members) / count,
            "problem": failed[0].message.removeprefix(f"scan {failed[0].scan!r}: ") if failed else "",
        }


def disk_bytes(out: Path) -> dict[int, int]:
    """Bytes on the disk that belong to each scan, by its number, and its share of those of the cohort; a file takes whole blocks.

    Boxes and heads of all scans are of one shape: each scan has as much of the arrays that hold them.
    """
    pattern, found, common = re.compile(NAME[: NAME.index("{")] + r"(\d+)"), dict[int, int](), 0
    for path in (path for path in out.rglob("*") if path.is_file()):
        status, number = path.stat(), pattern.search(str(path.relative_to(out)))
        size = max(status.st_size, status.st_blocks * 512)
        if number:
            found[int(number[1])] = found.get(int(number[1]), 0) + size
        else:
            common += size
    return {number: size + common // len(found) for number, size in found.items()}


def device_bytes() -> dict[str, int | None]:
    """Most memory that a device held so far, and what it has, bytes; None for processors, which have no memory of their own."""
    import jax

    known = [found for device in jax.local_devices() if (found := device.memory_stats())]
    limits = [found["bytes_limit"] for found in known if "bytes_limit" in found]
    return {
        "device_bytes": max((found["peak_bytes_in_use"] for found in known), default=None),
        "device_available": min(limits, default=None),
    }


def take_cores(count: int | None) -> int:
    """Keep this process to so many cores, where the system lets it, and say how many it has."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: count or len(cores)])
    return len(os.sched_getaffinity(0))


def main() -> None:
    """Read the order in the folder named on the command line, carry it out, and leave the answer there."""
    folder = Path(sys.argv[1])
    order = json.loads((folder / ORDER).read_text())
    weights = order["settings"].pop("weights")
    settings = RunSettings(weights=Path(weights) if weights else None, **order["settings"])
    cores = take_cores(order["cores"])
    limit_threads(STORE_THREADS)
    try:
        answer = probe(order["paths"], settings=settings, folder=folder, cores=cores, begun=order["begun"])
    except HypojaxError as error:
        answer = {"reason": str(error.reason), "message": str(error)}
    (folder / ANSWER).write_text(json.dumps(answer))
