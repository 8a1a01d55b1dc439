"""Opening what a run has stored: a cohort, or one of its scans."""

import numpy as np
import xarray as xr

from hypojax.cohort.region_scores import table_by_region
from hypojax.reason import Reason, RunError, ScanError
from hypojax.schema import AFFINE, VOXELS
from hypojax.storage import Location, Place, locate
from hypojax.store import CohortStore, check_table
from hypojax.store.root import open_table as stored_table


def open_cohort(place: Place, *, dataset: str = "") -> xr.Dataset:
    """A cohort as one Dataset over ``scan``: the table in memory, images and posteriors of all scans as Dask arrays, one chunk a scan.

    Parameters
    ----------
    place
        The store (``cohort.zarr``), or the output folder that holds it: a path, or a URL (``s3://bucket/out``).
    dataset
        Name of the cohort in the coordinate ``dataset``, in the place of the folder's name that its dataset has: two sites that both call
        their folder ``bids`` need it before `xarray.concat`. Where the cohort has several datasets their own names stay, behind this one
        (``site-a_bids``).

    Returns
    -------
    The variables of the table (`hypojax.cohort.build`), and

    - ``posterior`` (scan, region, anterior, superior, right): of the 1 mm box; wholes are sums of subunits, ``icv`` is NaN;
    - ``image`` (scan, anterior, superior, right): the intensities of the box that the network saw;
    - ``head_posterior``, ``head_image`` (scan, head_anterior, head_superior, head_right): of the intracranial volume and the whole
      head, 2 mm.

    Scans that are not done are NaN in these. Coordinates of their dims are mm from the middle of the grid, in the pose of the model;
    ``box_affine`` and ``head_affine`` (scan, world, voxel) say where the voxels of a scan lie. A chunk is read when it is computed: open
    the cohort again after `hypojax.run` or a removal has changed it.

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` or ``STORE_DAMAGED``.
    ScanError
        Later, when it is computed: a chunk of that scan is missing or damaged.

    Examples
    --------
    >>> cohort = open_cohort("out")  # doctest: +SKIP
    >>> patients = cohort.posterior.sel(region="hypothalamus").where(cohort.group == "patient")  # doctest: +SKIP
    >>> patients.mean("scan").compute()  # doctest: +SKIP
    """
    table = open_table(place)
    from hypojax.cohort.lazy_arrays import lazy_arrays  # here: it loads Dask

    if dataset:
        several = len(set(table["dataset"].values.tolist())) > 1
        names = [f"{dataset}_{own}" if several and own else dataset for own in table["dataset"].values.tolist()]
        table = table.assign_coords(dataset=table["dataset"].copy(data=np.array(names, object)))
    return table.assign(lazy_arrays(_store(place), table))


def open_table(place: Place) -> xr.Dataset:
    """What of `open_cohort` is in memory, for whoever needs no images; parameters and errors as there."""
    root = _store(place)
    check_table(root)
    with stored_table(root) as stored:
        table = stored.load().drop_encoding()
    # Zarr gives text as NumPy's StringDType, which xarray cannot join with the missing values of another cohort.
    table = table.assign({name: values.astype(object) for name, values in table.variables.items() if values.dtype.kind == "T"})
    return table_by_region(table)


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
    is segmented; their ``affine`` (voxel to world, mm, RAS+), which each of them has as an attribute too, row by row; the index
    ``i j k`` of voxels; and the id as the coordinate ``scan``. `hypojax.preprocess`, `hypojax.segment` and `hypojax.to_nifti` take it.

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
        raise RunError(Reason.NOTHING_FOUND, f"no scan {scan!r} in {root}; hypojax.open_cohort({str(place)!r}).scan has all ids")
    record = store.record(scan)
    if record is None or record["status"] == "failed":
        reason, message = (record["reason"], record["message"]) if record else (Reason.NOTHING_FOUND, "nothing is stored of it yet")
        raise ScanError(Reason(reason), scan, f"{message}; run again: hypojax run")
    native = store.open_scan(scan, group="native")
    scaling = {name: native.attrs.pop(name) for name in ("slope", "intercept")}
    found = native.assign({VOXELS.name: native[VOXELS.name].assign_attrs(scaling)})
    if record["status"] == "done":
        found = found.assign(store.open_scan(scan, group="labels").data_vars)
    named = xr.Variable((), np.array(scan, object), {"long_name": "Scan id"})
    return placed(found.assign_coords(scan=named))


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
