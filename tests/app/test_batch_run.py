"""Batches on the server: only folders below the inputs, one run whatever is clicked, found again, and never a stranger's process ended."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sample_scans import nifti_bytes, noise, put
from standin import StandIn, write_phantom

from hypojax import execute
from hypojax.app import batch_run
from hypojax.app.batch_record import BatchRecord, BatchRecords
from hypojax.app.batch_refusal import BatchRefusedError
from hypojax.app.batch_run import BatchProgress, BatchRuns
from hypojax.app.detached_process import ProcessMark, ask_to_end, is_alive, mark_of
from hypojax.app.ledger_watch import LedgerState, LedgerWatch
from hypojax.execute.lock import locked
from hypojax.reason import RunError

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
"""A stand-in for `hypojax run`, which does nothing until it is asked to end."""

FAILING = (sys.executable, "-c", "import sys; sys.exit('note\\nerror: folder ' + sys.argv[1] + '/a is full; make room')")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """``in/study`` with two scans, ``in/sub/deep`` with one, ``in/empty``, and ``elsewhere`` with a scan."""
    for name in ("in/study/one", "in/study/two", "in/group/deep/one", "elsewhere/secret"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path.parent, nifti_bytes(noise()), name=f"{path.name}.nii.gz")
    (tmp_path / "in" / "empty").mkdir()
    (tmp_path / "cohorts").mkdir()
    return tmp_path


@pytest.fixture
def runs(folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchRuns]:
    monkeypatch.setattr(batch_run, "COMMAND", SLEEPER)
    made = BatchRuns(inputs=folders / "in", cohorts=folders / "cohorts")
    yield made
    for child in made._children.values():
        child.kill()
        child.wait()


def write_scans(folder: Path, *, scans: int, poisoned: int | None = None) -> Path:
    for number in range(scans):
        write_phantom(folder / f"sub-{number:02d}_T1w.nii.gz", poison=number == poisoned)
    return folder


def record_of(folders: Path, name: str) -> BatchRecord:
    found = BatchRecords(folders / "cohorts").get(name)
    assert found is not None
    return found


def until(wanted: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)


def refused(key: str, call: Callable[[], object]) -> None:
    with pytest.raises(BatchRefusedError) as error:
        call()
    assert error.value.key == key


def test_inputs_without_cohorts_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--inputs needs --cohorts DIR"):
        BatchRuns(inputs=tmp_path)
    with pytest.raises(RunError, match="is no folder"):
        BatchRuns(inputs=tmp_path / "none", cohorts=tmp_path)
    nothing = BatchRuns(cohorts=tmp_path)
    assert (nothing.allowed, nothing.folders().names, nothing.list()) == (False, (), ())
    refused("not_allowed", lambda: nothing.start("study", "pilot"))
    assert not (tmp_path / ".batches").exists()


def test_folders_are_found_by_a_filter_and_none_lies_outside(folders: Path, runs: BatchRuns) -> None:
    (folders / "in" / "away").symlink_to(folders / "elsewhere")
    (folders / "in" / "round").symlink_to(folders / "in")
    (folders / "in" / "results" / "cohort.zarr").mkdir(parents=True)
    put(folders / "in" / "results", nifti_bytes(noise()))
    assert runs.folders().names == ("group", "study", "group/deep")
    assert runs.folders("DEEP").names == ("group/deep",)
    assert runs.folders(limit=2) == batch_run.FoldersFound(("group", "study"), more=True)
    put(folders / "in", nifti_bytes(noise()))
    assert runs.folders().names[0] == "."


@pytest.mark.parametrize("name", ["..", "../elsewhere", "study/../../elsewhere", "/etc", "away", "none", "a\0b", "round/../.."])
def test_a_folder_outside_is_never_run(folders: Path, runs: BatchRuns, name: str) -> None:
    (folders / "in" / "away").symlink_to(folders / "elsewhere")
    (folders / "in" / "round").symlink_to(folders / "in")
    refused("folder_outside", lambda: runs.start(name, "pilot"))
    assert runs.list() == ()


def test_a_link_inside_a_folder_that_leads_outside_is_refused(folders: Path, runs: BatchRuns) -> None:
    refused("folder_empty", lambda: runs.start("empty", "pilot"))
    (folders / "in" / "study" / "hers.nii.gz").symlink_to(folders / "elsewhere" / "secret.nii.gz")
    refused("folder_links", lambda: runs.start("study", "pilot"))
    (folders / "in" / "group" / "other").symlink_to(folders / "in" / "study")  # a link to a link
    refused("folder_links", lambda: runs.start("group", "pilot"))


@pytest.mark.parametrize("name", ["", "..", ".hidden", "-option", "a/b", "a\nb", "a" * 65, "über"])
def test_a_name_that_is_no_folder_name_is_refused(runs: BatchRuns, name: str) -> None:
    refused("name_wrong", lambda: runs.start("study", name))


def test_a_name_that_is_taken_is_refused(folders: Path, runs: BatchRuns) -> None:
    (folders / "cohorts" / "old").mkdir()
    (folders / "cohorts" / "broken").symlink_to(folders / "nowhere")
    refused("name_taken", lambda: runs.start("study", "old"))
    refused("name_taken", lambda: runs.start("study", "broken"))


def test_a_report_is_offered_once_its_first_page_is_there(folders: Path, runs: BatchRuns) -> None:
    (folders / "cohorts" / "old" / "report").mkdir(parents=True)
    assert not runs.has_pages("old")
    (folders / "cohorts" / "old" / "report" / "index.html").touch()
    assert runs.has_pages("old")


def test_clicks_at_once_start_one_run_and_another_batch_waits(folders: Path, runs: BatchRuns) -> None:
    other = BatchRuns(inputs=folders / "in", cohorts=folders / "cohorts")  # as a second server would
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda server: server.start("study", "pilot"), [runs, other, runs, other]))
    assert {(progress.name, progress.folder, progress.state) for progress in found} == {("pilot", "study", "starting")}
    children = [*runs._children.values(), *other._children.values()]
    assert [child.pid for child in children] == [record_of(folders, "pilot").pid]
    assert os.getsid(children[0].pid) == children[0].pid  # a session of its own
    refused("another", lambda: runs.start("group", "next"))
    runs.cancel("pilot")
    children[0].wait(60)


def test_what_is_kept_is_for_its_owner_alone(folders: Path, runs: BatchRuns) -> None:
    runs.start("study", "pilot")
    kept = folders / "cohorts" / ".batches"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE((kept / name).stat().st_mode) for name in ("pilot.json", "pilot.log")} == {0o600}


def test_a_server_that_starts_again_finds_its_batch_and_ends_it(folders: Path, runs: BatchRuns) -> None:
    assert runs.start("study", "pilot").active
    again = BatchRuns(inputs=folders / "in", cohorts=folders / "cohorts")
    assert again.list() == ("pilot",)
    assert again.progress("pilot").state == "starting"
    again.cancel("pilot")
    until(lambda: again.progress("pilot").state == "stopped")
    assert record_of(folders, "pilot").cancelled
    again.resume("pilot")
    until(lambda: again.progress("pilot").active)
    assert again.resume("pilot").active  # a second click
    again.cancel("pilot")
    until(lambda: again.progress("pilot").state == "stopped")


def test_a_process_that_only_has_the_number_is_never_ended(folders: Path, runs: BatchRuns) -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as stranger:
        mark = mark_of(stranger.pid)
        assert mark is not None
        later = ProcessMark(mark.pid, mark.start + "0")
        BatchRecords(folders / "cohorts").put("pilot", BatchRecord("study", later.pid, later.start, time.time()))
        assert runs.progress("pilot").state == runs.cancel("pilot").state == "stopped"
        assert not ask_to_end(later)
        assert not record_of(folders, "pilot").cancelled
        time.sleep(0.1)
        assert stranger.poll() is None
        assert ask_to_end(mark)
        stranger.wait(60)
        assert not is_alive(mark)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"folder": "study"}', b'{"folder":1,"pid":2,"start":"","begun":0.0,"cancelled":false}'])
def test_a_record_that_is_none_is_no_batch(folders: Path, runs: BatchRuns, content: bytes) -> None:
    (folders / "cohorts" / ".batches" / "pilot.json").write_bytes(content)
    refused("unknown", lambda: runs.cancel("pilot"))
    refused("unknown", lambda: runs.progress("../cohorts"))


def test_a_batch_that_ends_with_an_error_says_why_without_places(folders: Path, runs: BatchRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "COMMAND", FAILING)
    runs.start("study", "pilot")
    until(lambda: not runs.progress("pilot").active)
    assert runs.progress("pilot") == BatchProgress("pilot", "study", "stopped", message="folder study/a is full; make room")


def test_the_command_is_a_run_that_may_be_closed(folders: Path, runs: BatchRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "COMMAND", (sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"))
    weighted = BatchRuns(inputs=folders / "in", cohorts=folders / "cohorts", weights=folders / "weights")
    weighted.start("study", "pilot")
    until(lambda: not weighted.progress("pilot").active)
    weighted.resume("pilot", retry_failed=True)
    until(lambda: not weighted.progress("pilot").active)
    given = json.loads((folders / "cohorts" / ".batches" / "pilot.log").read_text())
    place, out, *options = given
    assert (place, out) == (str(folders / "in" / "study"), str(folders / "cohorts" / "pilot"))
    assert options == ["--report", "--weights", str(folders / "weights"), "--retry-failed"]


def test_a_run_of_a_shell_is_seen_and_only_watched(folders: Path, runs: BatchRuns) -> None:
    """The numbers are those of `hypojax status`; a scan that failed has its reason."""
    out = folders / "cohorts" / "hers"
    outcome = execute.run(write_scans(folders / "scans", scans=3, poisoned=1), out=out, segmenter=StandIn())
    finished = runs.progress("hers")
    assert (
        (finished.state, finished.total, finished.done, finished.failed)
        == ("finished", 3, outcome.done, outcome.failed)
        == ("finished", 3, 2, 1)
    )
    assert [(failure.scan, failure.reason) for failure in finished.failures] == [("sub-01", "unexpected")]
    assert (runs.list(), finished.watched) == ((), False)
    with locked(out):
        assert runs.list() == ("hers",)
        assert runs.progress("hers").watched
        refused("unknown", lambda: runs.cancel("hers"))
        refused("unknown", lambda: runs.resume("hers"))
        refused("name_taken", lambda: runs.start("study", "hers"))
    (folders / "cohorts" / "away").symlink_to(out)
    refused("unknown", lambda: runs.progress("away"))


def test_a_ledger_is_looked_at_again_where_it_changed(folders: Path) -> None:
    scans, out = write_scans(folders / "scans", scans=2), folders / "cohorts" / "hers"
    watch = LedgerWatch(out)
    assert watch.look() == LedgerState()
    execute.run(scans / "sub-00_T1w.nii.gz", out=out, segmenter=StandIn())
    assert (watch.look().total, watch.look().done) == (1, 1)
    execute.run(scans, out=out, segmenter=StandIn())
    assert (watch.look().total, watch.look().done, watch.look().waiting) == (2, 2, 0)
    record = next((out / "cohort.zarr" / "ledger").glob("sub-01/zarr.json"))
    record.unlink()
    assert (watch.look().done, watch.look().waiting) == (1, 1)


def test_the_pace_falls_where_nothing_is_finished() -> None:
    state = LedgerState(finished_at=(10.0, 12.0, 14.0))
    assert state.scans_per_second(since=0.0, now=14.0) == 0.5
    assert state.scans_per_second(since=0.0, now=18.0) == 0.25
    assert state.scans_per_second(since=13.0, now=18.0) == 0.0
