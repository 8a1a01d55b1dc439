"""The store: exact round trips, one layout, the same bytes whenever it is written, and a table that explains itself."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
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
from hypojax.schema import HEAD_DIMS, HEAD_IMAGE_RANGE, HEAD_SHAPE, IMAGE_SCALE, MODEL_DIMS, REGIONS, TABLE
from hypojax.storage import files
from hypojax.store import CohortStore, ScanEntry
from hypojax.store.arrays import CHUNK, chunk_length, native_objects
from hypojax.store.index import relocate
from hypojax.store.ledger import regions_of_record, row_of_record
from hypojax.store.root import open_table
from hypojax.store.sealed import DamagedDocumentError, group_document, plain, scan_key, seal, unseal
from hypojax.volumes import FLAGS

VOXELS = f"native/{DONE}/c/0/0/0"
DTYPES = ["|u1", "|i1", "<i2", ">i2", "<u2", ">u4", "<i8", ">f4", "<f4", "<f8", ">f8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_native_round_trip_is_exact(tmp_path: Path, dtype: str) -> None:
    """Every bit of every value comes back: NaN payloads, negative zeros, big-endian files, affine, slope, header."""
    store = CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=SETTINGS)
    image = native(1, dtype=dtype)
    store.write_native(DONE, image)
    back = store.read_native(DONE)
    little = image.voxels.astype(image.voxels.dtype.newbyteorder("<"))
    assert (back.voxels.dtype, back.voxels.shape, back.voxels.tobytes()) == (little.dtype, little.shape, little.tobytes())
    assert back.affine.tobytes() == image.affine.tobytes()
    assert (back.slope, back.intercept, back.header) == (image.slope, image.intercept, image.header)
    assert (back.format, back.nonfinite) == (image.format, image.nonfinite)


def test_negative_zero_and_fortran_order_survive(tmp_path: Path) -> None:
    """A chunk of negative zeros equals the fill value, and still is stored; memory order does not matter."""
    store = CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=SETTINGS)
    image = native(1, dtype="<f4")
    image.voxels[...] = -0.0
    turned = type(image)(np.asfortranarray(image.voxels), image.affine, 1.0, 0.0, b"", "nifti1", 0)
    store.write_native(DONE, turned)
    assert np.signbit(store.read_native(DONE).voxels).all()
    assert native_objects(DONE, turned)[VOXELS] == native_objects(DONE, image)[VOXELS]


def test_segmentation_round_trip(tmp_path: Path) -> None:
    """Label maps, posteriors, their grids and the statistics come back; images to half a step of their integers."""
    store = CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=SETTINGS)
    written = segmented(2)
    store.write_segmentation(DONE, written)
    back = store.read_segmentation(DONE)
    for name in ("affine", "hypothalamus", "intracranial"):
        np.testing.assert_array_equal(getattr(back, name), getattr(written, name))
    for name in ("head", "box"):
        np.testing.assert_array_equal(getattr(back, name).values, getattr(written, name).values)
        np.testing.assert_array_equal(getattr(back, name).grid.affine, getattr(written, name).grid.affine)
        assert getattr(back, name).grid.shape == getattr(written, name).grid.shape
    assert (back.mean, back.std) == (written.mean, written.std)
    low, high = HEAD_IMAGE_RANGE
    np.testing.assert_allclose(back.head_image, np.clip(written.head_image, low, high), atol=(high - low) / 255 / 2 + 1e-6)
    np.testing.assert_allclose(back.box_image, written.box_image, atol=IMAGE_SCALE / 2)


def test_one_shard_an_array_with_a_checksum_a_chunk(tmp_path: Path) -> None:
    """The layout that ARCHITECTURE promises, seen with zarr alone."""
    small_store(tmp_path / "c.zarr")
    voxels = zarr.open_array(str(tmp_path / "c.zarr/native" / DONE), mode="r")
    assert voxels.shards is not None
    assert all(shard >= length for shard, length in zip(voxels.shards, voxels.shape, strict=True))
    assert all(chunk <= CHUNK for chunk in voxels.chunks)
    assert [codec.to_dict()["name"] for codec in voxels.compressors] == ["blosc", "crc32c"]
    assert [path.name for path in (tmp_path / "c.zarr/native" / DONE / "c").rglob("*") if path.is_file()] == ["0"]


@given(st.integers(1, 2000))
@settings(deadline=None)
def test_chunks_are_even(length: int) -> None:
    """Chunks cover the axis, are never longer than allowed, and pad by less than one voxel a chunk."""
    chunk = chunk_length(length)
    count = -(-length // chunk)
    assert 1 <= chunk <= CHUNK
    assert 0 <= count * chunk - length < count


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two stores of the same scans, written in any order, are the same files; so is one written over."""
    first = small_store(tmp_path / "a.zarr")
    before = snapshot(first.root)
    small_store(tmp_path / "b.zarr")
    assert snapshot(tmp_path / "b.zarr") == before
    small_store(tmp_path / "a.zarr")
    assert snapshot(first.root) == before


