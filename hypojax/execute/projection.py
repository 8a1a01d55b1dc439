"""`Plan`: what a run will take, held against what there is."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Final

from hypojax.execute.budget import LEAST_NETWORK, Size, amount, disk_free, held, in_flight, memory_free, read_sizes
from hypojax.execute.calibration import SCANS, Calibration, calibrate, choose
from hypojax.execute.costs import MEGAVOXEL, Span, Workers, fitted, time_span
from hypojax.execute.inputs import find, without
from hypojax.execute.outcome import ScanResult
from hypojax.execute.output import STORE
from hypojax.reason import Reason, RunError
from hypojax.scans import Scan, discover
from hypojax.settings import SHORTEST, RunSettings
from hypojax.storage import Location, Place, locate
from hypojax.store import CohortStore
from hypojax.tables.cells import counted

WORKER_BYTES: Final = 60e6
"""What `distributed` adds to a worker: 205 MB with hypojax imported in one, 159 MB in a plain process."""


SLOWER: Final = 1.5
"""Time of a node of a queue over that of the machine that measured, at most: other processors, and disks that many share."""

LEAVING: Final = 2
"""Minutes before its end at which a job is warned, and those that it waits for others to begin."""


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Parameters
    ----------
    sizes
        The scans that would go through the pipeline.
    refused
        Scans whose header is refused: they get a row with the reason, and cost nothing.
    kept
        Scans that are done already.
    workers
        Who does it.
    calibration
        What the figures come from.
    seconds
        From start to end, by all workers.
    scan_seconds, scan_cpu_seconds
        Of one scan on one worker, on average: by the clock, and of all its processors together.
    memory_bytes, memory_available
        Peak of the resident memory of one worker, and what it has; None where nobody knows.
    disk_bytes, disk_available, place
        What will be written, what is free (None for a bucket, which has no end), and where.
    shortages
        What does not fit, each in a sentence with what to do.
    notes
        What to know of how the scans were found, and about the figures.
    """

    sizes: tuple[Size, ...]
    refused: tuple[ScanResult, ...]
    kept: int
    workers: Workers
    calibration: Calibration
    seconds: Span
    scan_seconds: float
    scan_cpu_seconds: float
    memory_bytes: float
    memory_available: int | None
    disk_bytes: float
    disk_available: int | None
    place: Location
    shortages: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the run can be started."""
        return not self.shortages

    @property
    def walltime(self) -> int:
        """Minutes to ask a queue for, for the share of one worker: the longest that is likely, and half as much again for slower nodes."""
        return max(SHORTEST, ceil(SLOWER * self.seconds.high / 60) + LEAVING)

    @property
    def largest(self) -> Size:
        """The scan with the most voxels."""
        return max(self.sizes, key=lambda size: size.voxels)

    @property
    def largest_bytes(self) -> int:
        """Memory that the scan that takes most takes alone, with the network."""
        return LEAST_NETWORK + max(size.held_bytes for size in self.sizes)

    @property
    def median_voxels(self) -> float:
        """Voxels of a scan, the median."""
        return float(statistics.median(size.voxels for size in self.sizes))


def plan(
    inputs: Place | Iterable[Place],
    out: Place | None = None,
    *,
    settings: RunSettings | None = None,
    workers: Workers | None = None,
    sample: int = SCANS,
    calibration: Calibration | None = None,
) -> Plan:
    """Project what a run on these inputs takes, from their headers and a handful of scans sent through the real pipeline.

    Parameters
    ----------
    inputs, out, settings
        Those of the run; scans that ``out`` holds already cost nothing. Without ``out``, the disk is that of the current folder.
    workers
        The cluster; this machine when left out.
    sample
        Scans to measure.
    calibration
        One made before, with the same settings on a machine like it; made now when left out.

    Raises
    ------
    RunError
        As `hypojax.execute.run`; ``NOTHING_FOUND`` also where every header is refused, every scan is done, or no sample succeeds.

    Examples
    --------
    >>> plan("bids", "out", workers=Workers(count=8, memory_bytes=16_000_000_000)).fits  # doctest: +SKIP
    True
    """
    out = None if out is None else locate(out)
    chosen, described = settings or RunSettings(), workers or Workers()
    strict, left = chosen.strict_tables, chosen.exclude
    search = find(inputs, out=out, strict_tables=strict, exclude=left) if out else without(discover(inputs, strict_tables=strict), left)
    found = search.scans
    todo = unfinished(found, out)
    sizes, refused = read_sizes(todo, room=described.scan_budget)
    if not sizes:
        why = (
            f"every header is refused ({len(refused)} in all), the first: {refused[0].message}"
            if refused
            else f"every scan is done in {out} ({len(found)} in all)"
        )
        raise RunError(Reason.NOTHING_FOUND, f"no scan is left to plan for: {why}")
    made = calibration or calibrate(choose(sizes, count=sample), settings=chosen, cores=described.cores)
    kept = len(found) - len(todo)
    made_plan = project(sizes, refused, kept=kept, place=out or Path(), settings=chosen, workers=described, calibration=made)
    return replace(made_plan, notes=(*search.notes, *made_plan.notes))


def unfinished(scans: Sequence[Scan], out: Location | None) -> list[Scan]:
    """The scans that the store in ``out`` does not hold finished."""
    if out is None or not (out / STORE).exists():
        return list(scans)
    done = {record["scan"] for record in CohortStore.open(out / STORE).records() if record["status"] == "done"}
    return [scan for scan in scans if scan.id not in done]


def project(
    sizes: tuple[Size, ...],
    refused: tuple[ScanResult, ...],
    *,
    kept: int,
    place: Location,
    settings: RunSettings,
    workers: Workers,
    calibration: Calibration,
) -> Plan:
    """The plan for scans of these sizes."""
    costs = fitted(calibration, settings)
    batch = -(-calibration.batch // max(1, workers.gpus)) * max(1, workers.gpus)
    flight = in_flight(settings, batch=batch, cores=workers.cores or calibration.cores)
    peak = costs.peak_bytes(float(held(sizes, count=flight))) + (WORKER_BYTES if workers.count > 1 else 0)
    memory_available = workers.memory_bytes or (memory_free() if workers.count == 1 else None)
    disk, disk_available = costs.disk_bytes(sizes), disk_free(place) if isinstance(place, Path) else None
    each = sum(costs.seconds.at(size.voxels / MEGAVOXEL) for size in sizes) / len(sizes)
    return Plan(
        sizes=sizes,
        refused=refused,
        kept=kept,
        workers=workers,
        calibration=calibration,
        seconds=time_span(each * -(-len(sizes) // workers.count), costs, startup=calibration.startup_s),
        scan_seconds=each,
        scan_cpu_seconds=sum(costs.cpu_seconds.at(size.voxels / MEGAVOXEL) for size in sizes) / len(sizes),
        memory_bytes=peak,
        memory_available=memory_available,
        disk_bytes=disk,
        disk_available=disk_available,
        place=place,
        shortages=(*short_of_memory(peak, memory_available, settings), *short_of_disk(disk, disk_available, place, settings)),
        notes=notes_on(calibration, workers),
    )


def short_of_memory(need: float, room: int | None, settings: RunSettings) -> list[str]:
    """What to do where the memory of a worker does not suffice."""
    if room is None or need <= room:
        return []
    smaller = [
        f"--{name} {value // 2}" for name, value in (("batch", settings.batch or 1), ("read-ahead", settings.read_ahead)) if value > 1
    ]
    advice = f"try {' '.join(smaller)}" if smaller else "leave out the largest scans"
    return [f"memory: about {amount(need)} a worker is needed and there are {amount(room)}; {advice}, or take a machine with more"]


def short_of_disk(need: float, room: int | None, place: Location, settings: RunSettings) -> list[str]:
    """What to do where the disk does not suffice."""
    if room is None or need <= room:
        return []
    maps = ", leave out the maps with --no-derivatives" if settings.derivatives else ""
    return [
        f"disk: about {amount(need)} will be written and {amount(room)} are free at {place.resolve()}; name another OUT{maps}, or free some"
    ]


def notes_on(calibration: Calibration, workers: Workers) -> tuple[str, ...]:
    """What the figures do not know."""
    notes = [
        f"{sample.size.scan}, one of the samples, failed and counts for nothing: {sample.problem}"
        for sample in calibration.samples
        if sample.problem
    ]
    if workers.cores and workers.cores != calibration.cores:
        notes.append(f"the time is that of {counted(calibration.cores, 'core')}, as this machine has, and not of {workers.cores}")
    if workers.gpus and calibration.device_bytes is None:
        notes.append("the time is that of the network without a GPU, because there is none here; the memory of the GPU is not known")
    if workers.count > 1 and workers.memory_bytes is None:
        notes.append("the memory of a worker was not named (--memory), so nothing is said of whether it suffices")
    return tuple(notes)
