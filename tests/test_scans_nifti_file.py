"""What is written is read back the same by us and by nibabel, in whole or not at all, with the same bytes each time."""

import errno
import gzip
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaxtyping import Float64
from sample_scans import AFFINE, nifti_bytes, noise, put, put_mgh

from hypojax.reason import HypojaxError, Reason, RunError
from hypojax.scans import Image, nifti_file, nifti_image, read, write_nifti

FLOAT32 = 2e-6
"""Relative rounding of an affine stored as float32."""

QUATERNION = 1e-4
"""mm; a rotation stored as three float32 numbers."""


def write_image(path: Path, image: Image) -> Path:
    """Write an image as it was read."""
    write_nifti(path, image.voxels, image.affine, header=image.header, slope=image.slope, intercept=image.intercept)
    return path


def assert_same(first: Image, second: Image) -> None:
    """Both hold the same, to the bit."""
    np.testing.assert_array_equal(first.voxels, second.voxels)
    np.testing.assert_array_equal(first.affine, second.affine)
    assert first.voxels.dtype == second.voxels.dtype
    assert (first.slope, first.intercept, first.nonfinite) == (second.slope, second.intercept, second.nonfinite)


@pytest.mark.parametrize("name", ["bids/ds000011/sub-02/anat/sub-02_T1w.nii.gz", "odd/thick_slices_tumour_T1w.nii.gz"])
def test_a_real_scan_comes_back_to_the_bit(shared: Path, tmp_path: Path, name: str) -> None:
    image = read("real", shared / name)
    again = read("again", write_image(tmp_path / "scan.nii.gz", image))
    assert_same(image, again)
    assert again.header == image.header


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(("u1", "i2", "u2", "i4", "f4", "f8", "i8")),
    order=st.sampled_from("<>"),
    version=st.sampled_from([1, 2]),
    codes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    slope=st.sampled_from([0.0, float("nan"), 1.0, 0.3, -2.0]),
    zipped=st.booleans(),
)
def test_any_nifti_comes_back_to_the_bit(
    tmp_path: Path, *, dtype: str, order: str, version: int, codes: tuple[int, int], slope: float, zipped: bool
) -> None:
    content = nifti_bytes(
        noise((5, 4, 3, 1), dtype=dtype), order=order, version=version, sform_code=codes[0], qform_code=codes[1],
        quatern_b=0.3, quatern_d=-0.1, pixdim=[-1, 1.1, 1.2, 1.3, 1, 1, 1, 1], scl_slope=slope, scl_inter=7.0, descrip=b"as it was",
    )  # fmt: skip
    image = read("first", put(tmp_path, content))
    path = write_image(tmp_path / f"again.nii{'.gz' * zipped}", image)
    assert_same(image, read("again", path))
    written = path.read_bytes()
    assert (gzip.decompress(written) if zipped else written) == content


def test_layout_in_memory_does_not_change_a_byte(tmp_path: Path) -> None:
    voxels = noise((9, 8, 70))
    for number, layout in enumerate((np.asfortranarray(voxels), np.ascontiguousarray(voxels), voxels[::-1][::-1])):
        write_nifti(tmp_path / f"{number}.nii.gz", layout, AFFINE)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1
    assert contents.pop()[4:8] == bytes(4)  # no time of day


def rotated(degrees: float) -> Float64[np.ndarray, "4 4"]:
    """An oblique affine with three voxel sizes, mm."""
    turn = np.radians(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, :3] *= [0.7, -1.0, 2.5]
    affine[:3, 3] = -80.3, 12.25, 7.125
    return affine


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(degrees=st.floats(-180, 180))
def test_nibabel_finds_both_forms_in_mm(tmp_path: Path, degrees: float) -> None:
    affine = rotated(degrees)
    write_nifti(tmp_path / "labels.nii.gz", noise(dtype="u1"), affine)
    twin = nib.load(tmp_path / "labels.nii.gz")
    np.testing.assert_allclose(twin.get_sform(), affine, rtol=FLOAT32, atol=FLOAT32)
    np.testing.assert_allclose(twin.get_qform(), affine, atol=QUATERNION)
    np.testing.assert_array_equal(np.asanyarray(twin.dataobj), noise(dtype="u1"))
    assert (int(twin.header["sform_code"]), int(twin.header["qform_code"])) == (1, 1)
    assert twin.header.get_xyzt_units()[0] == "mm"


