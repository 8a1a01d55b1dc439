"""The line every scan goes down: read, store, segment, measure, commit. What happens to one scan never touches its neighbours.

Threads read scans and make them ready ahead of the network, which has the thread of the caller, and others finish them behind
it: as many as the cores allow, and with no more scans between than keep the network busy, so the memory of a run is that of a few scans.
"""

import errno
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, runtime_checkable

from hypojax.cohort.derivatives import ScanMaps, remove_scan, write_scan
from hypojax.execute.measured import Volume, full_row, measure_scan, region_entries, row_of, scan_maps, stored_form
from hypojax.execute.outcome import ScanResult, refusal
from hypojax.execute.readahead import overlapped, threads_here
from hypojax.grid import Affine
from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans import Image, read
from hypojax.scans.voxels import refuse_label_map
from hypojax.settings import RunSettings
from hypojax.storage import Location, locate
from hypojax.store import CohortStore, TakenError

if TYPE_CHECKING:
    from hypojax.segmenter.segmenter import Prepared, Segmentation

Result = TypeVar("Result")

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LOG: Final = logging.getLogger("hypojax")


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


@dataclass(frozen=True, eq=False)
class Ready:
    """A scan that waits for the network; its voxels are scaled, those as stored are gone.

    Parameters
    ----------
    scan
        Its id.
    header
        Raw header of its file.
    row
        What the table can say of it already.
    prepared
        What the network made of it.
    seconds
        Time that took, from the file on.
    """

    scan: str
    header: bytes
    row: Mapping[str, Any]
    prepared: "Prepared"
    seconds: float


@dataclass(frozen=True, eq=False)
class Segmented:
    """A scan that was segmented.

    Parameters
    ----------
    scan
        Its id.
    header
        Raw header of its file.
    row
        What the table can say of it already.
    volume, affine
        Its scaled voxels and their place, mm, RAS+.
    segmentation
        What the network says of it.
    seconds
        Time since it was begun, waiting left out.
    """

    scan: str
    header: bytes
    row: Mapping[str, Any]
    volume: Volume
    affine: Affine
    segmentation: "Segmentation"
    seconds: float


@dataclass(frozen=True)
class Refused:
    """A scan that failed and whose record is still to be written.

    Parameters
    ----------
    result
        Why.
    row
        What the table can say of it all the same.
    """

    result: ScanResult
    row: Mapping[str, Any] = field(default_factory=dict)


REMEMBERED: Final = 8
"""Segmentations kept, 2 MB each: a copy lies beside the original, or comes a few scans later."""

Key = tuple[str, bytes]


def key_of(item: Ready | Segmented) -> Key:
    """What two scans must share for one segmentation to be that of both: voxels and their place. Scans of older stores share nothing."""
    affine = item.prepared.affine if isinstance(item, Ready) else item.affine
    return str(item.row.get("voxels_checksum") or item.scan), affine.tobytes()


def distinct(items: Sequence[Ready]) -> list[Ready]:
    """The first scan of each set of voxels."""
    return list({key_of(item): item for item in reversed(items)}.values())[::-1]


