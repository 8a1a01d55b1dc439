"""A DICOM series folder becomes one volume, or says why not."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_scans import noise, put_dicom

from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans import discover, read

SHAPE = (16, 12, 8)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A folder with one axial series, where the converter is installed."""
    pytest.importorskip("dcm2niix", reason="the extra 'dicom' is not installed")
    put_dicom(tmp_path / "sub-1" / "T1", noise(SHAPE))
    return tmp_path / "sub-1" / "T1"


def test_a_series_becomes_a_volume_in_its_place(series: Path) -> None:
    image = read("sub-1", series)
    np.testing.assert_array_equal(image.voxels, noise(SHAPE)[:, ::-1])
    # DICOM counts x to the left and y to the back: the first corner (-10, -20) lies at (10, 20) in RAS+, rows turned round.
    np.testing.assert_allclose(image.affine, [[-1, 0, 0, 10], [0, 1.25, 0, 20 - 11 * 1.25], [0, 0, 1.5, 0], [0, 0, 0, 1]], atol=1e-5)
    assert (image.format, len(image.header)) == ("dicom", 348)


def test_series_are_found_at_any_depth_and_named_by_their_folders(series: Path) -> None:
    root = series.parents[1]
    (root / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert [(scan.id, scan.path) for scan in discover([root]).scans] == [("sub-1_T1", series)]
    assert [scan.id for scan in discover([series]).scans] == ["T1"]


def test_images_without_a_suffix_are_known_by_their_mark(series: Path) -> None:
    for path in sorted(series.iterdir()):
        path.rename(path.with_suffix(""))
    assert [scan.path for scan in discover([series]).scans] == [series]
    assert read("sub-1", series).voxels.shape == SHAPE


def refusal(folder: Path) -> tuple[Reason, str]:
    """Reason and sentence in which reading ends."""
    with pytest.raises(ScanError) as caught:
        read("sub-1", folder)
    return caught.value.reason, str(caught.value)


def test_two_series_in_a_folder_are_not_one_scan(series: Path) -> None:
    put_dicom(series, noise(SHAPE), series=2)
    reason, message = refusal(series)
    assert reason == Reason.NOT_AN_IMAGE
    assert "series_1, series_2" in message
    number = b"\x20\0\x11\0IS\x02\0"
    for path in series.glob("IM_2_*"):  # of another person, with the same number
        path.write_bytes(path.read_bytes().replace(number + b"2", number + b"1"))
    reason, message = refusal(series)
    assert reason == Reason.NOT_AN_IMAGE
    assert "of 2 series; put the T1w series in a folder of its own" in message


def test_a_missing_slice_is_noticed(series: Path) -> None:
    (series / "IM_1_0003.dcm").unlink()
    assert refusal(series)[0] == Reason.TRUNCATED


def test_a_truncated_slice_is_noticed(series: Path) -> None:
    path = series / "IM_1_0007.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    reason, message = refusal(series)
    assert reason == Reason.TRUNCATED
    assert "IM_1_0007.dcm has 284 of 384 bytes of pixels" in message


@pytest.mark.parametrize("number", [0, 3, 7])
@pytest.mark.parametrize("kept", [0, 100, 200, 600])
@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_a_file_that_cannot_be_read_is_named_wherever_its_slice_lies(series: Path, number: int, kept: int, suffix: str) -> None:
    for path in sorted(series.iterdir()):
        path.rename(path.with_suffix(suffix))
    damaged = series / f"IM_1_{number:04d}{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:kept])
    reason, message = refusal(series)
    assert reason in (Reason.TRUNCATED, Reason.CORRUPTED)
    assert f"its file {damaged.name} " in message


def test_garbage_in_the_place_of_a_file_is_named(series: Path) -> None:
    (series / "IM_1_0000.dcm").write_bytes(np.random.default_rng(0).bytes(2000))
    assert "its file IM_1_0000.dcm " in refusal(series)[1]


def test_what_lies_beside_a_series_is_no_part_of_it(series: Path) -> None:
    whole = read("sub-1", series)
    for name in ("notes.txt", "DICOMDIR", "._IM_1_0001.dcm", ".DS_Store"):
        (series / name).write_bytes(b"text")
    shutil.copy(series / "IM_1_0004.dcm", series / "copy of a slice.dcm")
    np.testing.assert_array_equal(read("sub-1", series).voxels, whole.voxels)


def test_slices_that_the_converter_leaves_out_are_counted(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    less = series.parent / "less"
    shutil.copytree(series, less)
    (less / "IM_1_0000.dcm").unlink()
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **options: run([*command[:-1], str(less)], **options))
    reason, message = refusal(series)
    assert reason == Reason.TRUNCATED
    assert "its folder holds 8 slices in 8 files, and dcm2niix made 7 slices of them" in message


@pytest.mark.parametrize("number", [0, 4, 7])
@pytest.mark.parametrize(("before", "after"), [(b"1.25\\1", b"1.35\\1"), (b"\x11\x00US\x02\x00\x10\x00", b"\x11\x00US\x02\x00\x0f\x00")])
def test_a_slice_unlike_the_others_is_named(series: Path, number: int, before: bytes, after: bytes) -> None:
    path = series / f"IM_1_{number:04d}.dcm"
    path.write_bytes(path.read_bytes().replace(before, after))
    reason, message = refusal(series)
    assert reason == Reason.CORRUPTED
    assert f"{path.name} differ from the other slices" in message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 7), place=st.floats(0, 1, exclude_max=True), values=st.binary(min_size=1, max_size=4))
