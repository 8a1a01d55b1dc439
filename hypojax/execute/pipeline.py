"""The way of one scan, from its file to its ledger record, in the order in which it happens.

`Pipeline` has it from top to bottom, from `results` to `commit`. Each step is a call into one room:

| call | what it does | room |
|---|---|---|
| `begin` | marks the scan as in flight | `store` |
| `read`, `refuse_label_map` | header, voxels, the stream to its last checksum; a label map is no scan | `scans` |
| `write_native` | stores the voxels as they are | `store` |
| `intensities` | scales them, marks of missing values left out | `preprocessing.scaling` |
| `prepare` | makes the background air, finds the head, samples and z-scores it | `preprocessing.foreground` |
| `segment_batch` | the whole head with its pose, then the box round the hypothalamus | `segmenter` |
| `measure_scan` | T1-weighted or not; volumes, label maps, quality, flags | `execute.measured`, `volumes` |
| `write_segmentation` | stores label maps, posteriors and what the networks saw | `store` |
| `write_scan` | writes the label maps as BIDS derivatives | `cohort.derivatives` |
| `commit` | writes the record, last | `store` |

Threads do the steps before the networks for the scans that come next (`hypojax.execute.readahead`), the networks have the thread of the
caller, and other threads do the steps behind them for the scans before: as many as the cores allow, with no more scans between than keep
the networks busy, so that the memory of a run is that of a few scans. Whatever goes wrong with one scan ends the way of that scan alone.
"""

import errno
import logging
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from hypojax.cohort.derivatives import remove_scan, write_scan
from hypojax.execute.measured import Volume, full_row, measure_scan, row_of, scan_maps, stored_form
from hypojax.execute.outcome import ScanResult, refusal
from hypojax.execute.readahead import overlapped, threads_for
from hypojax.grid import Affine
from hypojax.preprocessing.scaling import intensities
from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans import Image, read
from hypojax.scans.voxels import refuse_label_map
from hypojax.settings import RunSettings
from hypojax.storage import Location, locate
from hypojax.store import CohortStore, ScanRecord

if TYPE_CHECKING:
    from hypojax.preprocessing.foreground import Prepared
    from hypojax.segmenter.segmenter import Segmentation

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REMEMBERED: Final = 8
"""Segmentations kept, 2 MB each: a copy of a scan lies beside the original, or comes a few scans later."""

IN_FLIGHT: Final = ScanResult("", "in flight")
"""The result of a scan that is on its way."""

TABLES: Final = "dask.array"
"""What takes longest to load of all that makes a table: xarray asks for it. Loaded while the last scans are measured."""

Key = tuple[str, bytes]
"""What two scans share if and only if one segmentation is that of both: checksum of the voxels, and their place."""

LOG: Final = logging.getLogger("hypojax")


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


@runtime_checkable
class Compiles(Protocol):
    """A segmenter that has something to do before its first scan: `hypojax.Segmenter` has."""

    def compile(self) -> None:
        """Do it: called while the first scan is read."""


@dataclass(eq=False, repr=False)
class Item:
    """One scan on its way. Each step leaves here what the next one needs, and deletes what no later step does, since a scan is large.

    Parameters
    ----------
    scan
        Its id.
    row
        What the table can say of it so far.
    result
        What became of it.
    seconds
        Time spent on it, waiting left out.
    begun
        When it would have begun had it never waited (`time.perf_counter`).
    image
        Voxels as stored; from reading until they are scaled.
    header
        Raw header of its file.
    key
        Voxels and place, as `Key`.
    prepared
        What the networks are shown; from preparing until they have seen it.
    volume, affine
        Scaled voxels and their place, mm, RAS+.
    segmentation
        What the networks say.
    """

    scan: str
    row: Mapping[str, Any] = field(default_factory=dict)
    result: ScanResult = IN_FLIGHT
    seconds: float = 0.0
    begun: float = 0.0
    image: Image = field(init=False)
    header: bytes = field(init=False)
    key: Key = field(init=False)
    prepared: "Prepared" = field(init=False)
    volume: Volume = field(init=False)
    affine: Affine = field(init=False)
    segmentation: "Segmentation" = field(init=False)


