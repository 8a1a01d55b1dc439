"""What lies beside the store, label maps and exported tables: whether it is as it was written, and made again where it is not."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypojax.execute.job import Job
from hypojax.execute.lock import locked, table_lock
from hypojax.execute.outcome import Callback, NoCallback
from hypojax.execute.output import DERIVATIVES, STORE, concluded, describe_derivatives
from hypojax.execute.pipeline import Pipeline
from hypojax.reason import Reason, RunError
from hypojax.storage import Location, Place, each, file_digest, locate
from hypojax.store import CohortStore, Problem, index_of
from hypojax.store import repair as repair_store
from hypojax.store import verify as verify_store
from hypojax.store.root import EXPORTS, read_root
from hypojax.store.sealed import DamagedDocumentError
from hypojax.tables.cells import counted

AGAIN = "run the same command again, which makes it again from the store"
NAMED = 5
"""Scans that a note names."""


@dataclass(frozen=True)
class Repaired:
    """What a repair did.

    Parameters
    ----------
    done
        What was made again or set aside, a sentence each.
    left
        What is still not as it was written.
    """

    done: tuple[str, ...]
    left: tuple[Problem, ...]


def verify(out: Place) -> tuple[Problem, ...]:
    """Everything in the store of ``out`` and beside it that is not as it was written: all of it, whatever is damaged.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store.
    """
    out = locate(out)
    return (*verify_store(out / STORE), *_maps(out), *_exports(out))


def mend_maps(job: Job, *, callback: Callback) -> None:
    """Make label maps of finished scans again that were damaged or deleted, from the store; those that were never wanted stay away."""
    if not job.settings.derivatives:
        return
    scans = job.store.index.ids if job.share is None else job.share
    damaged = list(damaged_maps(job.store, job.out, scans))
    if damaged:
        named = ", ".join(damaged[:NAMED]) + (f" and {len(damaged) - NAMED} more" if len(damaged) > NAMED else "")
        callback.noted(f"label maps in {DERIVATIVES} were damaged or missing and are made again: {named}")
    for failed in export_again(job.pipeline, damaged):
        callback.noted(failed)


def export_again(pipeline: Pipeline, scans: Sequence[str]) -> Iterator[str]:
    """Make the label maps of scans again from the store; a sentence for each scan of which that does not hold any more."""
    for scan in scans:
        result = pipeline.export(scan)
        if result.failed:
            yield result.message


def damaged_maps(store: CohortStore, out: Location, scans: Sequence[str]) -> dict[str, str]:
    """Scan → the first of its files below the derivatives folder that is missing or not as it was written."""
    found = each(out, lambda scan: _damaged(store, out / DERIVATIVES, scan), scans)
    return {scan: key for scan, key in zip(scans, found, strict=True) if key}


def _damaged(store: CohortStore, root: Location, scan: str) -> str:
    """The first file of a scan that is missing or not as it was written; empty where there is none."""
    return next((key for key, expected in store.derivatives(scan).items() if not _holds(root / key, expected)), "")


def _holds(path: Location, expected: str) -> bool:
    """Whether a file is there and as it was written."""
    try:
        return file_digest(path) == expected
    except OSError:
        return False


def _maps(out: Location) -> Iterator[Problem]:
    """Problems of label maps; none are looked for where the index does not hold."""
    try:
        index = index_of(out / STORE)
    except Exception:  # noqa: BLE001 - named by the verification of the store
        return
    if index is not None:
        for scan, key in damaged_maps(CohortStore(out / STORE, index=index), out, index.ids).items():
            yield Problem(scan, f"{DERIVATIVES}/{key} is missing or damaged; {AGAIN}")


def _exports(out: Location) -> Iterator[Problem]:
    """Problems of the exported tables."""
    try:
        exports = json.loads(str(read_root(out / STORE).attributes.get(EXPORTS, "{}")))
    except (DamagedDocumentError, ValueError):
        return
    for name, expected in exports.items():
        if not _holds(out / name, expected):
            yield Problem("", f"{name} is missing or damaged; {AGAIN}")


def repair(out: Place, *, callback: Callback | None = None) -> Repaired:
    """Rebuild the index from the records, write lost documents, label maps and the table again, set aside what belongs to nothing.

    Volumes are never changed: they are in the records, each of which is checked by its own digest.

    Raises
    ------
    RunError
        There is no store, no record of it holds, another run holds it, or the output is not writable.
    """
    out, callback = locate(out), callback or NoCallback()
    if not (out / STORE).exists():
        raise RunError(Reason.NOTHING_FOUND, f"no cohort store at {out / STORE}; make one with: hypojax run INPUT OUT")
    with locked(out, say=callback.noted) as hold:
        with table_lock(hold.out) as common:
            done = [*repair_store(common / STORE)]
        store = CohortStore.open(hold.out / STORE)
        store.take_over(store.index.ids)
        done += _remade_maps(store, hold.out, callback=callback)
        if any(not problem.scan for problem in verify(out)):
            concluded(store, out=hold.out, start=time.perf_counter())
            done.append("the table, volumes.parquet and volumes.tsv were written again from the ledger")
    return Repaired(tuple(done), verify(out))


def _remade_maps(store: CohortStore, out: Location, *, callback: Callback) -> list[str]:
    """Make damaged label maps again."""
    damaged = damaged_maps(store, out, store.index.ids)
    failed = list(export_again(Pipeline(store, out / DERIVATIVES), list(damaged)))
    for message in failed:
        callback.noted(message)
    if not damaged:
        return []
    with table_lock(out) as common:
        describe_derivatives(store, common)
    made = len(damaged) - len(failed)
    return [f"label maps of {counted(made, 'scan')} were made again from the store"] if made else []
