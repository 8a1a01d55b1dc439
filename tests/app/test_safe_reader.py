"""Files of strangers, read in a process that is bounded: good ones are copied without a name in them, others end in a sentence."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sample_scans import nifti_bytes, noise, put, put_dicom

from hypojax.app.safe_reader import ReadingLimits, SafeReader, without_paths
from hypojax.reason import HypojaxError, Reason
from hypojax.scans import read

NAME = b"DOE^JANE"
LOOP = "from hypojax.app.reading_process import set_limits; import json, sys; set_limits(json.load(sys.stdin)['limits'])\nwhile True: pass"
MUCH = """
from hypojax.app import reading_process as reader
def much(request): return {"read": len(bytearray(1 << 40))}
reader.TASKS["read"] = much
reader.main()
"""
LIES = """
import json, os, sys
request = json.load(sys.stdin)
os.symlink("/etc/passwd", request["into"] + "/a.nii.gz")
open(request["answer"], "w").write(json.dumps({"file": request["name"] + ".nii.gz", "read": {}}))
"""


def asked(folder: Path, source: Path, *, command: str = "", **limits: int) -> HypojaxError:
    """How reading a file is refused."""
    reader = (
        SafeReader(ReadingLimits(**limits), command=(sys.executable, "-c", command)) if command else SafeReader(ReadingLimits(**limits))
    )
    with pytest.raises(HypojaxError) as caught:
        reader.read(source, into=folder, name="a")
    assert str(folder) not in str(caught.value)
    return caught.value


def test_a_scan_is_copied_without_what_else_its_file_says(tmp_path: Path) -> None:
    sent = put(tmp_path, nifti_bytes(noise((20, 18, 16)), descrip=NAME, db_name=NAME), name="sent.nii.gz")
    (into := tmp_path / "into").mkdir()
    found = SafeReader().read(sent, into=into, name="a")
    assert [path.name for path in into.iterdir()] == ["a.nii.gz"]
    assert found.read == {"dimensions": "20 × 18 × 16", "voxel_size_mm": "1.005 × 1.204 × 1.5", "orientation": "LAS", "format": "NIfTI"}
    assert np.array_equal(read("a", found.file).voxels, read("a", sent).voxels)
    assert found.file.stat().st_mode & 0o077 == 0


def test_what_is_no_scan_is_refused_with_its_reason(tmp_path: Path) -> None:
    assert asked(tmp_path, put(tmp_path, b"just words", name="a.txt")).reason == Reason.NOT_AN_IMAGE
    assert asked(tmp_path, put(tmp_path, nifti_bytes(noise((20, 18, 16)))[:900], name="b.nii")).reason == Reason.TRUNCATED


def test_a_process_that_loops_or_takes_too_much_is_ended(tmp_path: Path) -> None:
    sent = put(tmp_path, nifti_bytes(noise()), name="a.nii")
    assert "took too long (1 seconds" in str(asked(tmp_path, sent, command=LOOP, seconds=1))
    assert asked(tmp_path, sent, command=MUCH).reason == Reason.TOO_LARGE
    assert "signal 9" in str(asked(tmp_path, sent, command="import os; os.kill(os.getpid(), 9)"))


def test_an_answer_is_not_believed(tmp_path: Path) -> None:
    sent = put(tmp_path, nifti_bytes(noise()), name="sent.nii")
    assert asked(tmp_path, sent, command=LIES).reason == Reason.UNREADABLE
    assert asked(tmp_path, sent, command="pass").reason == Reason.UNREADABLE


def test_a_zip_of_dicom_keeps_no_name_of_a_patient(tmp_path: Path) -> None:
    pytest.importorskip("dcm2niix", reason="the extra 'dicom' is not installed")
    voxels = noise((20, 18, 8))
    put_dicom(tmp_path / "dicom", voxels)
    put_dicom(tmp_path / "dicom", voxels[:, :, :6], series=2)
    original = tmp_path / "original"
    put_dicom(original, voxels)
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        for path in sorted((tmp_path / "dicom").iterdir()):
            archive.write(path, f"DOE^JANE/DOE^JANE_{path.name}")
        archive.writestr("DICOMDIR", bytes(128) + b"DICM" + NAME)
        archive.writestr("notes.txt", NAME)
    (into := tmp_path / "session" / "unpacked" / "job").mkdir(parents=True)
    (clean := tmp_path / "session" / "clean").mkdir()
    reader = SafeReader()
    scans = reader.unpack(tmp_path / "sent.zip", into=into, most_bytes=1 << 30)
    assert [scan.name for scan in scans] == ["DICOM series 1", "DICOM series 2"]
    copies = [reader.read(scan.path, into=clean, name=f"s{number}") for number, scan in enumerate(scans)]
    assert copies[0].read["format"] == "DICOM"
    assert np.array_equal(read("a", copies[0].file).voxels, read("b", original).voxels)
    assert np.array_equal(read("a", copies[0].file).affine, read("b", original).affine)
    assert not any(NAME in path.read_bytes() for path in clean.rglob("*") if path.is_file())
    assert not any(b"DOE" in str(path).encode() for path in (tmp_path / "session").rglob("*"))


def test_a_damaged_slice_costs_its_series_and_is_not_left_out(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="the extra 'dicom' is not installed")
    (uploads := tmp_path / "session" / "uploads").mkdir(parents=True)
    put_dicom(uploads, noise((20, 18, 8)))
    (uploads / "IM_1_0003.dcm").write_bytes(b"garbage")
    (into := tmp_path / "session" / "unpacked" / "job").mkdir(parents=True)
    reader = SafeReader()
    (scan,) = reader.sort(sorted(uploads.iterdir()), into=into)
    assert len(list(scan.path.iterdir())) == 8
    with pytest.raises(HypojaxError, match=r"slice_0000\d\.dcm"):
        reader.read(scan.path, into=into, name="a")


def test_paths_are_taken_out_of_sentences() -> None:
    assert without_paths("x (/srv/a/b.nii); see https://a.b/c or and/or 1/2 mm") == "x (…); see https://a.b/c or and/or 1/2 mm"
