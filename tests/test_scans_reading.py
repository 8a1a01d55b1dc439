"""Sound files against nibabel, the slow twin: voxels and affine to the bit, scaled values rounded once."""

import gzip
import io
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_scans import AFFINE, nifti_bytes, noise, put, put_mgh

from hypojax.grid import voxel_sizes
from hypojax.scans import Image, read, write_nifti
from hypojax.scans.reading import GzipStream, take
from hypojax.scans.voxels import survey

DTYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
REAL_SCANS = (
    "bids/ds000011/sub-01/anat/sub-01_T1w.nii.gz",
    "bids/ds002748/sub-03/anat/sub-03_T1w.nii.gz",
    "scans/colin27_T1w.nii.gz",
    "odd/thick_slices_tumour_T1w.nii.gz",
)


def unzipped(path: Path) -> bytes:
    """Decoded bytes of a file, by the standard library."""
    content = path.read_bytes()
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def assert_as_nibabel(image: Image, path: Path) -> None:
    """The image has nibabel's voxels, affine and scaled values, to the bit."""
    # nibabel leaves an uncompressed MGH file open behind itself, which warns.
    twin = nib.MGHImage.from_bytes(unzipped(path)) if ".mg" in path.name else nib.load(path)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        stored, scaled = np.asarray(twin.dataobj.get_unscaled()), twin.get_fdata(dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(image.voxels, stored.reshape(image.voxels.shape))
    np.testing.assert_array_equal(image.affine, twin.affine)
    assert image.voxels.dtype == stored.dtype.newbyteorder("=")
    finite = np.isfinite(scaled).reshape(image.voxels.shape)
    expected = np.where(finite, scaled.reshape(image.voxels.shape), scaled[np.isfinite(scaled)].min())
    np.testing.assert_array_equal(image.scaled(), expected)
    assert image.nonfinite == np.count_nonzero(~finite)


@pytest.mark.parametrize("name", REAL_SCANS)
def test_a_real_scan_is_read_as_nibabel_reads_it(shared: Path, name: str) -> None:
    path = shared / name
    image = read("real", path)
    twin = nib.load(path)
    np.testing.assert_array_equal(image.voxels, np.asanyarray(twin.dataobj))
    np.testing.assert_array_equal(image.affine, twin.affine)
    flags = ("template_space",) if "colin27" in name else ()
    assert (image.format, image.flags, len(image.header)) == ("nifti1", flags, 348)
    assert not image.voxels.flags.writeable


@st.composite
def scaling(draw: st.DrawFn) -> dict[str, float]:
    """Slopes and intercepts as headers hold them, also those that mean unscaled."""
    slope = draw(st.sampled_from([0.0, float("nan"), float("inf"), 1.0, -2.0]) | st.floats(2**-10, 2**10, width=32))
    return {"scl_slope": slope, "scl_inter": draw(st.floats(-1e3, 1e3, width=32))}


@st.composite
def orientation(draw: st.DrawFn) -> dict[str, Any]:
    """Both form codes in all their states, a rotation for the qform, and qfac as files have it."""
    codes = st.sampled_from([0, 1, 2, 4, 77])
    quaternion = draw(st.tuples(*[st.floats(-0.5, 0.5, width=32)] * 3))
    return {
        "sform_code": draw(codes),
        "qform_code": draw(codes),
        **dict(zip(("quatern_b", "quatern_c", "quatern_d"), quaternion, strict=True)),
        "pixdim": [draw(st.sampled_from([0.0, 1.0, -1.0])), *draw(st.tuples(*[st.floats(0.25, 8, width=32)] * 3)), 1, 1, 1, 1],
        "qoffset_x": draw(st.floats(-100, 100, width=32)),
    }


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(*[st.integers(2, 7)] * 3),
    trailing=st.integers(0, 3),
    order=st.sampled_from("<>"),
    version=st.sampled_from([1, 2]),
    zipped=st.booleans(),
    scale=scaling(),
    forms=orientation(),
)
def test_any_sound_nifti_is_read_as_nibabel_reads_it(
    tmp_path: Path,
    *,
    dtype: str,
    shape: tuple[int, ...],
    trailing: int,
    order: str,
    version: int,
    zipped: bool,
    scale: dict[str, float],
    forms: dict[str, Any],
) -> None:
    voxels = noise((*shape, *(1,) * trailing), dtype=dtype)
    content = nifti_bytes(voxels, order=order, version=version, **scale, **forms)
    path = put(tmp_path, content, name="scan.nii.gz" if zipped else "scan.nii")
    image = read("any", path)
    assert_as_nibabel(image, path)
    codes = [code for code in (forms["sform_code"], forms["qform_code"]) if code in (1, 2, 4)]
    assert ("orientation_assumed" in image.flags) == (not codes)
    assert ("template_space" in image.flags) == (codes[:1] == [4])
    assert "orientation_conflict" not in image.flags or len(codes) == 2
    assert image.header == content[: len(image.header)]


