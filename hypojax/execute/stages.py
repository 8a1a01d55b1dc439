"""The stages of a run, all together and each alone. The ledger of the store says what is done, so any of them can be run again."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

from hypojax import cohort
from hypojax.execute.budget import refuse_unfit, scan_budget
from hypojax.execute.inputs import compare_known, find
from hypojax.execute.integrity import mend_maps
from hypojax.execute.job import Job
from hypojax.execute.lock import Share, locked, table_lock
from hypojax.execute.machine import load_segmenter
from hypojax.execute.outcome import Callback, GuardedCallback, NoCallback, Outcome, ScanResult, from_record, from_records
from hypojax.execute.output import (
    DERIVATIVES,
    STORE,
    concluded,
    describe_derivatives,
    entries_of,
    open_for,
)
from hypojax.execute.pipeline import Pipeline, Segments
from hypojax.execute.todo import Todo, todo_of
from hypojax.reason import Reason, RunError
from hypojax.scans import Discovery
from hypojax.settings import ClusterSettings, RunSettings
from hypojax.storage import Location, Place, locate
from hypojax.store import CohortStore
from hypojax.tables.cells import counted

ELSEWHERE: Final = frozenset({Reason.CLUSTER_LOST, Reason.UNREACHABLE, Reason.NO_ACCESS})
"""Reasons for which a run cannot go on that say nothing against the output folder: the table of what is done is written."""

SECOND: Final = 1.0
"""Shortest time between two looks at the ledger, seconds."""


def run(
    inputs: Place | Iterable[Place],
    out: Place,
    *,
    settings: RunSettings | None = None,
    where: ClusterSettings | None = None,
    shard: Share | None = None,
    segmenter: Segments | None = None,
    callback: Callback | None = None,
    dataset: str = "",
) -> Outcome:
    """Find, read, segment, measure and export every scan; scans that are done already are kept.

    Parameters
    ----------
    inputs
        BIDS datasets, folders, image files, DICOM series folders or tables, in any mixture; paths or URLs (``s3://bucket/bids``). One
        alone needs no list.
    out
        Folder, or URL of one, for ``cohort.zarr``, ``volumes.parquet``, ``volumes.tsv`` and ``derivatives/``.
    settings
        How.
    where
        Where: in this process when left out, else on a cluster.
    shard
        The share of the scans that this run does, where several do them together (`Shard`), or ids of all its scans where other runs
        bring other scans meanwhile (`ChosenScans`); when left out, it does all and holds ``out`` alone.
    segmenter
        The network; loaded as the settings say when left out. On a cluster it travels to the workers.
    callback
        Called as the run proceeds: see `Callback`.
    dataset
        Name of the dataset of all scans; when left out, that of the folder of each BIDS dataset, or of the input.

    Raises
    ------
    RunError
        Nothing found, two scans with one id, weights missing or corrupted, the output not writable, a folder of scans, in
        use by another run or made with other settings: before any scan is read. Disk full, or the cluster lost: what was
        finished is kept.

    Examples
    --------
    >>> run("bids", "out").failures  # doctest: +SKIP
    ()
    """
    chosen, place, out = settings or RunSettings(), where or ClusterSettings(), locate(out)
    found = find(inputs, out=out, dataset=dataset, strict_tables=chosen.strict_tables, exclude=chosen.exclude)
    network = segmenter if segmenter or place.distributed else load_segmenter(chosen)
    ids = [scan.id for scan in found.scans]
    named = shard.share(ids) if shard else ids
    callback = callback or NoCallback()
    _tell(found, callback=callback)
    with locked(out, shard=shard, say=callback.noted) as hold:
        out = hold.out
        with table_lock(out) as common:
            made = open_for(entries_of(found.scans), out=common, settings=chosen, network=network)
            made.take_over(named if shard else made.index.ids)
        store = CohortStore(out / STORE, index=made.index)
        share = set(named)
        here = [scan for scan in found.scans if scan.id in share]
        compared = compare_known(store, here, out=out, say=callback.noted, recompute_changed=chosen.recompute_changed)
        store = compared.store
        todo = todo_of(store, [scan for scan in named if scan not in compared.refused], settings=chosen)
        unread = set(store.missing())
        fresh = [scan for scan in found.scans if scan.id in todo and scan.id in unread]
        refuse_unfit(fresh, out=out, memory=not place.distributed, limit=chosen.memory_bytes)
        job = Job(store, out, chosen, place, hold.workers, network, share=tuple(named) if shard else None)
        outcome = _segment(job, todo, callback=GuardedCallback(callback, hold.check))
    return replace(_with(outcome, compared.refused), ignored=found.ignored, notes=(*found.notes, *compared.notes))


def ingest(
    inputs: Place | Iterable[Place],
    out: Place,
    *,
    settings: RunSettings | None = None,
    segmenter: Segments | None = None,
    callback: Callback | None = None,
    dataset: str = "",
) -> Outcome:
    """Find and read scans and store their voxels, for `segment_store` to go on with; arguments and errors as `run`.

    No network is loaded: the store is made for the weights that the settings name, or for those of ``segmenter``.
    """
    chosen, out = settings or RunSettings(), locate(out)
    found = find(inputs, out=out, dataset=dataset, strict_tables=chosen.strict_tables, exclude=chosen.exclude)
    callback = callback or NoCallback()
    _tell(found, callback=callback)
    with locked(out, say=callback.noted) as hold:
        out = hold.out
        store = open_for(entries_of(found.scans), out=out, settings=chosen, network=segmenter)
        store.take_over(store.index.ids)
        compared = compare_known(store, found.scans, out=out, say=callback.noted, recompute_changed=chosen.recompute_changed)
        todo = [scan.id for scan in found.scans if scan.id not in compared.refused]
        outcome = _ingest(compared.store, todo, out=out, settings=chosen, callback=GuardedCallback(callback, hold.check))
    return replace(_with(outcome, compared.refused), ignored=found.ignored, notes=(*found.notes, *compared.notes))


def segment_store(
    out: Place, *, settings: RunSettings | None = None, segmenter: Segments | None = None, callback: Callback | None = None
) -> Outcome:
    """Segment and measure what has not been segmented; arguments and errors as `run`.

    Scans whose ingesting broke off, or whose record is damaged, are read again from their files.
    """
    chosen, out = settings or RunSettings(), locate(out)
    CohortStore.open(out / STORE)  # no store, no weights to load
    network, callback = segmenter or load_segmenter(chosen), callback or NoCallback()
    with locked(out, say=callback.noted) as hold:
        out, known = hold.out, CohortStore.open(hold.out / STORE)
        if known.index.removing:  # else the scans that go would be among the inputs again
            known.take_over(known.index.ids)
        store = open_for(known.scans, out=out, settings=chosen, network=network)
        store.take_over(store.index.ids)
        todo = todo_of(store, store.index.ids, settings=chosen)
        return _segment(
            Job(store, out, chosen, ClusterSettings(), hold.workers, network), todo, callback=GuardedCallback(callback, hold.check)
        )


def export(out: Place, *, callback: Callback | None = None) -> Outcome:
    """Write the table, ``volumes.parquet``, ``volumes.tsv`` and the BIDS derivatives again from the store.

    Raises
    ------
    RunError
        There is no store, another run holds it, or the output is not writable.
    """
    out = locate(out)
    CohortStore.open(out / STORE)  # no store, no folder to make
    callback = callback or NoCallback()
    with locked(out, say=callback.noted) as hold:
        store = CohortStore.open(hold.out / STORE)
        store.take_over(store.index.ids)
        return _export(store, out=hold.out, callback=GuardedCallback(callback, hold.check))


def status(out: Place) -> Outcome:
    """How far the cohort in ``out`` is; nothing is changed.

    Raises
    ------
    RunError
        There is no store, or its index is damaged.
    """
    store = CohortStore.open(locate(out) / STORE)
    return Outcome(from_records(store.records(), scans=store.index.ids), summary=cohort.summary(cohort.build(store.records(), store.scans)))


def follow(out: Place, *, every: float, callback: Callback, pause: Callable[[float], None] = time.sleep) -> None:
    """Tell of every scan that others finish in ``out``, until none waits. Nothing is changed.

    Scans that shards or later runs add to the store are not seen.

    Parameters
    ----------
    out
        Output folder.
    every
        Seconds between two looks at the ledger; one at least.
    callback
        Called as the run proceeds: see `Callback`.
    pause
        Waits so many seconds.

    Raises
    ------
    RunError
        There is no store, or its index is damaged.
    """
    store = CohortStore.open(locate(out) / STORE)
    waiting = list(store.unfinished())
    callback.started(total=len(waiting), kept=len(store.index.ids) - len(waiting))
    while waiting:
        pause(max(SECOND, every))
        left = []
        for scan in waiting:
            if (result := _finished(store, scan)) is None:
                left.append(scan)
            else:
                callback.finished(result)
        waiting = left


def _tell(found: Discovery, *, callback: Callback) -> None:
    """Say what is to be known of how the scans were found."""
    for note in found.notes:
        callback.noted(f"note: {note}")


def _ingest(store: CohortStore, scans: Sequence[str], *, out: Location, settings: RunSettings, callback: Callback) -> Outcome:
    """Read scans that were not read before and store their voxels, and write the tables."""
    start, known = time.perf_counter(), _with_status(store, "done", "pending")
    todo = [scan for scan in scans if scan not in known]
    kept = len(scans) - len(todo)
    callback.started(total=len(todo), kept=kept)
    pipeline = Pipeline(store, out / DERIVATIVES, budget=scan_budget(settings.memory_bytes))
    with closing(pipeline.ingest(todo, settings=settings)) as results:
        for result in results:
            callback.finished(result)
    return replace(concluded(store, out=out, start=start), kept=kept, processed=len(todo))


def _segment(job: Job, todo: Todo, *, callback: Callback) -> Outcome:
    """Send scans through the pipeline, here or on a cluster, and write the tables."""
    start = time.perf_counter()
    callback.started(total=todo.total, kept=todo.kept)
    if todo.left:
        callback.noted(f"{counted(todo.left, 'scan')} skipped, failed before; --retry-failed tries again")
    if job.settings.derivatives:
        with table_lock(job.out) as common:
            describe_derivatives(job.store, common)
    try:
        with closing(job.results(todo, callback=callback)) as results:
            for result in results:
                callback.finished(result)
        mend_maps(job, callback=callback)
    except KeyboardInterrupt:
        concluded(job.store, out=job.out, start=start)
        raise
    except RunError as error:
        if error.reason in ELSEWHERE:
            concluded(job.store, out=job.out, start=start)
        raise
    if job.share is None:
        outcome = concluded(job.store, out=job.out, start=start)
    else:
        outcome = _share_concluded(job.store, job.share, out=job.out, start=start, callback=callback)
    return replace(outcome, kept=todo.kept, processed=todo.total)


def _export(store: CohortStore, *, out: Location, callback: Callback) -> Outcome:
    """Write the derivatives of every scan that is done, and the tables."""
    start = time.perf_counter()
    done = sorted(_with_status(store, "done"))
    callback.started(total=len(done), kept=0)
    describe_derivatives(store, out)
    pipeline = Pipeline(store, out / DERIVATIVES)
    results = {}
    for scan in done:
        results[scan] = pipeline.export(scan)
        callback.finished(results[scan])
    return replace(_with(concluded(store, out=out, start=start), results), processed=len(done))


def _with(outcome: Outcome, results: Mapping[str, ScanResult]) -> Outcome:
    """The outcome with other results for some of its scans."""
    return replace(outcome, results=tuple(results.get(result.scan, result) for result in outcome.results))


def _share_concluded(store: CohortStore, named: Sequence[str], *, out: Location, start: float, callback: Callback) -> Outcome:
    """Write the table as every shard does when it ends, since none knows whether another will follow, and say how this one went."""
    whole, own = concluded(store, out=out, start=start), set(named)
    if waiting := sum(result.status == "pending" for result in whole.results if result.scan not in own):
        again = "where none of these is running or still to run, the same command without --shard, or without labels, does the rest"
        callback.noted(f"{counted(waiting, 'scan')} of other runs pending in the table; {again}")
    return replace(whole, results=tuple(result for result in whole.results if result.scan in own))


def _with_status(store: CohortStore, *statuses: str) -> frozenset[str]:
    """Scans to which the ledger gives one of these statuses."""
    return frozenset(record["scan"] for record in store.records() if record["status"] in statuses)


def _finished(store: CohortStore, scan: str) -> ScanResult | None:
    """What became of a scan; None while it waits."""
    record = store.record(scan)
    return None if record is None or record["status"] == "pending" else from_record(record)
