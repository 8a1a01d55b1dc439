"""The cohort as far as it is recorded: also while a run goes on, and where its table was not written yet."""

import json

import xarray as xr

from hypojax.cohort import build, open_cohort
from hypojax.cohort.lazy_arrays import lazy_arrays
from hypojax.reason import RunError
from hypojax.storage import Location, Place, locate
from hypojax.store import CohortStore


def read_snapshot(place: Place) -> xr.Dataset:
    """A cohort as its ledger has it now, as `hypojax.open_cohort` gives it.

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
    try:
        opened = open_cohort(root)
    except RunError:  # no table yet, or one that another process replaces
        opened = xr.Dataset()
    if opened.attrs.get("ledger_sha256") == mark and opened.sizes.get("scan", 0) == len(store.scans):
        return opened
    table = build(records, store.scans).assign_attrs({**_attributes(store), "ledger_sha256": mark})
    return table.assign(lazy_arrays(root, table))


def store_root(place: Place) -> Location:
    """The store at a place, or in an output folder."""
    root = locate(place)
    return root / "cohort.zarr" if (root / "cohort.zarr").is_dir() else root


def _attributes(store: CohortStore) -> dict[str, object]:
    """What the root of the store tells of versions, weights and settings."""
    made = {name: "; ".join(values) for name, values in store.index.provenance.items()}
    return {**made, "settings": json.dumps(dict(store.index.settings))}
