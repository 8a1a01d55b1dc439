"""The line every scan goes down: read, store, segment, measure, commit. What happens to one scan never touches its neighbours.

A thread reads ahead while the network works; everything else happens in turn, so that memory stays that of a few scans.
"""

import errno
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, runtime_checkable

from hypojax.derivatives import ScanMaps, write_scan
from hypojax.execute.outcome import ScanResult, refusal
from hypojax.execute.record import Volume, full_row, measure_scan, region_entries, row_of, scan_maps, stored_form
from hypojax.grid import Affine
from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans import Image, read
from hypojax.store import CohortStore

if TYPE_CHECKING:
    from hypojax.segment import Segmentation

Result = TypeVar("Result")
Item = TypeVar("Item")

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LOG: Final = logging.getLogger("hypojax")


@runtime_checkable
class Segments(Protocol):
    """Whatever segments scans: `hypojax.Segmenter` does."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """Weights, devices, versions."""

    def segment_batch(self, scans: "Sequence[tuple[Volume, Affine]]") -> "Sequence[Segmentation]":
        """Segment scaled volumes with their affines, in order."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A scan that was read and stored.

    Parameters
    ----------
    scan
        Its id.
    image
        Its voxels and geometry.
    row
        What the table can say of it already.
    seconds
        Time that took.
    """

    scan: str
    image: Image
    row: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class Line:
    """Where scans come from and go to.

    Parameters
    ----------
    store
        The cohort store.
    derivatives_root
        Folder for BIDS derivatives; None to write none.
    segmenter
        The network; None where nothing is segmented.
    stems
        Where each scan's files lie in the derivatives folder.
    """

    store: CohortStore
    derivatives_root: Path | None = None
    segmenter: Segments | None = None
    stems: Mapping[str, str] = field(default_factory=dict)

    def load(self, scan: str) -> Loaded | ScanResult:
        """Read one scan, from its file or as it was ingested, and store its voxels; a refusal where it cannot be used."""
        start = time.perf_counter()
        return attempt(scan, lambda: load(self.store, scan), since=start)

    def process(self, batch: Sequence[Loaded]) -> Iterator[ScanResult]:
        """Segment scans together, then measure, store and commit one after the other."""
        start = time.perf_counter()
        found = self._segment(batch)
        share = (time.perf_counter() - start) / len(batch)
        for item, segmented in zip(batch, found, strict=True):
            begun = time.perf_counter() - item.seconds - share
            result = segmented if isinstance(segmented, ScanResult) else self._finish(item, *segmented, begun=begun)
            yield commit_failure(self.store, result, row=item.row) if result.failed else result

    def _segment(self, batch: Sequence[Loaded]) -> "Sequence[tuple[Volume, Segmentation] | ScanResult]":
        """Volume and segmentation, or refusal, of every scan; when a batch fails its scans are tried each alone."""
        if (network := self.segmenter) is None:
            raise ValueError("this line has no network")
        together = attempt(batch[0].scan, lambda: segment_together(network, batch))
        if not isinstance(together, ScanResult):
            return together
        return [together] if len(batch) == 1 else [self._segment([item])[0] for item in batch]

    def _finish(self, item: Loaded, volume: Volume, segmentation: "Segmentation", *, begun: float) -> ScanResult:
        """Measure, store, export and commit one segmented scan, the ledger record last."""
        return attempt(item.scan, lambda: self._measure_and_commit(item, volume, segmentation, begun=begun), since=begun)

    def _measure_and_commit(self, item: Loaded, volume: Volume, segmentation: "Segmentation", *, begun: float) -> ScanResult:
        """As `_finish`, where nothing goes wrong."""
        image = item.image
        measured = measure_scan(volume, image.affine, segmentation)
        self.store.write_segmentation(item.scan, stored_form(volume, image.affine, segmentation, measured))
        regions = region_entries(measured)
        if self.derivatives_root is not None:
            maps = scan_maps(measured, regions, affine=image.affine, header=image.header)
            self._export(item.scan, maps, regions)
        seconds = time.perf_counter() - begun
        self.store.commit(item.scan, status="done", row=full_row(item.row, measured, seconds=seconds), regions=regions)
        return ScanResult(item.scan, "done", seconds=seconds)

    def export(self, scan: str) -> None:
        """Write the BIDS derivatives of a finished scan again, from the store.

        Raises
        ------
        ScanError
            What the store has of the scan is damaged.
        """
        record, native = self.store.record(scan), self.store.read_native(scan)
        regions = record["regions"] if record else {}
        maps = scan_maps(self.store.read_segmentation(scan), regions, affine=native.affine, header=native.header)
        self._export(scan, maps, regions)

    def _export(self, scan: str, maps: ScanMaps, regions: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the BIDS derivatives of one scan."""
        if self.derivatives_root is None:
            return
        volumes = {region: entry["volume_mm3"] for region, entry in regions.items()}
        source = path_of(self.store, scan)
        write_scan(self.derivatives_root, stem=self.stems[scan], source=source, maps=maps, volumes=volumes)


