"""The stages of a run, all together and each alone. The ledger of the store says what is done, so any of them can be run again."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib import metadata

from hypojax import cohort, derivatives
from hypojax.execute.line import Line, Segments
from hypojax.execute.outcome import Guarded, Outcome, ScanResult, Silence, Watch, from_records
from hypojax.execute.output import DERIVATIVES, STORE, entries_of, find, locked, open_for, source_datasets
from hypojax.execute.overlap import overlapped
from hypojax.location import Location, locate
from hypojax.settings import RunSettings
from hypojax.store import CohortStore, Problem


def load_segmenter(settings: RunSettings) -> Segments:
    """The networks that the settings name.

    Raises
    ------
    RunError
        The weights are missing or not what they should be.
    """
    from hypojax.segment import Segmenter  # here, because JAX takes seconds to import

    return Segmenter.load(settings.weights, ensemble=settings.ensemble, batch=settings.batch)


def run(
    inputs: Sequence[Location | str],
    *,
    out: Location | str,
    settings: RunSettings | None = None,
    segmenter: Segments | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Find, read, segment, measure and export every scan; scans that are done already are kept.

    Parameters
    ----------
    inputs
        BIDS datasets, folders, image files, DICOM series folders or tables, in any mixture; paths or URLs (``s3://bucket/bids``).
    out
        Folder, or URL of one, for ``cohort.zarr``, ``volumes.parquet``, ``volumes.tsv`` and ``derivatives/``.
    settings
        How.
    segmenter
        The network; loaded as the settings say when left out.
    watch
        Who is told how it goes on.

    Raises
    ------
    RunError
        Nothing found, two scans with one id, weights missing or corrupted, the output not writable, a folder of scans, in
        use by another run or made with other settings: before any scan is read. Disk full: what was finished is kept.

    Examples
    --------
    >>> run(["bids"], out="out").failures  # doctest: +SKIP
    ()
    """
    chosen, out = settings or RunSettings(), locate(out)
    found = find(inputs, out=out)
    network = segmenter or load_segmenter(chosen)
    with locked(out) as still_held:
        store = open_for(entries_of(found.scans), out=out, settings=chosen, network=network)
        damaged = {problem.scan for problem in store.verify()} if chosen.check else set()
        done = _with_status(store, "done") - damaged
        todo = [scan.id for scan in found.scans if scan.id not in done]
        outcome = _segment(store, todo, out=out, settings=chosen, network=network, watch=Guarded(watch or Silence(), still_held))
    return replace(outcome, ignored=found.ignored)


