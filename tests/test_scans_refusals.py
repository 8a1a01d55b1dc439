"""Every way in which a file can be bad gives its typed reason, and damage never gives other voxels in silence."""

import errno
import gzip
import io
import os
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaxtyping import Num
from sample_scans import AFFINE, nifti_bytes, nifti_header, noise, put, put_mgh

from hypojax.reason import Reason, ScanError
from hypojax.scans import read

NAN, INFINITY = float("nan"), float("inf")
MEGABYTE = 1 << 20


def refused(path: Path) -> ScanError:
    """The error that reading ends in; it names the scan and the file and says what to do."""
    with pytest.raises(ScanError) as caught:
        read("sub-017", path)
    message = str(caught.value)
    assert message.startswith("scan 'sub-017': ")
    assert str(path) in message
    assert ";" in message
    return caught.value


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dim": [3, 6, 0, 4, 1, 1, 1, 1]}, Reason.ZERO_DIMENSION),
        ({"dim": [3, 6, -5, 4, 1, 1, 1, 1]}, Reason.ZERO_DIMENSION),
        ({"dim": [0, 6, 5, 4, 1, 1, 1, 1]}, Reason.NOT_3D),
        ({"dim": [8, 6, 5, 4, 1, 1, 1, 1]}, Reason.NOT_3D),
        ({"dim": [2, 6, 5, 1, 1, 1, 1, 1]}, Reason.NOT_3D),
        ({"dim": [3, 6, 5, 1, 1, 1, 1, 1]}, Reason.NOT_3D),
        ({"dim": [4, 6, 5, 2, 2, 1, 1, 1]}, Reason.NOT_3D),
        ({"dim": [5, 6, 5, 2, 1, 2, 1, 1]}, Reason.NOT_3D),
        ({"datatype": 0}, Reason.UNSUPPORTED_DTYPE),
        ({"datatype": 1}, Reason.UNSUPPORTED_DTYPE),
        ({"datatype": 32}, Reason.UNSUPPORTED_DTYPE),
        ({"datatype": 128}, Reason.UNSUPPORTED_DTYPE),
        ({"datatype": 1536}, Reason.UNSUPPORTED_DTYPE),
        ({"datatype": 2304}, Reason.UNSUPPORTED_DTYPE),
        ({"datatype": 999}, Reason.UNSUPPORTED_DTYPE),
        ({"srow_x": [NAN, 0, 0, 0]}, Reason.AFFINE_NOT_FINITE),
        ({"srow_z": [0, 0, 1, INFINITY]}, Reason.AFFINE_NOT_FINITE),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": NAN}, Reason.AFFINE_NOT_FINITE),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 3.0}, Reason.AFFINE_NOT_FINITE),
        ({"srow_x": [0, 0, 0, 0]}, Reason.AFFINE_SINGULAR),
        ({"srow_x": [1, 0, 0, 0], "srow_y": [1, 0, 0, 0]}, Reason.AFFINE_SINGULAR),
        ({"srow_x": [1, 1, 0, 0], "srow_y": [0, 1e-5, 0, 0]}, Reason.AFFINE_SINGULAR),
        ({"srow_x": [0.001, 0, 0, 0], "srow_y": [0, 0.001, 0, 0], "srow_z": [0, 0, 0.001, 0], "xyzt_units": 1}, Reason.VOXEL_SIZE),
        ({"srow_x": [12, 0, 0, 0], "srow_y": [0, 1, 0, 0]}, Reason.VOXEL_SIZE),
        ({"sform_code": 0, "qform_code": 1, "pixdim": [1, 1, 0, 1, 1, 1, 1, 1]}, Reason.VOXEL_SIZE),
        ({"vox_offset": 0}, Reason.CORRUPTED),
        ({"vox_offset": NAN}, Reason.CORRUPTED),
        ({"vox_offset": -352}, Reason.CORRUPTED),
        ({"vox_offset": 1e18}, Reason.TOO_LARGE),
        ({"scl_slope": 2.0, "scl_inter": NAN}, Reason.CORRUPTED),
        ({"magic": b"ni1"}, Reason.NOT_AN_IMAGE),
        ({"magic": b""}, Reason.NOT_AN_IMAGE),
    ],
)
def test_a_header_is_refused_with_its_reason(tmp_path: Path, fields: dict[str, Any], reason: Reason) -> None:
    for order in "<>":
        assert refused(put(tmp_path, nifti_bytes(noise(), order=order, **fields))).reason == reason


