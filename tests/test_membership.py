"""Scans that leave a cohort leave nothing of themselves, whenever the process dies; cohorts that join keep every bit."""

import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from s3_server import Bucket
from sample_store import DONE, PENDING, STRIPPED, UNTOUCHED, segmented, small_store, snapshot
from standin import StandIn, write_phantom
from test_execute import Tally

import hypojax
from hypojax import cohort, execute
from hypojax.cli import main
from hypojax.cohort.lazy_arrays import LAZY
from hypojax.execute.inputs import find
from hypojax.execute.lock import locked
from hypojax.execute.outcome import NoCallback
from hypojax.execute.output import concluded
from hypojax.reason import Reason, RunError, ScanError
from hypojax.segmenter.segmenter import Prepared, Segmentation
from hypojax.settings import RunSettings
from hypojax.storage import digest, place, swap
from hypojax.store import CohortStore, append_evaluation, read_evaluations, repair, verify
from hypojax.store.index import index_path, put_index, read_index
from hypojax.store.inflight import read_entry
from hypojax.store.ledger import entry_bytes, record_path
from hypojax.store.removal import order_without
from hypojax.store.root import EXPORTS, REPLACED, root_bytes
from hypojax.store.transfer import move_slot

ONE = RunSettings(threads=1)


def traces(folder: Path, *words: bytes) -> list[str]:
    """Files and folders whose names or bytes hold one of these."""
    found = []
    for path in folder.rglob("*"):
        name, data = path.relative_to(folder).as_posix(), path.read_bytes() if path.is_file() else b""
        if any(word in name.encode() or word in data for word in words):
            found.append(name)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with a store, what lies beside it, and what was said of its scans."""
    out = tmp_path_factory.mktemp("whole") / "out"
    store = small_store(out / "cohort.zarr")
    append_evaluation(store.root, {"worst": DONE}, date="2026-01-02")
    append_evaluation(store.root, {"worst": STRIPPED}, date="2026-01-03")
    (out / "qc.tsv").write_text(f"scan\tverdict\n{DONE}\tpass\n{STRIPPED}\tfail\n")
    (out / "report/scans").mkdir(parents=True)
    for name in ("index.html", "pages.jsonl", "scans/page.html"):
        (out / "report" / name).write_text(f"numbers of {DONE}")
    (out / "set-aside/cohort.zarr/native" / DONE).mkdir(parents=True)
    (out / "set-aside/cohort.zarr/native" / DONE / "old").write_bytes(b"old")
    return out


class Killed(BaseException):
    """The process died."""


def dying_after(steps: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Let every change to the store after so many raise; gives the changes that were made."""
    made: list[str] = []

    def dying(step: Any) -> Any:  # noqa: ANN401 - any function that changes a file
        def changed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            if len(made) >= steps:
                raise Killed
            made.append(step.__name__)
            return step(*arguments, **options)

        return changed

    for module, names in (
        ("removal", ("place", "remove")),
        ("transfer", ("place", "remove", "swap")),
        ("index", ("place",)),
        ("root", ("place",)),
    ):
        for name in names:
            place = f"hypojax.store.{module}.{name}"
            patch.setattr(place, dying(getattr(__import__(f"hypojax.store.{module}", fromlist=[name]), name)))
    return made


def changes_of_a_removal(whole: Path, tmp_path: Path) -> int:
    """How many changes the removal of the first scan makes."""
    out = shutil.copytree(whole, tmp_path / "counted")
    with pytest.MonkeyPatch.context() as patch:
        made = dying_after(10_000, patch)
        CohortStore.open(out / "cohort.zarr").remove([DONE])
    return len(made)