@dataclass(frozen=True)
class Pipeline:
    """The steps of a scan, and where scans come from and go to.

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
    budget
        Bytes that the voxels of a scan may take; a scan that needs more is refused.
    """

    store: CohortStore
    derivatives_root: Location
    segmenter: Segments | None = None
    write_maps: bool = True
    budget: int | None = None

    def results(self, scans: Iterable[str], *, settings: RunSettings) -> Generator[ScanResult, None, None]:
        """What becomes of each scan, in order, but for those that fail before the networks, which wait for no batch.

        Closed early, it finishes what it is finishing and leaves the rest for another run.

        Raises
        ------
        RunError
            What concerns the run and not a scan: output not writable, disk full.
        """
        if (network := self.segmenter) is None:
            raise ValueError("this pipeline has no network")
        batch, threads = max(settings.batch or 1, network.batch), settings.threads or threads_for()
        enough = batch + threads - 1  # every thread is busy while the next batch waits
        ahead = max(settings.read_ahead, enough)
        items = items_of(scans, network)
        with (
            closing(overlapped(items, lambda item: self.prepare(item, network), depth=ahead, threads=threads)) as prepared,
            closing(self.segment(prepared, network, batch=batch)) as segmented,
            closing(overlapped(segmented, self.finish, depth=enough, threads=threads)) as finished,
        ):
            yield from finished

    def prepare(self, item: Item, network: Segments) -> Item:
        """Mark a scan in flight, read it, store its voxels as they are, and make it ready for the networks."""
        with attempted(item):
            self.read(item, self.store.begin(item.scan))
            image, item.header = item.image, item.image.header
            volume, affine = intensities(image.voxels, slope=image.slope, intercept=image.intercept), image.affine
            del image, item.image  # the voxels as stored are free before the scaled ones are worked on
            item.prepared = network.prepare(volume, affine)
            item.volume, item.affine = item.prepared.volume, item.prepared.affine
            item.key = (str(item.row.get("voxels_checksum") or item.scan), item.affine.tobytes())
        return item

    def read(self, item: Item, record: ScanRecord | None) -> None:
        """Read a scan: its voxels as they were ingested before, as its record says, else its file, whose voxels are then stored."""
        if record is not None and record["status"] == "pending" and (image := ingested_image(self.store, item.scan)) is not None:
            item.image, item.row = image, record["row"]
            return
        entry = self.store.index.by_id[item.scan]
        try:
            image = read(item.scan, locate(entry["path"]), budget=self.budget)
        except ScanError as error:
            raise error.located(entry.get("listed", "")) from error
        refuse_label_map(image)
        self.store.write_native(item.scan, image)
        item.image, item.row = image, row_of(image)

    def segment(self, items: Iterable[Item], network: Segments, *, batch: int) -> Generator[Item, None, None]:
        """Segment scans, ``batch`` at a time; scans that have failed pass through at once.

        Voxels that one of the last few scans had too, in the same place, are not segmented again: the same head under other names mostly
        comes soon after. Elsewhere (far apart, in another process, in another run) they are, to equal values.
        """
        waiting: deque[Item] = deque()
        recent: dict[Key, Segmentation] = {}
        for item in items:
            if item.result is not IN_FLIGHT:
                yield item
            elif item.key in recent:
                item.segmentation = recent[item.key]
                del item.prepared
                yield item
            else:
                waiting.append(item)
            del item  # so that a scan is free once it is finished
            if len(waiting) >= batch:
                segment_batch(waiting, network, recent)
                while waiting:
                    yield waiting.popleft()
        segment_batch(waiting, network, recent)
        while waiting:
            yield waiting.popleft()
        import_module(TABLES)

    def finish(self, item: Item) -> ScanResult:
        """Measure, store, export and commit a scan; one that failed gets its record too, unless another process has taken the scan."""
        if item.result is IN_FLIGHT:
            with attempted(item):
                self.commit(item)
            item.result = replace(item.result, device_seconds=item.segmentation.device_seconds)
        if item.result.status == "failed":
            with attempted(item):
                self.commit_failure(item, item.result)
        return item.result

    def commit(self, item: Item) -> None:
        """Measure a scan, store its maps, write its derivatives and, last, its record."""
        measured = measure_scan(item.volume, item.affine, item.segmentation, nonfinite=int(item.row["nonfinite_voxels"]))
        del item.volume
        self.store.write_segmentation(item.scan, stored_form(item.affine, item.segmentation, measured))
        regions = {region: asdict(found) for region, found in measured.volumes.items()}
        maps = scan_maps(measured, regions, affine=item.affine, header=item.header)
        derivatives = self.store.behind_marker(item.scan, self.derivatives_root)
        files = write_scan(derivatives, scan=item.scan, maps=maps) if self.write_maps else {}
        seconds = time.perf_counter() - item.begun
        row = full_row(item.row, measured, seconds=seconds)
        self.store.commit(item.scan, status="done", row=row, regions=regions, derivatives=files)
        item.result = ScanResult(item.scan, "done", seconds=seconds, notes=str(item.row.get("notes", "")))

    def commit_failure(self, item: Item, result: ScanResult) -> None:
        """Write the record of a scan that failed, so that it keeps its row, and leave no label maps of an earlier run."""
        remove_scan(self.store.behind_marker(item.scan, self.derivatives_root), scan=item.scan)
        row = {**item.row, "seconds": result.seconds}
        self.store.commit(item.scan, status="failed", reason=Reason(result.reason), message=result.message, row=row)

    # Parts of this way, for `hypojax ingest` and for label maps that were lost.

    def ingest(self, scans: Iterable[str], *, settings: RunSettings) -> Generator[ScanResult, None, None]:
        """Read scans, store their voxels and write their records, which say that they are still to be segmented; as `results`."""
        threads = settings.threads or threads_for()
        with closing(overlapped(map(Item, scans), self._load, depth=max(settings.read_ahead, threads), threads=threads)) as loaded:
            for item in loaded:
                if item.result is IN_FLIGHT:
                    with attempted(item):
                        self.store.commit(item.scan, status="pending", row={**item.row, "seconds": item.seconds})
                        item.result = ScanResult(item.scan, "pending", seconds=item.seconds, notes=str(item.row.get("notes", "")))
                yield self.finish(item)

    def export(self, scan: str) -> ScanResult:
        """Write the BIDS derivatives of a finished scan again, from the store."""
        item = Item(scan)
        with attempted(item):
            record, native = self.store.record(scan), self.store.read_native(scan)
            regions = record["regions"] if record else {}
            maps = scan_maps(self.store.read_segmentation(scan), regions, affine=native.affine, header=native.header)
            self.store.amend_derivatives(scan, write_scan(self.derivatives_root, scan=scan, maps=maps) if self.write_maps else {})
        return ScanResult(scan, "done", seconds=item.seconds) if item.result is IN_FLIGHT else item.result

    def _load(self, item: Item) -> Item:
        """Read a scan, which may fail alone."""
        with attempted(item):
            self.read(item, self.store.record(item.scan))
        return item