def attempt(scan: str, step: Callable[[], Result], *, since: float | None = None) -> Result | ScanResult:
    """Do one step of one scan; whatever goes wrong with this scan becomes its refusal.

    Raises
    ------
    RunError
        What concerns the run and not the scan: output not writable, disk full.
    """
    try:
        return step()
    except RunError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise RunError(Reason.DISK_FULL, f"no space left on the disk ({error}); free some and run the same command again") from error
        LOG.debug("scan %r", scan, exc_info=error)
        return refusal(scan, error, seconds=0.0 if since is None else time.perf_counter() - since)


def read_ahead(scans: Sequence[str], load: Callable[[str], Item], *, depth: int) -> Generator[Item, None, None]:
    """Load scans in order, in a thread, up to ``depth`` of them before they are asked for.

    >>> list(read_ahead(["a", "b", "c"], str.upper, depth=2))
    ['A', 'B', 'C']
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        waiting = deque(pool.submit(load, scan) for scan in scans[:depth])
        rest = deque(scans[depth:])
        try:
            while waiting:
                first = waiting.popleft()
                if rest:
                    waiting.append(pool.submit(load, rest.popleft()))
                yield first.result()
                del first
        finally:
            pool.shutdown(cancel_futures=True)


def load(store: CohortStore, scan: str) -> Loaded:
    """Read one scan: its voxels as they were ingested, else its file, which are then stored.

    Raises
    ------
    ScanError
        The file cannot be used as a scan.
    """
    start = time.perf_counter()
    ingested = read_ingested(store, scan)
    if ingested is not None:
        image, row = ingested
        return Loaded(scan, image, row, time.perf_counter() - start)
    image = read(scan, Path(path_of(store, scan)))
    store.write_native(scan, image)
    return Loaded(scan, image, row_of(image), time.perf_counter() - start)


def read_ingested(store: CohortStore, scan: str) -> tuple[Image, Mapping[str, Any]] | None:
    """A scan that was ingested before, with its row; None where there is none, or it is damaged and must be read again."""
    record = store.record(scan)
    if record is None or record["status"] != "pending":
        return None
    try:
        native = store.read_native(scan)
    except ScanError:
        return None
    image = Image(
        voxels=native.voxels,
        affine=native.affine,
        slope=native.slope,
        intercept=native.intercept,
        header=native.header,
        format=native.format,
        nonfinite=native.nonfinite,
    )
    return image, record["row"]


def path_of(store: CohortStore, scan: str) -> str:
    """The input file of a scan, as given."""
    return next(entry["path"] for entry in store.scans if entry["scan"] == scan)


def segment_together(segmenter: Segments, batch: Sequence[Loaded]) -> "list[tuple[Volume, Segmentation]]":
    """Scaled volumes of a batch and what the network says of them."""
    volumes = [item.image.scaled() for item in batch]
    found = segmenter.segment_batch([(volume, item.image.affine) for item, volume in zip(batch, volumes, strict=True)])
    return list(zip(volumes, found, strict=True))


def commit_failure(store: CohortStore, result: ScanResult, *, row: Mapping[str, Any] | None = None) -> ScanResult:
    """Write the record of a scan that failed, so that it keeps its row."""
    known = {**(row or {}), "seconds": result.seconds}
    store.commit(result.scan, status="failed", reason=Reason(result.reason), message=result.message, row=known)
    return result
