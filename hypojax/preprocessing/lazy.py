"""From native voxels to the conformed scan: coronal first, isotropic, z-scored. Dataset in, Dataset out, nothing computed until asked.

The volume functions are those of the segmentation path (`hypojax.grid`, `foreground`, `intensity`), so that
whoever looks at a conformed scan sees the intensities a network sees; the fast path samples the model grids straight from
native voxels and never makes a whole conformed scan.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple
from functools import partial
from typing import TYPE_CHECKING, Final

import dask.array as da
import numpy as np
import xarray as xr
from jaxtyping import Float32, Float64, Num

from hypojax.grid import Affine, Grid, conformed_grid, directions, voxel_sizes
from hypojax.preprocessing.background import mended
from hypojax.preprocessing.foreground import conform, find_head
from hypojax.preprocessing.intensity import Statistics
from hypojax.preprocessing.scaling import intensities
from hypojax.reason import HypojaxError, Reason
from hypojax.schema import AFFINE, MODEL_DIMS, VOXELS, Variable

if TYPE_CHECKING:
    from hypojax.scans.in_memory import Held
    from hypojax.storage import Place

CONFORMED: Final = Variable(
    "conformed",
    MODEL_DIMS,
    "float32",
    "1",
    "Scan on an isotropic coronal-first grid: (intensity - mean) / standard deviation of its tissue",
)
BACKGROUND: Final = Variable(
    "intensity_background", (), "float64", "", "Low end of the intensities, taken for what lies outside the field of view"
)
THRESHOLD: Final = Variable("intensity_threshold", (), "float64", "", "Otsu's threshold between background and tissue")
MEAN: Final = Variable("intensity_mean", (), "float64", "", "Trimmed mean of tissue: what the z-score subtracts")
STD: Final = Variable("intensity_std", (), "float64", "", "Trimmed standard deviation of tissue: what the z-score divides by")

STATISTICS: Final = (BACKGROUND, THRESHOLD, MEAN, STD)
"""Variables of the fields of `hypojax.preprocessing.intensity.Statistics`, in its order."""


def scan_dataset(voxels: Num[np.ndarray, "i j k"] | da.Array, *, affine: Affine, slope: float = 1.0, intercept: float = 0.0) -> xr.Dataset:
    """One scan as a Dataset: voxels as stored, lazily, with what turns them into intensities (slope, intercept) and places (affine).

    Parameters
    ----------
    voxels
        Stored voxels; a Dask array stays one.
    affine
        Voxel-to-world matrix, mm, RAS+.
    slope, intercept
        Intensity = voxel × slope + intercept.

    Examples
    --------
    >>> ds = scan_dataset(np.zeros((4, 5, 6), np.int16), affine=np.eye(4))
    >>> ds["voxels"].dtype, ds["voxels"].chunks
    (dtype('int16'), ((4,), (5,), (6,)))
    """
    attributes = {**VOXELS.attributes, "slope": slope, "intercept": intercept, AFFINE.name: affine.ravel().tolist()}
    return xr.Dataset({VOXELS.name: (VOXELS.dims, voxels, attributes)}).chunk().assign_coords({AFFINE.name: _affine_variable(affine)})


def preprocess(scan: "Place | Held", *, affine: Affine | None = None, spacing: float = 1.0) -> xr.Dataset:
    """Conform one scan: reorient to coronal, resample to isotropic ``spacing`` (mm), z-score; lazily, on Dask arrays.

    Parameters
    ----------
    scan
        A Dataset with ``voxels`` (i, j, k) and ``affine``, and the attributes ``slope`` and ``intercept``, as `hypojax.open_scan` and
        `scan_dataset` give them; ``affine`` may be an attribute too, of the Dataset or of ``voxels``. A DataArray of voxels with the
        attribute ``affine``. Or, read at once: an image file or DICOM series folder (path or URL), a nibabel image, or voxels.
    affine
        Voxel-to-world matrix (mm, RAS+) of voxels that have none of their own.
    spacing
        Voxel edge of the result, mm.

    Returns
    -------
    ``conformed`` (anterior, superior, right) with coordinates in mm along these axes (world coordinates where the scan
    lies straight) and its ``affine``; and the statistics of the z-score, from this scan alone: mean and
    standard deviation of what Otsu's threshold calls tissue, between the 5th and 90th percentile.

    Raises
    ------
    HypojaxError
        When the Dataset holds no such variable or attribute.
    WrongTypeError
        It is nothing that can hold a scan.
    ScanError, RunError
        A file cannot be used, or holds no scan or several.

    Examples
    --------
    >>> ds = preprocess(scan_dataset(np.zeros((4, 5, 6), np.int16), affine=np.diag([1.0, 2.0, 3.0, 1.0])))
    >>> dict(ds["conformed"].sizes)
    {'anterior': 10, 'superior': 18, 'right': 4}
    """
    voxels, affine, slope, intercept = _scan(_labelled(scan, affine))
    i, j, k = voxels.shape
    grid = conformed_grid((i, j, k), affine, spacing=spacing)
    made = partial(_sound, slope=slope, intercept=intercept)
    volume = _lazily(made, voxels, sizes=dict(zip(VOXELS.dims, voxels.shape, strict=True)))
    statistics = _lazily(partial(_statistics_row, affine=affine), volume, sizes={"statistic": len(STATISTICS)}, dtype="float64")
    conform_it = partial(_conform_row, affine=affine, grid=grid)
    conformed = _lazily(conform_it, volume, statistics, sizes=dict(zip(MODEL_DIMS, grid.shape, strict=True)))
    image = conformed.assign_attrs({**CONFORMED.attributes, AFFINE.name: grid.affine.ravel().tolist()})
    rows = {row.name: value.assign_attrs(row.attributes) for row, value in zip(STATISTICS, statistics, strict=True)}
    return xr.Dataset({CONFORMED.name: image, **rows}, coords={**_coordinates(grid), AFFINE.name: _affine_variable(grid.affine)})


def scan_statistics(volume: Num[np.ndarray, "i j k"], affine: Affine) -> Statistics:
    """Statistics of the tissue of a scan (finite intensities), as the whole-head network normalises by."""
    return find_head(volume, affine).statistics


def _sound(voxels: Num[np.ndarray, "i j k"], *, slope: float, intercept: float) -> Float32[np.ndarray, "i j k"]:
    """Intensities, finite and on air, as a network sees them."""
    return np.asarray(mended(intensities(voxels, slope=slope, intercept=intercept)).volume, np.float32)


def _labelled(scan: "Place | Held", affine: Affine | None) -> xr.Dataset:
    """A scan as a Dataset, lazily where it is labelled already."""
    if isinstance(scan, xr.Dataset):
        return scan if affine is None else scan.assign_coords({AFFINE.name: _affine_variable(affine)})
    if isinstance(scan, xr.DataArray) and scan.ndim == len(VOXELS.dims):
        where = {} if affine is None else {AFFINE.name: affine}
        return xr.Dataset({VOXELS.name: (VOXELS.dims, scan.data, {**scan.attrs, **where})})
    from hypojax.scans.in_memory import one_scan  # here, because nibabel takes a quarter of a second to import

    _, _, image = one_scan(scan, affine=affine)
    return scan_dataset(image.voxels, affine=image.affine, slope=image.slope, intercept=image.intercept)


def _scan(ds: xr.Dataset) -> tuple[xr.DataArray, Affine, float, float]:
    """Voxels (bare, one chunk), affine, slope and intercept of a Dataset that holds one scan."""
    if VOXELS.name not in ds or ds[VOXELS.name].dims != VOXELS.dims:
        found = f"has no variable {VOXELS.name!r} with dims {VOXELS.dims} (it has {list(ds)})"
        raise HypojaxError(Reason.USAGE, f"preprocess: the Dataset {found}; make one with scan_dataset")
    attributes = {**ds.attrs, **ds[VOXELS.name].attrs, **({AFFINE.name: ds[AFFINE.name].values} if AFFINE.name in ds else {})}
    if AFFINE.name not in attributes:
        raise HypojaxError(Reason.USAGE, f"preprocess: the Dataset has no variable {AFFINE.name!r}; make it with scan_dataset")
    bare = ds[VOXELS.name].drop_attrs().reset_coords(drop=True).chunk(dict.fromkeys(VOXELS.dims, -1))
    affine = np.asarray(attributes[AFFINE.name], np.float64).reshape(4, 4)
    return bare, affine, float(attributes.get("slope", 1.0)), float(attributes.get("intercept", 0.0))


def _affine_variable(affine: Affine) -> xr.Variable:
    """A voxel-to-world matrix with its named dims."""
    return xr.Variable(AFFINE.dims, np.array(affine, np.float64), AFFINE.attributes)


def _lazily(function: Callable[..., np.ndarray], *inputs: xr.DataArray, sizes: Mapping[str, int], dtype: str = "float32") -> xr.DataArray:
    """What a function of whole arrays gives, as one lazy array of named ``sizes``: nothing is read or called before it is computed."""
    result: xr.DataArray = xr.apply_ufunc(
        function,
        *inputs,
        input_core_dims=[data.dims for data in inputs],
        output_core_dims=[list(sizes)],
        exclude_dims=set(sizes),
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": dict(sizes)},
    )
    return result


def _statistics_row(volume: Float32[np.ndarray, "i j k"], *, affine: Affine) -> Float64[np.ndarray, "4"]:
    """`scan_statistics` as an array, in the order of `STATISTICS`."""
    return np.array(astuple(scan_statistics(volume, affine)))


def _conform_row(
    volume: Float32[np.ndarray, "i j k"], row: Float64[np.ndarray, "4"], *, affine: Affine, grid: Grid
) -> Float32[np.ndarray, "a s r"]:
    """`conform` with the statistics as an array."""
    return conform(volume, affine, grid=grid, statistics=Statistics(*map(float, row)))


def _coordinates(grid: Grid) -> dict[str, xr.DataArray]:
    """Positions of voxels along the axes of a grid, mm from the world's origin."""
    along = np.linalg.solve(directions(grid.affine), grid.affine[:3, 3])
    steps = voxel_sizes(grid.affine)
    return {
        dim: xr.DataArray(start + step * np.arange(side), dims=dim, attrs={"long_name": f"position towards {dim}", "units": "mm"})
        for dim, start, step, side in zip(MODEL_DIMS, along, steps, grid.shape, strict=True)
    }
