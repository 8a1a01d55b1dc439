"""A scan that is in memory already: a nibabel image, a labelled array or plain voxels, held against the same bounds as a file."""

import zlib
from pathlib import Path
from typing import Any, Final, Protocol, TypeGuard, runtime_checkable

import numpy as np
import xarray as xr
from jaxtyping import Num
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import SpatialImage

from hypojax.grid import Affine
from hypojax.reason import HypojaxError, Reason, RunError, ScanError, WrongTypeError
from hypojax.scans.bids import scan_id
from hypojax.scans.discovery import discover
from hypojax.scans.found import Scan
from hypojax.scans.header import checked_affine, checked_shape, unsupported_dtype
from hypojax.scans.reading import read
from hypojax.scans.voxels import Image, survey
from hypojax.schema import AFFINE, VOXELS
from hypojax.storage import is_place, locate

ARRAY: Final = "array"
"""Scan id of voxels that came without a file or a coordinate ``scan``."""

TAKEN: Final = "a scan is an image file or DICOM folder (path or URL), a nibabel image, a DataArray, a Dataset, or voxels with affine="
"""What a scan may be, as the beginning of an error's sentence."""


@runtime_checkable
class VoxelArray(Protocol):
    """Voxels of NumPy, Dask, JAX, or whatever else becomes a NumPy array when it is asked to."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""

    @property
    def dtype(self) -> object:
        """Their type."""

    def __array__(self) -> np.ndarray:
        """The voxels themselves."""


Held = SpatialImage | xr.DataArray | xr.Dataset | VoxelArray
"""What can hold a scan in memory."""


def is_held(scan: object) -> TypeGuard[Held]:
    """Whether this is a scan in memory.

    >>> is_held(np.zeros((2, 2, 2))), is_held("sub-01_T1w.nii.gz")
    (True, False)
    """
    return isinstance(scan, (SpatialImage, xr.DataArray, xr.Dataset, VoxelArray))


def one_scan(scan: object, *, affine: Affine | None = None, budget: int | None = None) -> tuple[str, Scan | None, Image]:
    """The one scan that a user gave, in a file, a folder or a bucket, or in memory: its id, how it was found (None in memory), its voxels.

    Parameters
    ----------
    scan
        A path or URL, or what `image_of` takes.
    affine
        Voxel-to-world matrix (mm, RAS+) of voxels; a file has its own.
    budget
        Bytes of memory that its voxels may take.

    Raises
    ------
    ScanError
        The scan cannot be used, with the reason why.
    RunError
        The path holds no scan or several, or nothing says where the voxels lie.
    WrongTypeError
        It is nothing that can hold a scan.
    """
    if is_held(scan):
        name, image = image_of(scan, affine=affine)
        return name, None, image
    if not is_place(scan):
        raise WrongTypeError(TAKEN, scan)
    if affine is not None:
        raise RunError(Reason.USAGE, f"{scan} has an affine of its own; leave affine= out")
    found = discover([locate(scan)]).scans
    if len(found) != 1:
        raise RunError(Reason.USAGE, f"{scan} holds {len(found)} scans; name one of them, or use hypojax.run for all")
    return found[0].id, found[0], read(found[0].id, found[0].path, budget=budget)


def image_of(scan: Held, *, affine: Affine | None = None) -> tuple[str, Image]:
    """A scan in memory as an image, with its id.

    Parameters
    ----------
    scan
        A nibabel image; a DataArray of voxels with the attribute ``affine``; a Dataset as `preprocessing.lazy.scan_dataset` makes it; or
        bare voxels.
    affine
        Voxel-to-world matrix (mm, RAS+); it goes before the one that ``scan`` has.

    Raises
    ------
    ScanError
        The scan cannot be used, with the reason why.
    RunError
        Nothing says where the voxels lie, or a Dataset holds no ``voxels``.

    Examples
    --------
    >>> image_of(np.arange(8.0).reshape(2, 2, 2), affine=np.eye(4))[0]
    'array'
    """
    name = ARRAY
    try:
        if isinstance(scan, SpatialImage):
            name = scan_id(Path(named)) if (named := scan.get_filename()) else ARRAY
            return name, _from_nibabel(scan, affine)
        if isinstance(scan, (xr.DataArray, xr.Dataset)):
            named = scan.coords.get("scan")
            name = ARRAY if named is None or named.ndim else str(named.item())
            return name, _from_labelled(scan, affine)
        return name, _image(np.asarray(scan), affine)
    except (RunError, ScanError):
        raise
    except HypojaxError as error:
        raise ScanError(error.reason, name, str(error)) from error


def _from_nibabel(image: SpatialImage, affine: Affine | None) -> Image:
    """A nibabel image: the stored voxels where it has them, so that it gives what its file gives."""
    checked_shape(list(image.shape))
    where = image.affine if affine is None else affine
    proxy = image.dataobj
    try:
        if isinstance(proxy, ArrayProxy):
            stored: np.ndarray = np.asarray(proxy.get_unscaled())  # type: ignore[no-untyped-call]
            return _image(stored, where, slope=float(proxy.slope), intercept=float(proxy.inter))
        return _image(np.asarray(proxy), where)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        advice = "copy the file again, or exclude the scan"
        raise HypojaxError(Reason.UNREADABLE, f"nibabel cannot read the voxels of it ({error}); {advice}") from error


def _from_labelled(scan: xr.DataArray | xr.Dataset, affine: Affine | None) -> Image:
    """A labelled scan, with slope and intercept where it says them."""
    if isinstance(scan, xr.Dataset) and VOXELS.name not in scan:
        raise RunError(Reason.USAGE, f"the Dataset has no variable {VOXELS.name!r} (it has {list(scan)}); give one of its DataArrays")
    voxels = scan[VOXELS.name] if isinstance(scan, xr.Dataset) else scan
    held: dict[Any, Any] = {**scan.attrs, **voxels.attrs}
    if isinstance(scan, xr.Dataset) and AFFINE.name in scan:
        held[AFFINE.name] = scan[AFFINE.name]
    where = held.get(AFFINE.name) if affine is None else affine
    return _image(np.asarray(voxels), where, slope=float(held.get("slope", 1.0)), intercept=float(held.get("intercept", 0.0)))


def _image(voxels: Num[np.ndarray, "..."], affine: object, *, slope: float = 1.0, intercept: float = 0.0) -> Image:
    """Voxels and where they lie, held against the bounds of a file."""
    if affine is None:
        raise RunError(Reason.USAGE, "voxels need affine=, their voxel-to-world matrix (4 × 4, mm, RAS+)")
    shape = checked_shape(list(voxels.shape))
    if voxels.dtype.kind not in "iuf" or voxels.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise unsupported_dtype(voxels.dtype.name)
    matrix = checked_affine(_matrix(affine))
    native = voxels.reshape(shape).astype(voxels.dtype.newbyteorder("="), copy=False)
    return Image(native, matrix, slope, intercept, b"", ARRAY, survey(native, slope=slope, intercept=intercept))


def _matrix(affine: object) -> Affine:
    """A voxel-to-world matrix, however it is held: as an attribute of an array, row by row.

    Raises
    ------
    WrongTypeError
        It is no matrix of 4 × 4 numbers.
    """
    try:
        matrix = np.asarray(affine, np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape == (16,):
        matrix = matrix.reshape(4, 4)
    if matrix.shape != (4, 4):
        raise WrongTypeError("affine is a matrix of 4 × 4 numbers (voxel to world, mm, RAS+)", affine)
    return matrix
