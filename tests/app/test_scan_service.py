"""Scans of several sessions on their way: their order, their ends, and what is found again by the next server."""

import json
import os
import shutil
import signal
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path

import pytest
from sample_scans import nifti_bytes, noise
from stand_in_session import StandInEngine, StandInReader, StandInSession, new_session

from hypojax.app import scan_service
from hypojax.app.job_status import failure_text
from hypojax.app.scan_engine import EngineSettings
from hypojax.app.scan_service import Job, ScanService
from hypojax.app.words import Words
from hypojax.app.zip_contents import SMALL
from hypojax.reason import Reason, RunError

PATIENCE = 300.0
"""Seconds that a test waits for what must come."""


@pytest.fixture(scope="module")
def scan() -> bytes:
    """A file that is read as a scan."""
    return nifti_bytes(noise((20, 18, 16)))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScanService]:
    """A service whose engine and reader stand in."""
    monkeypatch.setattr(scan_service, "ScanEngine", StandInEngine)
    monkeypatch.setattr(scan_service, "SafeReader", StandInReader)
    made = ScanService()
    yield made
    made.close()


def engine_of(service: ScanService) -> StandInEngine:
    found = service._engine
    assert isinstance(found, StandInEngine)
    return found


def ended(service: ScanService, session: StandInSession) -> list[Job]:
    """All jobs of a session once they have ended."""
    while waiting := [job for job in service.jobs(session) if job.state not in ("done", "failed", "cancelled")]:
        assert service.wait(session, waiting[0].id, seconds=PATIENCE).state in ("done", "failed", "cancelled")
    return list(service.jobs(session))


def test_good_and_bad_files_end_each_in_its_own_way(service: ScanService, tmp_path: Path, scan: bytes) -> None:
    session = new_session(tmp_path)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("p/one.nii", scan)
        archive.writestr("p/two_bold.nii", scan)
    files = {
        "<b>x.nii": scan,
        "bad.nii": scan,
        "text.nii.gz": b"no image",
        "two.zip": packed.getvalue(),
        "a.txt": b"no image",
        "X.NII": scan,
    }
    service.submit(session, [session.sent(name, content) for name, content in files.items()])
    found = {job.name: job for job in ended(service, session)}
    assert {name: job.state for name, job in found.items()} == {
        "<b>x.nii": "done", "bad.nii": "failed", "text.nii.gz": "failed", "one.nii": "done", "two_bold.nii": "failed", "a.txt": "failed",
        "X.NII": "done",
    }  # fmt: skip
    assert found["<b>x.nii"].scan == "b_x"
    assert found["X.NII"].scan == "X"
    assert found["one.nii"].read["dimensions"] == "20 × 18 × 16"
    assert (found["one.nii"].origin, found["two_bold.nii"].origin) == ("", found["one.nii"].id)  # for a call that asks for its zip alone
    assert (found["bad.nii"].reason, found["text.nii.gz"].reason) == (Reason.NO_BRAIN, Reason.NOT_AN_IMAGE)
    assert "bold" in found["two_bold.nii"].message
    assert all(str(tmp_path) not in job.message and "clean/" not in job.message for job in found.values())
    assert not any(path.is_file() for folder in ("uploads", "clean", "unpacked") for path in (session.folder / folder).rglob("*"))


def test_a_session_with_many_scans_does_not_hold_up_another(service: ScanService, tmp_path: Path, scan: bytes) -> None:
    many, one = new_session(tmp_path), new_session(tmp_path, "b")
    engine = engine_of(service)
    engine.may_go_on.clear()
    service.submit(many, [many.sent(f"m{number}.nii", scan) for number in range(4)])
    assert engine.begun.wait(PATIENCE)
    (last,) = service.submit(one, [one.sent("o.nii", scan)])
    assert [job.position for job in service.jobs(many)] in ([0, 1, 3, 4], [0, 2, 3, 4])
    assert service.jobs(one)[0].position in (1, 2)
    with service._board.changed:  # all are read before the next is chosen
        while any(not job.read for session in (many, one) for job in service.jobs(session)):
            assert service._board.changed.wait(PATIENCE)
    engine.may_go_on.set()
    assert ended(service, one)[0].id == last.id
    ended(service, many)
    order = [name for task, name in engine.asked if task == "measure"]
    assert order.index("o") <= 2


def test_what_waits_or_runs_can_be_cancelled(service: ScanService, tmp_path: Path, scan: bytes) -> None:
    session = new_session(tmp_path)
    engine = engine_of(service)
    engine.may_go_on.clear()
    first, second, third = service.submit(session, [session.sent(f"{name}.nii", scan) for name in "abc"])
    assert engine.begun.wait(PATIENCE)
    for job in (first, second):
        service.cancel(session, job.id)
    service.cancel(new_session(tmp_path, "b"), third.id)  # of another session: nothing
    engine.may_go_on.set()
    assert [job.state for job in ended(service, session)] == ["cancelled", "cancelled", "done"]
    assert ("forget", "a") in engine.asked
    assert service.file(session, first.id, "page.html") is None


def test_a_zip_that_cannot_be_taken_leaves_nothing(service: ScanService, tmp_path: Path, scan: bytes) -> None:
    session = new_session(tmp_path)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.nii", scan)
        archive.writestr("../b.nii", scan)
    service.submit(session, [session.sent("a.zip", packed.getvalue()), session.sent("b.zip", b"PK nothing")])
    assert [(job.state, job.reason) for job in ended(service, session)] == [("failed", "not_an_image"), ("failed", "corrupted")]
    assert not any(path.is_file() for folder in ("uploads", "clean", "unpacked") for path in (session.folder / folder).rglob("*"))