class Recent:
    """Segmentations of the last few scans."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Segmentation] = OrderedDict()

    def add(self, items: Iterable[Segmented | Refused]) -> None:
        """Keep what the network said of scans; it takes the device no time when it is used again."""
        for item in items:
            if isinstance(item, Segmented):
                self._kept[key_of(item)] = replace(item.segmentation, device_seconds=0.0)
        while len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)

    def of(self, item: Ready) -> "Segmentation | None":
        """What the network said of the same voxels in the same place; None where it did not lately."""
        return self._kept.get(key_of(item))


@runtime_checkable
class Segments(Protocol):
    """Whatever segments scans: `hypojax.Segmenter` does."""

    @property
    def batch(self) -> int:
        """Scans it segments at once: given fewer, it computes as many all the same."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """Weights, devices, versions."""

    def prepare(self, volume: Volume, affine: Affine) -> "Prepared":
        """Do what comes before the networks: called in several threads at once, ahead of `segment_batch`."""

    def segment_batch(self, scans: "Sequence[Prepared]") -> "Sequence[Segmentation]":
        """Segment prepared scans, in order; pipelines that share a network call this in several threads at once."""


@dataclass(frozen=True)
class Pipeline:
    """Where scans come from and go to.

    Parameters
    ----------
    store
        The cohort store.
    derivatives_root
        Folder of BIDS derivatives.
    segmenter
        The network; None where nothing is segmented.
    write_maps
        Whether derivatives are written; those of a scan that fails are removed either way.
    room
        Bytes that the voxels of a scan may take; a scan that needs more is refused.
    """

    store: CohortStore
    derivatives_root: Location
    segmenter: Segments | None = None
    write_maps: bool = True
    room: int | None = None

    def results(self, scans: Iterable[str], *, settings: RunSettings) -> Generator[ScanResult, None, None]:
        """What becomes of each scan, in order, but for those that are refused, which wait for no batch.

        Closed early, it finishes what it is finishing and leaves the rest for another run.

        Raises
        ------
        RunError
            What concerns the run and not a scan: output not writable, disk full.
        """
        batch, threads = max(settings.batch or 1, self._network.batch), settings.threads or threads_here()
        enough = batch + threads - 1  # every thread is busy while the next batch waits
        with (
            closing(overlapped(scans, self.prepare, depth=max(settings.read_ahead, enough), threads=threads)) as ready,
            closing(self.segment(ready, batch=batch)) as segmented,
            closing(overlapped(segmented, self.finish, depth=enough, threads=threads)) as finished,
        ):
            yield from finished

    def load(self, scan: str) -> Loaded | Refused:
        """Read one scan, from its file or as it was ingested, and store its voxels."""
        start = time.perf_counter()
        found = attempt(scan, lambda: load(self.store, scan, room=self.room), since=start)
        return Refused(found) if isinstance(found, ScanResult) else found

    def prepare(self, scan: str) -> Ready | Refused:
        """Mark one scan as being worked on, read it, store its voxels and make it ready for the network."""
        start = time.perf_counter()
        taken = attempt(scan, lambda: self.store.begin(scan), since=start)
        loaded = Refused(taken) if taken else self.load(scan)
        if isinstance(loaded, Refused):
            return loaded
        row, header, images = loaded.row, loaded.image.header, [loaded.image]
        del loaded  # and the image is given away, so that its voxels as stored are free once they are scaled
        found = attempt(scan, lambda: prepare(self._network, images.pop()), since=start)
        return Refused(found, row) if isinstance(found, ScanResult) else Ready(scan, header, row, found, time.perf_counter() - start)

    def segment(self, items: Iterable[Ready | Refused], *, batch: int) -> Generator[Segmented | Refused, None, None]:
        """Segment scans, ``batch`` at a time; scans that were refused pass through.

        Voxels that one of the last few scans had too, in the same place, are not segmented again: the same head under other names mostly
        comes soon after. Elsewhere (far apart, in another process, in another run) they are, to equal values.
        """
        waiting: list[Ready] = []
        recent = Recent()
        for item in items:
            if isinstance(item, Refused):
                yield item
                continue
            if known := recent.of(item):
                yield segmented(item, known, seconds=item.seconds)
                continue
            waiting.append(item)
            del item  # so that its voxels are free once it is finished
            if len(waiting) >= batch:
                yield from self._segment_all(waiting, recent)
        yield from self._segment_all(waiting, recent)

    def finish(self, item: Segmented | Refused) -> ScanResult:
        """Measure, store, export and commit one scan, the ledger record last; a scan that failed gets its record too."""
        if isinstance(item, Refused):
            return self._commit_failure(item)
        start = time.perf_counter() - item.seconds
        result = attempt(item.scan, lambda: self._finish(item, since=start), since=start)
        result = replace(result, device_seconds=item.segmentation.device_seconds)
        return self._commit_failure(Refused(result, item.row)) if result.failed else result

    def commit_ingested(self, item: Loaded | Refused) -> ScanResult:
        """Write the record of a scan whose voxels are stored and that is not segmented yet."""
        if isinstance(item, Refused):
            return self._commit_failure(item)
        return attempt(item.scan, lambda: self._record_ingested(item), since=time.perf_counter() - item.seconds)

    def export(self, scan: str) -> ScanResult:
        """Write the BIDS derivatives of a finished scan again, from the store."""
        start = time.perf_counter()
        failure = attempt(scan, lambda: self._export_stored(scan), since=start)
        return failure or ScanResult(scan, "done", seconds=time.perf_counter() - start)

    @property
    def _network(self) -> Segments:
        """The network of a pipeline that has one."""
        if self.segmenter is None:
            raise ValueError("this pipeline has no network")
        return self.segmenter

    def _segment_all(self, waiting: list[Ready], recent: Recent) -> Generator[Segmented | Refused, None, None]:
        """Segment the scans that wait, and hand them on one by one, so that each is free as soon as it is finished."""
        found = deque(self._segment(waiting) if waiting else ())
        waiting.clear()
        recent.add(found)
        while found:
            yield found.popleft()

    def _segment(self, batch: Sequence[Ready]) -> "list[Segmented | Refused]":
        """Segment scans together, the same voxels once; when that fails each is tried alone."""
        start, firsts = time.perf_counter(), distinct(batch)
        together = attempt(batch[0].scan, lambda: self._network.segment_batch([item.prepared for item in firsts]), since=start)
        if not isinstance(together, ScanResult):
            share, known = (time.perf_counter() - start) / len(batch), dict(zip(map(key_of, firsts), together, strict=True))
            return [segmented(item, known[key_of(item)], seconds=item.seconds + share) for item in batch]
        return [Refused(together, batch[0].row)] if len(batch) == 1 else [found for item in batch for found in self._segment([item])]

    def _finish(self, item: Segmented, *, since: float) -> ScanResult:
        """As `finish`, where nothing goes wrong."""
        measured = measure_scan(item.volume, item.affine, item.segmentation, nonfinite=int(item.row["nonfinite_voxels"]))
        self.store.write_segmentation(item.scan, stored_form(item.affine, item.segmentation, measured))
        regions = region_entries(measured)
        maps = scan_maps(measured, regions, affine=item.affine, header=item.header)
        files = self._export(item.scan, maps, root=self.store.behind_claim(item.scan, self.derivatives_root))
        seconds = time.perf_counter() - since
        row = full_row(item.row, measured, seconds=seconds)
        self.store.commit(item.scan, status="done", row=row, regions=regions, derivatives=files)
        return ScanResult(item.scan, "done", seconds=seconds, notes=str(item.row.get("notes", "")))

    def _commit_failure(self, item: Refused) -> ScanResult:
        """Write the record of a scan that failed, so that it keeps its row, and leave no label maps of an earlier run."""
        result = item.result
        if not result.failed:
            return result  # another process has taken the scan
        return attempt(result.scan, lambda: self._record_failure(item), since=time.perf_counter() - result.seconds)

    def _record_ingested(self, item: Loaded) -> ScanResult:
        """As `commit_ingested`, where nobody takes the scan away."""
        self.store.commit(item.scan, status="pending", row={**item.row, "seconds": item.seconds})
        return ScanResult(item.scan, "pending", seconds=item.seconds, notes=str(item.row.get("notes", "")))

    def _record_failure(self, item: Refused) -> ScanResult:
        """As `_commit_failure`, where nobody takes the scan away."""
        result, row = item.result, {**item.row, "seconds": item.result.seconds}
        remove_scan(self.store.behind_claim(result.scan, self.derivatives_root), scan=result.scan)
        self.store.commit(result.scan, status="failed", reason=Reason(result.reason), message=result.message, row=row)
        return result

    def _export_stored(self, scan: str) -> None:
        """Write the BIDS derivatives of a scan from what the store has of it."""
        record, native = self.store.record(scan), self.store.read_native(scan)
        regions = record["regions"] if record else {}
        maps = scan_maps(self.store.read_segmentation(scan), regions, affine=native.affine, header=native.header)
        self.store.amend_derivatives(scan, self._export(scan, maps, root=self.derivatives_root))

    def _export(self, scan: str, maps: ScanMaps, *, root: Location) -> dict[str, str]:
        """Write the BIDS derivatives of one scan, where any are wanted, and give their digests by key."""
        return write_scan(root, scan=scan, maps=maps) if self.write_maps else {}


def attempt(scan: str, step: Callable[[], Result], *, since: float) -> Result | ScanResult:
    """Do one step of one scan, begun at ``since`` (`time.perf_counter`); whatever goes wrong with this scan becomes its refusal.

    A scan that another process has taken meanwhile is left to that one: it is neither done nor failed.

    Raises
    ------
    RunError
        What concerns the run and not the scan: output not writable, disk full.
    """
    try:
        return step()
    except RunError:
        raise
    except TakenError as error:
        return ScanResult(scan, "pending", str(error.reason), str(error), time.perf_counter() - since)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise RunError(Reason.DISK_FULL, f"no space left on the disk ({error}); free some and run the same command again") from error
        LOG.debug("scan %r", scan, exc_info=error)
        return refusal(scan, error, seconds=time.perf_counter() - since)


def load(store: CohortStore, scan: str, *, room: int | None = None) -> Loaded:
    """Read one scan: its voxels as they were ingested, else its file, which are then stored; ``room`` as `hypojax.scans.read` has it.

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
    entry = store.index.by_id[scan]
    try:
        image = read(scan, locate(entry["path"]), room=room)
    except ScanError as error:
        raise error.located(entry.get("listed", "")) from error
    refuse_label_map(image)
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


def prepare(network: Segments, image: Image) -> "Prepared":
    """Scale the voxels of a scan and do what comes before the network."""
    volume, affine = image.intensities(), image.affine
    del image  # its voxels are free from here, if the caller keeps none
    return network.prepare(volume, affine)


def segmented(item: Ready, segmentation: "Segmentation", *, seconds: float) -> Segmented:
    """A scan with what the network says of it; what the network was shown is left behind."""
    return Segmented(item.scan, item.header, item.row, item.prepared.volume, item.prepared.affine, segmentation, seconds)
