"""One scan, from a file or an array to a Dataset, with nothing written."""

import time
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Num

from hypojax import cohort
from hypojax.execute.line import Segments
from hypojax.execute.network import load_segmenter, provenance
from hypojax.execute.record import full_row, intracranial_mask, measure_scan, region_entries, row_of
from hypojax.grid import Affine
from hypojax.location import Location, locate
from hypojax.reason import HypojaxError, Reason, RunError, ScanError
from hypojax.scans import Image, discover, read
from hypojax.scans.header import checked_affine, checked_shape, unsupported_dtype
from hypojax.scans.image import survey
from hypojax.schema import HYPOTHALAMUS, INTRACRANIAL
from hypojax.settings import RunSettings
from hypojax.store import Record, ScanEntry
from hypojax.store.ledger import regions_of_record
from hypojax.volumes import Measurement

ARRAY: Final = "array"
"""Scan id of voxels that came without a file."""


def segment(
    scan: Location | str | Num[np.ndarray, "..."], *, affine: Affine | None = None, segmenter: Segments | None = None
) -> xr.Dataset:
    """Segment and measure one scan.

    Parameters
    ----------
    scan
        An image file or DICOM series folder, or the URL of an image; or voxels of any real dtype, in any orientation.
    affine
        Voxel-to-world matrix (mm, RAS+) of voxels; a file has its own.
    segmenter
        A loaded network, for many scans in a loop; the released weights are loaded when left out.

    Returns
    -------
    Volumes by ``region`` (mm³) and quality measures, as in a cohort; label maps ``hypothalamus`` and ``intracranial`` on
    the scan's own voxels (dims ``i j k``), with the affine in the attributes. Where the intracranial volume is missing
    (skull-stripped, cut off) its mask is empty, and its attribute ``missing_reason`` says why.

    Raises
    ------
    ScanError
        The scan cannot be used, with the reason why.
    RunError
        The weights are missing or corrupted, or an array came without an affine.

    Examples
    --------
    >>> dataset = segment("sub-01_T1w.nii.gz")  # doctest: +SKIP
    >>> float(dataset.volume_mm3.sel(region="hypothalamus"))  # doctest: +SKIP
    947.2
    """
    network = segmenter or load_segmenter(RunSettings())
    entry, image = _from_array(scan, affine) if isinstance(scan, np.ndarray) else _from_file(locate(scan))
    start, volume = time.perf_counter(), image.scaled()
    try:
        measured = measure_scan(volume, image.affine, network.segment_batch([network.prepare(volume, image.affine)])[0])
    except HypojaxError as error:
        raise ScanError(error.reason, entry["scan"], str(error)) from error
    record = Record(
        scan=entry["scan"],
        status="done",
        reason="",
        message="",
        row=full_row(row_of(image), measured, seconds=time.perf_counter() - start),
        regions=regions_of_record(region_entries(measured), status="done"),
        files={},
        settings_sha256="",
    )
    table = cohort.build([record], [entry]).isel(scan=0)
    return table.assign(label_maps(measured)).assign_attrs({**provenance(network), "affine": image.affine.tolist()})


def label_maps(measured: Measurement) -> dict[str, xr.Variable]:
    """Label maps as variables; an intracranial mask whose volume is missing is empty and says why."""
    reason = {"missing_reason": str(measured.volumes["icv"].missing_reason)}
    return {
        HYPOTHALAMUS.name: xr.Variable(HYPOTHALAMUS.dims, measured.hypothalamus, HYPOTHALAMUS.attributes),
        INTRACRANIAL.name: xr.Variable(INTRACRANIAL.dims, intracranial_mask(measured), {**INTRACRANIAL.attributes, **reason}),
    }


def _from_file(path: Location) -> tuple[ScanEntry, Image]:
    """A scan in a file or folder, under the name that a cohort would give it."""
    scans = discover([path]).scans
    if len(scans) != 1:
        raise RunError(Reason.USAGE, f"{path} holds {len(scans)} scans; name one of them, or use hypojax.run for all")
    entry = ScanEntry(
        scan=scans[0].id, path=str(path), entities=dict(scans[0].entities), columns=dict(scans[0].columns), dataset=scans[0].dataset
    )
    return entry, read(scans[0].id, scans[0].path)


def _from_array(voxels: Num[np.ndarray, "..."], affine: Affine | None) -> tuple[ScanEntry, Image]:
    """Voxels that came without a file, held against the same bounds as those of a file."""
    if affine is None:
        raise RunError(Reason.USAGE, "voxels need affine=, their voxel-to-world matrix (4 × 4, mm, RAS+)")
    try:
        shape = checked_shape(list(voxels.shape))
        if voxels.dtype.kind not in "iuf" or voxels.dtype.itemsize > np.dtype(np.float64).itemsize:
            raise unsupported_dtype(voxels.dtype.name)
        matrix = checked_affine(np.asarray(affine, np.float64))
        nonfinite = survey(voxels.reshape(shape), slope=1.0, intercept=0.0)
    except HypojaxError as error:
        raise ScanError(error.reason, ARRAY, str(error)) from error
    image = Image(voxels.reshape(shape), matrix, 1.0, 0.0, b"", "array", nonfinite)
    return ScanEntry(scan=ARRAY, path="", entities={}, columns={}), image
