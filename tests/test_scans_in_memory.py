"""Scans that are in memory already: whatever holds them, they give what their file gives."""

from collections.abc import Callable
from pathlib import Path

import dask.array as da
import nibabel
import numpy as np
import pytest
import xarray as xr
from standin import AFFINE, StandIn, phantom_voxels

import hypojax
from hypojax.preprocessing.lazy import scan_dataset
from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans.in_memory import image_of

SLOPE, INTERCEPT = 0.5, -20.0


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom with slope and intercept."""
    path = tmp_path_factory.mktemp("scans") / "sub-07_T1w.nii.gz"
    image = nibabel.Nifti1Image(phantom_voxels(), AFFINE)
    image.header.set_slope_inter(SLOPE, INTERCEPT)
    nibabel.save(image, path)
    return path


@pytest.fixture(scope="module")
def by_file(file: Path) -> xr.Dataset:
    """What its file gives."""
    return hypojax.segment(file, segmenter=StandIn())


HELD: dict[str, Callable[[Path], object]] = {
    "text": str,
    "nibabel": nibabel.load,
    "nibabel in memory": lambda path: nibabel.Nifti1Image(np.asarray(nibabel.load(path).dataobj), AFFINE),
    "nibabel MGH": lambda path: nibabel.MGHImage(nibabel.load(path).get_fdata(dtype=np.float32), AFFINE),
    "Dataset": lambda _: scan_dataset(phantom_voxels(), affine=AFFINE, slope=SLOPE, intercept=INTERCEPT),
    "DataArray": lambda _: xr.DataArray(phantom_voxels() * SLOPE + INTERCEPT, dims=list("xyz"), attrs={"affine": AFFINE.tolist()}),
    "DataArray of a Dataset": lambda _: scan_dataset(phantom_voxels(), affine=AFFINE, slope=SLOPE, intercept=INTERCEPT)["voxels"],
    "named DataArray": lambda path: HELD["DataArray of a Dataset"](path).assign_coords(scan="sub-07"),
    "big-endian": lambda _: xr.DataArray((phantom_voxels() * SLOPE + INTERCEPT).astype(">f8"), attrs={"affine": AFFINE}),
}


@pytest.mark.parametrize("held", HELD)
def test_a_scan_gives_the_same_however_it_is_held(file: Path, by_file: xr.Dataset, held: str) -> None:
    found = hypojax.segment(HELD[held](file), segmenter=StandIn())
    for name in ("volume_mm3", "quality_contrast", "hypothalamus", "intracranial", "affine"):
        xr.testing.assert_identical(found[name].variable, by_file[name].variable)
    assert found.scan.item() == ("sub-07" if held in ("text", "nibabel", "named DataArray") else "array")


@pytest.mark.parametrize("held", HELD)
def test_a_scan_is_conformed_alike_however_it_is_held(file: Path, held: str) -> None:
    found = hypojax.preprocess(HELD[held](file), spacing=4.0)
    xr.testing.assert_allclose(found, hypojax.preprocess(file, spacing=4.0), atol=1e-5)  # voxels in float32 or in float64


def test_what_preprocess_gives_is_a_scan_again(file: Path) -> None:
    conformed = hypojax.preprocess(file, spacing=4.0).conformed
    _, image = image_of(conformed)
    np.testing.assert_array_equal(image.affine.ravel(), conformed.attrs["affine"])
    assert hypojax.preprocess(conformed, spacing=4.0).conformed.shape == conformed.shape


def test_bare_voxels_and_labelled_ones_take_an_affine() -> None:
    for voxels in (phantom_voxels(), da.from_array(phantom_voxels()), xr.DataArray(phantom_voxels()), phantom_voxels()[..., None]):
        name, image = image_of(voxels, affine=AFFINE)
        np.testing.assert_array_equal(image.voxels, phantom_voxels())
        assert name == "array"
    with pytest.raises(RunError, match="voxels need affine="):
        hypojax.segment(xr.DataArray(phantom_voxels()), segmenter=StandIn())


def test_a_scan_with_an_affine_of_its_own_takes_none(file: Path) -> None:
    with pytest.raises(RunError, match="has an affine of its own"):
        hypojax.segment(file, affine=AFFINE, segmenter=StandIn())


def test_a_nibabel_image_whose_file_ends_early_is_a_scan_error(tmp_path: Path, file: Path) -> None:
    nibabel.save(nibabel.load(file), tmp_path / "whole.nii")
    (tmp_path / "cut.nii").write_bytes((tmp_path / "whole.nii").read_bytes()[:20_000])
    with pytest.raises(ScanError, match=r"scan 'cut': nibabel cannot read the voxels") as error:
        hypojax.segment(nibabel.load(tmp_path / "cut.nii"), segmenter=StandIn())
    assert error.value.reason is Reason.UNREADABLE


def test_a_series_of_volumes_is_refused_before_it_is_read() -> None:
    lazy = nibabel.Nifti1Image(np.zeros((4, 4, 4, 9), np.int16), AFFINE)
    with pytest.raises(ScanError) as error:
        hypojax.segment(lazy, segmenter=StandIn())
    assert error.value.reason is Reason.NOT_3D


def test_a_dataset_of_something_else_names_what_it_has() -> None:
    with pytest.raises(RunError, match=r"no variable 'voxels' \(it has \['image'\]\)"):
        hypojax.segment(xr.Dataset({"image": (("i", "j", "k"), phantom_voxels())}), affine=AFFINE, segmenter=StandIn())
