"""Sessions, their hour, and the folder of a server."""

import fcntl
import os
from pathlib import Path

import pytest

from hypojax.app.session_root import LOCK, open_root
from hypojax.app.visits import LAST, LIFE, Session, Sessions, cookie_value, session_id
from hypojax.reason import RunError


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "sessions", cookie="c")


def age(session: Session, seconds: float) -> None:
    then = session.last - seconds
    os.utime(session.folder / "last", (then, then))


def test_a_session_is_found_by_its_cookie_alone_and_nobody_else_may_open_it(sessions: Sessions) -> None:
    session, secret = sessions.begin()
    assert sessions.find(secret) == session
    assert sessions.find(session.id) is None
    assert session.id == session_id(secret)
    modes = {path.stat().st_mode & 0o777 for path in (sessions.root, session.folder, session.uploads, session.cohort)}
    assert modes == {0o700}
    assert (session.folder / "last").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("secret", ["", "../..", "a" * 10_000, "\ud800", "\0"])
def test_a_made_up_cookie_finds_nothing(sessions: Sessions, secret: str) -> None:
    assert sessions.find(secret) is None
    assert sessions.by_id(secret) is None


@pytest.mark.parametrize("header", ["", "c", "c=", 'c="', "c=\x00", "c=a; c", ";;;=;", "c=" + "a" * 100_000])
def test_a_broken_header_of_cookies_is_no_error(header: str) -> None:
    assert isinstance(cookie_value(header, "c"), str)


def test_files_go_an_hour_after_the_last_request_or_result(sessions: Sessions) -> None:
    old, young, touched, busy = (sessions.begin()[0] for _ in range(4))
    gone: list[str] = []
    sessions.forget = gone.append
    sessions.is_busy = lambda session: session == busy
    (old.cohort / "a").mkdir()
    age(young, LIFE - 60)
    for session in (old, touched, busy):
        age(session, LIFE + 60)
    touched.touch()  # a result came
    assert sessions.clean() == 1
    assert gone == [old.id]
    assert {session.id for session in sessions.all()} == {young.id, touched.id, busy.id}
    assert not old.folder.exists()
    old.touch()
    assert not old.folder.exists()
    assert sessions.by_id(old.id) is None


def test_what_a_killed_server_began_to_remove_goes(sessions: Sessions) -> None:
    session, secret = sessions.begin()
    session.folder.rename(session.folder.with_suffix(".going"))
    assert sessions.find(secret) is None
    sessions.clean()
    assert list(sessions.root.iterdir()) == []


def test_there_is_an_end_to_the_number_of_sessions_and_those_without_scans_make_way(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypojax.app.visits.MOST", 2)
    (with_scan, _), (only_looked, _) = sessions.begin(), sessions.begin()
    (with_scan.uploads / "a.nii").touch()
    os.utime(with_scan.folder / LAST, (0, 0))
    third, _ = sessions.begin()
    assert {session.id for session in sessions.all()} == {with_scan.id, third.id}
    assert not only_looked.folder.exists()
    (third.folder / "jobs").mkdir()
    (third.folder / "jobs" / "a.json").touch()
    with pytest.raises(RunError, match="too many"):
        sessions.begin()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"hypojax-app-{os.getuid()}"


def test_a_server_that_is_started_again_finds_its_sessions_but_the_old_ones(temporary: Path) -> None:
    root = open_root("127.0.0.1", 7860)
    first = Sessions(root.sessions, cookie="c")
    (old, _), (young, secret) = first.begin(), first.begin()
    age(old, LIFE + 60)
    half = young.uploads / "a" / "b.nii.part"
    half.parent.mkdir()
    half.touch()
    (root.path / "0123456789abcdef").mkdir()  # what Gradio leaves
    with pytest.raises(RunError, match="another"):
        open_root("127.0.0.1", 7860)
    root.close()
    again = open_root("127.0.0.1", 7860)
    assert again.path == root.path
    assert Sessions(again.sessions, cookie="c").find(secret) == young
    assert not old.folder.exists()
    assert not half.exists()
    assert {path.name for path in again.path.iterdir()} == {"README.txt", "running.lock", "sessions"}
    assert {path.stat().st_mode & 0o777 for path in (temporary, again.path)} == {0o700}
    again.close()


def test_a_server_cleans_up_after_others_that_ended_and_not_after_those_that_run(temporary: Path) -> None:
    running, ended = open_root("127.0.0.1", 7861), open_root("127.0.0.1", 7862)
    kept = {root: Sessions(root.sessions, cookie="c").begin()[0] for root in (running, ended)}
    for session in kept.values():
        age(session, LIFE + 60)
    ended.close()
    root = open_root("127.0.0.1", 7860)
    assert kept[running].folder.exists()
    assert not kept[ended].folder.exists()
    with (ended.path / LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is free again
    root.close()
    running.close()


def test_a_folder_that_somebody_else_prepared_is_refused(temporary: Path) -> None:
    temporary.mkdir(mode=0o755)
    temporary.chmod(0o755)
    with pytest.raises(RunError, match="TMPDIR"):
        open_root("127.0.0.1", 7860)
    temporary.rmdir()
    temporary.symlink_to(temporary.parent)
    with pytest.raises(RunError, match="TMPDIR"):
        open_root("127.0.0.1", 7860)
