"""Where the voxels of a labelled array lie, and the array as a NIfTI image for viewers."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from jaxtyping import Float64, Num

from hypojax.grid import Affine, directions, voxel_sizes
from hypojax.preprocessing.scaling import intensities
from hypojax.reason import HypojaxError, Reason, WrongTypeError
from hypojax.scans.nifti_file import nifti_image
from hypojax.schema import AFFINE, BOX_SHAPE, BOX_SPACING, HEAD_DIMS, HEAD_SHAPE, HEAD_SPACING, MODEL_DIMS, VOXELS

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

AFFINES: Final = {VOXELS.dims: (AFFINE.name,), MODEL_DIMS: ("box_affine", AFFINE.name), HEAD_DIMS: ("head_affine",)}
"""Dims of a grid → the variables of a Dataset that may hold its voxel-to-world matrix."""

MODEL_GRIDS: Final = {"box_affine": (BOX_SHAPE, BOX_SPACING), "head_affine": (HEAD_SHAPE, HEAD_SPACING)}
"""Matrix of a model grid → its voxels and their edge, mm; coordinates count from the middle of the grid."""

MODEL_TO_WORLD: Final = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""Anterior, superior, right → right, anterior, superior: the world of the model grids, whose origin is the middle of the grid."""


def to_nifti(array: xr.DataArray, geometry: xr.Dataset | xr.DataArray | Affine | None = None) -> "Nifti1Image":
    """A nibabel image of a labelled array: native voxels, label maps, posteriors, images of box and head, or a mean of them over scans.

    Parameters
    ----------
    array
        Three dims of a grid (``i j k``, ``anterior superior right``, or those with ``head_`` before them), in any order; others follow as
        the fourth and later axes of the image. Parts of a grid keep their place where their coordinates say which part they are. Voxels
        with the attributes ``slope`` and ``intercept`` become intensities.
    geometry
        The Dataset that an array of one scan of a cohort comes from, or its ``box_affine`` or ``head_affine``; or the matrix of the array
        itself (4 × 4, mm, RAS+).
        Not needed for arrays that carry the attribute ``affine``, as those of a single scan do, nor for a mean over scans, which lies on
        the model grid: mm from the middle of the grid, in the pose of the model.

    Raises
    ------
    HypojaxError
        ``USAGE``: the array has no grid, or nothing says where it lies.
    WrongTypeError
        It is no DataArray.

    Examples
    --------
    >>> array = xr.DataArray(np.zeros((2, 3, 4), np.uint8), dims=("i", "j", "k"), attrs={"affine": np.diag([2.0, 2, 2, 1]).ravel()})
    >>> to_nifti(array).affine.diagonal().tolist()
    [2.0, 2.0, 2.0, 1.0]
    >>> to_nifti(array.assign_coords(j=range(3)).isel(j=slice(1, 3))).affine[1].tolist()
    [0.0, 2.0, 0.0, 2.0]
    """
    if not isinstance(array, xr.DataArray):
        raise WrongTypeError("to_nifti takes a DataArray", array)
    dims = next((dims for dims in AFFINES if set(dims) <= set(array.dims)), None)
    if dims is None:
        known = "; ".join(" ".join(dims) for dims in AFFINES)
        raise HypojaxError(Reason.USAGE, f"to_nifti: {array.name!r} has the dims {array.dims}; an image needs three of one grid: {known}")
    name, affine = _affine(array, dims, geometry)
    affine = _model_affine(array, dims) if affine is None else affine @ _part(array, dims, name, affine)
    return nifti_image(_values(array.transpose(*dims, ...)), affine)


def _values(array: xr.DataArray) -> Num[np.ndarray, "..."]:
    """The values, voxels as intensities where the array says how."""
    slope, intercept = (float(array.attrs.get(name, usual)) for name, usual in (("slope", 1.0), ("intercept", 0.0)))
    values = array.to_numpy()
    return values if (slope, intercept) == (1.0, 0.0) else intensities(values, slope=slope, intercept=intercept)


