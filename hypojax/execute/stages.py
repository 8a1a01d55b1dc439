"""The stages of a run, all together and each alone. The ledger of the store says what is done, so any of them can be run again."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from hypojax import cohort, derivatives
from hypojax.execute.line import Line, Segments
from hypojax.execute.outcome import Outcome, ScanResult, Silence, Watch, from_records
from hypojax.execute.overlap import overlapped
from hypojax.reason import Reason, RunError
from hypojax.scans import Discovery, Scan, discover
from hypojax.settings import RunSettings
from hypojax.store import CohortStore, Problem, ScanEntry

STORE: Final = "cohort.zarr"
DERIVATIVES: Final = "derivatives"

Load = Callable[[RunSettings], Segments]


def load_segmenter(settings: RunSettings) -> Segments:
    """The networks that the settings name.

    Raises
    ------
    RunError
        The weights are missing or not what they should be.
    """
    from hypojax.segment import Segmenter  # here, because JAX takes seconds to import

    return Segmenter.load(settings.weights, batch=settings.batch)


def run(
    inputs: Sequence[Path], *, out: Path, settings: RunSettings | None = None, segmenter: Segments | None = None, watch: Watch | None = None
) -> Outcome:
    """Find, read, segment, measure and export every scan; scans that are done already are kept.

    Parameters
    ----------
    inputs
        BIDS datasets, folders, image files, DICOM series folders or tables, in any mixture.
    out
        Folder for ``cohort.zarr``, ``volumes.parquet``, ``volumes.tsv`` and ``derivatives/``.
    settings
        How.
    segmenter
        The network; loaded as the settings say when left out.
    watch
        Who is told how it goes on.

    Raises
    ------
    RunError
        Nothing found, two scans with one id, weights missing or corrupted, the output not writable or made with other
        settings: before any scan is read. Disk full: what was finished by then is kept.

    Examples
    --------
    >>> run([Path("bids")], out=Path("out")).failures  # doctest: +SKIP
    ()
    """
    chosen = settings or RunSettings()
    found = find(inputs, out=out)
    network = segmenter or load_segmenter(chosen)
    store = open_for(found.scans, out=out, network=network)
    todo = [scan.id for scan in found.scans if not _has(store, scan.id, "done")]
    outcome = _segment(store, todo, out=out, settings=chosen, network=network, watch=watch or Silence())
    return replace(outcome, ignored=found.ignored)


def ingest(
    inputs: Sequence[Path], *, out: Path, settings: RunSettings | None = None, segmenter: Segments | None = None, watch: Watch | None = None
) -> Outcome:
    """Find and read scans and store their voxels, for `segment_store` to go on with; arguments and errors as `run`."""
    start, listener, chosen = time.perf_counter(), watch or Silence(), settings or RunSettings()
    found = find(inputs, out=out)
    network = segmenter or load_segmenter(chosen)
    store = open_for(found.scans, out=out, network=network)
    todo = [scan.id for scan in found.scans if not _has(store, scan.id, "done", "pending")]
    kept = len(found.scans) - len(todo)
    listener.started(total=len(todo), kept=kept)
    line = Line(store)
    with closing(overlapped(todo, line.load, depth=max(1, chosen.read_ahead))) as loaded:
        for item in loaded:
            listener.finished(line.commit_ingested(item))
    return replace(_concluded(store, out=out, start=start, kept=kept), ignored=found.ignored)


def segment_store(
    out: Path, *, settings: RunSettings | None = None, segmenter: Segments | None = None, watch: Watch | None = None
) -> Outcome:
    """Segment and measure what was ingested and has not been segmented; arguments and errors as `run`."""
    chosen = settings or RunSettings()
    before = CohortStore.open(out / STORE)
    network = segmenter or load_segmenter(chosen)
    store = CohortStore.create(out / STORE, scans=before.scans, settings=store_settings(network), provenance=provenance(network))
    todo = [scan for scan in store.index.ids if _has(store, scan, "pending")]
    return _segment(store, todo, out=out, settings=chosen, network=network, watch=watch or Silence())


def export(out: Path, *, watch: Watch | None = None) -> Outcome:
    """Write the table, ``volumes.parquet``, ``volumes.tsv`` and the BIDS derivatives again from the store.

    Raises
    ------
    RunError
        There is no store, or the output is not writable.
    """
    start, listener = time.perf_counter(), watch or Silence()
    store = CohortStore.open(out / STORE)
    done = [scan for scan in store.index.ids if _has(store, scan, "done")]
    listener.started(total=len(done), kept=0)
    line = Line(store, out / DERIVATIVES, stems=prepare_derivatives(store, out))
    results = {}
    for scan in done:
        results[scan] = line.export(scan)
        listener.finished(results[scan])
    outcome = _concluded(store, out=out, start=start, kept=0)
    return replace(outcome, results=tuple(results.get(result.scan, result) for result in outcome.results))


def status(out: Path) -> Outcome:
    """How far the cohort in ``out`` is; nothing is changed.

    Raises
    ------
    RunError
        There is no store, or its index is damaged.
    """
    store = CohortStore.open(out / STORE)
    return Outcome(from_records(store.records(), scans=store.index.ids), summary=cohort.summary(cohort.build(store.records(), store.scans)))


def verify(out: Path) -> tuple[Problem, ...]:
    """Everything in the store of ``out`` that is not as it was written; raises as `status`."""
    return CohortStore.open(out / STORE).verify()


def find(inputs: Sequence[Path], *, out: Path) -> Discovery:
    """What the inputs hold, without what an earlier run wrote into ``out``.

    Raises
    ------
    RunError
        Nothing found, or two files with one id.
    """
    found = discover(inputs)
    own = out.resolve()
    foreign = tuple(scan for scan in found.scans if not scan.path.resolve().is_relative_to(own))
    if not foreign:
        message = f"all {len(found.scans)} images found lie in the output folder {out}; name the folder of the scans as INPUT"
        raise RunError(Reason.NOTHING_FOUND, message)
    return replace(found, scans=foreign)


def open_for(scans: Sequence[Scan], *, out: Path, network: Segments) -> CohortStore:
    """The store in ``out`` with these scans among its inputs."""
    entries = [ScanEntry(scan=scan.id, path=str(scan.path), entities=dict(scan.entities), columns=dict(scan.columns)) for scan in scans]
    return CohortStore.create(out / STORE, scans=entries, settings=store_settings(network), provenance=provenance(network))


def store_settings(network: Segments) -> dict[str, Any]:
    """What every scan of a cohort must have in common: the version of hypojax and the weights."""
    weights = {name: value for name, value in network.provenance.items() if name.startswith("weights")}
    return {"hypojax": metadata.version("hypojax"), **weights}


def provenance(network: Segments) -> dict[str, str]:
    """What took part besides: devices and versions."""
    versions = {name: metadata.version(name) for name in ("numpy", "xarray", "zarr")}
    return {"hypojax": metadata.version("hypojax"), **versions, **network.provenance}


def prepare_derivatives(store: CohortStore, out: Path) -> Mapping[str, str]:
    """Write what describes the derivatives folder; give where each scan's files lie in it."""
    parents = sorted({str(Path(entry["path"]).parent) for entry in store.scans})
    derivatives.write_dataset(out / DERIVATIVES, version=metadata.version("hypojax"), sources=parents)
    return derivatives.stems(store.index.ids)