def test_threads_may_write_different_scans(tmp_path: Path) -> None:
    """Scans written at once give the bytes of scans written one after the other."""
    store = CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=SETTINGS)

    def write(scan: str) -> None:
        store.write_native(scan, native(5))
        store.write_segmentation(scan, segmented(5))
        store.commit(scan, status="done", row=row(), regions=regions())

    threads = [threading.Thread(target=write, args=(entry["scan"],)) for entry in store.scans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = store.records()
    assert [record["scan"] for record in records] == sorted(entry["scan"] for entry in entries())
    assert len({tuple(record["files"].values()) for record in records}) == 1
    assert [record["slot"] for record in records] == list(range(len(records)))
    assert [problem.what for problem in store.verify()] == [
        "the table has not been written; run: hypojax export, which writes the table from the ledger"
    ]


@pytest.mark.floor
def test_states_of_a_scan(tmp_path: Path) -> None:
    """Missing, ingested, finished: the ledger says which."""
    store = small_store(tmp_path / "c.zarr")
    assert store.missing() == (UNTOUCHED,)
    assert store.unfinished() == (PENDING, UNTOUCHED)
    assert [record["status"] for record in store.records()] == ["done", "done", "failed", "pending"]
    reopened = CohortStore.open(store.root)
    reopened.write_segmentation(PENDING, segmented(3))
    record = reopened.commit(PENDING, status="done", row=row(), regions=regions())
    slot = store.index.slots[PENDING]
    arrays = [f"{name}/{PENDING}/{key}" for name, key in (("native", "c/0/0/0"), ("labels", "c/0/0/0/0")) for key in ("zarr.json", key)]
    chunks = [f"posterior/c/{slot}/0/0/0/0", f"image/c/{slot}/0/0/0", f"head/c/{slot}/0/0/0/0"]
    assert sorted(record["files"]) == sorted([*arrays, *chunks])
    assert reopened.unfinished() == (UNTOUCHED,)


def test_scan_without_record_is_rewritten_to_the_same_bytes(tmp_path: Path) -> None:
    """A run that breaks off before the record, at any object, leaves a scan that counts as missing and heals."""
    whole = small_store(tmp_path / "whole.zarr")
    expected = snapshot(whole.root)
    store = CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=SETTINGS, provenance=PROVENANCE)
    store.write_native(DONE, native(9))
    (store.root / f"{VOXELS}.partial").write_bytes(b"half")
    store.write_segmentation(DONE, segmented(9))
    assert CohortStore.open(store.root).missing() == tuple(sorted(entry["scan"] for entry in entries()))
    small_store(store.root)
    assert snapshot(store.root) == expected


def test_rewriting_a_finished_scan_withdraws_its_record_first(tmp_path: Path) -> None:
    """The ledger never speaks of voxels that are being replaced."""
    store = small_store(tmp_path / "c.zarr")
    store.write_native(DONE, native(8))
    assert DONE in store.missing()
    store.commit(DONE, status="done", row=row(), regions=regions())
    assert f"labels/{DONE}/c/0/0/0/0" in (store.record(DONE) or {})["files"]
    assert not [problem for problem in store.verify() if problem.scan]


def test_commit_clears_what_an_earlier_attempt_left(tmp_path: Path) -> None:
    """A scan that failed this time keeps no voxels of an earlier broken-off attempt."""
    store = small_store(tmp_path / "c.zarr")
    store.write_native(UNTOUCHED, native(4))
    again = CohortStore.open(store.root)
    again.commit(UNTOUCHED, status="failed", reason=Reason.CORRUPTED, message="gone")
    assert not [path for path in store.root.rglob("*") if UNTOUCHED in path.parts and "ledger" not in path.parts]


