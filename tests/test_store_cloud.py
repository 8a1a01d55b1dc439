"""A store in a bucket: the same objects as on a disk, byte for byte, the same answers, and the same repairs."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from s3_server import Bucket, Trouble, proxy
from sample_store import (
    DONE,
    FAILED,
    PENDING,
    PROVENANCE,
    SETTINGS,
    STRIPPED,
    UNTOUCHED,
    entries,
    native,
    regions,
    row,
    segmented,
    small_store,
    snapshot,
)

from hypojax import cohort
from hypojax.reason import Reason, RunError, ScanError
from hypojax.storage import ObjectPath, locate
from hypojax.store import CohortStore, append_evaluation, read_evaluations, verify

KEY = "out/cohort.zarr"


@pytest.fixture
def root(bucket: Bucket) -> ObjectPath:
    """Where a store can be made."""
    found = locate(f"{bucket.url}/{KEY}")
    assert isinstance(found, ObjectPath)
    return found


def test_the_same_objects_byte_for_byte(bucket: Bucket, root: ObjectPath, tmp_path: Path) -> None:
    """Made once, made again, and with a table that lost a column."""
    twin = small_store(tmp_path / "c.zarr")
    for _ in range(2):
        store = small_store(root)
        assert bucket.snapshot(f"{KEY}/") == snapshot(twin.root)
    for each in (store, twin):
        each.write_table(cohort.build(each.records(), each.scans).drop_vars("age"))
    assert bucket.snapshot(f"{KEY}/") == snapshot(twin.root)
    assert store.verify() == ()


def test_the_same_answers(root: ObjectPath, tmp_path: Path) -> None:
    small_store(root)
    small_store(tmp_path / "c.zarr")
    store, twin = CohortStore.open(root), CohortStore.open(tmp_path / "c.zarr")
    assert (store.records(), store.scans, store.missing(), store.unfinished()) == (
        twin.records(),
        twin.scans,
        (UNTOUCHED,),
        twin.unfinished(),
    )
    found, expected = store.read_native(DONE), twin.read_native(DONE)
    np.testing.assert_array_equal(found.voxels, expected.voxels)
    assert (found.affine.tobytes(), found.header, found.slope) == (expected.affine.tobytes(), expected.header, expected.slope)
    labels, maps = store.read_segmentation(STRIPPED), twin.read_segmentation(STRIPPED)
    np.testing.assert_array_equal(labels.hypothalamus, maps.hypothalamus)
    np.testing.assert_array_equal(labels.box.values, maps.box.values)
    for group in ("native", "labels"):
        lazy = store.open_scan(DONE, group=group)
        assert lazy.chunks
        xr.testing.assert_identical(lazy.compute(), twin.open_scan(DONE, group=group).compute())
    for scan, group in ((UNTOUCHED, "native"), (PENDING, "labels")):
        with pytest.raises(ScanError) as caught:
            store.open_scan(scan, group=group)
        assert caught.value.reason is Reason.STORE_DAMAGED


@pytest.mark.parametrize("named", ["out", "out/", KEY])
def test_the_table_by_its_url(bucket: Bucket, root: ObjectPath, tmp_path: Path, named: str) -> None:
    small_store(root)
    expected = cohort.open_cohort(small_store(tmp_path / "c.zarr").root)
    xr.testing.assert_identical(cohort.open_cohort(f"{bucket.url}/{named}"), expected)


def test_the_table_by_xarray_alone(bucket: Bucket, root: ObjectPath) -> None:
    """Whoever has s3fs needs no hypojax."""
    pytest.importorskip("s3fs")
    store = small_store(root)
    code = f"import sys, xarray; print(xarray.open_zarr({str(root)!r}).age.values.tolist(), 'hypojax' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == f"{cohort.open_cohort(store.root).age.values.tolist()} False"


def test_no_store_and_foreign_things(bucket: Bucket, root: ObjectPath) -> None:
    for ask in (CohortStore.open, verify, cohort.open_cohort):
        with pytest.raises(RunError, match=f"no cohort store at {root}") as caught:
            ask(root)
        assert caught.value.reason is Reason.NOTHING_FOUND
    bucket.put(f"{KEY}/thesis.docx", b"mine")
    with pytest.raises(RunError, match=r"thesis.docx") as caught:
        CohortStore.create(root, scans=entries(), settings=SETTINGS)
    assert caught.value.reason is Reason.NOT_WRITABLE
    assert bucket.snapshot() == {f"{KEY}/thesis.docx": b"mine"}


Change = Callable[[bytes], bytes] | None

FEW: tuple[tuple[str, Change], ...] = (
    (f"native/{DONE}/c/0/0/0", lambda data: bytes([data[0] ^ 1]) + data[1:]),
    (f"native/{DONE}/c/0/0/0", None),
    (f"ledger/{STRIPPED}/zarr.json", None),
)
MORE: tuple[tuple[str, Change], ...] = (
    (f"native/{UNTOUCHED}/c/0/0/0", lambda data: b"half"),
    ("volume_mm3/c/0/0", None),
    (f"native/{DONE}/zarr.json", None),
    ("posterior/c/0/0/0/0/0", lambda data: data[:-1]),
    (f"ledger/{STRIPPED}/zarr.json", lambda data: data.replace(b"done", b"Done")),
    (f"ledger/{FAILED}/notes.txt", lambda data: b"mine"),
    ("head/zarr.json", None),
    ("native/notes.txt", lambda data: b"mine"),
    ("native/nobody/zarr.json", lambda data: b"{}"),
    ("old/zarr.json", lambda data: b"{}"),
    ("status/zarr.json", lambda data: data + b" "),
    ("zarr.json", lambda data: data.replace(b"volume", b"Volume", 1)),
    ("ledger/zarr.json", None),
)


@pytest.mark.parametrize("changes", [FEW, pytest.param(MORE, marks=pytest.mark.slow)])
def test_verification_finds_what_it_finds_on_a_disk(
    bucket: Bucket, root: ObjectPath, tmp_path: Path, changes: Sequence[tuple[str, Change]]
) -> None:
    """Objects that are gone, other than they were, or too many."""
    twin = small_store(tmp_path / "c.zarr").root
    assert isinstance(twin, Path)
    bucket.upload(twin, below=f"{KEY}/")
    whole = snapshot(twin)
    assert verify(root) == ()
    for key, change in changes:
        for data in (change(whole.get(key, b"")) if change else None, whole.get(key)):
            replace_file(twin / key, data)
            replace_object(bucket, f"{KEY}/{key}", data)
            found = told(root) if data != whole.get(key) else []
            assert found == told(twin)
            assert bool(found) == (data != whole.get(key))


def told(root: ObjectPath | Path) -> list[tuple[str, str]]:
    """What verification says, wherever the store lies."""
    return [(problem.scan, problem.what.replace(str(root), "ROOT").replace(str(root.parent), "OUT")) for problem in verify(root)]


def replace_file(path: Path, data: bytes | None) -> None:
    """Other bytes, or no file."""
    if data is None:
        path.unlink()
        while not any((path := path.parent).iterdir()):  # a bucket has no empty folders
            path.rmdir()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def replace_object(bucket: Bucket, key: str, data: bytes | None) -> None:
    """Other bytes, or no object."""
    if data is None:
        bucket.delete(key)
    else:
        bucket.put(key, data)


def test_a_deleted_object_is_no_zeros(bucket: Bucket, root: ObjectPath) -> None:
    """Zarr alone would read zeros: for voxels a reason, for the table a refusal."""
    store = small_store(root)
    bucket.delete(f"{KEY}/native/{DONE}/c/0/0/0")
    bucket.delete(f"{KEY}/volume_mm3/c/0/0")
    with pytest.raises(ScanError, match="--check") as caught:
        store.read_native(DONE)
    assert caught.value.reason is Reason.STORE_DAMAGED
    with pytest.raises(RunError, match="is damaged; run: hypojax export"):
        cohort.open_cohort(root)


def test_the_record_goes_last(bucket: Bucket, root: ObjectPath) -> None:
    """Whatever put fails, the marker or the record too: no record speaks of what is not there, and going on gives the whole store."""
    small_store(root)
    expected = bucket.snapshot()
    own = re.compile(f"/{DONE}/|/(posterior|image|head)/c/0/")
    puts = sum(bool(own.search(key)) for key in expected)
    for number in (0, 1, 2, puts // 2, puts + 1):
        count = iter(range(10_000))

        def failing(method: str, path: str, before: int, *, last: int = number, count: Iterator[int] = count) -> str:
            return "403 AccessDenied" if method == "PUT" and own.search(path) and next(count) >= last else "pass"

        with proxy(bucket.endpoint, Trouble(failing)) as endpoint, pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            with pytest.raises(RunError, match="Permission denied; choose an output folder that you may write to") as caught:
                write(CohortStore.open(root), DONE)
            assert caught.value.reason is Reason.NOT_WRITABLE
        assert (DONE in CohortStore.open(root).missing()) == (number > 1)  # until it is taken back, the old record counts
        write(CohortStore.open(root), DONE)
        assert bucket.snapshot() == expected


def write(store: CohortStore, scan: str) -> None:
    """Write a scan of the small store once more."""
    store.write_native(scan, native(0))
    store.write_segmentation(scan, segmented(0))
    store.commit(scan, status="done", row=row(), regions=regions())


def test_threads_write_different_scans(bucket: Bucket, root: ObjectPath, tmp_path: Path) -> None:
    store = CohortStore.create(root, scans=entries(), settings=SETTINGS, provenance=PROVENANCE)
    twin = CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=SETTINGS, provenance=PROVENANCE)
    threads = [threading.Thread(target=write, args=(store, entry["scan"])) for entry in store.scans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for entry in twin.scans:
        write(twin, entry["scan"])
    assert bucket.snapshot(f"{KEY}/") == snapshot(tmp_path / "c.zarr")


def test_the_history_of_evaluations(root: ObjectPath, bucket: Bucket) -> None:
    small_store(root)
    for year in (2025, 2024):
        append_evaluation(root, {"dice": 0.9}, date=f"{year}-01-02")
    assert [record["date"] for record in read_evaluations(root)] == ["2024-01-02", "2025-01-02"]
    assert verify(root) == ()


def test_a_store_moves_between_disk_and_bucket(bucket: Bucket, root: ObjectPath, tmp_path: Path) -> None:
    """Copied by any program, it is a store there."""
    bucket.upload(Path(str(small_store(tmp_path / "c.zarr").root)), below=f"{KEY}/")
    write(CohortStore.open(root), UNTOUCHED)
    for key, data in bucket.snapshot(f"{KEY}/").items():
        replace_file(tmp_path / "back.zarr" / key, data)
    back = CohortStore.open(tmp_path / "back.zarr")
    assert back.missing() == ()
    assert [problem.what[:24] for problem in back.verify()] == ["the table is older than "]
