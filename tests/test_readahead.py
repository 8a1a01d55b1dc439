"""Overlapping work: in order, within bounds, with every error told, and gone when nobody wants it any more."""

import logging
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypojax.execute.readahead import MOST, overlapped, threads_for

PATIENCE = 10.0
"""Seconds a thread may take to come; none of these tests waits so long unless something is wrong."""


def ours() -> list[threading.Thread]:
    """Threads that work for somebody."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("hypojax")]


class Meter:
    """Counts items that were taken and not given back, and calls at once."""

    def __init__(self) -> None:
        self.taken = self.given = self.at_once = self.most_waiting = self.most_at_once = 0
        self.lock = threading.Lock()

    def items(self, count: int) -> Iterator[int]:
        for item in range(count):
            self.taken += 1
            self.most_waiting = max(self.most_waiting, self.taken - self.given)
            yield item

    def work(self, item: int) -> int:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        result = int(np.arange(item * 100 + 1).sum())  # some items take longer than others
        with self.lock:
            self.at_once -= 1
        return result


@given(count=st.integers(0, 30), depth=st.integers(0, 6), threads=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_any_depth_and_number_of_threads_is_a_plain_loop(count: int, depth: int, threads: int) -> None:
    meter, plain = Meter(), Meter()
    found = []
    for result in overlapped(meter.items(count), meter.work, depth=depth, threads=threads):
        found.append(result)
        meter.given += 1
    assert found == [plain.work(item) for item in range(count)]
    assert meter.most_waiting <= depth + 1
    assert meter.most_at_once <= min(threads, depth + 1)
    assert not ours()


def test_so_many_threads_work_at_once() -> None:
    meeting = threading.Barrier(3, timeout=PATIENCE)  # nobody passes before three are there

    def work(item: int) -> int:
        meeting.wait()
        return item

    assert list(overlapped(range(6), work, depth=2, threads=3)) == list(range(6))


def test_a_slow_item_keeps_its_place() -> None:
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert later.wait(PATIENCE)  # until the one behind it is through
        else:
            later.set()
        return item

    assert list(overlapped(range(2), work, depth=1, threads=2)) == [0, 1]


def test_an_error_is_raised_in_its_turn() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ZeroDivisionError(item)
        return item

    results, found = overlapped(range(9), work, depth=3, threads=3), []
    with pytest.raises(ZeroDivisionError, match="2"):
        found.extend(results)
    assert not ours()
    results = overlapped(range(9), work, depth=3, threads=3)
    assert [next(results), next(results)] == [0, 1]
    results.close()


def test_an_error_of_the_items_passes_through() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise ZeroDivisionError("no more")

    with pytest.raises(ZeroDivisionError, match="no more"):
        list(overlapped(items(), abs, depth=2, threads=2))
    assert not ours()


def test_closed_early_it_finishes_what_is_begun_and_begins_nothing() -> None:
    begun, ended, go = [], [], threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            assert go.wait(PATIENCE)
        ended.append(item)
        return item

    results = overlapped(range(9), work, depth=3, threads=1)
    assert next(results) == 0
    threading.Timer(0.05, go.set).start()
    results.close()
    assert not ours()
    assert begun == ended
    assert set(ended) <= {0, 1, 2, 3}
    assert list(results) == []


@pytest.mark.parametrize("reason", [KeyboardInterrupt, ZeroDivisionError])
def test_who_stops_early_keeps_his_reason_and_other_errors_are_logged(
    caplog: pytest.LogCaptureFixture, reason: type[BaseException]
) -> None:
    failing = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            failing.set()
            raise OSError("the disk went away")
        return item

    def stop() -> None:
        with closing(overlapped(range(9), work, depth=2, threads=2)) as results:
            assert next(results) == 0
            assert failing.wait(PATIENCE)
            raise reason

    with caplog.at_level(logging.WARNING, logger="hypojax"), pytest.raises(reason):
        stop()
    assert [record.getMessage() for record in caplog.records] == ["work that was given up had failed: the disk went away"]
    assert not ours()


def test_items_are_free_once_they_are_worked_on() -> None:
    class Voxels:
        pass

    done = threading.Semaphore(0)

    def work(item: Voxels) -> int:
        weakref.finalize(item, done.release)
        return 0

    results = overlapped((Voxels() for _ in range(3)), work, depth=0)
    next(results)
    assert done.acquire(timeout=PATIENCE)  # the generator waits, the thread waits, and neither holds it
    results.close()


HANGS = """
import signal, threading
from hypojax.execute.readahead import overlapped
forever = threading.Event()
results = overlapped(range(3), lambda item: forever.wait() if item else 'first', depth=1, threads=2)
print(next(results))
"""
INTERRUPTED = """
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.5)  # and again, for whoever waits for the work to end
try:
    results.{ask}
except KeyboardInterrupt:
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("interrupted")
"""
CLOSED, ASKED = (INTERRUPTED.format(ask=ask) for ask in ("close()", "__next__()"))


@pytest.mark.parametrize(("how", "said"), [("", ""), (CLOSED, "interrupted"), (ASKED, "interrupted")])
def test_work_that_hangs_does_not_keep_the_process_alive(how: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", HANGS + how], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["first", *said.split()]
    assert not done.stderr


def test_threads_follow_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cores in (1, 2, 4, 8, 16, 64):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
        found.append(threads_for())
    assert found == [1, 1, 1, 3, 7, MOST]
