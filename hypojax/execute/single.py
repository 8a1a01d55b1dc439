"""One scan, from a file or an array to a Dataset, with nothing written."""

import time
from dataclasses import asdict

import numpy as np
import xarray as xr

from hypojax import cohort
from hypojax.cohort.geometry import MODEL_GRIDS
from hypojax.execute.budget import scan_budget
from hypojax.execute.machine import load_segmenter, provenance
from hypojax.execute.measured import full_row, measure_scan, row_of
from hypojax.execute.output import entry_of
from hypojax.execute.pipeline import Segments
from hypojax.grid import Affine
from hypojax.preprocessing.scaling import intensities
from hypojax.reason import HypojaxError, ScanError
from hypojax.scans.in_memory import Held, one_scan
from hypojax.scans.voxels import refuse_label_map
from hypojax.schema import AFFINE, HYPOTHALAMUS, INTRACRANIAL
from hypojax.settings import RunSettings
from hypojax.storage import Place
from hypojax.store import ScanEntry, ScanRecord
from hypojax.store.ledger import regions_of_record
from hypojax.volumes import Measurement


def segment(scan: Place | Held, *, affine: Affine | None = None, segmenter: Segments | None = None) -> xr.Dataset:
    """Segment and measure one scan.

    Parameters
    ----------
    scan
        An image file or DICOM series folder, or the URL of an image; a nibabel image; a DataArray of voxels with the
        attribute ``affine``, or a Dataset that holds both as `hypojax.preprocessing.lazy.scan_dataset` makes it; or voxels of any
        real dtype, in any orientation.
    affine
        Voxel-to-world matrix (mm, RAS+) of voxels; a file and a nibabel image have their own.
    segmenter
        A loaded network; when left out the released one, which is loaded and compiled once in a process (`hypojax.Segmenter.load`).

    Returns
    -------
    Volumes by ``region`` (mm³) and quality measures, as in a cohort; label maps ``hypothalamus`` and ``intracranial`` on
    the scan's own voxels (dims ``i j k``), and their ``affine``. Where the intracranial volume is missing
    (skull-stripped, cut off) its mask is empty, and its attribute ``missing_reason`` says why.

    Raises
    ------
    ScanError
        The scan cannot be used, with the reason why.
    RunError
        The weights are missing or corrupted, or an array came without an affine.
    WrongTypeError
        ``scan`` is nothing that can hold a scan.

    Examples
    --------
    >>> dataset = segment("sub-01_T1w.nii.gz")  # doctest: +SKIP
    >>> float(dataset.volume_mm3.sel(region="hypothalamus"))  # doctest: +SKIP
    947.2
    """
    name, found, image = one_scan(scan, affine=affine, budget=scan_budget(None))
    entry = entry_of(found) if found else ScanEntry(scan=name, path="", entities={}, columns={})
    network = segmenter or load_segmenter(RunSettings())
    start, volume = time.perf_counter(), intensities(image.voxels, slope=image.slope, intercept=image.intercept)
    try:
        refuse_label_map(image)
        prepared = network.prepare(volume, image.affine)
        measured = measure_scan(prepared.volume, image.affine, network.segment_batch([prepared])[0], nonfinite=image.nonfinite)
    except HypojaxError as error:
        raise ScanError(error.reason, entry["scan"], str(error)) from error
    record = ScanRecord(
        scan=entry["scan"],
        slot=0,
        status="done",
        reason="",
        message="",
        row=full_row(row_of(image), measured, seconds=time.perf_counter() - start),
        regions=regions_of_record({region: asdict(found) for region, found in measured.volumes.items()}, status="done"),
        files={},
        settings_sha256="",
    )
    # Nothing of the model's grids is given, so neither are the matrices that place them.
    table = cohort.build([record], [entry]).isel(scan=0).drop_vars(MODEL_GRIDS)
    # As one of its index's values, the id would have a fixed length, of which Zarr warns.
    own = {"scan": xr.Variable((), np.array(table["scan"].item(), object), table["scan"].attrs)}
    own[AFFINE.name] = xr.Variable(AFFINE.dims, image.affine, AFFINE.attributes)
    return cohort.placed(table.assign(label_maps(measured)).assign_coords(own)).assign_attrs(provenance(network))


def label_maps(measured: Measurement) -> dict[str, xr.Variable]:
    """Label maps as variables; an intracranial mask whose volume is missing is empty and says why."""
    reason = {"missing_reason": str(measured.volumes["icv"].missing_reason)}
    return {
        HYPOTHALAMUS.name: xr.Variable(HYPOTHALAMUS.dims, measured.hypothalamus, HYPOTHALAMUS.attributes),
        INTRACRANIAL.name: xr.Variable(INTRACRANIAL.dims, measured.intracranial, {**INTRACRANIAL.attributes, **reason}),
    }
