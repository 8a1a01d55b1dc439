"""Scans in a bucket: found as on a disk, read as from a disk, refused for the same reasons."""

import gzip
import time
from collections.abc import Callable
from os.path import normpath
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from s3_server import Bucket, Trouble, first, proxy
from sample_scans import AFFINE, nifti_bytes, noise, put, put_dicom, put_mgh

from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans import Discovery, discover, read, write_nifti
from hypojax.storage import ObjectPath, locate


def found(discovery: Discovery, root: object) -> object:
    """A discovery in words that do not depend on where it was made."""
    scans = [
        (scan.id, normpath(str(scan.path).removeprefix(str(root))), dict(scan.entities), dict(scan.columns)) for scan in discovery.scans
    ]
    return scans, dict(discovery.ignored)


def tree(folder: Path) -> Path:
    """Two datasets with tables, loose images, other images, a store, hidden files and derivatives."""
    for name in (
        "ds/sub-02/ses-2/anat/sub-02_ses-2_T1w",
        "ds/sub-01/anat/sub-01_T1w",
        "ds/sub-01/func/sub-01_task-rest_bold",
        "other/sub-01/anat/sub-01_T1w",
    ):
        write_nifti(folder / f"{name}.nii.gz", noise(), AFFINE)
    for name in (
        "ds/derivatives/x/sub-01/anat/sub-01_T1w.nii",
        "ds/code/sub-09_T1w.nii",
        "loose/a b.nii",
        "loose/deep/c_T2w.nii.gz",
        "loose/é_T1w.mgz",
        "loose/.d.nii",
        "old.zarr/e.nii",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "ds" / "dataset_description.json").write_text("{}")
    (folder / "ds" / "participants.tsv").write_text("participant_id\tage\nsub-01\t31\nsub-02\t52\n")
    (folder / "ds" / "sub-02" / "sub-02_sessions.tsv").write_text("session_id\tage\nses-2\t54\n")
    (folder / "loose" / "x.nrrd").write_bytes(b"x")
    (folder / "table.tsv").write_text("path\tscan\tgroup\nds/sub-01/anat/sub-01_T1w.nii.gz\tone\tA\nloose/../loose/a b.nii\ttwo\tB\n")
    pd.DataFrame({"path": ["loose/a b.nii"], "age": [3]}).to_parquet(folder / "table.parquet")
    return folder


@pytest.mark.parametrize(
    "inputs",
    [
        ["ds"],
        ["other"],
        ["."],
        ["ds", "other"],
        ["loose"],
        ["ds/sub-02"],
        ["ds/sub-01/anat/sub-01_T1w.nii.gz"],
        ["table.tsv"],
        ["table.parquet"],
        ["loose/a b.nii", "table.tsv"],
    ],
)
def test_found_as_on_a_disk(bucket: Bucket, tmp_path: Path, inputs: list[str]) -> None:
    bucket.upload(tree(tmp_path), below="top/")
    root = f"{bucket.url}/top"
    there = discover([f"{root}/{name}" for name in inputs])
    assert found(there, root) == found(discover([tmp_path / name for name in inputs]), tmp_path)
    assert all(type(scan.path) is ObjectPath for scan in there.scans)
    assert [scan.size for scan in there.scans] == [scan.size for scan in discover([tmp_path / name for name in inputs]).scans]
    assert all(scan.modified > time.time() - 3600 for scan in there.scans)
    if len(inputs) == 1:  # the same, however a scan is named
        alone = discover([scan.path for scan in there.scans])
        assert {scan.modified for scan in alone.scans} == {scan.modified for scan in there.scans}