def items_of(scans: Iterable[str], network: Segments) -> Iterator[Item]:
    """Scans as items; a network that has something to do before its first scan does it while that one is read."""
    for number, scan in enumerate(scans):
        yield Item(scan)
        if number == 0 and isinstance(network, Compiles):
            network.compile()


def segment_batch(batch: Sequence[Item], network: Segments, recent: "dict[Key, Segmentation]") -> None:
    """Segment scans together, the same voxels once; where that fails, each is tried alone. ``recent`` gets what the networks said."""
    with attempted(*batch):
        shown: dict[Key, Prepared] = {}
        for item in batch:
            shown.setdefault(item.key, item.prepared)
        found = dict(zip(shown, network.segment_batch(list(shown.values())), strict=True)) if shown else {}
        for item in batch:
            item.segmentation = found[item.key]
            del item.prepared
            recent[item.key] = replace(item.segmentation, device_seconds=0.0)  # used again, it takes the devices no time
        while len(recent) > REMEMBERED:
            del recent[next(iter(recent))]
    if len(batch) > 1 and batch[0].result is not IN_FLIGHT:
        for item in batch:
            item.result = IN_FLIGHT
            segment_batch([item], network, recent)


@contextmanager
def attempted(*items: Item) -> Iterator[None]:
    """Do one step of one scan, or of a batch together; whatever goes wrong becomes the result of these scans, and their time is counted.

    A scan that another process has taken meanwhile is left to that one: it is neither done nor failed.

    Raises
    ------
    RunError
        What concerns the run and not the scan: output not writable, disk full.
    """
    start = time.perf_counter()
    for item in items:
        item.begun = start - item.seconds
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise RunError(Reason.DISK_FULL, f"no space left on the disk ({error}); free some and run the same command again") from error
        for item in items:
            LOG.debug("scan %r", item.scan, exc_info=error)
            item.result = refusal(item.scan, error, seconds=time.perf_counter() - item.begun)
    finally:
        for item in items:
            item.seconds += (time.perf_counter() - start) / len(items)


def ingested_image(store: CohortStore, scan: str) -> Image | None:
    """The voxels of a scan that was ingested before; None where they are damaged and must be read again."""
    try:
        native = store.read_native(scan)
    except ScanError:
        return None
    return Image(
        voxels=native.voxels,
        affine=native.affine,
        slope=native.slope,
        intercept=native.intercept,
        header=native.header,
        format=native.format,
        nonfinite=native.nonfinite,
    )
