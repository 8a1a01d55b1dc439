"""Opening what a run has stored: a cohort, or one of its scans."""

import numpy as np
import xarray as xr

from hypojax.reason import Reason, RunError, ScanError
from hypojax.schema import AFFINE, VOXELS
from hypojax.storage import Location, Place, locate
from hypojax.store import CohortStore, check_table
from hypojax.store.root import open_table


def open_cohort(place: Place) -> xr.Dataset:
    """The table of a cohort store, read whole into memory.

    Parameters
    ----------
    place
        The store (``cohort.zarr``), or the output folder that holds it: a path, or a URL (``s3://bucket/out``).

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` or ``STORE_DAMAGED``.
    """
    root = _store(place)
    check_table(root)
    with open_table(root) as table:
        return table.load()


def open_scan(place: Place, scan: str) -> xr.Dataset:
    """One scan of a cohort on its own voxels, lazily: nothing but its geometry is read yet.

    Parameters
    ----------
    place
        The store (``cohort.zarr``), or the output folder that holds it: a path, or a URL.
    scan
        Its id.

    Returns
    -------
    ``voxels`` as in the file, with the attributes ``slope`` and ``intercept``; the label maps ``hypothalamus`` and ``intracranial`` once it
    is segmented; their ``affine`` (voxel to world, mm, RAS+), which each of them has as an attribute too, row by row; and the index
    ``i j k`` of voxels. `hypojax.preprocess`, `hypojax.segment` and `hypojax.to_nifti` take it.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no such store, or no such scan in it; ``STORE_DAMAGED``.
    ScanError
        The scan failed, with the reason why, or nothing is stored of it yet, or what is stored is damaged.
    """
    root = _store(place)
    store = CohortStore.open(root)
    if scan not in store.index.by_id:
        raise RunError(Reason.NOTHING_FOUND, f"no scan {scan!r} in {root}; open_cohort({str(place)!r}).scan has all ids")
    record = store.record(scan)
    if record is None or record["status"] == "failed":
        reason, message = (record["reason"], record["message"]) if record else (Reason.NOTHING_FOUND, "nothing is stored of it yet")
        raise ScanError(Reason(reason), scan, f"{message}; run again: hypojax run")
    native = store.open_scan(scan, group="native")
    scaling = {name: native.attrs.pop(name) for name in ("slope", "intercept")}
    found = native.assign({VOXELS.name: native[VOXELS.name].assign_attrs(scaling)})
    if record["status"] == "done":
        found = found.assign(store.open_scan(scan, group="labels").data_vars)
    return placed(found)


def placed(dataset: xr.Dataset) -> xr.Dataset:
    """The Dataset of one scan whose arrays on the scan's own voxels carry its ``affine`` and the index of their voxels.

    A DataArray of xarray has no coordinate with dims that it has not itself, and so would not know where it lies.
    """
    matrix = dataset[AFFINE.name].values.ravel().tolist()
    known = {name: values.assign_attrs({AFFINE.name: matrix}) for name, values in dataset.data_vars.items() if values.dims == VOXELS.dims}
    index = {
        dim: xr.Variable(dim, np.arange(dataset.sizes[dim]), {"long_name": f"Index of voxels along the stored axis {dim}"})
        for dim in VOXELS.dims
    }
    return dataset.assign(known).assign_coords(index)


def _store(place: Place) -> Location:
    """The store at a place, or in an output folder."""
    root = locate(place)
    return root / "cohort.zarr" if (root / "cohort.zarr").is_dir() else root
