"""Looking on while others write into a store: what its ledger gains."""

import time
from collections.abc import Callable
from typing import Final

from hypojax.execute.outcome import Callback, ScanResult, from_record
from hypojax.execute.output import STORE
from hypojax.storage import Place, locate
from hypojax.store import CohortStore

SECOND: Final = 1.0


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
        Who is told.
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


def _finished(store: CohortStore, scan: str) -> ScanResult | None:
    """What became of a scan; None while it waits."""
    record = store.record(scan)
    return None if record is None or record["status"] == "pending" else from_record(record)
