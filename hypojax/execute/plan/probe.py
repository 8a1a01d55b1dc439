"""The process that a calibration runs in: a few scans down the real line, and what each took.

It is a process of its own so that its peak of memory is that of a run, and so that whoever plans never loads JAX, which would
take most of a GPU's memory for itself.
"""

import json
import os
import re
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hypojax.execute.network import load_segmenter
from hypojax.execute.outcome import ScanResult
from hypojax.execute.sizes import in_flight
from hypojax.execute.stages import run
from hypojax.reason import HypojaxError
from hypojax.settings import RunSettings
from hypojax.store import limit_threads

STORE_THREADS: Final = 2
"""Chunks encoded at once, as on the command line."""

ORDER: Final = "order.json"
ANSWER: Final = "answer.json"
UNCOUNTED: Final = -1
"""Group of scans that are sent and not counted."""

STATUS: Final = Path("/proc/self/status")
NAME: Final = "probe{:05d}"
"""Scan ids of a calibration, in the order in which they are sent; they stand in the names of all that is written."""


@dataclass(frozen=True)
class Mark:
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


class Gauge:
    """A watch that takes a mark of every scan."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []

    def started(self, *, total: int, kept: int) -> None:
        """Nothing to note."""

    def finished(self, result: ScanResult) -> None:
        """Note one scan."""
        self.marks.append(Mark(result, time.perf_counter(), time.process_time(), peak_bytes()))

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

    Each scan follows itself until the line holds nothing else, in whole batches. A batch goes before, for what is compiled
    and loaded once, and the largest scan follows after, so that the line is still full when the last counted one leaves it.

    >>> schedule(2, batch=1, flight=2)
    [(0, -1), (0, 0), (0, 0), (1, 1), (1, 1), (1, -1), (1, -1)]
    """
    each = -(-flight // batch) * batch
    before, after = [(0, UNCOUNTED)] * batch, [(count - 1, UNCOUNTED)] * each
    return [*before, *((scan, scan) for scan in range(count) for _ in range(each)), *after]


def probe(paths: Sequence[str], *, settings: RunSettings, folder: Path, cores: int, begun: float) -> dict[str, Any]:
    """Send scans (smallest first) down the line and say what they took.

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
    gauge, offset = Gauge(), time.time() - time.perf_counter()
    run([table], out=folder / "out", settings=settings, segmenter=network, watch=gauge)
    return {
        "cores": cores,
        "batch": batch,
        "sent": len(sent),
        "startup_s": gauge.marks[batch - 1].seconds + offset - begun,
        **device_bytes(),
        "samples": list(samples(gauge.marks, [group for _, group in sent], disk_bytes(folder / "out"))),
    }


def samples(marks: Sequence[Mark], groups: Sequence[int], disk: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    """What a scan of each group took, from the marks of all scans in the order in which they were sent."""
    for group in sorted({group for group in groups if group != UNCOUNTED}):
        members = [number for number, member in enumerate(groups) if member == group]
        before, last, count = marks[members[0] - 1], marks[members[-1]], len(members)
        failed = [marks[number].result for number in members if marks[number].result.failed]
        yield {
            "seconds": (last.seconds - before.seconds) / count,
            "cpu_seconds": (last.cpu_seconds - before.cpu_seconds) / count,
            "peak_bytes": last.peak_bytes,
            "disk_bytes": sum(disk.get(number, 0) for number in members) / count,
            "problem": failed[0].message.removeprefix(f"scan {failed[0].scan!r}: ") if failed else "",
        }


def disk_bytes(out: Path) -> dict[int, int]:
    """Bytes on the disk that belong to each scan, by its number; a file takes whole blocks."""
    pattern, found = re.compile(NAME[: NAME.index("{")] + r"(\d+)"), dict[int, int]()
    for path in out.rglob("*"):
        number = pattern.search(str(path.relative_to(out)))
        if number and path.is_file():
            status = path.stat()
            found[int(number[1])] = found.get(int(number[1]), 0) + max(status.st_size, status.st_blocks * 512)
    return found


def device_bytes() -> dict[str, int | None]:
    """Most memory that a device held so far, and what it has, bytes; None for processors, which have no memory of their own."""
    import jax

    known = [found for device in jax.local_devices() if (found := device.memory_stats())]
    most = max((found["peak_bytes_in_use"] for found in known), default=None)
    return {"device_bytes": most, "device_room": min((found["bytes_limit"] for found in known if "bytes_limit" in found), default=None)}


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


if __name__ == "__main__":
    main()
