"""The cohort as far as it is recorded: also while a run goes on, and where its table was not written yet."""

import json
from typing import NamedTuple

import xarray as xr

from hypojax.cohort import build, open_cohort
from hypojax.cohort.lazy_arrays import lazy_arrays
from hypojax.reason import RunError, visible
from hypojax.storage import Location, Place, digest, locate
from hypojax.store import CohortStore


class Snapshot(NamedTuple):
    """A cohort as its ledger has it now.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    records
        Scan → digest of its ledger record; scans without a record are not in it.
    """

    cohort: xr.Dataset
    records: dict[str, str]


def read_snapshot(place: Place) -> Snapshot:
    """A cohort as far as it is recorded.

    Its table is taken where it says the same as the ledger; else it is made from the records, as a run makes it at its end.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store; ``STORE_DAMAGED``.
    """
    root = store_root(place)
    store = CohortStore.open(root)
    records = store.records()
    mark = store.index.ledger_sha256(records)
    digests = {visible(record["scan"]): digest(json.dumps(record, sort_keys=True).encode()) for record in records}
    try:
        opened = open_cohort(root)
    except RunError:  # no table yet, or one that another process replaces
        opened = xr.Dataset()
    if opened.attrs.get("ledger_sha256") == mark and opened.sizes.get("scan", 0) == len(store.scans):
        return Snapshot(opened, digests)
    table = build(records, store.scans).assign_attrs({**_attributes(store), "ledger_sha256": mark})
    return Snapshot(table.assign(lazy_arrays(root, table)), digests)


def store_root(place: Place) -> Location:
    """The store at a place, or in an output folder."""
    root = locate(place)
    return root / "cohort.zarr" if (root / "cohort.zarr").is_dir() else root


def _attributes(store: CohortStore) -> dict[str, object]:
    """What the root of the store tells of versions, weights and settings."""
    return {**store.index.provenance, "settings": json.dumps(dict(store.index.settings))}
