"""`Costs`: time, memory and disk as functions of the size of scans, fitted to a calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hypojax.execute.budget import Size, in_flight, memory_limit, scan_budget
from hypojax.execute.calibration import Calibration
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings

MEMORY_MARGIN: Final = 1.1
"""Projected over fitted peak: it rose by 2.5 % from the 10th to the 60th scan of three sizes in turn (`tests/test_plan.py`)."""

DISK_MARGIN: Final = 1.1
"""Projected over fitted disk: scans of one size compress differently."""

UNSEEN_RATE: Final = 1.2
"""Resident bytes for each byte that scans in the pipeline hold, at least, where scans are larger than any that was measured."""

SPREAD: Final = 0.15
"""Range of the time, either way, at least: means over three scans alike lay up to 12 % from that over fourteen, on two shared cores."""

MEGAVOXEL: Final = 1e6


@dataclass(frozen=True)
class Span:
    """About so much, and from where to where."""

    low: float
    about: float
    high: float


@dataclass(frozen=True)
class LinearCost:
    """A cost as a function of size.

    Parameters
    ----------
    fixed
        What anything costs.
    rate
        What a unit of size costs besides.

    Examples
    --------
    >>> LinearCost(fixed=0.5, rate=0.1).at(10.0)
    1.5
    """

    fixed: float
    rate: float

    def at(self, size: float) -> float:
        """The cost of something of this size."""
        return self.fixed + self.rate * size


@dataclass(frozen=True)
class Costs:
    """What scans cost, fitted to a calibration.

    Parameters
    ----------
    seconds, cpu_seconds
        A scan, by its million voxels.
    low, high
        Measured over fitted seconds, the extremes.
    disk
        Bytes a scan, by the bytes of its file.
    resident
        Bytes of the process, by those that the scans in the pipeline hold.
    largest_held
        The most that they held while it was measured, bytes.
    """

    seconds: LinearCost
    cpu_seconds: LinearCost
    low: float
    high: float
    disk: LinearCost
    resident: LinearCost
    largest_held: float

    def peak_bytes(self, held_bytes: float) -> float:
        """Highest resident memory of a run whose scans in the pipeline hold so much."""
        unseen = max(0.0, held_bytes - self.largest_held) * max(0.0, UNSEEN_RATE - self.resident.rate)
        return MEMORY_MARGIN * (self.resident.at(held_bytes) + unseen)

    def disk_bytes(self, sizes: Sequence[Size]) -> float:
        """What is written of scans, bytes."""
        return DISK_MARGIN * sum(self.disk.at(float(size.file_bytes)) for size in sizes)


def fitted(calibration: Calibration, settings: RunSettings) -> Costs:
    """What scans cost, from the samples that succeeded.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: none did.
    """
    good = calibration.good
    if not good:
        first = calibration.samples[0]
        raise RunError(Reason.NOTHING_FOUND, f"no sample scan of {len(calibration.samples)} could be segmented, the first: {first.problem}")
    flight = in_flight(settings, batch=calibration.batch, cores=calibration.cores)
    voxels = [sample.size.voxels / MEGAVOXEL for sample in good]
    seconds = through(voxels, [sample.seconds for sample in good])
    ratios = [sample.seconds / seconds.at(size) for sample, size in zip(good, voxels, strict=True)]
    on_the_line = [float(flight * sample.size.held_bytes) for sample in good]
    return Costs(
        seconds=seconds,
        cpu_seconds=through(voxels, [sample.cpu_seconds for sample in good]),
        low=min(ratios),
        high=max(ratios),
        disk=through([float(sample.size.file_bytes) for sample in good], [sample.disk_bytes for sample in good]),
        resident=above(on_the_line, [float(sample.peak_bytes) for sample in good]),
        largest_held=max(on_the_line),
    )


def time_span(seconds: float, costs: Costs, *, startup: float) -> Span:
    """Time of a worker whose scans take so long, with its start, and the range that the calibration leaves."""
    low, high = min(costs.low, 1 - SPREAD), max(costs.high, 1 + SPREAD)
    return Span(startup + low * seconds, startup + seconds, startup + high * seconds)


def through(sizes: Sequence[float], costs: Sequence[float]) -> LinearCost:
    """The line nearest to the measurements (least squares, Lawson and Hanson 1974), of those without a negative part.

    >>> line = through([1.0, 2.0, 4.0], [3.0, 5.0, 9.0])
    >>> round(line.fixed, 6), round(line.rate, 6)
    (1.0, 2.0)
    """
    scale = max(sizes)
    rows = np.stack([np.ones(len(sizes)), np.asarray(sizes, np.float64) / scale], axis=1)
    from scipy.optimize import nnls  # takes a third of a second to import

    (fixed, rate), _ = nnls(rows, np.asarray(costs, np.float64))
    return LinearCost(float(fixed), float(rate / scale))


def above(sizes: Sequence[float], costs: Sequence[float]) -> LinearCost:
    """The line of `through`, lifted so that no measurement lies above it.

    >>> line = above([1.0, 2.0, 3.0], [1.0, 2.6, 3.0])
    >>> all(line.at(size) >= cost - 1e-9 for size, cost in zip([1.0, 2.0, 3.0], [1.0, 2.6, 3.0]))
    True
    """
    line = through(sizes, costs)
    lift = max(cost - line.at(size) for size, cost in zip(sizes, costs, strict=True))
    return LinearCost(line.fixed + max(0.0, lift), line.rate)


@dataclass(frozen=True)
class Workers:
    """A cluster, described.

    Parameters
    ----------
    count
        Workers, each a process with networks of its own.
    cores, gpus
        Of one worker; cores as here when left out.
    memory_bytes
        Of one worker; None where nobody knows.
    """

    count: int = 1
    cores: int | None = None
    gpus: int = 0
    memory_bytes: int | None = None

    @property
    def memory_limit(self) -> int | None:
        """Memory that one worker may take: as described, or that of this machine where it is this machine; None where nobody knows."""
        return self.memory_bytes or (memory_limit() if self.count == 1 else None)

    @property
    def scan_budget(self) -> int | None:
        """Bytes that the voxels of one scan may take there; None where nobody knows."""
        return None if self.memory_limit is None else scan_budget(self.memory_limit)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for option, value, least in (("workers", self.count, 1), ("cores", self.cores, 1), ("gpus", self.gpus, 0)):
            if value is not None and value < least:
                raise RunError(Reason.USAGE, f"{option} is {value}, it must be {least} or more; give a larger number or leave it out")