@pytest.mark.floor
def test_a_scan_that_failed_late_leaves_no_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its maps were stored, then something else failed: plain Zarr shows fill values beside ``failed``, and its voxels stay."""
    store = small_store(tmp_path / "c.zarr")
    store.write_native(UNTOUCHED, native(1))
    store.write_segmentation(UNTOUCHED, segmented(7))
    for scan in (STRIPPED, UNTOUCHED):  # the one was done before
        with monkeypatch.context() as patch:  # a process that dies while it clears
            patch.setattr("hypojax.store.cohort_store.flush", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                store.commit(scan, status="failed", reason=Reason.UNEXPECTED, message="its label maps cannot be written")
        assert scan in CohortStore.open(store.root).missing()
        store.commit(scan, status="failed", reason=Reason.UNEXPECTED, message="its label maps cannot be written")
        assert store.read_native(scan).voxels.tobytes() == native(1).voxels.tobytes()
    store.write_table(cohort.build(store.records(), store.scans))
    assert store.verify() == ()
    shown = xr.open_zarr(store.root).sel(scan=[STRIPPED, UNTOUCHED])
    assert list(shown.status.values) == ["failed", "failed"]
    assert np.isnan(shown.image.values).all()
    assert not shown.posterior.values.any()
    assert not shown["head"].values.any()


def test_open_zarr_alone_shows_the_table(tmp_path: Path) -> None:
    """A fresh interpreter without hypojax, every warning an error: units, long names, coordinates, provenance."""
    store = small_store(tmp_path / "c.zarr")
    code = f"""
import sys, json, numpy as np, xarray as xr, zarr
table = xr.open_zarr({str(store.root)!r})
assert "hypojax" not in sys.modules
print(json.dumps({{"units": {{n: v.attrs.get("units") for n, v in table.variables.items()}},
    "named": all("long_name" in v.attrs for v in table.variables.values()), "sizes": dict(table.sizes),
    "coords": sorted(table.coords), "attrs": table.attrs, "status": [str(s) for s in table.status.values],
    "icv": table.volume_mm3.sel(scan="sub-02", region="icv").compute().item(),
    "why": str(table.missing_reason.sel(scan="sub-02", region="icv").values)}}))
done = table.sel(scan="sub-01")
assert done.posterior.shape == (10, 40, 40, 40) and float(done.posterior.max()) == 1 and float(done.posterior.anterior[0]) == -19.5
assert table.image.dims == ("scan", "anterior", "superior", "right") and np.isnan(table.image.sel(scan="sub-05").values).all()
assert table["head"].sel(map="posterior", scan="sub-01").dtype == "uint8" and table["head"].head_right.attrs["units"] == "mm"
native = zarr.open_array({str(store.root / "native" / DONE)!r}, mode="r")
assert native.metadata.dimension_names == ("i", "j", "k") and len(native.attrs["affine"]) == 4
"""
    printed = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True, timeout=60)
    shown = json.loads(printed.stdout)
    assert printed.stderr == ""
    assert shown["named"]
    assert shown["units"]["volume_mm3"] == "mm3"
    box, head = dict.fromkeys(MODEL_DIMS, 40), dict(zip(HEAD_DIMS, HEAD_SHAPE, strict=True))
    table = {"scan": 5, "region": len(REGIONS), "axis": 3, "direction": 3, "flag": len(FLAGS), "world": 4, "voxel": 4}
    assert shown["sizes"] == {**table, "label": 10, "map": 2, **box, **head}
    assert shown["coords"] == sorted(
        ["scan", "region", "axis", "direction", "flag", "dataset", "box_affine", "head_affine", "label", "map", *box, *head]
    )
    assert {**shown["attrs"], **PROVENANCE} == shown["attrs"]
    assert json.loads(shown["attrs"]["settings"]) == plain(SETTINGS)
    assert shown["status"] == ["done", "done", "failed", "pending", "pending"]
    assert np.isnan(shown["icv"])
    assert shown["why"] == "skull_stripped"


@pytest.mark.floor
def test_table_as_read_equals_table_as_built(tmp_path: Path) -> None:
    """Values, dtypes and attributes of every variable come back."""
    store = small_store(tmp_path / "c.zarr")
    built = cohort.build(store.records(), store.scans)
    with open_table(store.root) as stored:
        xr.testing.assert_equal(stored.load(), built)
        assert {name: variable.attrs for name, variable in stored.variables.items()} == {
            name: v.attrs for name, v in built.variables.items()
        }
        for variable in TABLE:
            assert stored[variable.name].dims == variable.dims
            # Text is of NumPy's own type for it since xarray 2026.9, of Python's before.
            assert stored[variable.name].dtype.kind in ("TO" if variable.dtype == "str" else np.dtype(variable.dtype).kind)


def test_table_is_replaced_whole(tmp_path: Path) -> None:
    """A column that is gone leaves nothing; the same table again touches no file; a folder of the user's stays."""
    store = small_store(tmp_path / "c.zarr")
    (store.root / "mine").mkdir()
    (store.root / "mine" / "notes").write_text("kept")
    table = cohort.build(store.records(), store.scans)
    store.write_table(table.drop_vars("age"))
    assert not (store.root / "age").exists()
    times = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    store.write_table(table.drop_vars("age"))
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == times
    store.write_table(table)
    assert (store.root / "mine" / "notes").read_text() == "kept"
    assert not store.verify()


