"""`Costs`: time, memory and disk as functions of the size of scans, fitted to a calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hypojax.execute.plan.calibration import Calibration
from hypojax.execute.plan.straight import Straight, above, through
from hypojax.execute.sizes import Size, in_flight
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings

MEMORY_MARGIN: Final = 1.1
"""Projected over fitted peak: it rose by 2.5 % from the 10th to the 60th scan of three sizes in turn (`tests/test_plan.py`)."""

DISK_MARGIN: Final = 1.1
"""Projected over fitted disk: scans of one size compress differently."""

UNSEEN_RATE: Final = 1.2
"""Resident bytes for each byte that scans on the line hold, at least, where scans are larger than any that was measured."""

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
        Bytes of the process, by those that the scans on the line hold.
    largest_held
        The most that they held while it was measured, bytes.
    """

    seconds: Straight
    cpu_seconds: Straight
    low: float
    high: float
    disk: Straight
    resident: Straight
    largest_held: float

    def peak_bytes(self, held_bytes: float) -> float:
        """Highest resident memory of a run whose scans on the line hold so much."""
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
        raise RunError(
            Reason.NOTHING_FOUND, f"none of {len(calibration.samples)} sample scans could be segmented, the first: {first.problem}"
        )
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