def test_a_shear_is_in_the_sform_only(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    write_nifti(tmp_path / "sheared.nii", noise(), affine)
    twin = nib.load(tmp_path / "sheared.nii")
    np.testing.assert_allclose(twin.affine, affine, rtol=FLOAT32)
    assert int(twin.header["qform_code"]) == 0


def test_labels_on_a_scans_grid_keep_its_geometry_to_the_bit(tmp_path: Path) -> None:
    fields = {"sform_code": 0, "qform_code": 2, "quatern_c": 0.2, "scl_slope": 0.5, "cal_max": 900, "descrip": b"of the scan"}
    scan = read("scan", put(tmp_path, nifti_bytes(noise(), **fields)))
    write_nifti(tmp_path / "labels.nii.gz", noise(dtype="u1"), scan.affine, header=scan.header)
    labels = read("labels", tmp_path / "labels.nii.gz")
    np.testing.assert_array_equal(labels.affine, scan.affine)
    assert (labels.slope, labels.intercept, labels.voxels.dtype) == (1.0, 0.0, np.uint8)
    twin = nib.load(tmp_path / "labels.nii.gz").header
    assert (float(twin["cal_max"]), twin["descrip"].item(), int(twin["qform_code"])) == (0.0, b"", 2)


def test_another_shape_and_affine_replace_those_of_the_header(tmp_path: Path) -> None:
    scan = read("scan", put(tmp_path, nifti_bytes(noise())))
    write_nifti(tmp_path / "other.nii.gz", noise((3, 3, 3)), rotated(10), header=scan.header, slope=2.0, intercept=1.0)
    other = read("other", tmp_path / "other.nii.gz")
    np.testing.assert_array_equal(other.voxels, noise((3, 3, 3)))
    np.testing.assert_allclose(other.affine, rotated(10), rtol=FLOAT32)
    assert (other.slope, other.intercept) == (2.0, 1.0)


def test_a_freesurfer_scan_becomes_a_nifti(tmp_path: Path) -> None:
    scan = read("mgh", put_mgh(tmp_path / "scan.mgz", noise(dtype="f4")))
    again = read("again", write_image(tmp_path / "scan.nii.gz", scan))
    np.testing.assert_array_equal(again.voxels, scan.voxels)
    np.testing.assert_allclose(again.affine, scan.affine, rtol=FLOAT32)


@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, Reason.DISK_FULL), (errno.EACCES, Reason.NOT_WRITABLE)])
def test_a_failed_write_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, number: int, reason: Reason) -> None:
    path = tmp_path / "labels.nii.gz"
    write_nifti(path, noise(), AFFINE)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> Iterator[bytes]:
        yield b"some bytes"
        raise OSError(number, "as the system says it")

    monkeypatch.setattr(nifti_file, "_encoded", fail)
    with pytest.raises(RunError) as caught:
        write_nifti(path, noise(dtype="u1"), AFFINE)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["labels.nii.gz"]
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError) as caught:
        write_nifti(tmp_path / "file" / "labels.nii.gz", noise(), AFFINE)
    assert caught.value.reason == Reason.NOT_WRITABLE


def test_what_nifti_cannot_hold_is_refused(tmp_path: Path) -> None:
    for voxels, affine, reason in (
        (noise().astype(np.float16), AFFINE, Reason.UNSUPPORTED_DTYPE),
        (noise(), np.diag([1.0, 1.0, 0.0, 1.0]), Reason.AFFINE_SINGULAR),
    ):
        with pytest.raises(HypojaxError) as caught:
            write_nifti(tmp_path / "labels.nii.gz", voxels, affine)
        assert caught.value.reason == reason
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", "i8", "f2", "f4", "f8"])
def test_voxels_in_memory_become_an_image_that_reads_back(tmp_path: Path, dtype: str) -> None:
    voxels = (noise() > 0).astype(dtype) if dtype == "bool" else noise(dtype="u1").astype(dtype)
    sheared = AFFINE @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    nib.save(nifti_image(voxels, sheared), tmp_path / "one.nii.gz")
    found = read("one", tmp_path / "one.nii.gz")
    np.testing.assert_array_equal(found.voxels, voxels)
    np.testing.assert_allclose(found.affine, sheared, rtol=FLOAT32)
    assert found.flags == ()
