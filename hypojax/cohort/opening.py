"""Opening a cohort: the table of a store."""

import xarray as xr

from hypojax.storage import Place, locate
from hypojax.store import check_table
from hypojax.store.root import open_table


def open_cohort(path: Place) -> xr.Dataset:
    """The table of a cohort store, read whole into memory.

    Parameters
    ----------
    path
        The store (``cohort.zarr``), or the output folder that holds it: a path, or a URL (``s3://bucket/out``).

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` or ``STORE_DAMAGED``.
    """
    root = locate(path)
    root = root / "cohort.zarr" if (root / "cohort.zarr").is_dir() else root
    check_table(root)
    with open_table(root) as table:
        return table.load()
