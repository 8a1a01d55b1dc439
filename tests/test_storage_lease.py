"""The lease on an output folder in a bucket: one holder at a time, whoever is killed, late, or cut off from the server."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from s3_server import Bucket, Trouble, first, proxy

from hypojax.reason import Reason, RunError
from hypojax.storage import ObjectPath, locate
from hypojax.storage import lease as lease_module
from hypojax.storage.lease import BELIEVED, NAME, WATCHED, LeaseState, acquire, decoded, lease

INTERVAL = 0.3
"""Seconds between renewals here; a renewal on the loopback takes a hundredth of it."""

LIMIT = 20.0
"""Seconds after which a test gives up waiting."""


@pytest.fixture
def root(bucket: Bucket) -> ObjectPath:
    """An output folder."""
    found = locate(f"{bucket.url}/out")
    assert isinstance(found, ObjectPath)
    return found


def claim(bucket: Bucket) -> LeaseState:
    """What the object says."""
    return decoded(bucket.get(f"out/{NAME}"))


def put_claim(bucket: Bucket, token: str, count: int) -> None:
    """Be another host."""
    bucket.put(f"out/{NAME}", LeaseState(token, "process 1 on elsewhere", count).encoded())


def until(condition: object) -> None:
    """Wait until something holds."""
    end = time.monotonic() + LIMIT
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came"
        time.sleep(INTERVAL / 20)


def test_a_lease_is_renewed_and_given_back(bucket: Bucket, root: ObjectPath) -> None:
    with lease(root, interval=INTERVAL) as held:
        begun = claim(bucket)
        assert (begun.count, len(begun.token), "process" in begun.holder) == (0, 32, True)
        until(lambda: claim(bucket).count >= 2)
        assert claim(bucket).token == begun.token
        held.check()
    assert claim(bucket).token == ""
    start = time.monotonic()
    with lease(root, interval=INTERVAL):  # at once, for it was given back
        assert time.monotonic() - start < WATCHED * INTERVAL
        assert claim(bucket).token != begun.token


def test_a_second_run_is_refused_by_name(root: ObjectPath) -> None:
    with lease(root, interval=INTERVAL) as held:
        for _ in range(2):
            with pytest.raises(
                RunError, match=r"another run \(process \d+ on .*\) is writing into s3://bucket-\d+/out; wait until"
            ) as caught:
                acquire(root / NAME, interval=INTERVAL)
            assert caught.value.reason is Reason.BUSY
        held.check()


def test_a_lease_of_the_dead_is_taken_over_after_three_intervals(bucket: Bucket, root: ObjectPath) -> None:
    put_claim(bucket, "dead", 7)
    start = time.monotonic()
    with lease(root, interval=INTERVAL):
        assert time.monotonic() - start >= WATCHED * INTERVAL
        assert claim(bucket).count == 0


def test_a_process_that_is_killed_keeps_nothing(bucket: Bucket, root: ObjectPath, s3_endpoint: str) -> None:
    code = (
        "import sys, time; from hypojax.storage import locate; from hypojax.storage.lease import lease\n"
        f"with lease(locate({str(root)!r}), interval={INTERVAL}):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {other.pid} on"):
            acquire(root / NAME, interval=INTERVAL)
        other.kill()
    with lease(root, interval=INTERVAL) as held:
        held.check()


def test_an_unreadable_or_deleted_lease_is_no_lock_for_ever(bucket: Bucket, root: ObjectPath) -> None:
    bucket.put(f"out/{NAME}", b"\xff not json")
    with lease(root, interval=INTERVAL):
        pass
    bucket.put(f"out/{NAME}", json.dumps([1]).encode())
    with lease(root, interval=INTERVAL):
        pass
    bucket.delete(f"out/{NAME}")
    with lease(root, interval=INTERVAL):
        pass


def test_of_many_that_come_at_once_one_gets_it(bucket: Bucket, root: ObjectPath) -> None:
    """Free, or left by the dead: exactly one holder, the others are refused."""
    for left in (None, "dead"):
        if left:
            put_claim(bucket, left, 1)
        held, refused = [], []
        together = threading.Barrier(6)

        def run(together: threading.Barrier = together, held: list[object] = held, refused: list[RunError] = refused) -> None:
            together.wait()
            try:
                held.append(acquire(root / NAME, interval=INTERVAL))
            except RunError as caught:
                refused.append(caught)

        threads = [threading.Thread(target=run) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(held), {error.reason for error in refused}) == (1, {Reason.BUSY})
        held[0].give_back()


def test_a_holder_whose_lease_was_taken_stops(bucket: Bucket, root: ObjectPath) -> None:
    """At the next check, and at the end whether or not it checked; what the other wrote stays."""

    def hold(*, checking: bool) -> None:
        with lease(root, interval=INTERVAL) as held:
            put_claim(bucket, "other", 1)
            until(lambda: not held.held)
            if checking:
                held.check()

    for checking in (True, False):
        with pytest.raises(RunError, match=r"another run took over .* it stops here, and finished scans are kept") as caught:
            hold(checking=checking)
        assert caught.value.reason is Reason.BUSY
        assert claim(bucket).token == "other"  # noqa: S105
        bucket.delete(f"out/{NAME}")


def test_two_never_believe_at_once(bucket: Bucket, root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder that is cut off stops believing before the other begins, and waits for news rather than going on."""
    with proxy(bucket.endpoint, Trouble(lambda method, _path, before: "503" if method == "PUT" and cut.is_set() else "pass")) as endpoint:
        cut = threading.Event()
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        one = acquire(root / NAME, interval=INTERVAL)
        until(lambda: claim(bucket).count >= 1)
        monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
        believed: list[tuple[bool, bool]] = []
        two: list[lease_module.Lease] = []
        cut_off = ObjectPath(root.bucket, "out") / NAME
        monkeypatch.setattr(one, "_renew", lambda: time.sleep(LIMIT / 100))  # renewals that never arrive
        taking = threading.Thread(target=lambda: two.append(acquire(cut_off, interval=INTERVAL)))
        taking.start()
        while taking.is_alive():
            believed.append((one.held, bool(two) and two[0].held))
            time.sleep(INTERVAL / 50)
        assert (True, True) not in believed
        assert any(mine for mine, _ in believed)
        assert not one.held
        assert two[0].held
        monkeypatch.undo()
    one.give_back()
    assert two[0].held
    two[0].give_back()


