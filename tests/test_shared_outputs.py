"""What is meant to be passed on says nothing of where a scan lay, and nothing of what somebody wrote into its header."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from sample_scans import put_dicom
from standin import AFFINE, StandIn, phantom_voxels, write_phantom

import hypojax
from hypojax.cli import main
from hypojax.preprocessing.foreground import Prepared
from hypojax.segmenter.segmenter import Segmentation
from hypojax.settings import RunSettings

WORD = "Mustermann"
"""What nobody outside should read."""

FOLDER = f"clinic-{WORD}-dementia"
"""A folder above the dataset that tells whose scans these are."""

FREE_TEXT = {"descrip": 80, "intent_name": 16, "db_name": 18, "aux_file": 24}
"""Fields of a NIfTI header that take any text, and their bytes."""

OWN = "cohort.zarr"
"""The one output that keeps paths and headers: resuming needs the paths, and a scan given back has the header that it came with."""


class Varied(StandIn):
    """A stand-in whose people differ: some of each posterior, another share from scan to scan."""

    def segment(self, scan: Prepared) -> Segmentation:
        found = super().segment(scan)
        share = 0.8 + float(scan.volume[-1, -1, -1]) / 500
        return replace(found, subunits=(found.subunits * min(share, 1.0)).astype(np.uint8))


def nifti_with_secrets(path: Path) -> None:
    """A phantom whose header has the secret wherever text may stand."""
    image = nib.load(write_phantom(path))
    made = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
    for name in FREE_TEXT:
        made.header[name] = WORD
    made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", f"seen by {WORD}".encode()))
    nib.save(made, path)
    assert path.suffix != ".gz" or gzip.decompress(path.read_bytes()).count(WORD.encode()) == len(FREE_TEXT) + 1


def dicom_with_secrets(folder: Path) -> None:
    """The phantom as a DICOM series in which patient, study and institution have the secret for a name."""
    pydicom = pytest.importorskip("pydicom", reason="the extra 'dicom' has it")
    put_dicom(folder, (phantom_voxels()[:, ::-1] + 1).astype(np.uint16))
    for number, path in enumerate(sorted(folder.glob("*.dcm"))):
        slice_ = pydicom.dcmread(path)
        for name in ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "InstitutionName", "ReferringPhysicianName"):
            setattr(slice_, name, WORD)
        slice_.PixelSpacing, slice_.SliceThickness, slice_.SpacingBetweenSlices = [5, 5], 5, 5
        slice_.ImagePositionPatient = [-AFFINE[0, 3], -107.5, AFFINE[2, 3] + 5 * number]
        slice_.save_as(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset, a DICOM series and a file that is cut off, in a folder whose name is telling."""
    bids = tmp_path / FOLDER / "bids"
    for person in range(1, 7):
        nifti_with_secrets(bids / f"sub-{person}" / "anat" / f"sub-{person}_T1w.nii.gz")
    (bids / "dataset_description.json").write_text(json.dumps({"Name": "six", "BIDSVersion": "1.10.0"}))
    (bids / "participants.tsv").write_text("participant_id\tgroup\nsub-1\ta\nsub-2\tb\nsub-3\ta\nsub-4\tb\nsub-5\ta\nsub-6\tb\n")
    broken = bids / "sub-7" / "anat" / "sub-7_T1w.nii.gz"
    broken.parent.mkdir(parents=True)
    broken.write_bytes((bids / "sub-1" / "anat" / "sub-1_T1w.nii.gz").read_bytes()[:2000])
    dicom_with_secrets(tmp_path / FOLDER / "series")
    return tmp_path / FOLDER


@pytest.mark.slow
def test_no_output_but_the_store_names_a_person_a_note_or_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    gone = folder / "gone.txt"
    gone.write_text("# nobody\n")
    settings = RunSettings(exclude=gone)
    outcome = hypojax.run([folder / "bids", folder / "series"], out, settings=settings, segmenter=Varied())
    assert (outcome.done, outcome.failed) == (7, 1), outcome.failures
    assert main(["study", str(out), "--group", "group", "--cases", "a", "--formula", "volume ~ group"]) == 0
    assert main(["report", str(out)]) == 0
    assert main(["report", str(out), "--share"]) == 0
    telling = {path.relative_to(out): said for path, data in contents(out) if (said := around(data))}
    assert {path: said for path, said in telling.items() if path.parts[0] != OWN} == {}
    inside = {path.parts[1] for path in telling}
    assert inside <= {"ledger", "native", "path", "zarr.json"}, "docs/reference/files.md says where the store has paths and headers"
    assert "sub-1/anat/sub-1_T1w.nii.gz" in set(pd.read_parquet(out / "volumes.parquet").path)


def contents(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file with its bytes, unpacked where it is packed; the name first, which may tell as much."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            unpacked = gzip.decompress(data) if path.suffix == ".gz" else data
            if path.suffix == ".parquet":
                unpacked += pd.read_parquet(path).to_csv().encode()
            yield path, path.relative_to(root).as_posix().encode() + b"\n" + unpacked


def around(data: bytes) -> str:
    """Where the secret stands, with what is about it; empty where it does not."""
    place = data.find(WORD.encode())
    return repr(data[max(0, place - 60) : place + 60]) if place >= 0 else ""
