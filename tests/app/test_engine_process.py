"""A scan that goes through the app gives the numbers and label maps of `hypojax run`, to the byte; nothing drawn says a path or a name."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sample_scans import nifti_bytes, put, put_dicom, put_mgh
from stand_in_session import StandInSession, new_session
from tiny_segmenter import tiny

from hypojax import run
from hypojax.app.engine_process import EngineWork
from hypojax.app.safe_reader import SafeReader
from hypojax.app.scan_drawing import read_sections
from hypojax.app.scan_job import ScanJob
from hypojax.app.session_results import packed, read_volumes, result_file
from hypojax.scans import read

NAME = b"DOE^JANE"
OWN = ["path", "seconds", "dataset"]
"""Columns that say where and how fast, and not what."""

pytestmark = pytest.mark.slow


def real_voxels(shared: Path) -> np.ndarray:
    """Every second voxel of a real head."""
    image = read("a", shared / "bids" / "ds000011" / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    return np.ascontiguousarray(image.voxels[::2, ::2, ::2])


def sent_file(kind: str, folder: Path, voxels: np.ndarray) -> Path:
    """A scan in a file, or the folder of a DICOM series."""
    affine = np.array([[-1.93, 0.13, 0, 78.1], [0.1, 2.61, 0.2, -120.3], [0, -0.21, 2.6, -111.7], [0, 0, 0, 1]])
    if kind == "nifti":
        return put(
            folder, nifti_bytes(voxels.astype("i2"), affine=affine, order=">", descrip=NAME, scl_slope=0.37), name="sub-7_T1w.nii.gz"
        )
    if kind == "mgz":
        return put_mgh(folder / "T1.mgz", voxels.astype("f4"))
    put_dicom(folder / "series", voxels.astype("u2"))
    return folder / "series"


def through_app(kind: str, sent: Path, session: StandInSession, work: EngineWork, scan: str) -> dict[str, object]:
    """Read and measure as the service does."""
    reader, source = SafeReader(), sent
    if kind == "dicom":
        with zipfile.ZipFile(session.uploads / "s.zip", "w") as archive:
            for path in sent.iterdir():
                archive.write(path, f"DOE^JANE/{path.name}")
        (into := session.folder / "unpacked" / "j").mkdir(parents=True)
        source = reader.unpack(session.uploads / "s.zip", into=into, most_bytes=1 << 30)[0].path
    (into := session.folder / "clean").mkdir()
    clean = reader.read(source, into=into, name=scan)
    asked = {"task": "measure", "folder": str(session.folder), "file": f"clean/{clean.file.name}", "cohort": "cohort", "scan": scan}
    return dict(work.do(asked))


@pytest.mark.parametrize("kind", ["nifti", "mgz", "dicom"])
def test_numbers_and_label_maps_are_those_of_a_run(tmp_path: Path, shared: Path, kind: str) -> None:
    pytest.importorskip("dcm2niix", reason="the extra 'dicom' is not installed")
    sent, network = sent_file(kind, tmp_path, real_voxels(shared)), tiny()
    outcome = run([sent], tmp_path / "out", segmenter=network)
    scan = outcome.results[0].scan
    session, work = new_session(tmp_path), EngineWork(network, None)
    assert through_app(kind, sent, session, work, scan)["status"] == outcome.results[0].status == "done"
    before = pd.read_csv(tmp_path / "out" / "volumes.tsv", sep="\t", dtype=str).drop(columns=OWN)
    after = pd.read_csv(session.cohort / "volumes.tsv", sep="\t", dtype=str).drop(columns=OWN)
    pd.testing.assert_frame_equal(before, after)
    maps = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out" / "derivatives").rglob("*.nii.gz")]
    assert maps
    assert all((tmp_path / "out" / name).read_bytes() == (session.cohort / name).read_bytes() for name in maps)
    if kind == "dicom":
        _told_to_the_page(session, work, scan, tmp_path)


def _told_to_the_page(session: StandInSession, work: EngineWork, scan: str, root: Path) -> None:
    """What is drawn and packed holds the volumes, and neither a patient's name nor a path of this machine."""
    job = ScanJob("0" * 32, "DICOM <b>1", "done", scan=scan)
    asked = {"task": "draw", "folder": str(session.folder), "cohort": "cohort", "scan": scan, "name": job.name, "into": f"results/{job.id}"}
    assert work.do(asked) == {}
    folder = session.folder / "results" / job.id
    summary = json.loads((folder / "summary.json").read_text())
    volumes = read_volumes(session).set_index("region")["volume_mm3"]
    assert {row["region"]: row["volume_mm3"] for row in summary["volumes"] if row["volume_mm3"] is not None} == volumes.dropna().to_dict()
    page = (folder / "page.html").read_text()
    assert "DICOM &lt;b&gt;1" in page
    assert "../index.html" not in page
    assert set(read_sections(folder)) <= {"coronal", "sagittal", "axial"}
    archive = packed(session, [job], folder / "scan.zip")
    assert result_file(session, job, "labels.nii.gz")
    with zipfile.ZipFile(archive) as found:
        assert {f"pages/{scan}/page.html", "pages/static/viewer.js", "volumes.tsv", f"{scan}/{scan}_hypothalamus.nii.gz"} <= set(
            found.namelist()
        )
        content = b"".join(found.read(name) for name in found.namelist())
    for secret in (NAME, str(root).encode()):
        assert secret not in content
        assert not any(secret in path.read_bytes() for path in folder.iterdir())
    assert not any(NAME in path.read_bytes() for path in session.folder.rglob("*") if path.is_file() and path.parent != session.uploads)
    assert work.do({"task": "forget", "folder": str(session.folder), "cohort": "cohort", "scan": scan}) == {}
    assert list(session.cohort.iterdir()) == []
