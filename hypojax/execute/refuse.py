"""The check at the start of every run: what cannot fit is refused before a voxel is read, from the sizes of files alone."""

from collections.abc import Iterator, Sequence
from heapq import nlargest
from pathlib import Path
from typing import Final

from hypojax.execute.budget import LEAST_NETWORK, amount, disk_free, memory_free, scan_room
from hypojax.execute.sizes import read_sizes
from hypojax.reason import Reason, RunError
from hypojax.scans import Scan
from hypojax.storage import Location

LEAST_STORED: Final = 0.5
"""Bytes in the store for a byte of a compressed file, at least: 0.75 to 2.5 over real scans and phantoms (`benchmarks/room.py`)."""

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
        raise RunError(
            Reason.DISK_FULL,
            f"{len(files)} scans take {amount(need)} on the disk at least, and {amount(room)} are free at {out}; "
            "name another OUT, free some, or see what they take with hypojax plan",
        )
    if memory:
        refuse_large([scan for scan, _ in nlargest(LOOKED_AT, files, key=lambda file: file[1])], limit)


def refuse_large(scans: Sequence[Scan], limit: int | None) -> None:
    """Refuse scans of which one alone does not fit into the memory that is free; one that no process may hold fails alone, later."""
    sizes, _ = read_sizes(scans, room=scan_room(limit))
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
