"""Locks of runs: a run waits for workers of the one before, which write no more once it has begun; those of shards write side by side."""

import threading
from functools import partial
from pathlib import Path

import pytest
from s3_server import Bucket

from hypojax.execute.lock import ChosenScans, Shard, locked, remove_share_locks
from hypojax.reason import Reason, RunError
from hypojax.storage import ObjectPath, fence_of, locate
from hypojax.storage.lease import LeaseFence, LeaseState, lease


def test_a_run_waits_for_workers_of_the_one_before_and_bars_them(tmp_path: Path) -> None:
    with locked(tmp_path) as first:
        first.workers.admit()  # and the client is killed here
    working, release, begun = threading.Event(), threading.Event(), threading.Event()
    notes: list[str] = []

    def orphan() -> None:
        with first.workers.held():
            working.set()
            release.wait(60)
            assert not begun.is_set()

    def told(text: str) -> None:
        notes.append(text)
        release.set()

    thread = threading.Thread(target=orphan)
    thread.start()
    assert working.wait(60)
    with locked(tmp_path, say=told) as second:
        begun.set()
        second.workers.admit()
        assert "workers of an earlier run" in notes[0]
        with second.workers.held(), second.workers.held():  # two workers
            pass
        with pytest.raises(RunError, match="another run has begun") as error, first.workers.held():
            pass
        assert error.value.reason == Reason.BUSY
    thread.join(60)


def test_workers_of_shards_write_side_by_side(tmp_path: Path) -> None:
    with locked(tmp_path) as whole:
        whole.workers.admit()
    shards = [locked(tmp_path, shard=Shard(number, 2)) for number in (1, 2)]
    with shards[0] as one, shards[1] as two:
        one.workers.admit()
        two.workers.admit()
        with one.workers.held(), two.workers.held(), pytest.raises(RunError), whole.workers.held():
            pass
    with locked(tmp_path), pytest.raises(RunError, match="another run has begun"), one.workers.held():
        pass


def test_runs_of_named_scans_write_side_by_side_unless_they_share_one(tmp_path: Path) -> None:
    one, other, both = ChosenScans(("sub-01",)), ChosenScans(("sub-02", "a/b")), ChosenScans(("sub-01", "sub-02"))
    with locked(tmp_path, shard=one), locked(tmp_path, shard=other):
        for refused, who in ((both, "a run of scan 'sub-01'"), (None, "another run")):
            with pytest.raises(RunError, match=who) as error, locked(tmp_path, shard=refused):
                pass
            assert error.value.reason == Reason.BUSY
    with locked(tmp_path):
        with pytest.raises(RunError, match="a run of all scans"), locked(tmp_path, shard=one):
            pass
        remove_share_locks(tmp_path)
    assert not list(tmp_path.glob(".hypojax.shard*"))


def test_a_run_of_all_scans_and_shards_exclude_each_other_in_a_bucket(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second is refused, shards stand side by side, and one that died with its lease is shut out from writing."""
    monkeypatch.setattr("hypojax.execute.lock.lease", partial(lease, interval=0.3))
    out = locate(f"{bucket.url}/out")
    with locked(out), pytest.raises(RunError, match="another run") as caught, locked(out, shard=Shard(1, 2)):
        pass
    assert caught.value.reason is Reason.BUSY
    with locked(out, shard=Shard(1, 2)), locked(out, shard=Shard(2, 2)), pytest.raises(RunError, match="another run"), locked(out):
        pass
    bucket.put("out/.hypojax.lease", LeaseState("dead", "process 1 on elsewhere", 7).encoded())
    dead = LeaseFence(ObjectPath(bucket.url, "out/.hypojax.lease"), "dead")
    dead.check()
    with pytest.raises(RunError, match="in a bucket"), locked(out, shard=ChosenScans(("sub-01",))):
        pass
    with locked(out, shard=Shard(1, 2)) as hold:
        fence_of(hold.out).check()
        with pytest.raises(RunError, match="another run took over"):
            dead.check()


def test_a_run_in_one_process_leaves_one_lock_file(tmp_path: Path) -> None:
    with locked(tmp_path / "out"):
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".hypojax.lock"]
