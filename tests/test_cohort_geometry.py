"""Any array that hypojax gives becomes a NIfTI image whose voxels lie where the array's own lay."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from sample_store import DONE, FAILED, PENDING, UNTOUCHED, small_store
from standin import AFFINE, StandIn, phantom_voxels

import hypojax
from hypojax.preprocessing.lazy import scan_dataset
from hypojax.reason import HypojaxError, Reason, RunError, ScanError
from hypojax.store import CohortStore

TILTED = np.array([[0.0, 0.1, 1.0, -20], [1.0, 0, 0, 5], [0, 1.0, -0.1, 7], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    """A store that these tests only read."""
    return small_store(tmp_path_factory.mktemp("geometry") / "cohort.zarr")


def grid(shape: tuple[int, ...], *, spacing: float, prefix: str = "") -> xr.DataArray:
    """An array on a model grid whose values tell its voxels apart, with coordinates in mm from the middle."""
    dims = [f"{prefix}{dim}" for dim in ("anterior", "superior", "right")]
    middle = {dim: (np.arange(length) - (length - 1) / 2) * spacing for dim, length in zip(dims, shape, strict=True)}
    return xr.DataArray(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), dims=dims, coords=middle, name="posterior")


def test_a_stored_scan_opens_as_one_dataset(store: CohortStore, tmp_path: Path) -> None:
    """Voxels, label maps and geometry; each array becomes an image by itself, also after NetCDF, and a part keeps its place."""
    scan, native = hypojax.open_scan(str(store.root.parent), DONE), store.read_native(DONE)
    assert list(scan.data_vars) == ["voxels", "hypothalamus", "intracranial"]
    assert all(array.chunks for array in scan.data_vars.values())
    scan.to_netcdf(tmp_path / "scan.nc")
    with xr.open_dataset(tmp_path / "scan.nc") as opened:
        for one in (scan, opened.load()):
            image, labels = hypojax.to_nifti(one.voxels), hypojax.to_nifti(one.hypothalamus)
            np.testing.assert_allclose(image.get_fdata(), native.voxels * native.slope + native.intercept, rtol=1e-6)
            np.testing.assert_array_equal(labels.get_fdata(), store.read_segmentation(DONE).hypothalamus)
            np.testing.assert_allclose(image.affine, native.affine)
            part = hypojax.to_nifti(one.voxels.isel(i=slice(2, 8, 2), k=slice(1, None)))
            np.testing.assert_allclose(part.affine @ [1, 0, 0, 1], native.affine @ [4, 0, 1, 1])


def test_scans_that_cannot_be_opened_are_named(store: CohortStore) -> None:
    assert list(hypojax.open_scan(store.root, PENDING).data_vars) == ["voxels"]
    with pytest.raises(ScanError, match=r"the file ends early.*run again") as caught:
        hypojax.open_scan(store.root, FAILED)
    assert caught.value.reason is Reason.TRUNCATED
    with pytest.raises(ScanError, match=rf"{UNTOUCHED}.*nothing is stored of it yet"):
        hypojax.open_scan(store.root, UNTOUCHED)
    with pytest.raises(RunError, match="no scan 'sub-99'"):
        hypojax.open_scan(store.root, "sub-99")


def test_what_is_made_of_one_scan_becomes_an_image(tmp_path: Path) -> None:
    """Label maps lie on the scan, a conformed scan where its own matrix says; the voxels give the same segmentation again."""
    given = scan_dataset(phantom_voxels(), affine=AFFINE)
    segmented, conformed = hypojax.segment(given.voxels, segmenter=StandIn()), hypojax.preprocess(given, spacing=8.0)
    np.testing.assert_allclose(hypojax.to_nifti(segmented.hypothalamus).affine, AFFINE)
    np.testing.assert_allclose(hypojax.to_nifti(conformed.conformed).affine, conformed.affine)
    half = hypojax.to_nifti(conformed.conformed.isel(superior=slice(4, None)))
    np.testing.assert_allclose(half.affine @ [0, 0, 0, 1], conformed.affine.values @ [0, 4, 0, 1], atol=1e-6)
    nib.save(half, tmp_path / "half.nii.gz")
    assert nib.load(tmp_path / "half.nii.gz").shape == half.shape


@pytest.mark.parametrize(("shape", "spacing", "prefix", "name"), [((40, 40, 40), 1.0, "", "box"), ((112, 112, 96), 2.0, "head_", "head")])
def test_arrays_of_a_cohort_lie_where_their_affine_says(shape: tuple[int, ...], spacing: float, prefix: str, name: str) -> None:
    """A scan's own matrix by the Dataset, or by the matrix; without a scan the grid of the model, whose middle is the origin."""
    affines = xr.DataArray(
        np.stack([np.eye(4), TILTED]), dims=("scan", "world", "voxel"), coords={"scan": ["a", "b"]}, name=f"{name}_affine"
    )
    array = grid(shape, spacing=spacing, prefix=prefix)
    one, dims = array.assign_coords(scan="b"), array.dims
    for geometry in (affines.to_dataset(), affines, affines.sel(scan="b")):
        np.testing.assert_allclose(hypojax.to_nifti(one, geometry).affine, TILTED)
    part = hypojax.to_nifti(one.isel({dims[2]: slice(3, None)}).transpose(*dims[::-1]), affines)
    np.testing.assert_allclose(part.affine, TILTED @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]]))
    np.testing.assert_array_equal(part.get_fdata(), array.values[:, :, 3:])
    mean = hypojax.to_nifti(array.expand_dims(region=2))
    assert mean.shape == (*shape, 2)
    np.testing.assert_allclose(mean.affine @ [*(np.array(shape) - 1) / 2, 1], [0, 0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(mean.affine[:3, :3] @ [1, 0, 0], [0, spacing, 0])  # one voxel to the front
    with pytest.raises(HypojaxError, match=r"of scan 'b' lie; give the Dataset"):
        hypojax.to_nifti(one)
    with pytest.raises(HypojaxError, match="select one first"):
        hypojax.to_nifti(array, affines)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(HypojaxError, match="needs three of one grid"):
        hypojax.to_nifti(xr.DataArray(np.zeros((2, 2)), dims=("i", "j")))
    with pytest.raises(HypojaxError, match="nothing says where the voxels"):
        hypojax.to_nifti(xr.DataArray(np.zeros((2, 2, 2)), dims=("i", "j", "k")))
    with pytest.raises(HypojaxError, match="not evenly spaced"):
        hypojax.to_nifti(grid((3, 4, 5), spacing=1.0).isel(right=[0, 1, 3]))