def _segment(store: CohortStore, todo: Sequence[str], *, out: Path, settings: RunSettings, network: Segments, watch: Watch) -> Outcome:
    """Send scans down the line and write the tables."""
    start, kept = time.perf_counter(), sum(_has(store, scan, "done") for scan in store.index.ids)
    watch.started(total=len(todo), kept=kept)
    root = out / DERIVATIVES if settings.derivatives else None
    line = Line(store, root, network, stems=prepare_derivatives(store, out) if root else {})
    try:
        with _results(line, todo, settings) as results:
            for result in results:
                watch.finished(result)
    except KeyboardInterrupt:
        _concluded(store, out=out, start=start, kept=kept)
        raise
    return _concluded(store, out=out, start=start, kept=kept)


@contextmanager
def _results(line: Line, todo: Sequence[str], settings: RunSettings) -> Iterator[Iterator[ScanResult]]:
    """What becomes of each scan: one is read and one is finished, each in a thread, while the network is at the one between."""
    with (
        closing(overlapped(todo, line.load, depth=max(1, settings.read_ahead))) as loaded,
        closing(line.segment(loaded, batch=settings.batch)) as segmented,
        closing(overlapped(segmented, line.finish, depth=1)) as finished,
    ):
        yield finished


def _concluded(store: CohortStore, *, out: Path, start: float, kept: int) -> Outcome:
    """Write the table and its exports, and say how it went."""
    records = store.records()
    table = cohort.build(records, store.scans)
    store.write_table(table)
    cohort.export_table(table, out)
    results = from_records(records, scans=store.index.ids)
    return Outcome(results, kept=kept, seconds=time.perf_counter() - start, summary=cohort.summary(table))


def _has(store: CohortStore, scan: str, *statuses: str) -> bool:
    """Whether the ledger gives a scan one of these statuses."""
    record = store.record(scan)
    return record is not None and record["status"] in statuses
