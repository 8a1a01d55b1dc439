"""What this machine has left: memory, counting the limits of containers and batch systems, and disk."""

import os
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LEAST_NETWORK: Final = 200_000_000
"""Bytes that a first batch takes besides its voxels, once the weights are loaded, at least: 250 MB (`benchmarks/room.py`)."""

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
    rooms = [room_in(*group) for group in control_groups(MEMBERSHIP.read_text() if MEMBERSHIP.exists() else "")]
    return max(0, min([machine_free(), *(room for room in rooms if room is not None)]))


def memory_limit() -> int:
    """Bytes of memory that a process may ever take: of the machine, of its control groups, and by the limits set for it (ulimit)."""
    groups = [limit_of(folder / names[0]) for folder, names in control_groups(MEMBERSHIP.read_text() if MEMBERSHIP.exists() else "")]
    own = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    found = [limit for limit in groups if limit is not None] + [limit for limit in own if limit != resource.RLIM_INFINITY]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *found])


def scan_room(memory: int | None) -> int:
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


def room_in(folder: Path, names: tuple[str, str, str]) -> int | None:
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
