"""
Your own preprocessing step
===========================

A scan is a Dataset of lazy arrays. Any function of NumPy or SciPy becomes a step by :func:`xarray.apply_ufunc`, and hypojax takes
the result as it would take the scan. Here noise is added to a scan, and a median filter takes it out again. Which volume lies
closer to that of the scan as it was?
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy import ndimage

import hypojax

scan = hypojax.open_scan("hypojax-demo/out", "sub-01")
scan

# %%
# Two steps of our own. They are functions of an array, and know nothing of files.


def noisy(voxels: np.ndarray) -> np.ndarray:
    """Voxels with noise whose standard deviation is 6 grey values."""
    return voxels + np.random.default_rng(0).normal(0, 6, voxels.shape).astype(np.float32)


def filtered(voxels: np.ndarray) -> np.ndarray:
    """The median of every voxel and its six neighbours."""
    return ndimage.median_filter(voxels, footprint=ndimage.generate_binary_structure(3, 1))


# %%
# As steps of a pipeline they are lazy: nothing is computed here.


def step(function, voxels: xr.DataArray) -> xr.DataArray:
    """A function of an array as a step that keeps the place of the voxels in the head."""
    return xr.apply_ufunc(function, voxels, dask="parallelized", output_dtypes=[np.float32], keep_attrs=True)


voxels = scan.voxels.chunk(-1)
versions = {"as it is": voxels, "with noise": step(noisy, voxels), "filtered": step(filtered, step(noisy, voxels))}

# %%
# Each version is segmented like a scan: it has its ``affine`` as an attribute.

measured = {name: hypojax.segment(version.compute()) for name, version in versions.items()}
rows = {
    name: {"volume, mm³": float(one.volume_mm3.sel(region="hypothalamus")), "noise": float(one.quality_noise)}
    for name, one in measured.items()
}
pd.DataFrame(rows).T.round(3)
