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


def test_a_missing_slice_is_noticed(series: Path) -> None:
    (series / "IM_1_0003.dcm").unlink()
    assert refusal(series)[0] == Reason.TRUNCATED


def test_a_truncated_slice_is_noticed(series: Path) -> None:
    path = series / "IM_1_0007.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    assert refusal(series)[0] == Reason.NOT_AN_IMAGE


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