@pytest.mark.parametrize(("magic", "said"), [(b"ni1", "pair of NIfTI files (.hdr and .img)"), (b"", "Analyze 7.5"), (b"xx", "b'xx'")])
def test_a_header_whose_voxels_lie_elsewhere_is_named_as_what_it_is(tmp_path: Path, magic: bytes, said: str) -> None:
    assert said in str(refused(put(tmp_path, nifti_bytes(noise(), magic=magic), name="scan.hdr")))


@pytest.mark.parametrize(
    ("dim", "said"),
    [
        ([4, 6, 5, 2, 2, 1, 1, 1], "axis 4 has 2 volumes"),
        ([5, 6, 5, 2, 1, 2, 1, 1], "axis 5 has 2 volumes"),
        ([6, 6, 5, 4, 2, 1, 3, 1], "axis 4 has 2 volumes, axis 6 has 3 volumes"),
        ([4, 6, 1, 5, 4, 1, 1, 1], "axis 2 has a single voxel"),
    ],
)
def test_the_axis_that_is_too_many_is_named(tmp_path: Path, dim: list[int], said: str) -> None:
    assert said in str(refused(put(tmp_path, nifti_bytes(noise(), dim=dim))))


def test_a_wrong_unit_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, nifti_bytes(noise(), affine=np.diag([0.001, 0.001, 0.001, 1.0]), xyzt_units=1))
    assert "0.001 × 0.001 × 0.001 mm (its header names the unit meter)" in str(refused(path))


