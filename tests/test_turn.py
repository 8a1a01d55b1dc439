"""Turns of runs: a run waits for workers of the one before, which write no more once it has begun; shards have theirs side by side."""

import threading
from pathlib import Path

import pytest

from hypojax.execute.lock import locked
from hypojax.execute.shard import Shard
from hypojax.reason import Reason, RunError


def test_a_run_waits_for_workers_of_the_one_before_and_bars_them(tmp_path: Path) -> None:
    with locked(tmp_path) as first:
        pass  # the client is killed here
    working, release, begun = threading.Event(), threading.Event(), threading.Event()
    notes: list[str] = []

    def orphan() -> None:
        with first.working():
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
        assert "workers of an earlier run" in notes[0]
        with second.working(), second.working():  # two workers
            pass
        with pytest.raises(RunError, match="another run has begun") as error, first.working():
            pass
        assert error.value.reason == Reason.BUSY
    thread.join(60)


def test_turns_of_shards_stand_side_by_side(tmp_path: Path) -> None:
    with locked(tmp_path) as whole:
        pass
    shards = [locked(tmp_path, shard=Shard(number, 2)) for number in (1, 2)]
    with shards[0] as one, one.working(), shards[1] as two, two.working(), pytest.raises(RunError), whole.working():
        pass
    with locked(tmp_path), pytest.raises(RunError, match="another run has begun"), one.working():
        pass