def test_trouble_with_the_server_loses_no_lease(bucket: Bucket, root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that are lost are one's own writes; a server that is away for some seconds is waited for."""
    for what in ("drop_answer", "drop_request", "503"):
        trouble = Trouble(lambda method, _path, before, what=what: what if method == "PUT" and before % 3 == 0 else "pass")
        with proxy(bucket.endpoint, trouble) as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            with lease(root, interval=INTERVAL) as held:
                token = claim(bucket).token
                until(lambda: claim(bucket).count >= 3)
                held.check()
                assert claim(bucket).token == token
        assert trouble.done[what] >= 2
    assert first("503")("PUT", "/", 0) == "503"


def test_a_server_that_stays_away_ends_the_run(bucket: Bucket, root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypojax.storage import set_retry_timeout

    away = threading.Event()
    with proxy(bucket.endpoint, Trouble(lambda *_: "503" if away.is_set() else "pass")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        set_retry_timeout(0.5)
        held = acquire(root / NAME, interval=INTERVAL)
        away.set()
        until(lambda: not held.held)
        with pytest.raises(RunError, match="cannot be reached: the server answers 503") as caught:
            held.check()
        assert caught.value.reason is Reason.UNREACHABLE
        held.give_back()


def test_no_permission_is_said_at_once(bucket: Bucket, root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(bucket.endpoint, Trouble(lambda *_: "403 AccessDenied")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(RunError, match=f"cannot write {root}/.hypojax.lease: Permission denied") as caught, lease(root):
            pass
    assert caught.value.reason is Reason.NOT_WRITABLE


def test_belief_ends_before_patience() -> None:
    assert BELIEVED < WATCHED
    assert Path(NAME).name.startswith(".")  # no reader of the folder shows it


def test_belief_is_counted_from_before_the_write(bucket: Bucket, root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """A put that takes two intervals may have been seen at its beginning: half an interval of belief is left after it."""
    clock, swap = [1000.0], ObjectPath.swap

    def slow(path: ObjectPath, data: bytes, *, seen: object) -> object:
        clock[0] += 2 * LIMIT  # the server may take it at once and answer late
        return swap(path, data, seen=seen)  # type: ignore[arg-type]

    monkeypatch.setattr(lease_module, "now", lambda: clock[0])
    monkeypatch.setattr(ObjectPath, "swap", slow)
    held = acquire(root / NAME, interval=LIMIT)  # so long that nothing is renewed by itself
    for renew in (lambda: None, held._renew):
        renew()
        assert held.held
        clock[0] += (BELIEVED - 2) * LIMIT
        assert not held.held
    held._ended.set()
