"""The store and its disk: full, read-only, in the way, or broken off; and real scans through it, bit for bit."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from faulty_disk import break_disk, later
from sample_store import DONE, SETTINGS, entries, native, regions, row, segmented, small_store, snapshot

from hypojax import cohort
from hypojax.reason import Reason, RunError
from hypojax.scans import read, write_nifti
from hypojax.storage.files import FULL
from hypojax.store import CohortStore, NativeImage, ScanEntry
from hypojax.store.ledger import parse_entry

TINY = 1_000_000
"""Bytes of the small disk: a store fits, its third scan does not."""


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of a megabyte, where the system lets us mount one."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = [which("mount") or "mount", "-t", "tmpfs", "-o", f"size={TINY}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk needs root on Linux; the same is tested with a simulated disk")
    yield folder
    subprocess.run([which("umount") or "umount", str(folder)], check=True)


def write_all(store: CohortStore) -> None:
    """Write every scan of a store, larger than the small disk."""
    for number, entry in enumerate(store.scans):
        store.write_native(entry["scan"], native(number, shape=(60, 60, 60)))
        store.write_segmentation(entry["scan"], segmented(number))
        store.commit(entry["scan"], status="done", row=row(), regions=regions())


def test_full_disk_really(tiny_disk: Path) -> None:
    """A typed error; nothing half-written stays in place; what was committed verifies; after making room it goes on."""
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(65536))
    store = CohortStore.create(tiny_disk / "c.zarr", scans=entries(), settings=SETTINGS)
    with pytest.raises(RunError, match=r"no space left on the disk while writing .* finished scans are kept") as caught:
        write_all(store)
    assert caught.value.reason is Reason.DISK_FULL
    number = len(store.records())
    assert 0 < number < len(store.scans)
    assert not list(store.root.rglob("*.partial"))
    assert {problem.scan for problem in store.verify()} <= {"", store.scans[number]["scan"]}
    ballast.unlink()
    store.commit(store.scans[number]["scan"], status="failed", reason=Reason.DISK_FULL, message="left out")
    assert not [problem for problem in store.verify() if problem.scan]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("after", [0, 3, 9])
def test_disk_errors_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, after: int) -> None:
    """Whatever the disk says at whatever object: a `RunError`, no partial file, the record never before its objects."""
    store = small_store(tmp_path / "c.zarr")
    break_disk(monkeypatch, code, when=later(after))
    with pytest.raises(RunError) as caught:
        write_all(store)
    assert caught.value.reason is (Reason.DISK_FULL if code in FULL else Reason.NOT_WRITABLE)
    monkeypatch.undo()
    assert not list(store.root.rglob("*.partial"))
    assert (DONE in store.missing()) == (after > 0)  # where not even the marker could be placed, the old record counts


def test_full_disk_while_the_table_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger stays, the table is known to be missing, and writing it again mends it."""
    store = small_store(tmp_path / "c.zarr")
    ledger, table = snapshot(store.root / "ledger"), cohort.build(store.records(), store.scans)
    break_disk(monkeypatch, errno.ENOSPC, when=lambda path: "volume_mm3" in path.parts)
    with pytest.raises(RunError, match="no space left"):
        store.write_table(table.drop_vars("age"))
    monkeypatch.undo()
    assert snapshot(store.root / "ledger") == ledger
    with pytest.raises(RunError, match="has no table yet"):
        cohort.open_cohort(store.root)
    store.write_table(table)
    assert store.verify() == ()