def half_turn(axis: int) -> dict[str, float]:
    """A quaternion that turns the head round by 180 degrees about a world axis."""
    return dict(zip(("quatern_b", "quatern_c", "quatern_d"), np.eye(3)[axis], strict=True))


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"qform_code": 1}, ()),
        ({"qform_code": 1, "quatern_b": 0.3}, ()),  # 35 degrees, as a registration may leave it
        ({"qform_code": 1, "quatern_b": 0.45}, ("orientation_conflict",)),  # 53 degrees
        ({"qform_code": 1, "pixdim": [-1, 1, 1, 1, 1, 1, 1, 1]}, ("orientation_conflict",)),
        ({"qform_code": 1, **half_turn(0)}, ("orientation_conflict",)),
        ({"qform_code": 1, **half_turn(2)}, ("orientation_conflict",)),
        ({"qform_code": 0, **half_turn(2)}, ()),
        ({"qform_code": 1, "sform_code": 0, **half_turn(2)}, ()),
        ({"qform_code": 1, "quatern_b": 3.0}, ()),
        ({"qform_code": 1, "quatern_b": float("nan")}, ()),
        ({"sform_code": 3}, ("template_space",)),
        ({"sform_code": 4}, ("template_space",)),
        ({"sform_code": 4, "qform_code": 1, **half_turn(2)}, ("orientation_conflict", "template_space")),
        ({"sform_code": 0, "qform_code": 4}, ("template_space",)),
        ({"sform_code": 1, "qform_code": 4}, ()),
    ],
)
def test_what_the_header_says_of_orientation_is_flagged(tmp_path: Path, fields: dict[str, Any], flags: tuple[str, ...]) -> None:
    for version in (1, 2):
        path = put(tmp_path, nifti_bytes(noise(), affine=np.diag([1.0, 1, 1, 1]), version=version, **fields))
        assert read("oriented", path).flags == flags


def test_an_sform_that_mirrors_is_flagged(tmp_path: Path) -> None:
    path = put(tmp_path, nifti_bytes(noise(), affine=np.diag([-1.0, 1, 1, 1]), qform_code=1))
    assert read("mirrored", path).flags == ("orientation_conflict",)


def test_a_file_of_our_own_making_is_not_flagged(tmp_path: Path) -> None:
    write_nifti(tmp_path / "own.nii.gz", noise(), AFFINE)
    assert read("own", tmp_path / "own.nii.gz").flags == ()


@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "i2", "u2"])
def test_freesurfer_files_are_read_as_nibabel_reads_them(tmp_path: Path, dtype: str) -> None:
    for name in ("scan.mgz", "scan.mgh"):
        image = read("mgh", put_mgh(tmp_path / name, noise(dtype=dtype)))
        assert_as_nibabel(image, tmp_path / name)
        assert (image.format, len(image.header), image.flags) == ("mgh", 284, ())


def test_a_freesurfer_file_without_orientation_is_flagged(tmp_path: Path) -> None:
    content = bytearray(put_mgh(tmp_path / "scan.mgh", noise()).read_bytes())
    content[28:30] = bytes(2)
    path = put(tmp_path, bytes(content), name="scan.mgh")
    assert read("mgh", path).flags == ("orientation_assumed", "voxel_size_conflict")  # nibabel takes 1 mm then
    assert_as_nibabel(read("mgh", path), path)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    content = nifti_bytes(noise())
    (tmp_path / "plain.nii.gz").write_bytes(content)
    (tmp_path / "zipped.nii").write_bytes(gzip.compress(content))
    for name in ("plain.nii.gz", "zipped.nii"):
        np.testing.assert_array_equal(read(name, tmp_path / name).voxels, noise())


def test_header_extensions_are_passed_over(tmp_path: Path) -> None:
    content = nifti_bytes(noise(), vox_offset=352 + 160)
    path = put(tmp_path, content[:352] + b"\xa0" + bytes(159) + content[352:])
    np.testing.assert_array_equal(read("extended", path).voxels, noise())


def test_members_and_padding_of_a_gzip_file_are_read_through(tmp_path: Path) -> None:
    content = nifti_bytes(noise())
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(content[:400]) + gzip.compress(b"") + bytes(3) + gzip.compress(content[400:] + bytes(100)) + bytes(1000))
    np.testing.assert_array_equal(read("members", path).voxels, noise())


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.binary(max_size=300), min_size=1, max_size=4), sizes=st.lists(st.integers(1, 500), min_size=1, max_size=9))
def test_a_stream_gives_the_same_bytes_in_any_portions(pieces: list[bytes], sizes: list[int]) -> None:
    stream = GzipStream(io.BytesIO(b"".join(gzip.compress(piece) for piece in pieces)))
    whole = b"".join(pieces)
    got = b"".join(take(stream, size) for size in sizes)
    assert got == whole[: sum(sizes)]
    assert got + take(stream, len(whole) + 1) == whole


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_nonfinite_voxels_are_counted_and_take_the_lowest_finite_value(tmp_path: Path, dtype: str) -> None:
    voxels = noise(dtype=dtype)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    image = read("nan", put(tmp_path, nifti_bytes(voxels, scl_slope=-2.0, scl_inter=5.0)))
    assert image.nonfinite == 3
    assert image.scaled()[0, 0, :3].tolist() == [image.scaled().min()] * 3 == [float(-2 * np.nanmax(voxels[np.isfinite(voxels)]) + 5)] * 3


def test_a_value_far_beyond_all_others_counts_as_not_finite() -> None:
    assert survey(np.array([[[1.0, 2.0, 1e300]]]), slope=1.0, intercept=0.0) == 1


def test_scaling_keeps_the_order_of_memory_and_passes_any_layout() -> None:
    base = np.asfortranarray(noise((7, 6, 5)))
    for voxels in (base, np.ascontiguousarray(base), base[::-1], base.transpose(1, 2, 0)):
        scaled = Image(voxels, AFFINE, 0.25, 3.0, b"", "nifti1", 0).scaled()
        np.testing.assert_array_equal(scaled, (voxels * 0.25 + 3).astype(np.float32))
    assert Image(base, AFFINE, 1.0, 0.0, b"", "nifti1", 0).scaled().flags.f_contiguous


def test_the_largest_and_smallest_voxels_are_read(tmp_path: Path) -> None:
    for size in (0.2, 10.0):
        image = read("edge", put(tmp_path, nifti_bytes(noise(), version=2, affine=np.diag([size, size, size, 1.0]))))
        np.testing.assert_allclose(voxel_sizes(image.affine), size)