def test_table_broken_off_shows_nothing_rather_than_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash at any object of the table leaves the old one, none, or the new one; the ledger is untouched."""
    store = small_store(tmp_path / "c.zarr")
    ledger, old = snapshot(store.root / "ledger"), open_table(store.root)
    new = cohort.build(store.records(), [*store.scans, ScanEntry(scan="sub-09", path="x", entities={}, columns={})])
    place, calls = files.place, [0]

    def breaking(limit: int) -> None:
        def broken(path: Path, data: bytes, *, through: bool = True) -> None:
            calls[0] += 1
            if calls[0] > limit:
                raise KeyboardInterrupt
            place(path, data, through=through)

        for module in ("hypojax.storage.files.place", "hypojax.store.root.place"):
            monkeypatch.setattr(module, broken)

    for limit in (0, 1, 2, 7, 20, 40):
        calls[0] = 0
        breaking(limit)
        with pytest.raises(KeyboardInterrupt):
            store.write_table(new)
        monkeypatch.undo()
        with xr.open_zarr(store.root, chunks=None) as shown:
            assert not shown.variables or open_table(store.root).load().identical(old.load())
        assert snapshot(store.root / "ledger") == ledger
    store.write_table(new)
    xr.testing.assert_equal(cohort.open_table(store.root), new)


def test_open_scan_is_lazy(tmp_path: Path) -> None:
    """One Dask chunk an array; nothing computed."""
    store = small_store(tmp_path / "c.zarr")
    scan = store.open_scan(DONE)
    assert scan.voxels.chunks == ((9,), (70,), (5,))
    np.testing.assert_array_equal(scan.voxels.values, native(0).voxels)
    np.testing.assert_array_equal(scan["affine"], native(0).affine)


def test_reading_what_is_not_there_names_the_scan(tmp_path: Path) -> None:
    """Zarr reads a missing shard as zeros; the store does not."""
    store = small_store(tmp_path / "c.zarr")
    (store.root / VOXELS).unlink()
    for scan in (DONE, UNTOUCHED):
        with pytest.raises(ScanError, match=f"scan '{scan}'.*--check") as caught:
            store.read_native(scan)
        assert caught.value.reason is Reason.STORE_DAMAGED


def flip(path: Path, before: bytes, after: bytes) -> None:
    """One bit of a file: two texts that differ in it."""
    data = path.read_bytes()
    assert data.count(before) == 1
    assert sum((one ^ other).bit_count() for one, other in zip(before, after, strict=True)) == 1
    path.write_bytes(data.replace(before, after))


@pytest.mark.parametrize(
    ("group", "before", "after"),
    [
        ("native", b'"slope": 0.1', b'"slope": 0.3'),
        ("native", b'"int16"', b'"int17"'),
        ("labels", b'"intensity_mean": 101', b'"intensity_mean": 111'),
    ],
)
def test_a_flipped_bit_beside_the_voxels_is_never_a_wrong_number(tmp_path: Path, group: str, before: bytes, after: bytes) -> None:
    """Affine, slope and statistics have no checksum of Zarr's; the ledger has one."""
    store = small_store(tmp_path / "c.zarr")
    flip(store.root / group / DONE / "zarr.json", before, after)
    for reopened in (store, CohortStore.open(store.root)):
        read = reopened.read_native if group == "native" else reopened.read_segmentation
        for attempt in (lambda read=read: read(DONE), lambda reopened=reopened: reopened.open_scan(DONE, group=group)):
            with pytest.raises(ScanError, match=f"scan 'sub-01'.*{group}/sub-01/zarr.json is damaged.*--check") as caught:
                attempt()
            assert caught.value.reason is Reason.STORE_DAMAGED