def ingest(
    inputs: Sequence[Location | str],
    *,
    out: Location | str,
    settings: RunSettings | None = None,
    segmenter: Segments | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Find and read scans and store their voxels, for `segment_store` to go on with; arguments and errors as `run`.

    No network is loaded: the store is made for the weights that the settings name, or for those of ``segmenter``.
    """
    chosen, out = settings or RunSettings(), locate(out)
    found = find(inputs, out=out)
    with locked(out) as still_held:
        store = open_for(entries_of(found.scans), out=out, settings=chosen, network=segmenter)
        outcome = _ingest(store, [scan.id for scan in found.scans], out=out, settings=chosen, watch=Guarded(watch or Silence(), still_held))
    return replace(outcome, ignored=found.ignored)


def segment_store(
    out: Location | str, *, settings: RunSettings | None = None, segmenter: Segments | None = None, watch: Watch | None = None
) -> Outcome:
    """Segment and measure what has not been segmented; arguments and errors as `run`.

    Scans whose ingesting broke off, or whose record is damaged, are read again from their files.
    """
    chosen, out = settings or RunSettings(), locate(out)
    CohortStore.open(out / STORE)  # no store, no weights to load
    network = segmenter or load_segmenter(chosen)
    with locked(out) as still_held:
        store = open_for(CohortStore.open(out / STORE).scans, out=out, settings=chosen, network=network)
        return _segment(store, store.unfinished(), out=out, settings=chosen, network=network, watch=Guarded(watch or Silence(), still_held))


def export(out: Location | str, *, watch: Watch | None = None) -> Outcome:
    """Write the table, ``volumes.parquet``, ``volumes.tsv`` and the BIDS derivatives again from the store.

    Raises
    ------
    RunError
        There is no store, another run holds it, or the output is not writable.
    """
    out = locate(out)
    CohortStore.open(out / STORE)  # no store, no folder to make
    with locked(out) as still_held:
        return _export(CohortStore.open(out / STORE), out=out, watch=Guarded(watch or Silence(), still_held))


def status(out: Location | str) -> Outcome:
    """How far the cohort in ``out`` is; nothing is changed.

    Raises
    ------
    RunError
        There is no store, or its index is damaged.
    """
    store = CohortStore.open(locate(out) / STORE)
    return Outcome(from_records(store.records(), scans=store.index.ids), summary=cohort.summary(cohort.build(store.records(), store.scans)))


def verify(out: Location | str) -> tuple[Problem, ...]:
    """Everything in the store of ``out`` that is not as it was written; raises as `status`."""
    return CohortStore.open(locate(out) / STORE).verify()


def _ingest(store: CohortStore, scans: Sequence[str], *, out: Location, settings: RunSettings, watch: Watch) -> Outcome:
    """Read scans that were not read before and store their voxels, and write the tables."""
    start, known = time.perf_counter(), _with_status(store, "done", "pending")
    todo = [scan for scan in scans if scan not in known]
    kept = len(scans) - len(todo)
    watch.started(total=len(todo), kept=kept)
    line = Line(store, out / DERIVATIVES)
    with closing(overlapped(todo, line.load, depth=settings.read_ahead)) as loaded:
        for item in loaded:
            watch.finished(line.commit_ingested(item))
    return replace(_concluded(store, out=out, start=start), kept=kept, processed=len(todo))


def _segment(store: CohortStore, todo: Sequence[str], *, out: Location, settings: RunSettings, network: Segments, watch: Watch) -> Outcome:
    """Send scans down the line and write the tables."""
    start, kept = time.perf_counter(), len(_with_status(store, "done").difference(todo))
    watch.started(total=len(todo), kept=kept)
    if settings.derivatives:
        describe_derivatives(store, out)
    line = Line(store, out / DERIVATIVES, network, write_maps=settings.derivatives)
    try:
        with _results(line, todo, read_ahead=settings.read_ahead, batch=max(settings.batch or 1, network.batch)) as results:
            for result in results:
                watch.finished(result)
    except KeyboardInterrupt:
        _concluded(store, out=out, start=start)
        raise
    return replace(_concluded(store, out=out, start=start), kept=kept, processed=len(todo))


def _export(store: CohortStore, *, out: Location, watch: Watch) -> Outcome:
    """Write the derivatives of every scan that is done, and the tables."""
    start = time.perf_counter()
    done = sorted(_with_status(store, "done"))
    watch.started(total=len(done), kept=0)
    describe_derivatives(store, out)
    line = Line(store, out / DERIVATIVES)
    results = {}
    for scan in done:
        results[scan] = line.export(scan)
        watch.finished(results[scan])
    outcome = _concluded(store, out=out, start=start)
    return replace(outcome, results=tuple(results.get(result.scan, result) for result in outcome.results), processed=len(done))


def describe_derivatives(store: CohortStore, out: Location) -> None:
    """Write what describes the derivatives folder."""
    sources = source_datasets([entry["path"] for entry in store.scans])
    derivatives.write_dataset(out / DERIVATIVES, version=metadata.version("hypojax"), sources=sources)


@contextmanager
def _results(line: Line, todo: Sequence[str], *, read_ahead: int, batch: int) -> Iterator[Iterator[ScanResult]]:
    """What becomes of each scan: one is read and one is finished, each in a thread, while the network is at the one between."""
    with (
        closing(overlapped(todo, line.load, depth=read_ahead)) as loaded,
        closing(line.segment(loaded, batch=batch)) as segmented,
        closing(overlapped(segmented, line.finish, depth=1)) as finished,
    ):
        yield finished


def _concluded(store: CohortStore, *, out: Location, start: float) -> Outcome:
    """Write the table and its exports, and say how it went."""
    records = store.records()
    table = cohort.build(records, store.scans)
    store.write_table(table)
    cohort.export_table(table, out)
    results = from_records(records, scans=store.index.ids)
    return Outcome(results, seconds=time.perf_counter() - start, summary=cohort.summary(table))


def _with_status(store: CohortStore, *statuses: str) -> frozenset[str]:
    """Scans to which the ledger gives one of these statuses."""
    return frozenset(record["scan"] for record in store.records() if record["status"] in statuses)