def test_one_listing_however_many_subjects(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset of thousands takes a request a thousand objects, not some a subject."""
    for number in range(40):
        bucket.put(f"ds/sub-{number:02}/anat/sub-{number:02}_T1w.nii.gz", b"x")
    bucket.put("ds/dataset_description.json", b"{}")
    trouble = Trouble(first("pass"))
    with proxy(bucket.endpoint, trouble) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert len(discover([f"{bucket.url}/ds"]).scans) == 40
    assert trouble.done.total() <= 4


def test_a_table_may_name_urls(bucket: Bucket, tmp_path: Path) -> None:
    """From a disk into a bucket, and from a bucket elsewhere."""
    bucket.put("scans/a.nii", b"x")
    (tmp_path / "t.csv").write_text(f"path,age\n{bucket.url}/scans/a.nii,31\nb.nii,32\n")
    (one, two) = discover([tmp_path / "t.csv"]).scans
    assert (str(one.path), one.columns) == (f"{bucket.url}/scans/a.nii", {"age": 31})
    assert two.path == tmp_path / "b.nii"
    bucket.put("tables/t.csv", f"path\n../scans/a.nii\n{bucket.url}/elsewhere/b.nii\n{tmp_path}/c.nii\n".encode())
    assert [str(scan.path) for scan in discover([f"{bucket.url}/tables/t.csv"]).scans] == [
        f"{bucket.url}/scans/a.nii",
        f"{bucket.url}/elsewhere/b.nii",
        f"{tmp_path}/c.nii",
    ]


def test_what_is_not_there(bucket: Bucket) -> None:
    with pytest.raises(RunError, match=f"input {bucket.url}/nothing does not exist") as caught:
        discover([f"{bucket.url}/nothing"])
    assert caught.value.reason is Reason.USAGE
    bucket.put("table.tsv", b"file\tage\n")
    with pytest.raises(RunError, match=f"table {bucket.url}/table.tsv has no column 'path'"):
        discover([f"{bucket.url}/table.tsv"])
    with pytest.raises(RunError, match="no such bucket"):
        discover(["s3://nobody-made-this/x"])


def test_an_object_and_a_file_of_one_name_are_told_apart(bucket: Bucket, tmp_path: Path) -> None:
    bucket.upload(tree(tmp_path), below="top/")
    found = discover([f"{bucket.url}/top/loose/a b.nii", tmp_path / "loose"])
    assert len([scan for scan in found.scans if scan.id.endswith("_a b")]) == 2


@pytest.mark.parametrize("piece", [1 << 23, 100])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz", "a.mgh"])
def test_read_as_from_a_disk(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, piece: int) -> None:
    """Bit for bit, in one request or in many."""
    monkeypatch.setattr("hypojax.storage.bucket.PIECE", piece)
    voxels = noise(dtype="f4")
    path = put_mgh(tmp_path / name, voxels) if "mg" in name else put(tmp_path, nifti_bytes(voxels), name=name)
    bucket.put(name, path.read_bytes())
    there, here = read("a", locate(f"{bucket.url}/{name}")), read("a", path)
    np.testing.assert_array_equal(there.voxels, here.voxels)
    assert (there.affine.tobytes(), there.header, there.format) == (here.affine.tobytes(), here.header, here.format)


WHOLE = gzip.compress(nifti_bytes(noise()))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-3],
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
        lambda data: data + b"more",
        lambda data: b"no image at all",
    ],
)
def test_refused_as_from_a_disk(bucket: Bucket, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a.nii.gz").write_bytes(damage(WHOLE))
    bucket.put("a.nii.gz", damage(WHOLE))
    refusals = []
    for place in (tmp_path / "a.nii.gz", locate(f"{bucket.url}/a.nii.gz")):
        with pytest.raises(ScanError) as caught:
            read("a", place)
        refusals.append((caught.value.reason, str(caught.value).replace(str(place), "PLACE")))
    assert refusals[0] == refusals[1]


def test_an_object_that_is_gone_or_forbidden_is_one_scan_s_fault(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for what, said in (("pass", "No such file or directory"), ("403 AccessDenied", "Permission denied")):
        with proxy(bucket.endpoint, Trouble(lambda *_, what=what: what)) as endpoint, monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            with pytest.raises(ScanError, match=f"cannot be read .{said}.; check that it is there and may be read") as caught:
                read("a", ObjectPath(bucket.url, "a.nii.gz"))
        assert caught.value.reason is Reason.UNREADABLE


def test_credentials_and_server_are_no_scan_s_fault(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(bucket.endpoint, Trouble(lambda *_: "403 ExpiredToken")) as endpoint, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(RunError, match="does not accept the credentials") as caught:
            read("a", ObjectPath(bucket.url, "a.nii.gz"))
    assert caught.value.reason is Reason.NO_ACCESS


def test_an_object_replaced_while_it_is_read(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """No volume is made of two files."""
    monkeypatch.setattr("hypojax.storage.bucket.PIECE", 200)
    bucket.put("a.nii.gz", WHOLE)
    other = gzip.compress(nifti_bytes(noise() + np.int16(1)))

    def replaced(method: str, _path: str, before: int) -> str:
        if method == "GET" and before == 1:
            bucket.put("a.nii.gz", other)
        return "pass"

    with proxy(bucket.endpoint, Trouble(replaced)) as endpoint, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(ScanError, match="was written by somebody else while it was being read; run the same command again") as caught:
            read("a", ObjectPath(bucket.url, "a.nii.gz"))
    assert caught.value.reason is Reason.UNREADABLE
    np.testing.assert_array_equal(read("a", ObjectPath(bucket.url, "a.nii.gz")).voxels, noise() + np.int16(1))


def test_a_dicom_series_is_refused_with_the_next_step(bucket: Bucket, tmp_path: Path) -> None:
    put_dicom(tmp_path / "series", noise((4, 4, 3), dtype="u2"))
    bucket.upload(tmp_path, below="top/")
    (scan,) = discover([f"{bucket.url}/top"]).scans
    assert (scan.id, str(scan.path)) == ("series", f"{bucket.url}/top/series")
    with pytest.raises(ScanError, match="a DICOM series in a bucket cannot be read; copy the series to a disk, or convert it") as caught:
        read(scan.id, scan.path)
    assert caught.value.reason is Reason.UNREADABLE


def test_label_maps_are_written_as_to_a_disk(bucket: Bucket, tmp_path: Path) -> None:
    for name in ("a.nii", "b/a.nii.gz"):
        write_nifti(tmp_path / name, noise(), AFFINE)
        write_nifti(locate(f"{bucket.url}/{name}"), noise(), AFFINE)
        assert bucket.get(name) == (tmp_path / name).read_bytes()