def test_voxels_that_no_record_speaks_of_are_not_read(tmp_path: Path) -> None:
    """What a broken-off run left counts for nothing; whoever wrote it may read it before the record."""
    store = small_store(tmp_path / "c.zarr")
    store.write_native(UNTOUCHED, native(6))
    assert store.read_native(UNTOUCHED).slope == native(6).slope
    with pytest.raises(ScanError, match=r"its ledger record has no native/sub-05/zarr\.json"):
        CohortStore.open(store.root).read_native(UNTOUCHED)


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    """The message says which key differs, from what to what."""
    small_store(tmp_path / "c.zarr")
    other = {**SETTINGS, "box": {"spacing_mm": 0.8, "shape": (8, 8, 8)}, "more": 1}
    with pytest.raises(RunError, match=r"'box.spacing_mm' was 1.0 and is now 0.8; 'more' was 'absent' and is now 1") as caught:
        CohortStore.create(tmp_path / "c.zarr", scans=entries(), settings=other)
    assert caught.value.reason is Reason.OTHER_SETTINGS


def test_scans_can_be_added(tmp_path: Path) -> None:
    """Same settings: new scans join, finished ones stay; columns may change, provenance keeps every value."""
    before = small_store(tmp_path / "c.zarr").records()
    more = [ScanEntry(scan="sub-00", path="/data/sub-00.nii", entities={}, columns={"iq": 100.5})]
    store = CohortStore.create(tmp_path / "c.zarr", scans=more, settings=SETTINGS, provenance={"device": "cuda"})
    assert [entry["scan"] for entry in store.scans] == [DONE, STRIPPED, FAILED, PENDING, UNTOUCHED, "sub-00"]  # rows never change place
    assert store.records() == before
    store.write_table(cohort.build(store.records(), store.scans))
    table = cohort.open_cohort(store.root)
    assert table.attrs["device"] == "cpu; cuda"
    assert table.iq.values.tolist()[-1] == 100.5


def test_one_id_two_files(tmp_path: Path) -> None:
    """A recorded scan keeps its file until a run has looked at the other; one that has not been run may move."""
    before = {entry["scan"]: entry["path"] for entry in small_store(tmp_path / "c.zarr").scans}
    moved = [entry for entry in entries("/elsewhere") if entry["scan"] == UNTOUCHED]
    CohortStore.create(tmp_path / "c.zarr", scans=moved, settings=SETTINGS)
    store = CohortStore.create(tmp_path / "c.zarr", scans=entries("/elsewhere"), settings=SETTINGS)
    assert {entry["scan"]: entry["path"] for entry in store.scans} == {**before, UNTOUCHED: moved[0]["path"]}
    relocate(store.root, entries("/elsewhere")[:1])
    now = CohortStore.open(store.root)
    assert now.index.by_id[entries()[0]["scan"]]["path"].startswith("/elsewhere")
    assert now.records() == store.records()
    with pytest.raises(RunError, match=r"'sub-0.' is the id of two files, /data/sub-0.* and /elsewhere/sub-0.*rename") as caught:
        CohortStore.create(tmp_path / "d.zarr", scans=[*entries(), *entries("/elsewhere")], settings=SETTINGS)
    assert caught.value.reason is Reason.DUPLICATE_SCAN


def renamed(*scans: str) -> list[ScanEntry]:
    """The same files under other ids, as where a second dataset makes ids longer."""
    return [ScanEntry(**{**entry, "scan": f"ds_{entry['scan']}"}) for entry in entries() if entry["scan"] in scans]


def test_one_file_two_ids(tmp_path: Path) -> None:
    """A file that comes again under a new id would be counted twice, whether it has been run or not."""
    store = small_store(tmp_path / "c.zarr")
    before = snapshot(store.root)
    for scan in (DONE, FAILED, UNTOUCHED):
        expected = (
            rf"scan 'ds_{scan}' is file /data/{scan}_T1w.nii.gz, which the store has as scan '{scan}'.*new output folder, or the same"
        )
        with pytest.raises(RunError, match=expected) as caught:
            CohortStore.create(store.root, scans=renamed(scan), settings=SETTINGS)
        assert caught.value.reason is Reason.DUPLICATE_SCAN
    assert snapshot(store.root) == before