def test_no_damage_to_a_file_costs_a_slice_or_moves_one_in_silence(series: Path, number: int, place: float, values: bytes) -> None:
    damaged = series / f"IM_1_{number:04d}.dcm"
    content = damaged.read_bytes()
    first = int(place * (len(content) - 384))  # nothing vouches for pixels: what is damaged there is another picture
    damaged.write_bytes(content[:first] + values + content[first + len(values) :])
    try:
        image = read("sub-1", series)
    except ScanError:
        return
    finally:
        damaged.write_bytes(content)
    np.testing.assert_array_equal(np.delete(image.scaled(), number, axis=2), np.delete(noise(SHAPE)[:, ::-1], number, axis=2))
    np.testing.assert_allclose(np.linalg.norm(image.affine[:3, :3], axis=0), [1, 1.25, 1.5], rtol=0.03)


def test_a_folder_without_images_is_no_scan(series: Path) -> None:
    (series / "empty").mkdir()
    assert refusal(series / "empty")[0] == Reason.NOT_AN_IMAGE


def disk_full(folder: Path, temporary: Path) -> str:
    """The sentence in which the run ends, whose fault the scan is not."""
    with pytest.raises(RunError) as caught:
        read("sub-1", folder)
    assert caught.value.reason == Reason.DISK_FULL
    assert not list(temporary.glob("hypojax-*"))
    return str(caught.value)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["tempfile.mkdtemp", "subprocess.run"])
def test_a_disk_without_room_is_not_the_fault_of_the_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, step: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("hypojax.scans.dicom._converter", lambda: "dcm2niix")
    monkeypatch.setattr(step, full)
    assert f"no space left in {tmp_path}" in disk_full(tmp_path, tmp_path)


def test_a_disk_that_fills_up_while_converting_is_not_the_fault_of_the_series(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real disk of 8 kB, where the system lets us mount one, the converter itself finds no room."""
    (temporary := tmp_path / "tiny").mkdir()
    put_dicom(series, noise((32, 24, 16)))
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=8192", "tmpfs", str(temporary)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root on Linux; the same is tested with a simulated disk")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    try:
        assert "TMPDIR" in disk_full(series, temporary)
    finally:
        subprocess.run([shutil.which("umount") or "umount", str(temporary)], check=True)


def test_a_bad_series_stays_the_fault_of_the_series_where_there_is_room(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (series / "IM_1_0003.dcm").unlink()
    assert refusal(series)[0] == Reason.TRUNCATED
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(RunError, match="no space left"):
        read("sub-1", series)


def test_without_the_converter_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dcm2niix", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    reason, message = refusal(tmp_path)
    assert reason == Reason.UNREADABLE
    assert "pip install 'hypojax[dicom]'" in message