def test_a_table_that_cannot_be_deleted_is_named_and_goes_with_the_next_removal(whole: Path, tmp_path: Path) -> None:
    """As where the folder may not be written and the store in it may: nothing of the store is gone before the tables are."""
    out, unlink = shutil.copytree(whole, tmp_path / "out"), Path.unlink
    concluded(CohortStore.open(out / "cohort.zarr"), out=out, start=0.0)
    table = out / "volumes.tsv"
    assert DONE in table.read_text()

    def refusing(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == table.name:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    store = CohortStore.open(out / "cohort.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", refusing)
        with pytest.raises(RunError, match=table.name) as caught:
            store.remove([DONE])
    assert caught.value.reason is Reason.NOT_WRITABLE
    assert store.record(DONE) is not None
    CohortStore.open(out / "cohort.zarr").remove([PENDING])
    assert not table.exists()
    assert DONE not in CohortStore.open(out / "cohort.zarr").index.by_id


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_a_removal_that_dies_at_any_step_is_undone_or_finished_and_leaves_nothing(whole: Path, tmp_path: Path, every: int) -> None:
    """The scan goes from arrays, documents, evaluations and what was set aside; no record ever has another's chunk."""
    chunks = {scan: digest(segmented(seed).box.values.tobytes()) for seed, scan in enumerate((DONE, STRIPPED))}
    for steps in range(0, changes_of_a_removal(whole, tmp_path) + 1, every):
        out = shutil.copytree(whole, tmp_path / str(steps))
        root = out / "cohort.zarr"
        with pytest.MonkeyPatch.context() as patch:
            dying_after(steps, patch)
            with suppress(Killed):
                CohortStore.open(root).remove([DONE, PENDING])
        for record in CohortStore.open(root).records():
            if record["scan"] not in (DONE, PENDING):
                assert {key: digest((root / key).read_bytes()) for key in record["files"]} == record["files"], steps
        if steps == 0:
            assert snapshot(out) == snapshot(whole)
            continue
        repair(root)
        store = CohortStore.open(root)
        store.write_table(cohort.build(store.records(), store.scans))
        assert verify(root) == ()
        assert store.index.ids == (UNTOUCHED, STRIPPED, "sub-03")
        assert [list(one) for one in store.index.removed] == [["date", "scans"]]
        assert traces(out, DONE.encode(), PENDING.encode()) == []
        assert digest(store.read_segmentation(STRIPPED).box.values.tobytes()) == chunks[STRIPPED]
        assert (out / "qc.tsv").read_text() == f"scan\tverdict\n{STRIPPED}\tfail\n"
        shutil.rmtree(out)


def broken_off(out: Path | str, scan: str) -> None:
    """A removal whose process died once the scan was gone, before another took its row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypojax.store.removal.move_slot", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            hypojax.remove(out, scan)


def test_a_removal_that_broke_off_is_finished_by_the_same_command_and_no_other_brings_the_scan_back(tmp_path: Path) -> None:
    """The input file is there, so whatever asks the index too early would measure it again."""
    folder, whole, network = site(tmp_path / "bids", ("01", "02", "03")), tmp_path / "whole", StandIn()
    execute.run([folder], out=whole, settings=ONE, segmenter=network)
    before = hypojax.open_cohort(whole).sel(scan=["sub-03", "sub-02"]).load()
    again: dict[str, Callable[[Path], object]] = {
        "remove": lambda out: hypojax.remove(out, "sub-01"),
        "segment": lambda out: execute.segment_store(out, settings=ONE, segmenter=StandIn()),
        "export": execute.export,
        "repair": execute.repair,
    }
    for name, command in again.items():
        out = shutil.copytree(whole, tmp_path / name)
        broken_off(out, "sub-01")
        with pytest.raises(RunError, match=r"removal of 1 scan from .* broke off; run: hypojax repair"):
            hypojax.merge([out, whole], tmp_path / "new")
        with pytest.raises(RunError, match=r"these are all scans of the cohort \(3\)"):
            hypojax.remove(out, ["sub-02", "sub-03"])
        command(out)
        assert execute.verify(out) == (), name
        after = hypojax.open_cohort(out).load()
        assert after.scan.values.tolist() == ["sub-03", "sub-02"]
        xr.testing.assert_equal(after[["volume_mm3", *LAZY]], before[["volume_mm3", *LAZY]])
    opened = hypojax.open_cohort(whole)
    with locked(whole), pytest.raises(RunError, match="another run is writing"):
        hypojax.remove(whole, "sub-01")
    assert not find([folder], out=whole).notes
    hypojax.remove(whole, "sub-01")
    assert "1 scan is new here (sub-01), and scans were removed" in find([folder], out=whole).notes[-1]
    for scan in ("sub-01", "sub-03"):  # its row is that of another now, or there is none
        with pytest.raises(ScanError, match=f"{scan}.*open the cohort again"):
            opened.image.sel(scan=scan).compute()


def test_reports_go_whole_and_what_others_put_into_them_or_called_so_stays(tmp_path: Path) -> None:
    store, out = small_store(tmp_path / "out" / "cohort.zarr"), tmp_path / "out"
    kept = {"report/notes.txt": "mine", "report-shared/index.html": "a folder of somebody's own"}
    for name, text in {**kept, "report/pages.jsonl": "", "report/index.html": DONE, "report/static/rating-data.js": DONE}.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    tally = Tally()
    hypojax.remove(out, DONE, callback=tally)
    assert any(f"the report {out / 'report'} had numbers" in text and f"hypojax report {out}" in text for text in tally.notes)
    assert {path.relative_to(out).as_posix() for path in out.glob("report*/**/*") if path.is_file()} == set(kept)
    assert DONE not in CohortStore.open(store.root).index.ids


def test_what_was_said_of_other_scans_stays(tmp_path: Path) -> None:
    """An id may be a word or a number that stands in other columns, or in the header."""
    store = small_store(tmp_path / "out" / "cohort.zarr")
    said = "rating\tscan\n{}\tsub-02\n2\tsub-01\n"
    (tmp_path / "out" / "qc.tsv").write_text(said.format(DONE))
    store.remove([STRIPPED])
    assert (tmp_path / "out" / "qc.tsv").read_text() == "rating\tscan\n2\tsub-01\n"
    (tmp_path / "out" / "qc.tsv").write_text(said.format(DONE))
    store.remove([DONE])
    assert (tmp_path / "out" / "qc.tsv").read_text() == f"rating\tscan\n{DONE}\tsub-02\n"


def test_that_scans_were_removed_survives_a_lost_index(whole: Path, tmp_path: Path) -> None:
    store = CohortStore.open(shutil.copytree(whole, tmp_path / "out") / "cohort.zarr")
    store.remove([DONE])
    store.write_table(cohort.build(store.records(), store.scans))
    index_path(store.root).unlink()
    repair(store.root)
    (removal,) = read_index(store.root).removed
    assert removal["scans"] == 1
    assert "removed_scans" in xr.open_zarr(store.root).attrs


def test_a_store_from_elsewhere_cannot_name_what_lies_outside_for_removal(whole: Path, tmp_path: Path) -> None:
    """Its documents hold names of columns, exports and label maps, which are removed; seals keep nobody from writing others."""
    out = shutil.copytree(whole, tmp_path / "out")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("mine")
    store = CohortStore.open(out / "cohort.zarr")
    entry, seen = read_entry(record_path(store.root, DONE), DONE)
    swap(record_path(store.root, DONE), entry_bytes(replace(entry, derivatives={"../../kept/file": ""}), DONE), seen=seen)
    said = {REPLACED: ["../../kept", "native"], EXPORTS: '{"../kept/file": ""}'}
    place(store.root / "zarr.json", root_bytes(None, attributes=said, index=store.index, ledger_sha256=""))
    store.remove([DONE])
    assert (tmp_path / "kept" / "file").read_text() == "mine"
    assert store.read_native(STRIPPED).voxels.size


def test_rows_that_a_repair_moves_up_are_never_shown_as_those_of_others(whole: Path, tmp_path: Path) -> None:
    """The index and one record are lost, and the repair dies when the rows behind that scan have moved up, or have not."""
    for moved in (0, 1):
        out = shutil.copytree(whole, tmp_path / str(moved))
        root = out / "cohort.zarr"
        (root / "ledger" / DONE / "zarr.json").unlink()
        (root / "ledger" / "zarr.json").write_bytes(b"lost")
        with pytest.MonkeyPatch.context() as patch:
            place = "hypojax.store.rebuild.move_slot"
            patch.setattr(place, lambda *given, moved=moved: move_slot(*given) if given[1] == STRIPPED and moved else 1 / 0)
            with pytest.raises(ZeroDivisionError):
                repair(root)
        with pytest.raises(RunError, match="no table"):
            hypojax.open_cohort(out)
        store = CohortStore.open(root)
        assert {record["scan"]: record["slot"] for record in store.records()} == ({STRIPPED: 0} if moved else {})
        repair(root)
        assert {record["scan"]: record["slot"] for record in store.records()} == {STRIPPED: 0, "sub-03": 1, PENDING: 2}


def test_the_last_rows_fill_the_holes() -> None:
    """Against a slow twin: one scan after the other, the last row into the hole."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        scans = [str(number) for number in range(generator.integers(1, 12))]
        gone = [scan for scan in scans if generator.random() < 0.4]
        order = order_without(scans, gone)
        assert sorted(order) == sorted(set(scans) - set(gone))
        assert all(order[slot] == scan for slot, scan in enumerate(scans[: len(order)]) if scan not in gone)


def test_a_store_of_an_older_layout_is_refused_with_what_to_do(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = shutil.copytree(whole, tmp_path / "out") / "cohort.zarr"
    index = read_index(root)
    with monkeypatch.context() as patch:
        patch.setattr("hypojax.store.index.FORMAT", 1)
        put_index(root, index)
    for attempt in (CohortStore.open, verify, repair):
        with pytest.raises(RunError, match=r"older version of hypojax \(layout 1.*new OUT folder.*still reads it") as caught:
            attempt(root)
        assert caught.value.reason is Reason.OTHER_SETTINGS


def site(folder: Path, subjects: Sequence[str], *, mark: int = 0) -> Path:
    """A small dataset; its name is that of the folder."""
    for subject in subjects:
        write_phantom(folder / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.nii.gz", mark=mark + int(subject))
    (folder / "dataset_description.json").write_text("{}")
    return folder


class Onlooker(StandIn):
    """Looks at the cohort with xarray alone while scans are added."""

    def segment_batch(self, scans: Sequence[Prepared]) -> list[Segmentation]:
        self.seen.append(dict(xr.open_zarr(self.root)[["status", "posterior"]].sizes))
        return super().segment_batch(scans)


def test_shards_that_add_scans_at_once_make_room_together_and_readers_see_what_was(tmp_path: Path) -> None:
    """Rows never change place; a reader sees the table and the rows of before until the new table is written."""
    folder, out = site(tmp_path / "bids", ("02",)), tmp_path / "out"
    execute.run([folder], out=out, settings=ONE, segmenter=StandIn())
    site(folder, ("01", "03", "04", "05"))
    networks = [Onlooker(), Onlooker()]
    errors: list[BaseException] = []

    def add(number: int) -> None:
        network: Any = networks[number]
        network.seen, network.root = [], out / "cohort.zarr"
        try:
            execute.run([folder], out=out, settings=ONE, segmenter=network, shard=execute.parse_shard(f"{number + 1}/2"))
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert execute.verify(out) == ()
    shown = xr.open_zarr(out / "cohort.zarr")
    assert shown.scan.values.tolist() == ["sub-02", "sub-01", "sub-03", "sub-04", "sub-05"]
    assert (shown.posterior.max(["label", "anterior", "superior", "right"]) > 0.5).values.all()
    sizes = [size for network in networks for size in network.seen]
    assert sizes
    assert {size["scan"] for size in sizes} <= {1, 5}


def test_sites_made_apart_become_one_cohort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every object keeps its bytes; ids that clash get the dataset's name; a merge that died goes on; a scan leaves it by one command."""
    outs = []
    for name, subjects, mark in (("a", ("01", "02"), 0), ("b", ("01", "03"), 50)):
        outs.append(tmp_path / name / "out")
        execute.run([site(tmp_path / name / "bids", subjects, mark=mark)], out=outs[-1], settings=ONE, segmenter=StandIn())
        history = {"worst": "sub-01", "of": [{"sub-01": 0.5}, f"all of {name}"]}, {"predicted": "/x/sub-01_dseg.nii.gz"}
        for day, content in enumerate(history, start=1):
            append_evaluation(outs[-1] / "cohort.zarr", content, date=f"2026-01-0{day}")
    with pytest.MonkeyPatch.context() as patch:
        taken = CohortStore.take_copy
        patch.setattr(CohortStore, "take_copy", lambda *given: taken(*given) if given[1]["scan"] == "bids-2_sub-01" else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            hypojax.merge(outs, tmp_path / "both")
    assert len(CohortStore.open(tmp_path / "both" / "cohort.zarr").missing()) == 3
    told = Tally()
    assert hypojax.merge(outs, tmp_path / "both", callback=told).done == 4
    assert execute.verify(tmp_path / "both") == ()
    joined = [(one["date"], one.get("worst"), one.get("of")) for one in read_evaluations(tmp_path / "both" / "cohort.zarr")]
    assert sorted(joined) == [
        ("2026-01-01", "bids-2_sub-01", [{"bids-2_sub-01": 0.5}, "all of b"]),
        ("2026-01-01", "sub-01", [{"sub-01": 0.5}, "all of a"]),
        ("2026-01-02", None, None),  # of the first, whose ids stay
    ]
    assert any("1 recorded evaluation left out" in note for note in told.notes)
    both, first, second = (hypojax.open_cohort(out) for out in (tmp_path / "both", *outs))
    assert both.scan.values.tolist() == ["bids-2_sub-01", "bids-2_sub-03", "sub-01", "sub-02"]
    assert both.dataset.values.tolist() == ["bids-2", "bids-2", "bids", "bids"]
    np.testing.assert_array_equal(both.volume_mm3[2:], first.volume_mm3)
    np.testing.assert_array_equal(both.volume_mm3[:2], second.volume_mm3)
    maps = [path.read_bytes() for out in (outs[1], tmp_path / "both") for path in sorted((out / "derivatives").rglob("*03*dseg.nii.gz"))]
    assert len(maps) == 2
    assert maps[0] == maps[1]
    before = snapshot(tmp_path / "both" / "cohort.zarr")
    assert hypojax.merge(outs, tmp_path / "both").done == 4
    assert snapshot(tmp_path / "both" / "cohort.zarr") == before

    assert main(["remove", str(tmp_path / "both"), "sub-02"]) == 1
    assert "--yes" in capsys.readouterr().err
    assert main(["remove", str(tmp_path / "both"), "sub-02", "--yes"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "--exclude FILE" in said
    assert "must be made again" in said
    assert traces(tmp_path / "both", b"sub-02") == []
    assert execute.verify(tmp_path / "both") == ()
    (tmp_path / "left.txt").write_text("# consent withdrawn\nsub-02\n")
    again = replace(ONE, exclude=tmp_path / "left.txt")
    outcome = execute.run([tmp_path / "a" / "bids"], out=tmp_path / "both", settings=again, segmenter=StandIn())
    assert (outcome.done, outcome.kept) == (3, 1)
    with pytest.raises(RunError, match=r"scans were removed from .*both since it was merged, and would be back"):
        hypojax.merge(outs, tmp_path / "both")
    with pytest.raises(RunError, match="no scan 'sub-02'"):
        hypojax.remove(tmp_path / "both", "sub-02", callback=NoCallback())


def test_buckets_are_merged_and_scans_leave_them_as_on_a_disk(bucket: Bucket, tmp_path: Path) -> None:
    """The same ids, volumes and images; a removal that broke off is finished, and leaves nothing."""
    outs = []
    for name, subjects in (("a", ("01", "02")), ("b", ("01",))):
        outs.append(tmp_path / name / "out")
        execute.run([site(tmp_path / name / "bids", subjects, mark=50 * len(outs))], out=outs[-1], settings=ONE, segmenter=StandIn())
        bucket.upload(outs[-1], below=f"{name}/")
    both, kept = f"{bucket.url}/both", ["volume_mm3", "dataset", *LAZY]
    assert hypojax.merge([f"{bucket.url}/a", f"{bucket.url}/b/"], both).done == 3
    assert hypojax.merge(outs, tmp_path / "both").done == 3
    twin = hypojax.open_cohort(tmp_path / "both")[kept].load()
    xr.testing.assert_equal(hypojax.open_cohort(both)[kept].load(), twin)
    assert execute.verify(both) == ()
    broken_off(both, "bids-2_sub-01")
    hypojax.remove(both, ["bids-2_sub-01", "sub-01"])
    assert execute.verify(both) == ()
    xr.testing.assert_equal(hypojax.open_cohort(both)[kept].load(), twin.sel(scan=["sub-02"]))
    words = (b"sub-01_T1w", b"sub-01_space", b'"sub-01"', b'"bids-2_sub-01"')
    assert not [key for key, data in bucket.snapshot("both/").items() for word in words if word in key.encode() or word in data]


def test_what_is_excluded_is_left_out_and_what_names_no_scan_is_said(tmp_path: Path) -> None:
    """A line that is misspelled would let a scan be measured that should not be. Editors add a byte order mark, and carriage returns."""
    folder, exclude = site(tmp_path / "bids", ("01", "02", "03", "04")), tmp_path / "left.txt"
    file = folder / "sub-02" / "anat" / "sub-02_T1w.nii.gz"
    exclude.write_bytes(f"\ufeffsub-01\r\n# {file}\r\n{file}\r\n{file.parent}/../anat/{file.name}\r\n\r\nsub-3\r\n".encode())
    found = find([folder], out=tmp_path / "out", exclude=exclude)
    assert [scan.id for scan in found.scans] == ["sub-03", "sub-04"]
    assert "2 scans left out" in found.notes[-2]
    assert "in 'sub-3': check" in found.notes[-1]
    exclude.write_text("sub-01\n")
    assert "left out" in find([folder], out=tmp_path / "out", exclude=exclude).notes[-1]


def test_cohorts_that_do_not_fit_are_not_merged(tmp_path: Path) -> None:
    """Other weights, the same file twice, damage, and a place that is taken: a sentence each, and nothing is written."""
    outs = [tmp_path / name for name in ("one", "other", "twice")]
    folders = [site(tmp_path / name, ("01",), mark=number) for number, name in enumerate(("x", "y"))]
    for out, folder, weights in zip(outs, (folders[0], folders[1], folders[0]), ("same", "else", "same"), strict=True):
        execute.run([folder], out=out, settings=ONE, segmenter=StandIn(weights=weights))
    for others, reason, sentence in (
        ([outs[0], outs[1]], Reason.OTHER_SETTINGS, "was 'same' and is now 'else'"),
        ([outs[0], outs[2]], Reason.DUPLICATE_SCAN, "counted twice"),
        ([outs[0]], Reason.USAGE, "two or more"),
    ):
        with pytest.raises(RunError, match=sentence) as caught:
            hypojax.merge(others, tmp_path / "new")
        assert caught.value.reason is reason
    execute.run([folders[1]], out=tmp_path / "good", settings=ONE, segmenter=StandIn(weights="same"))
    with pytest.raises(RunError, match="is another cohort already"):
        hypojax.merge([outs[0], tmp_path / "good"], outs[1])
    chunk = tmp_path / "good/cohort.zarr/image/c/0/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"scan 'sub-01' of .*good.*image/c/0/0/0/0 is missing or damaged"):
        hypojax.merge([outs[0], tmp_path / "good"], tmp_path / "new")
