"""What this machine has left: memory, counting the limits of containers and batch systems, and disk."""

import math
import os
import re
import resource
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path
from typing import Final

from hypojax.execute.outcome import ScanResult, refusal
from hypojax.execute.readahead import threads_for
from hypojax.reason import HypojaxError, Reason, RunError, ScanError
from hypojax.scans import Scan
from hypojax.scans.header import work_bytes
from hypojax.scans.reading import open_source, read_header
from hypojax.settings import RunSettings
from hypojax.storage import Location
from hypojax.tables.cells import counted

LEAST_NETWORK: Final = 200_000_000
"""Bytes that a first batch takes besides its voxels, once the weights are loaded, at least: 250 MB (`benchmarks/bounds.py`)."""

UNITS: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
MEMORY: Final = Path("/proc/meminfo")
MEMBERSHIP: Final = Path("/proc/self/cgroup")
"""Where Linux says in which control groups this process is; a batch system or a container limits the memory of one."""

CGROUPS: Final = Path("/sys/fs/cgroup")
UNIFIED: Final = ("memory.max", "memory.current", "inactive_file")
"""Limit, use, and the part of the use that is only cache of files, in version 2 of control groups."""

SEPARATE: Final = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""The same in version 1."""


def memory_free() -> int:
    """Bytes of memory that a process started now could take."""
    rooms = [left_in(*group) for group in control_groups(MEMBERSHIP.read_text() if MEMBERSHIP.exists() else "")]
    return max(0, min([machine_free(), *(room for room in rooms if room is not None)]))


def memory_limit() -> int:
    """Bytes of memory that a process may ever take: of the machine, of its control groups, and by the limits set for it (ulimit)."""
    groups = [limit_of(folder / names[0]) for folder, names in control_groups(MEMBERSHIP.read_text() if MEMBERSHIP.exists() else "")]
    own = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    found = [limit for limit in groups if limit is not None] + [limit for limit in own if limit != resource.RLIM_INFINITY]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *found])


def scan_budget(memory: int | None) -> int:
    """Bytes that the voxels of one scan may take beside the network, where a process has ``memory`` bytes, or what there is."""
    return (memory or memory_limit()) - LEAST_NETWORK


def limit_of(path: Path) -> int | None:
    """The limit in a file of a control group; None where there is none."""
    try:
        limit = path.read_text().strip()
    except OSError:
        return None
    return int(limit) if limit.isdigit() else None


def machine_free() -> int:
    """Bytes of memory that the machine could give; all it has where it does not say."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", MEMORY.read_text(), re.MULTILINE) if MEMORY.exists() else None
    return int(found[1]) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def disk_free(place: Path) -> int:
    """Bytes free on the disk where ``place`` is or will be."""
    there = place.resolve()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def control_groups(membership: str) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Folders of the control groups that limit memory, and how their files are named; a group's parents limit it too.

    >>> [str(folder) for folder, _ in control_groups("4:memory:/slurm/job_7")]
    ['/sys/fs/cgroup/memory/slurm/job_7', '/sys/fs/cgroup/memory/slurm', '/sys/fs/cgroup/memory']
    """
    for _, kinds, path in re.findall(r"^(\d+):([^:]*):(/.*)$", membership, re.MULTILINE):
        if kinds and "memory" not in kinds.split(","):
            continue
        root, names = (CGROUPS / "memory", SEPARATE) if kinds else (CGROUPS, UNIFIED)
        folder = root / path.strip("/")
        yield from ((above, names) for above in (folder, *folder.parents) if above.is_relative_to(root))


def left_in(folder: Path, names: tuple[str, str, str]) -> int | None:
    """Bytes left in a control group; None where it sets no limit, or is not to be seen from here."""
    limit_file, used_file, cache = names
    try:
        limit, used = ((folder / name).read_text().strip() for name in (limit_file, used_file))
        cached = re.search(rf"^{cache} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(limit) - int(used) + (int(cached[1]) if cached else 0) if limit.isdigit() else None


def amount(size: int | float) -> str:  # noqa: PYI041 - the tests tell the two apart
    """A number of bytes in words.

    >>> [amount(size) for size in (1e3, 350e6, 1.24e9, 7.2e13)]
    ['1 kB', '350 MB', '1.2 GB', '72 TB']
    """
    scale, unit = next(((scale, unit) for scale, unit in UNITS if size >= scale), UNITS[-1])
    value = size / scale
    return f"{value:.0f} {unit}" if value >= 10 or scale < 1e6 else f"{value:.1f} {unit}"


THREADS: Final = 8
"""Headers read at once: on a network disk each waits for its answer, and 50,000 one after another would take minutes."""

SLICE_VOXEL: Final = 2
"""Bytes of a voxel in a DICOM series, whose headers are not read here; nearly all scanners write 16 bits."""


@dataclass(frozen=True)
class Size:
    """How large a scan is.

    Parameters
    ----------
    scan, path
        Its id and its file or folder.
    voxels
        How many.
    voxel_bytes
        Of one voxel as stored.
    file_bytes
        Of the file as it lies on the disk.

    Examples
    --------
    >>> Size("sub-01", Path("sub-01_T1w.nii.gz"), voxels=10_000_000, voxel_bytes=2, file_bytes=6_000_000).held_bytes
    60000000
    """

    scan: str
    path: Location
    voxels: int
    voxel_bytes: int
    file_bytes: int

    @property
    def held_bytes(self) -> int:
        """Bytes of the voxels as stored, or as label maps, and once more as scaled: what a scan in the pipeline holds."""
        return work_bytes(self.voxels, itemsize=self.voxel_bytes)


def size_of(scan: Scan, *, room: int | None = None) -> Size:
    """Read the header of a scan, which may take ``room`` bytes; of a DICOM series, whose headers say less, the sizes of its files.

    Raises
    ------
    ScanError
        The header is refused, as it would be in a run.
    """
    try:
        if isinstance(scan.path, Path) and scan.path.is_dir():
            total = sum(file.stat().st_size for file in scan.path.iterdir() if file.is_file())
            return Size(scan.id, scan.path, total // SLICE_VOXEL, SLICE_VOXEL, total)
        with open_source(scan.path) as source:
            header = read_header(source, budget=room)
        return Size(scan.id, scan.path, math.prod(header.shape), header.dtype.itemsize, source.file_bytes)
    except HypojaxError as error:
        raise ScanError(error.reason, scan.id, f"{error} ({scan.path})").located(scan.listed) from error


def read_sizes(scans: Sequence[Scan], *, room: int | None = None) -> tuple[tuple[Size, ...], tuple[ScanResult, ...]]:
    """Sizes of the scans, in order, and the results of those whose header is refused (``room`` as `size_of`); no voxel is read."""

    def size_or_refusal(scan: Scan) -> Size | ScanResult:
        try:
            return size_of(scan, room=room)
        except (ScanError, OSError) as error:
            return refusal(scan.id, error, seconds=0.0)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="hypojax") as pool:
        found = list(pool.map(size_or_refusal, scans))
    sizes = tuple(item for item in found if isinstance(item, Size))
    return sizes, tuple(item for item in found if isinstance(item, ScanResult))


def in_flight(settings: RunSettings, *, batch: int, cores: int) -> int:
    """Scans whose voxels are in memory at once: those read ahead, a batch at the network, and those that are finished.

    >>> in_flight(RunSettings(read_ahead=2), batch=1, cores=2), in_flight(RunSettings(), batch=4, cores=8)
    (4, 16)
    """
    enough = batch + (settings.threads or threads_for(cores)) - 1
    return max(settings.read_ahead, enough) + batch + enough


def held(sizes: Iterable[Size], *, count: int) -> int:
    """Bytes that the ``count`` largest scans hold when they meet in the pipeline."""
    return sum(nlargest(count, (size.held_bytes for size in sizes)))


LEAST_STORED: Final = 0.5
"""Bytes in the store for a byte of a compressed file, at least: 0.75 to 2.5 over real scans and phantoms (`benchmarks/bounds.py`)."""

LEAST_PLAIN: Final = 0.1
"""The same for a file that is not compressed: 0.12 to 0.82."""

LOOKED_AT: Final = 8
"""Largest files whose headers are read."""


def refuse_unfit(scans: Sequence[Scan], *, out: Location, memory: bool = True, limit: int | None = None) -> None:
    """Refuse a run for which the disk or the memory cannot suffice, whatever the scans hold; less than a millisecond a scan.

    What passes may still be too large: `plan` projects, this only knows bounds. DICOM series and scans in buckets count nothing.

    Parameters
    ----------
    scans
        Those of which nothing is stored yet.
    out
        The output folder.
    memory
        Whether they are held in the memory of this machine.
    limit
        Bytes of memory that a process may take; what the machine has when left out.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``OUT_OF_MEMORY``, with what is needed and what there is.
    """
    files = list(local_files(scans))
    need = sum(least_written(scan, size) for scan, size in files)
    if isinstance(out, Path) and need > (room := disk_free(out)):
        take = counted(len(files), "scan takes", many="scans take")
        raise RunError(
            Reason.DISK_FULL,
            f"{take} {amount(need)} on the disk at least, and {amount(room)} are free at {out}; "
            "name another OUT, free some, or see what they take with hypojax plan",
        )
    if memory:
        refuse_large([scan for scan, _ in nlargest(LOOKED_AT, files, key=lambda file: file[1])], limit)


def refuse_large(scans: Sequence[Scan], limit: int | None) -> None:
    """Refuse scans of which one alone does not fit into the memory that is free; one that no process may hold fails alone, later."""
    sizes, _ = read_sizes(scans, room=scan_budget(limit))
    largest = max(sizes, key=lambda size: size.held_bytes, default=None)
    if largest is None or (need := LEAST_NETWORK + largest.held_bytes) <= (room := memory_free()):
        return
    raise RunError(
        Reason.OUT_OF_MEMORY,
        f"scan {largest.scan!r} alone takes {amount(need)} of memory with the network, and {amount(room)} are free; "
        "close other programs, take a machine with more, or leave that scan out",
    )


def local_files(scans: Sequence[Scan]) -> Iterator[tuple[Scan, int]]:
    """Scans that are files on this machine, with their bytes; others are left to whoever reads them."""
    for scan in scans:
        try:
            if isinstance(scan.path, Path) and scan.path.is_file():
                yield scan, scan.path.stat().st_size
        except OSError:
            continue


def least_written(scan: Scan, size: int) -> float:
    """Bytes that the voxels of a scan take in the store at least; maps come on top where it succeeds."""
    return size * (LEAST_STORED if scan.path.suffix in (".gz", ".mgz") else LEAST_PLAIN)
