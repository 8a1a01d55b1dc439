"""How large a scan is, from its header alone, and what the scans on the line at one time hold of it."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path
from typing import Final

from hypojax.execute.outcome import ScanResult, refusal
from hypojax.execute.readahead import threads_for
from hypojax.reason import HypojaxError, ScanError
from hypojax.scans import Scan
from hypojax.scans.header import work_bytes
from hypojax.scans.reading import open_source, read_header, refuse_nul
from hypojax.settings import RunSettings
from hypojax.storage import Location

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
        """Bytes of the voxels as stored, or as label maps, and once more as scaled: what a scan on the line holds."""
        return work_bytes(self.voxels, itemsize=self.voxel_bytes)


def size_of(scan: Scan, *, room: int | None = None) -> Size:
    """Read the header of a scan, which may take ``room`` bytes; of a DICOM series, whose headers say less, the sizes of its files.

    Raises
    ------
    ScanError
        The header is refused, as it would be in a run.
    """
    try:
        refuse_nul(scan.path)
        if isinstance(scan.path, Path) and scan.path.is_dir():
            total = sum(file.stat().st_size for file in scan.path.iterdir() if file.is_file())
            return Size(scan.id, scan.path, total // SLICE_VOXEL, SLICE_VOXEL, total)
        with open_source(scan.path) as source:
            header = read_header(source, room=room)
        return Size(scan.id, scan.path, header.voxel_bytes // header.dtype.itemsize, header.dtype.itemsize, source.file_bytes)
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
    """Bytes that the ``count`` largest scans hold when they meet on the line."""
    return sum(nlargest(count, (size.held_bytes for size in sizes)))
