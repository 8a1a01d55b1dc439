"""Inputs that are not where they were, or are more or fewer than they were: what is done is kept, and the table is always there."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from s3_server import Bucket
from standin import AFFINE, StandIn, phantom_voxels
from test_execute import Tally

from hypojax import execute
from hypojax.cohort import open_cohort
from hypojax.execute import Outcome, output
from hypojax.execute.lock import Shard
from hypojax.reason import Reason, RunError
from hypojax.scans import write_nifti
from hypojax.settings import RunSettings

SCANS = 4


def write_scan(folder: Path, number: int, *, brighter: int = 0) -> Path:
    """A phantom of its own kind."""
    path = folder / f"sub-{number:02d}_T1w.nii.gz"
    write_nifti(path, phantom_voxels() + number + brighter, AFFINE)
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(SCANS):
        write_scan(tmp_path / "in", number)
    return tmp_path / "in"


def run(scans: Path | str, out: Path, **options: object) -> tuple[Outcome, StandIn, Tally]:
    """A run, how often its network was at work, and what it said."""
    network, watch = StandIn(), Tally()
    return execute.run([scans], out=out, segmenter=network, callback=watch, **options), network, watch  # type: ignore[arg-type]


def test_a_dataset_that_moved_is_kept_and_that_is_said(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(scans, out)
    scans.rename(tmp_path / "elsewhere")
    outcome, network, watch = run(tmp_path / "elsewhere", out)
    assert (outcome.done, outcome.kept, network.batches) == (SCANS, SCANS, [])
    assert any("4 scans lie elsewhere than before" in note and str(scans) in note for note in watch.notes)
    assert any("of these 4 are the same images, and kept" in note for note in watch.notes)
    assert all(str(path).startswith(str(tmp_path / "elsewhere")) for path in open_cohort(out).path.values)
    assert execute.verify(out) == ()
    assert not any("elsewhere" in note for note in run(tmp_path / "elsewhere", out)[2].notes)  # said once


def test_scans_whose_files_are_gone_keep_their_rows_and_that_is_said(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(scans, out)
    assert not any("no longer" in note for note in run(scans / "sub-00_T1w.nii.gz", out)[2].notes)  # a part of the scans is no loss
    (scans / "sub-01_T1w.nii.gz").unlink()
    outcome, _, watch = run(scans, out)
    said = [note for note in outcome.notes if "1 scan no longer has its input file (sub-01)" in note]
    assert len(said) == 1
    assert "hypojax remove" in said[0]
    assert any(said[0] in note for note in watch.notes)
    assert open_cohort(out).scan.size == SCANS


def test_another_image_under_the_same_id_is_left_alone_and_the_others_go_on(scans: Path, tmp_path: Path) -> None:
    """One is another image, one cannot be read, one is new, two are the same."""
    out, there = tmp_path / "out", tmp_path / "there"
    run(scans, out)
    before = open_cohort(out)
    shutil.move(scans, there)
    write_scan(there, 1, brighter=100)
    (there / "sub-02_T1w.nii.gz").write_bytes(b"")
    write_scan(there, SCANS)
    outcome, network, _ = run(there, out)
    other, unread = outcome.failures
    assert (other.scan, other.reason, unread.scan, unread.reason) == ("sub-01", Reason.DUPLICATE_SCAN, "sub-02", Reason.EMPTY_FILE)
    assert str(there / "sub-01_T1w.nii.gz") in other.message
    assert str(scans / "sub-01_T1w.nii.gz") in other.message
    assert "--recompute" in other.message
    assert (outcome.done, sum(network.batches)) == (SCANS + 1 - 2, 1)
    after = open_cohort(out)
    assert list(after.status.values) == ["done"] * (SCANS + 1)  # what was measured of the former files stands
    np.testing.assert_array_equal(after.volume_mm3.sel(scan=before.scan).values, before.volume_mm3.values)
    assert after.path.sel(scan="sub-01").item() == str(scans / "sub-01_T1w.nii.gz")
    assert execute.verify(out) == ()
    again, network, _ = run(there, out, settings=RunSettings(recompute=True))  # the way on
    assert (again.done, again.failed, sum(network.batches)) == (SCANS, 1, SCANS)
    assert open_cohort(out).path.sel(scan="sub-01").item() == str(there / "sub-01_T1w.nii.gz")


def test_a_failed_scan_whose_file_is_mended_elsewhere_is_done(scans: Path, tmp_path: Path) -> None:
    """As where the path in a table was wrong."""
    out, table = tmp_path / "out", tmp_path / "scans.tsv"
    table.write_text(f"scan\tpath\na\t{scans}/sub-00_T1w.nii.gz\nb\t{scans}/nowhere.nii.gz\n")
    assert run(table, out)[0].failed == 1
    table.write_text(f"scan\tpath\na\t{scans}/sub-00_T1w.nii.gz\nb\t{scans}/sub-01_T1w.nii.gz\n")
    outcome, network, _ = run(table, out)
    assert (outcome.done, outcome.failed, sum(network.batches)) == (2, 0, 1)
    assert execute.verify(out) == ()


@pytest.mark.parametrize("shards", [[(1, 2), (2, 3)], [(3, 3), (1, 2), (2, 2)]], ids=str)
def test_shards_of_different_counts_leave_a_table_that_says_what_waits(scans: Path, tmp_path: Path, shards: list[tuple[int, int]]) -> None:
    out, told = tmp_path / "out", []
    for number, count in shards:
        outcome, _, watch = run(scans, out, shard=Shard(number, count))
        assert outcome.failed == outcome.pending == 0
        assert execute.verify(out) == ()
        told.append(any("pending in the table" in note for note in watch.notes))
    waiting = int((open_cohort(out).status == "pending").sum())
    assert told[-1] == (waiting > 0)
    assert run(scans, out)[0].done == SCANS


def test_an_input_that_grows_between_shards_is_in_the_table(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(scans, out, shard=Shard(1, 2))
    for number in (10, 11, 12):
        write_scan(scans, number)
    (scans / "sub-01_T1w.nii.gz").unlink()
    _, _, watch = run(scans, out, shard=Shard(2, 2))
    cohort = open_cohort(out)
    assert cohort.sizes["scan"] == SCANS + 3
    assert set(cohort.scan.values[cohort.status.values == "pending"]) == {"sub-01", "sub-03", "sub-11"}
    assert any("3 scans of other runs pending in the table" in note for note in watch.notes)
    assert execute.verify(out) == ()


@pytest.mark.parametrize("shard", [None, Shard(2, 2)], ids=str)
def test_a_run_that_died_before_its_table_is_completed_by_the_same_command(
    scans: Path, tmp_path: Path, shard: Shard | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(scans, out, shard=Shard(1, 2))
    with monkeypatch.context() as patch:
        patch.setattr(output, "place_all", lambda *_, **__: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            run(scans, out, shard=shard)
    outcome, network, _ = run(scans, out, shard=shard)
    assert (outcome.pending, network.batches) == (0, [])
    assert (out / "volumes.tsv").read_text().count("done") == SCANS * len(open_cohort(out).region)


def test_a_cluster_that_is_lost_leaves_the_table_of_what_is_done(scans: Path, tmp_path: Path) -> None:
    class Lost(StandIn):
        def segment_batch(self, scans: object) -> object:  # type: ignore[override]
            if len(self.batches) == 2:
                raise RunError(Reason.CLUSTER_LOST, "gone")
            return super().segment_batch(scans)  # type: ignore[arg-type]

    out = tmp_path / "out"
    with pytest.raises(RunError, match="gone"):
        execute.run([scans], out=out, segmenter=Lost())
    cohort = open_cohort(out)
    assert int((cohort.status == "done").sum()) == 2
    assert not [problem for problem in execute.verify(out) if not problem.scan]


@pytest.mark.parametrize("in_bucket", [False, True], ids=["disk", "bucket"])
def test_a_changed_input_is_said_and_measured_again_where_that_is_asked_for(
    scans: Path, tmp_path: Path, in_bucket: bool, request: pytest.FixtureRequest
) -> None:
    """One file holds another image now, one was only touched, two are as they were."""
    out, named = tmp_path / "out", [f"sub-{number:02d}_T1w.nii.gz" for number in range(SCANS)]
    bucket: Bucket | None = request.getfixturevalue("bucket") if in_bucket else None
    place = f"{bucket.url}/in" if bucket else scans

    def put(*names: str) -> None:
        for name in names:
            os.utime(scans / name, (2e9, 2e9))
            if bucket:
                bucket.put(f"in/{name}", (scans / name).read_bytes())

    put(*named)
    run(place, out)
    before = open_cohort(out)
    write_scan(scans, 1, brighter=100)
    if bucket:
        time.sleep(1.1)  # a bucket tells the time of an object in whole seconds
    put(*named[1:3])
    os.utime(scans / named[2], (2e9, 2e9 + 1))
    outcome, network, watch = run(place, out)
    assert (outcome.done, outcome.failed, network.batches) == (SCANS, 0, [])
    assert any("2 input files have another date or size than before (sub-01, sub-02)" in note for note in watch.notes)
    assert any("1 input file has changed" in note and "(sub-01)" in note and "--recompute-changed" in note for note in watch.notes)
    assert any(" changed since the measurement" in note for note in outcome.notes)  # also where nobody watches
    after = open_cohort(out)
    np.testing.assert_array_equal(after.volume_mm3.values, before.volume_mm3.values)  # nothing is replaced silently
    assert "has changed since it was measured" in after.notes.sel(scan="sub-01").item()
    assert [bool(note) for note in after.notes.values] == [False, True, False, False]
    assert any(" changed since the measurement" in note for note in run(place, out)[2].notes)  # as often as the run is repeated
    again, network, _ = run(place, out, settings=RunSettings(recompute_changed=True))
    assert (again.done, again.kept, sum(network.batches)) == (SCANS, SCANS - 1, 1)
    assert not any(open_cohort(out).notes.values)
    assert not any("changed" in note for note in run(place, out)[2].notes)
    assert execute.verify(out) == ()
    if not bucket:
        measured = (scans / named[1]).read_bytes()
        write_scan(scans, 1, brighter=50)
        run(place, out)
        assert any(open_cohort(out).notes.values)
        (scans / named[1]).write_bytes(measured)
        put(named[1])
        run(place, out)
        assert not any(open_cohort(out).notes.values)  # the file that was measured is back