def _affine(array: xr.DataArray, dims: tuple[str, ...], geometry: xr.Dataset | xr.DataArray | Affine | None) -> tuple[str, Affine | None]:
    """Name and matrix of the whole grid, no name for a matrix of the array itself; no matrix for an array of no single scan."""
    found: Any = array.attrs.get(AFFINE.name) if geometry is None else geometry
    name = AFFINE.name if geometry is None else ""
    if isinstance(found, xr.Dataset):
        name = next((name for name in AFFINES[dims] if name in found), "")
        if not name:
            raise HypojaxError(Reason.USAGE, f"to_nifti: the Dataset has none of the variables {AFFINES[dims]}, which say where voxels lie")
        found = found[name]
    if isinstance(found, xr.DataArray):
        name = "" if found.name is None else str(found.name)
        if "scan" in found.dims:
            found = found.sel(scan=_scan_of(array))
    if found is not None:
        return name, np.asarray(found, np.float64).reshape(4, 4)
    if "scan" in array.coords or dims == VOXELS.dims:
        scan = f" of scan {array['scan'].item()!r}" if "scan" in array.coords and not array["scan"].ndim else ""
        step = "give the Dataset that it comes from: hypojax.to_nifti(array, dataset)"
        raise HypojaxError(Reason.USAGE, f"to_nifti: nothing says where the voxels of {array.name!r}{scan} lie; {step}")
    return "", None


def _scan_of(array: xr.DataArray) -> str:
    """The one scan of an array."""
    if "scan" not in array.coords or array["scan"].ndim:
        raise HypojaxError(Reason.USAGE, f"to_nifti: {array.name!r} is of no single scan; select one first: .sel(scan=...)")
    return str(array["scan"].item())


def _part(array: xr.DataArray, dims: tuple[str, ...], name: str, affine: Affine) -> Float64[np.ndarray, "4 4"]:
    """Index in the array → index in the whole grid of an affine of this name, as the coordinates say; the same where there are none."""
    if not name:
        return np.eye(4)
    spacing, start = np.ones(3), np.zeros(3)
    if name in MODEL_GRIDS:
        shape, edge = MODEL_GRIDS[name]
        spacing, start = np.full(3, edge), -(np.array(shape) - 1) / 2 * edge
    elif dims == MODEL_DIMS:  # a conformed scan: positions along its axes, from the world's origin
        spacing, start = voxel_sizes(affine), np.linalg.solve(directions(affine), affine[:3, 3])
    part = np.eye(4)
    for axis, dim in enumerate(dims):
        if dim in array.coords:
            first, step = _line(array[dim].to_numpy(), spacing=float(spacing[axis]))
            part[axis, axis], part[axis, 3] = step / spacing[axis], (first - start[axis]) / spacing[axis]
    return part.round(9)


def _model_affine(array: xr.DataArray, dims: tuple[str, ...]) -> Affine:
    """The matrix of an array on a model grid by its coordinates, mm."""
    if missing := [dim for dim in dims if dim not in array.coords]:
        raise HypojaxError(Reason.USAGE, f"to_nifti: {array.name!r} has no coordinates for {missing}, and nothing else says where it lies")
    lines = [_line(array[dim].to_numpy(), spacing=1.0) for dim in dims]
    grid = np.diag([*(step for _, step in lines), 1.0])
    grid[:3, 3] = [first for first, _ in lines]
    return MODEL_TO_WORLD @ grid


def _line(values: Num[np.ndarray, "n"], *, spacing: float) -> tuple[float, float]:
    """First value and step of evenly spaced coordinates; ``spacing`` where there is only one."""
    steps = np.diff(values.astype(np.float64))
    if len(steps) and not (np.allclose(steps, steps[0]) and steps[0]):
        raise HypojaxError(Reason.USAGE, "to_nifti: coordinates are not evenly spaced; an image needs voxels of one size")
    return float(values[0]), float(steps[0]) if len(steps) else spacing
