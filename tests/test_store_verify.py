"""Verification: any flipped bit, any missing, cut or foreign object is found, and the scan is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_store import DONE, FAILED, PENDING, SETTINGS, STRIPPED, UNTOUCHED, entries, native, row, segmented, small_store, snapshot

from hypojax import cohort
from hypojax.reason import Reason, RunError
from hypojax.store import CohortStore, verify
from hypojax.store.index import make_index
from hypojax.store.ledger import read_record, record_bytes, record_path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    """A store that every test of this module leaves as it was."""
    return small_store(tmp_path_factory.mktemp("verify") / "cohort.zarr")


def expected_scan(key: str) -> str:
    """Which scan an object belongs to; empty for table, index and root."""
    parts = key.split("/")
    if parts[0] in ("posterior", "image", "head") and len(parts) > 2:
        return sorted(entry["scan"] for entry in entries())[int(parts[2])]
    return parts[1] if parts[0] in ("native", "labels", "ledger") and len(parts) > 2 else ""


def named(root: Path) -> set[str]:
    """Scans that verification names."""
    return {problem.scan for problem in verify(root)}


def test_a_store_as_written_has_no_problem(store: CohortStore) -> None:
    """Nothing is found where nothing is wrong, and nothing is changed by looking."""
    before = snapshot(store.root)
    assert verify(store.root) == store.verify() == ()
    assert snapshot(store.root) == before


def test_one_flipped_bit_in_every_object(store: CohortStore) -> None:
    """Every file of the store, of whatever kind, random bits: always found, always the right scan."""
    generator = np.random.default_rng(7)
    kinds = set()
    for key, data in snapshot(store.root).items():
        kinds.add((bool(expected_scan(key)), key.endswith("zarr.json")))
        for bit in generator.integers(0, 8 * len(data), 2 if expected_scan(key) else 1):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << int(bit % 8)
            (store.root / key).write_bytes(damaged)
            assert expected_scan(key) in named(store.root), (key, int(bit))
        (store.root / key).write_bytes(data)
    assert len(kinds) == 4  # arrays and documents, of scans and of the table
    assert verify(store.root) == ()


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated_emptied_extended_or_deleted_objects(store: CohortStore, data: st.DataObject) -> None:
    """Objects that are cut anywhere, grown or gone are found and named."""
    files = snapshot(store.root)
    key = data.draw(st.sampled_from(sorted(files)))
    path, whole = store.root / key, files[key]
    length = data.draw(st.integers(-1, len(whole) + 1).filter(lambda n: n != len(whole)))
    try:
        if length < 0:
            path.unlink()
        else:
            path.write_bytes((whole + b" ")[:length])
        assert expected_scan(key) in named(store.root)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("folder", "scans"),
    [
        (f"labels/{DONE}", {DONE}),
        ("posterior/c/0", {DONE}),
        (f"ledger/{STRIPPED}", {STRIPPED}),
        (f"ledger/{FAILED}", {FAILED}),
        ("native", {"", DONE, STRIPPED, PENDING}),
        ("head", {"", DONE, STRIPPED}),
        ("ledger", {"", DONE, STRIPPED, PENDING}),
    ],
)
def test_missing_folders(store: CohortStore, tmp_path: Path, folder: str, scans: set[str]) -> None:
    """A folder that is gone: its scan is named; without any ledger the loss of the index is said."""
    copy = tmp_path / "c.zarr"
    shutil.copytree(store.root, copy)
    shutil.rmtree(copy / folder)
    assert scans <= named(copy)


def test_scan_and_record_both_gone(store: CohortStore, tmp_path: Path) -> None:
    """A scan that vanished altogether is known from the table."""
    copy = tmp_path / "c.zarr"
    shutil.copytree(store.root, copy)
    for folder in ("native/sub-01", "labels/sub-01", "ledger/sub-01", "posterior/c/0", "image/c/0", "head/c/0"):
        shutil.rmtree(copy / folder)
    assert {problem.scan: "ledger record is missing" in problem.what for problem in verify(copy)}[DONE]


def test_half_written_scan(store: CohortStore, tmp_path: Path) -> None:
    """Objects without a record, and objects that a record does not have."""
    copy = tmp_path / "c.zarr"
    shutil.copytree(store.root, copy)
    half = CohortStore.open(copy)
    half.write_native(UNTOUCHED, native(6))
    half.write_segmentation(PENDING, segmented(6))
    found = {problem.scan: problem.what for problem in half.verify()}
    assert "half written (2 objects, no ledger record)" in found[UNTOUCHED]
    assert "is not in its ledger record" in found[PENDING]
    assert str(half.verify()[-1]).startswith("scan ")


@pytest.mark.parametrize(
    ("key", "scan"),
    [
        (f"ledger/{DONE}/notes.txt", DONE),
        (f"ledger/{DONE}/c/0", DONE),
        (f"ledger/{UNTOUCHED}/zarr.json.old", UNTOUCHED),
        ("ledger/notes.txt", ""),
        ("native/notes.txt", ""),
        ("posterior/notes.txt", ""),
        ("posterior/c/5/0/0/0/0", ""),
        ("old_volume_mm3/zarr.json", ""),
        ("old_volume_mm3/c/0/0", ""),
    ],
)
def test_leftovers_are_named(store: CohortStore, tmp_path: Path, key: str, scan: str) -> None:
    """What no record and no table speaks of; what a write that broke off leaves in the ledger is replaced by the next."""
    copy = tmp_path / "c.zarr"
    shutil.copytree(store.root, copy)
    (copy / "ledger" / DONE / "zarr.json.partial").write_bytes(b"half")
    assert verify(copy) == ()
    (copy / key).parent.mkdir(parents=True, exist_ok=True)
    (copy / key).write_bytes(b"{}")
    (found,) = verify(copy)
    assert found.scan == scan
    assert key.split("/", maxsplit=1)[0] in found.what
    assert "delete it" in found.what


def test_stale_and_foreign_records(store: CohortStore, tmp_path: Path) -> None:
    """A table older than the ledger, a record of another scan, and a record under other settings."""
    copy = tmp_path / "c.zarr"
    shutil.copytree(store.root, copy)
    changed = CohortStore.open(copy)
    changed.commit(UNTOUCHED, status="failed", reason=Reason.UNREADABLE, message="no")
    assert [problem.what for problem in changed.verify()] == [
        "the table is older than the ledger; run: hypojax export, which writes the table from the ledger"
    ]
    changed.write_table(cohort.build(changed.records(), changed.scans))
    assert verify(copy) == ()
    record_path(copy, DONE).write_bytes(record_path(copy, STRIPPED).read_bytes())
    assert "it is not the record of scan 'sub-01'" in {problem.scan: problem.what for problem in verify(copy)}[DONE]
    record = read_record(copy, STRIPPED)
    assert record is not None
    record_path(copy, STRIPPED).write_bytes(record_bytes({**record, "settings_sha256": "0"}))
    assert "under other settings" in {problem.scan: problem.what for problem in verify(copy)}[STRIPPED]


def test_damage_heals_by_running_again(store: CohortStore, tmp_path: Path) -> None:
    """A damaged record counts as missing; written again, the store is the one it was."""
    copy = tmp_path / "c.zarr"
    shutil.copytree(store.root, copy)
    path = record_path(copy, DONE)
    path.write_bytes(path.read_bytes()[:-9])
    assert DONE in CohortStore.open(copy).missing()
    small_store(copy)
    assert snapshot(copy) == snapshot(store.root)


def test_damaged_table_is_refused_and_rebuilt(store: CohortStore, tmp_path: Path) -> None:
    """`open_cohort` shows no table that is not what was written; the ledger gives it back."""
    copy = tmp_path / "c.zarr"
    shutil.copytree(store.root, copy)
    whole = cohort.open_table(copy)
    for key in ("volume_mm3/c/0/0", "zarr.json"):
        data = (copy / key).read_bytes()
        (copy / key).write_bytes(data[: len(data) // 2])
        with pytest.raises(RunError, match=r"is damaged.*hypojax export") as caught:
            cohort.open_cohort(copy)
        assert caught.value.reason is Reason.STORE_DAMAGED
        again = CohortStore.open(copy)
        again.write_table(cohort.build(again.records(), again.scans))
        assert cohort.open_table(copy).identical(whole)


def test_damaged_index_is_said(store: CohortStore, tmp_path: Path) -> None:
    """Opening refuses, and so does creating over it: nothing is overwritten that cannot be read."""
    copy = tmp_path / "c.zarr"
    shutil.copytree(store.root, copy)
    path = copy / "ledger/zarr.json"
    path.write_bytes(path.read_bytes().replace(b"ab12", b"ab13"))
    for attempt in (lambda: CohortStore.open(copy), lambda: CohortStore.create(copy, scans=entries(), settings=SETTINGS)):
        with pytest.raises(RunError, match=r"index of store .* is damaged") as caught:
            attempt()
        assert caught.value.reason is Reason.STORE_DAMAGED
    path.unlink()
    with pytest.raises(RunError, match="whose index is lost"):
        CohortStore.create(copy, scans=entries(), settings=SETTINGS)
    assert make_index(entries(), settings=SETTINGS, provenance={}).ids == CohortStore.open(store.root).index.ids


def test_no_store(tmp_path: Path) -> None:
    """There is nothing to verify in an empty folder."""
    with pytest.raises(RunError, match="no cohort store"):
        verify(tmp_path)
    assert row()["seconds"] == 1.5