def test_folders_of_uploads_go_with_them_and_no_zip_fills_the_disk(
    service: ScanService, tmp_path: Path, scan: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = new_session(tmp_path)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("one.nii", scan)

    def send(name: str, content: bytes) -> Job:
        (session.uploads / "made").mkdir()
        service.submit(session, [session.sent(f"made/{name}", content)])
        return ended(service, session)[-1]

    assert send("a.nii", scan).state == "done"
    assert send("a.zip", packed.getvalue()).state == "done"
    asked: list[int] = []

    def little(wanted: int) -> AbstractContextManager[int]:
        asked.append(wanted)
        return nullcontext(10)

    monkeypatch.setattr(service, "_room", little)
    job = send("b.zip", packed.getvalue())
    assert (job.state, job.reason, asked) == ("failed", Reason.DISK_FULL, [2 << 30])
    assert [path for folder in ("uploads", "unpacked", "clean") for path in (session.folder / folder).iterdir()] == []


def test_a_zip_that_becomes_too_large_is_told_so_and_not_to_crop_the_scan(service: ScanService, tmp_path: Path) -> None:
    session = new_session(tmp_path)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.nii", bytes(SMALL + 1))
    service.submit(session, [session.sent("a.zip", packed.getvalue())])
    (job,) = ended(service, session)
    assert job.reason == "zip_too_large"
    assert "times as large" in job.message
    assert "zip" in failure_text(Words(), "en", job.reason).words


def test_a_scan_that_ends_the_engine_fails_alone(service: ScanService, tmp_path: Path, scan: bytes) -> None:
    session = new_session(tmp_path)
    engine_of(service).ends_at = {"b"}
    service.submit(session, [session.sent(f"{name}.nii", scan) for name in "abc"])
    found = ended(service, session)
    assert [job.state for job in found] == ["done", "failed", "done"]
    assert found[1].reason == Reason.CRASHED


def test_the_next_server_goes_on_with_what_waited_and_what_ran(
    service: ScanService, tmp_path: Path, scan: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = new_session(tmp_path)
    engine = engine_of(service)
    done = service.submit(session, [session.sent("done.nii", scan)])[0]
    ended(service, session)
    engine.may_go_on.clear()
    engine.begun.clear()
    service.submit(session, [session.sent(f"{name}.nii", scan) for name in "ab"])
    assert engine.begun.wait(PATIENCE)
    service.close()
    (session.folder / "jobs" / ("f" * 32 + ".json")).write_text('{"job": {}}')
    second = ScanService()
    try:
        found = new_session(tmp_path)
        assert [job.name for job in second.jobs(found)] == ["done.nii", "a.nii", "b.nii"]
        assert [job.state for job in ended(second, found)] == ["done"] * 3
        assert second.jobs(found)[0].id == done.id
        assert [name for task, name in engine_of(second).asked if task == "measure"] == ["a", "b"]
    finally:
        second.close()


def test_a_scan_that_ended_two_servers_is_not_tried_a_third_time(service: ScanService, tmp_path: Path, scan: bytes) -> None:
    session = new_session(tmp_path)
    service.submit(session, [session.sent("a.nii", scan)])
    (job,) = ended(service, session)
    path = session.folder / "jobs" / f"{job.id}.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "attempts": 2, "job": {**kept["job"], "state": "measuring"}}))
    service.forget(session.id)
    assert service.jobs(session)[0].reason == Reason.CRASHED


def test_a_session_that_is_removed_while_its_scan_runs_leaves_nothing(service: ScanService, tmp_path: Path, scan: bytes) -> None:
    session, other = new_session(tmp_path), new_session(tmp_path, "b")
    engine = engine_of(service)
    engine.may_go_on.clear()
    service.submit(session, [session.sent(f"{name}.nii", scan) for name in "ab"])
    assert engine.begun.wait(PATIENCE)
    shutil.rmtree(session.folder.rename(tmp_path / "going"))
    engine.may_go_on.set()
    service.submit(other, [other.sent("o.nii", scan)])
    assert [job.state for job in ended(service, other)] == ["done"]
    assert not session.folder.exists()


def test_files_of_others_are_refused(service: ScanService, tmp_path: Path, scan: bytes) -> None:
    session, other = new_session(tmp_path), new_session(tmp_path, "b")
    foreign = other.sent("o.nii", scan)
    (link := session.uploads / "link.nii").symlink_to(foreign)
    for file in (foreign, link, session.uploads / ".." / ".." / other.id / "uploads" / "o.nii", Path("/etc/passwd"), session.folder):
        with pytest.raises(RunError):
            service.submit(session, [file])
    (job,) = service.submit(other, [foreign])
    ended(service, other)
    for name in ("labels.nii.gz", "page.html", "volumes.tsv", "scan.zip"):
        assert service.file(session, job.id, name) is None
    for odd in ("../jobs", "", "all", "page.html\0", job.id):
        assert service.file(other, odd, f"../../jobs/{job.id}.json") is None
    assert service.summary(session, job.id) == {}
    assert service.sections(session, job.id) == {}


@pytest.mark.slow
def test_a_real_engine_that_is_ended_comes_back_for_the_next_scan(tmp_path: Path, scan: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    session = new_session(tmp_path)
    service = ScanService(engine=EngineSettings(network="stand_in_session:ending"))
    try:
        service.submit(session, [session.sent("ends.nii", nifti_bytes(noise((18, 18, 16)))), session.sent("goes on.nii", scan)])
        found = ended(service, session)
        assert [(job.state, job.reason) for job in found] == [("failed", "crashed"), ("failed", "no_brain")]
        assert set(service.volumes(session)["scan"]) == {"goes_on"}  # the other left its cohort
        pid = service.engine_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        service.submit(session, [session.sent("after.nii", scan)])
        assert ended(service, session)[-1].reason in ("no_brain", "crashed")
    finally:
        service.close()