def test_not_writable(tmp_path: Path) -> None:
    """A file in the way of the folder, a folder that holds something else, and a folder nobody may write to."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.docx").write_text("mine")
    for root, message in (
        (tmp_path / "file", "cannot write"),
        (tmp_path / "file/c.zarr", "/file is a file; name a folder"),
        (tmp_path / "other", "thesis.docx"),
    ):
        with pytest.raises(RunError, match=message) as caught:
            CohortStore.create(root, scans=entries(), settings=SETTINGS)
        assert caught.value.reason is Reason.NOT_WRITABLE
    assert (tmp_path / "file").read_text() == (tmp_path / "other" / "thesis.docx").read_text() == "mine"


def test_read_only_disk(tiny_disk: Path) -> None:
    """A store on a disk that became read-only can be read and verified, not written."""
    store = small_store(tiny_disk / "c.zarr")
    subprocess.run([which("mount") or "mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    assert CohortStore.open(store.root).verify() == ()
    for attempt in (lambda: store.write_native(DONE, native(1)), lambda: store.commit(DONE, status="failed")):
        with pytest.raises(RunError, match="Read-only file system; choose an output folder") as caught:
            attempt()
        assert caught.value.reason is Reason.NOT_WRITABLE
    cohort.open_cohort(store.root)


@pytest.mark.parametrize("kept", [["zarr.json"], ["zarr.json", "native/zarr.json"], ["zarr.json.partial"]])
def test_creation_that_broke_off_goes_on(tmp_path: Path, kept: list[str]) -> None:
    """What an interrupted creation leaves is no obstacle."""
    whole = snapshot(CohortStore.create(tmp_path / "whole.zarr", scans=entries(), settings=SETTINGS).root)
    for key in kept:
        path = tmp_path / "c.zarr" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole.get(key, b"half"))
    assert snapshot(CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=SETTINGS).root).keys() >= whole.keys()


@pytest.mark.parametrize("file", ["scans/colin27_T1w.nii.gz", "bids/ds000011/sub-01/anat/sub-01_T1w.nii.gz"])
def test_real_scans_come_back_bit_for_bit(shared: Path, tmp_path: Path, file: str) -> None:
    """NIfTI → store → NIfTI → read: voxels, affine, slope and header are those of the file."""
    image = read("sub-01", shared / file)
    assert isinstance(image, NativeImage)
    entry = ScanEntry(scan="sub-01", path=str(shared / file), entities={}, columns={})
    store = CohortStore.create(tmp_path / "c.zarr", scans=[entry], settings=SETTINGS)
    store.write_native("sub-01", image)
    store.commit("sub-01", status="pending")
    back = store.read_native("sub-01")
    write_nifti(tmp_path / "back.nii", back.voxels, back.affine, header=back.header, slope=back.slope, intercept=back.intercept)
    again = read("sub-01", tmp_path / "back.nii")
    for found in (back, again):
        assert found.voxels.dtype == image.voxels.dtype
        assert np.array_equal(found.voxels, image.voxels)
        assert found.affine.tobytes() == image.affine.tobytes()
        assert (found.slope, found.intercept) == (image.slope, image.intercept)
    assert back.header == image.header


def test_the_disk_has_everything_before_the_record_vouches_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut at any moment: a record that is there speaks of objects that are there, whole, and is whole itself."""
    store = CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=SETTINGS)
    fsync, replace, flushed = os.fsync, Path.replace, set[tuple[int, int, int]]()
    checked: list[str] = []

    def identity(path: Path) -> tuple[int, int, int]:
        found = path.stat()
        return found.st_dev, found.st_ino, found.st_size

    def noted(handle: int) -> None:
        found = os.fstat(handle)
        flushed.add((found.st_dev, found.st_ino, found.st_size))
        fsync(handle)

    def vouching(path: Path, target: Path) -> Path:
        if target.parent.parent.name == "ledger" and (record := parse_entry(path.read_bytes(), DONE).record) is not None:
            assert identity(path) in flushed
            missing = [key for key in record["files"] if identity(store.root / key) not in flushed]
            assert missing == []
            checked.append(record["status"])
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", vouching)
    store.write_native(DONE, native(0))
    store.write_segmentation(DONE, segmented(0))
    store.commit(DONE, status="done", row=row(), regions=regions())
    assert checked == ["done"]
