"""The repair of an output: whatever can be made again from the rest of it, with no scan read and no network loaded."""

import time

from hypojax.execute.integrity import Repaired, damaged_maps, export_again, verify
from hypojax.execute.lock import locked, settling
from hypojax.execute.outcome import Silence, Watch
from hypojax.execute.output import DERIVATIVES, STORE
from hypojax.execute.pipeline import Line
from hypojax.execute.stages import concluded, describe_derivatives
from hypojax.reason import Reason, RunError
from hypojax.storage import Location, Place, locate
from hypojax.store import CohortStore
from hypojax.store import repair as repair_store


def repair(out: Place, *, watch: Watch | None = None) -> Repaired:
    """Rebuild the index from the records, write lost documents, label maps and the table again, set aside what belongs to nothing.

    Volumes are never changed: they are in the records, each of which is checked by its own digest.

    Raises
    ------
    RunError
        There is no store, no record of it holds, another run holds it, or the output is not writable.
    """
    out, told = locate(out), watch or Silence()
    if not (out / STORE).exists():
        raise RunError(Reason.NOTHING_FOUND, f"no cohort store at {out / STORE}; make one with: hypojax run INPUT OUT")
    with locked(out, say=told.noted) as hold:
        with settling(hold.out) as common:
            done = [*repair_store(common / STORE)]
        store = CohortStore.open(hold.out / STORE)
        store.take_over(store.index.ids)
        done += _maps(store, hold.out, watch=told)
        if any(not problem.scan for problem in verify(out)):
            concluded(store, out=hold.out, start=time.perf_counter())
            done.append("the table, volumes.parquet and volumes.tsv were written again from the ledger")
    return Repaired(tuple(done), verify(out))


def _maps(store: CohortStore, out: Location, *, watch: Watch) -> list[str]:
    """Make damaged label maps again."""
    damaged = damaged_maps(store, out, store.index.ids)
    failed = list(export_again(Line(store, out / DERIVATIVES), list(damaged)))
    for message in failed:
        watch.noted(message)
    if not damaged:
        return []
    with settling(out) as common:
        describe_derivatives(store, common)
    return [f"label maps of {len(damaged) - len(failed)} scans were made again from the store"] if len(damaged) > len(failed) else []