def zipped(content: bytes) -> bytes:
    """The same bytes at any time of day: they name tests, which two processes must agree on."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.EMPTY_FILE),
        (b"\x00", Reason.NOT_AN_IMAGE),
        (b"participant_id\tage\nsub-01\t35\n", Reason.NOT_AN_IMAGE),
        (zipped(b"participant_id\tage\nsub-01\t35\n"), Reason.NOT_AN_IMAGE),
        (zipped(b""), Reason.EMPTY_FILE),
        (b"\x1f\x8b", Reason.TRUNCATED),
        (b"\x1f\x8bnot gzip after all, only the first two bytes", Reason.CORRUPTED),
        (nifti_bytes(noise())[:200], Reason.TRUNCATED),
        (nifti_bytes(noise())[:352], Reason.TRUNCATED),
        (nifti_bytes(noise())[:-1], Reason.TRUNCATED),
        (zipped(nifti_bytes(noise())[:200]), Reason.TRUNCATED),
        (zipped(nifti_bytes(noise())[:-1]), Reason.TRUNCATED),
        (nifti_bytes(noise()) + b"rest", Reason.CORRUPTED),
        (nifti_bytes(noise()) + bytes(1 << 17), Reason.CORRUPTED),
        (zipped(nifti_bytes(noise())) + b"rest", Reason.CORRUPTED),
        (zipped(nifti_bytes(noise())) + bytes(20) + b"\x1f", Reason.CORRUPTED),
        (bytes(128) + b"DICM" + bytes(300), Reason.NOT_AN_IMAGE),
    ],
)
def test_a_file_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: Reason) -> None:
    path = tmp_path / "sub-017_T1w.nii.gz"
    path.write_bytes(content)
    assert refused(path).reason == reason


def test_padding_after_the_voxels_is_no_damage(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read("padded", put(tmp_path, nifti_bytes(noise()) + bytes(512))).voxels, noise())


@pytest.mark.parametrize(
    ("voxels", "reason"),
    [
        (np.full((4, 4, 4), 7, np.int16), Reason.CONSTANT_IMAGE),
        (np.zeros((4, 4, 4), np.float32), Reason.CONSTANT_IMAGE),
        (np.where(np.eye(4)[:, :, None] * np.ones(4), np.nan, 3.0), Reason.CONSTANT_IMAGE),
        (np.full((4, 4, 4), np.nan, np.float32), Reason.NO_FINITE_VOXELS),
        (np.full((4, 4, 4), np.inf), Reason.NO_FINITE_VOXELS),
    ],
)
def test_an_image_without_contrast_is_refused(tmp_path: Path, voxels: Num[np.ndarray, "i j k"], reason: Reason) -> None:
    assert refused(put(tmp_path, nifti_bytes(voxels))).reason == reason


def test_contrast_that_the_scaling_swallows_is_refused(tmp_path: Path) -> None:
    assert refused(put(tmp_path, nifti_bytes(noise(), scl_slope=1.0, scl_inter=1e30))).reason == Reason.CONSTANT_IMAGE


@pytest.mark.parametrize(
    ("position", "value", "reason"),
    [
        (4, 0, Reason.ZERO_DIMENSION),
        (4, -3, Reason.ZERO_DIMENSION),
        (16, 2, Reason.NOT_3D),
        (20, 5, Reason.UNSUPPORTED_DTYPE),
        (4, 1 << 30, Reason.TOO_LARGE),
        (12, 5000, Reason.TRUNCATED),
    ],
)
def test_a_freesurfer_header_is_refused_with_its_reason(tmp_path: Path, position: int, value: int, reason: Reason) -> None:
    content = bytearray(put_mgh(tmp_path / "scan.mgh", noise()).read_bytes())
    content[position : position + 4] = value.to_bytes(4, "big", signed=True)
    assert refused(put(tmp_path, bytes(content), name="scan.mgz")).reason == reason


def test_64_bytes_that_declare_17_gigabytes_allocate_nothing(tmp_path: Path) -> None:
    header = nifti_header(noise(), affine=np.diag([1.0, 1, 1, 1]), dim=[3, 2065, 2065, 2065, 1, 1, 1, 1])
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(header, 9)[:64])
    plain = tmp_path / "bomb.nii"
    plain.write_bytes(header)
    tracemalloc.start()
    try:
        assert refused(plain).reason == Reason.TOO_LARGE
        assert refused(path).reason in (Reason.TOO_LARGE, Reason.TRUNCATED)
        assert tracemalloc.get_traced_memory()[1] < MEGABYTE
    finally:
        tracemalloc.stop()


def test_a_declaration_that_the_file_cannot_hold_allocates_nothing(tmp_path: Path) -> None:
    path = put(tmp_path, nifti_header(noise(), dim=[3, 800, 800, 800, 1, 1, 1, 1]))
    tracemalloc.start()
    try:
        assert refused(path).reason == Reason.TRUNCATED
        assert tracemalloc.get_traced_memory()[1] < MEGABYTE
    finally:
        tracemalloc.stop()


def test_no_more_is_decoded_than_the_header_declares(tmp_path: Path) -> None:
    path = put(tmp_path, nifti_bytes(noise()) + bytes(200 * MEGABYTE))
    tracemalloc.start()
    try:
        assert refused(path).reason == Reason.CORRUPTED
        assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_what_is_not_there_or_not_a_file_is_unreadable(tmp_path: Path) -> None:
    link, pipe, inside = tmp_path / "link.nii.gz", tmp_path / "pipe.nii.gz", put(tmp_path, b"text") / "inside.nii.gz"
    link.symlink_to(tmp_path / "annexed")
    os.mkfifo(pipe)
    for path in (tmp_path / "nothing.nii.gz", link, pipe, inside):
        assert refused(path).reason == Reason.UNREADABLE
    assert "datalad get" in str(refused(link))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii"])
def test_a_file_that_may_not_be_opened_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, name: str) -> None:
    path = put(tmp_path, nifti_bytes(noise()), name=name)

    def forbid(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "open", forbid)  # root may read everything, so that chmod proves nothing
    error = refused(path)
    assert error.reason == Reason.UNREADABLE
    assert os.strerror(code) in str(error)


@pytest.mark.parametrize("whole", [3, 1000, 5000])
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii"])
def test_a_disk_that_fails_while_a_file_is_read_makes_it_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int, name: str
) -> None:
    path = put(tmp_path, nifti_bytes(noise((20, 20, 20))), name=name)

    class Failing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            self._fail()
            return super().read(size)

        def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401  (as the class above has it)
            self._fail()
            return super().readinto(memoryview(buffer)[:500])

        def _fail(self) -> None:
            if self.tell() >= min(whole, path.stat().st_size // 2):
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "open", lambda self, *_, **__: Failing(self))
    error = refused(path)
    assert error.reason == Reason.UNREADABLE
    assert os.strerror(errno.EIO) in str(error)


def test_voxels_that_do_not_fit_into_memory_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, nifti_bytes(noise()))

    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "empty", exhausted)
    assert refused(path).reason == Reason.TOO_LARGE


def silent_damage(path: Path, damaged: bytes, voxels: Num[np.ndarray, "i j k"]) -> bool:
    """Whether damaged bytes are read without an error as other voxels, or end in an untyped error."""
    path.write_bytes(damaged)
    try:
        image = read("damaged", path)
    except ScanError:
        return False
    return not (np.array_equal(image.voxels, voxels) and np.array_equal(image.affine, AFFINE.astype(np.float32)))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_of_a_gzip_file_gives_other_voxels(tmp_path: Path, place: float, bit: int) -> None:
    voxels = noise((12, 10, 8))
    whole = bytearray(gzip.compress(nifti_bytes(voxels), 6, mtime=0))
    whole[int(place * len(whole))] ^= 1 << bit
    assert not silent_damage(tmp_path / "scan.nii.gz", bytes(whole), voxels)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True))
def test_no_truncation_gives_voxels(tmp_path: Path, place: float) -> None:
    for whole in (nifti_bytes(noise()), gzip.compress(nifti_bytes(noise()), 6, mtime=0)):
        path = tmp_path / "scan.nii.gz"
        path.write_bytes(whole[: int(place * len(whole))])
        assert refused(path).reason in (Reason.TRUNCATED, Reason.EMPTY_FILE, Reason.NOT_AN_IMAGE, Reason.CORRUPTED)


def test_no_flipped_bit_of_a_real_scan_gives_other_voxels(shared: Path, tmp_path: Path) -> None:
    path = shared / "bids/ds000011/sub-05/anat/sub-05_T1w.nii.gz"
    whole, voxels = path.read_bytes(), read("real", path).voxels
    rng = np.random.default_rng(5)
    for place, bit in zip(rng.integers(10, len(whole), 20), rng.integers(0, 8, 20), strict=True):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(bit)
        (tmp_path / "scan.nii.gz").write_bytes(damaged)
        try:
            image = read("damaged", tmp_path / "scan.nii.gz")
        except ScanError:
            continue
        np.testing.assert_array_equal(image.voxels, voxels)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 347), st.integers(0, 255)), min_size=1, max_size=6), version=st.sampled_from([1, 2]))
def test_a_header_of_any_bytes_is_refused_or_read_as_nibabel_reads_it(tmp_path: Path, edits: list[tuple[int, int]], version: int) -> None:
    content = bytearray(nifti_bytes(noise(), version=version, qform_code=1, quatern_b=0.1))
    for place, value in edits:
        content[place] = value
    path = put(tmp_path, bytes(content), name="scan.nii")
    try:
        image = read("edited", path)
    except ScanError:
        return
    twin = nib.load(path)
    np.testing.assert_array_equal(image.affine, twin.affine)
    np.testing.assert_array_equal(image.voxels, np.asarray(twin.dataobj.get_unscaled()).reshape(image.voxels.shape))
