"""Cohorts without images for tests of the page: a table of people and volumes, stored as a run stores it, in a moment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report_cohorts import _regions, _row

from hypojax import cohort
from hypojax.reason import Reason
from hypojax.store import CohortStore, ScanEntry

MADE = {"hypojax": "0.1.0", "weights_head_sha256": "ab" * 32, "weights_box_sha256": "cd" * 32}


def light_cohort(
    folder: Path,
    people: Mapping[str, Mapping[str, Any]],
    *,
    failed: Sequence[str] = (),
    pending: Sequence[str] = (),
    flags: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> Path:
    """The output of a run of these people: scan → columns; some of them failed, or not measured yet."""
    random = np.random.default_rng(seed)
    entries = [
        ScanEntry(scan=name, path=f"/home/somebody/bids/{name}_T1w.nii.gz", entities={}, columns=dict(columns))
        for name, columns in people.items()
    ]
    store = CohortStore.create(folder / "cohort.zarr", scans=entries, settings={"weights": "ab12"}, provenance=MADE)
    for name in people:
        row, regions = {**_row(random), "flags": tuple((flags or {}).get(name, ()))}, _regions(random)
        if name in failed:
            store.commit(name, status="failed", reason=Reason.TRUNCATED, message=f"scan {name!r}: the file ends too early")
        elif name not in pending:
            store.commit(name, status="done", row=row, regions=regions)
    table = cohort.build(store.records(), store.scans)
    store.write_table(table)
    cohort.export_table(table, folder)
    return folder


def some_people(number: int, *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """So many people of two groups at two sites, some of whose ages are not known."""
    random = np.random.default_rng(seed)
    return {
        f"sub-{count:02d}": {
            "age": None if random.random() < 0.1 else int(random.integers(20, 80)),
            "sex": "FM"[int(random.integers(2))],
            "group": ("control", "patient")[int(random.integers(2))],
            "site": ("north", "south")[int(random.integers(2))],
        }
        for count in range(1, number + 1)
    }