def test_one_file_two_ids_through_a_link(tmp_path: Path) -> None:
    """The file counts, not the way to it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    first = ScanEntry(scan="a", path=str(tmp_path / "data/a.nii"), entities={}, columns={})
    CohortStore.create(tmp_path / "c.zarr", scans=[first], settings=SETTINGS).commit("a", status="failed")
    for scan, refused in (("a", False), ("b", True)):
        again = ScanEntry(scan=scan, path=str(tmp_path / "link/a.nii"), entities={}, columns={})
        if refused:
            with pytest.raises(RunError, match="which the store has as scan 'a'"):
                CohortStore.create(tmp_path / "c.zarr", scans=[again], settings=SETTINGS)
        else:
            CohortStore.create(tmp_path / "c.zarr", scans=[again], settings=SETTINGS)


def test_columns_of_a_scan_outlive_a_run_that_names_none(tmp_path: Path) -> None:
    """One file of a dataset run again without its tables keeps its age; what is named anew is replaced."""
    small_store(tmp_path / "c.zarr")
    path = next(entry["path"] for entry in entries() if entry["scan"] == DONE)
    for columns, expected in (
        ({}, {"age": 31, "group": "control", "status": "enrolled"}),
        ({"age": 32, "site": "x"}, {"age": 32, "group": "control", "status": "enrolled", "site": "x"}),
    ):
        again = ScanEntry(scan=DONE, path=path, entities={"subject": "01"}, columns={**columns})
        store = CohortStore.create(tmp_path / "c.zarr", scans=[again], settings=SETTINGS)
        assert store.index.by_id[DONE]["columns"] == expected


def test_nothing_there(tmp_path: Path) -> None:
    """No store is said, not shown as a traceback of Zarr."""
    with pytest.raises(RunError, match="no cohort store at") as caught:
        CohortStore.open(tmp_path)
    assert caught.value.reason is Reason.NOTHING_FOUND


@pytest.mark.parametrize(
    ("row_values", "message"),
    [
        ({"quality": 1.0}, "unknown columns"),
        ({"seconds": "soon"}, "could not convert"),
        ({"voxel_size_mm": (1.0, 2.0)}, "needs 3 values"),
    ],
)
def test_rows_are_checked_before_they_are_written(row_values: dict[str, object], message: str) -> None:
    """A row that does not fit the table never reaches the ledger, where it would break every later table."""
    with pytest.raises((ValueError, TypeError), match=message):
        row_of_record(row_values)


def test_regions_are_checked_before_they_are_written() -> None:
    """Where a reason stands there is no number; a finished scan has every region."""
    assert regions_of_record(regions(stripped=True), status="done")["icv"]["volume_mm3"] is None
    with pytest.raises(ValueError, match="'left_posterior' of a finished scan has neither"):
        regions_of_record({**regions(), "left_posterior": {"volume_mm3": float("nan")}}, status="done")
    with pytest.raises(ValueError, match="unknown regions"):
        regions_of_record({"thalamus": {}}, status="failed")


@given(st.lists(st.text(st.characters(), min_size=0, max_size=90), unique=True, max_size=12))
@settings(deadline=None)
def test_keys_are_safe_and_unique(scans: list[str]) -> None:
    """A key is one portable folder name; two ids never share one."""
    made = [scan_key(scan) for scan in scans if not any("\ud800" <= letter <= "\udfff" for letter in scan)]
    assert len(set(made)) == len(made)
    for key in made:
        assert key.isascii()
        assert 0 < len(key) <= 180
        assert not {"/", "\\", ":", "\0"} & set(key)
        assert not key.startswith((".", "__"))
        assert key != "zarr.json"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.data())
@settings(max_examples=200, deadline=None)
def test_a_sealed_document_notices_every_flipped_bit(attributes: dict[str, object], data: st.DataObject) -> None:
    """Any JSON comes back; any single flipped bit is refused."""
    attributes.pop("document_sha256", None)
    sealed = seal(group_document(attributes))
    read = unseal(sealed)["attributes"]
    assert {key: read[key] for key in attributes} == attributes
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    damaged = bytearray(sealed)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedDocumentError):
        unseal(bytes(damaged))


def test_a_column_that_becomes_empty_keeps_nothing_of_the_table_before(tmp_path: Path) -> None:
    """A chunk of empty values is not stored: the one that is there is of another table. As where no scan fails any more."""
    store = small_store(tmp_path / "c.zarr")
    store.write_table(cohort.build(store.records(), store.scans))
    assert cohort.open_cohort(store.root).reason.values.any()
    sound = cohort.build([record for record in store.records() if record["status"] != "failed"], store.scans)
    store.write_table(sound)
    assert not cohort.open_cohort(store.root).reason.values.any()
