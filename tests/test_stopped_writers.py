"""A run that was stopped past its lease, while another took over and finished, changes nothing when it goes on, wherever it stopped."""

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from s3_server import Bucket
from standin import StandIn, write_phantom
from stopped import LEASE, Stopped, stoppable

from hypojax import execute
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings
from hypojax.storage.lease import lease

INTERVAL = 0.4
"""Seconds between renewals of a lease here."""

ONE = RunSettings(threads=1)
AGAIN = RunSettings(threads=1, recompute=True)

KINDS = {
    "the index": "ledger/zarr.json",
    "a marker": "ledger/sub-00/zarr.json",
    "voxels": "native/sub-00/c/0/0/0",
    "a label map": "labels/sub-00/c/0/0/0/0",
    "a posterior": "posterior/c/0/0/0/0/0",
    "a derivative": "dseg.nii.gz",
    "the root of the table": "cohort.zarr/zarr.json",
    "a column": "volume_mm3/c/0/0",
    "the exported table": "volumes.tsv",
}


@pytest.fixture
def scans(bucket: Bucket, tmp_path: Path) -> str:
    """A scan in a bucket."""
    write_phantom(tmp_path / "sub-00_T1w.nii.gz")
    bucket.upload(tmp_path, below="in/")
    return f"{bucket.url}/in"


def stopped_and_overtaken(
    bucket: Bucket, first: Callable[[], object], second: Callable[[], object], at: Callable[[str, str, int], bool]
) -> Stopped | None:
    """Stop one, let the other come to its end, let the first go on; None where the first ended before it could be stopped."""
    with stoppable(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypojax.execute.lock.lease", partial(lease, interval=INTERVAL))
        patch.setattr("hypojax.execute.lock.INTERVAL", INTERVAL)
        one = Stopped(first, at)
        if not one.stop():
            assert one.error is None
            return None
        second()
        expected = bucket.snapshot("out/")
        assert execute.verify(f"{bucket.url}/out") == ()
        one.go_on()
        assert isinstance(one.error, RunError), (one.error, one.writes[-1])
        assert one.error.reason is Reason.BUSY
        found = bucket.snapshot("out/")
        changed = [key for key in {**found, **expected} if found.get(key) != expected.get(key) and not key.endswith(LEASE)]
        assert changed == [], one.writes[-1]
    return one


def kinds(*quick: str) -> list[object]:
    """Kinds of writes; all but those named make the test a slow one."""
    return [kind if kind in quick else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@pytest.mark.parametrize("kind", kinds("a marker", "a label map"))
def test_a_run_that_was_overtaken_writes_nothing(bucket: Bucket, scans: str, kind: str) -> None:
    out = f"{bucket.url}/out"

    def run() -> object:
        return execute.run([scans], out=out, settings=ONE, segmenter=StandIn())

    assert stopped_and_overtaken(bucket, run, run, lambda _method, key, _before: KINDS[kind] in key)


@pytest.mark.parametrize("kind", kinds("a marker"))
def test_nor_does_one_that_would_do_all_again(bucket: Bucket, scans: str, kind: str) -> None:
    """Other weights, whose records, voxels and label maps would stand where the cohort is finished already."""
    out = f"{bucket.url}/out"
    execute.run([scans], out=out, settings=ONE, segmenter=StandIn())
    again = partial(execute.run, [scans], out=out, settings=AGAIN, segmenter=StandIn(weights="other"))
    second = partial(execute.run, [scans], out=out, settings=AGAIN if kind != "a marker" else ONE, segmenter=StandIn(weights="other"))
    assert stopped_and_overtaken(bucket, again, second, lambda _method, key, _before: KINDS[kind] in key)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("first", [ONE, AGAIN])
def test_at_every_step(bucket: Bucket, scans: str, first: RunSettings) -> None:
    """The other does what is left, or all again, in turns."""
    out = f"{bucket.url}/out"
    execute.run([scans], out=out, settings=ONE, segmenter=StandIn())
    for number in range(200):
        if first is ONE:
            for key in bucket.snapshot("out/"):
                bucket.delete(f"out/{key}")
        runs = [
            partial(execute.run, [scans], out=out, settings=settings, segmenter=StandIn())
            for settings in (first, AGAIN if number % 2 else ONE)
        ]
        if stopped_and_overtaken(bucket, *runs, lambda _method, _key, before, number=number: before == number) is None:
            assert number > 40
            return
    pytest.fail("it never came to its end")


@pytest.mark.slow
def test_a_process_that_was_really_stopped(bucket: Bucket, scans: str) -> None:
    """SIGSTOP in mid-scan, another run, SIGCONT: one sentence, and the store of the other."""
    out = f"{bucket.url}/out"
    code = f"""
import sys
from functools import partial
from hypojax import execute
from hypojax.execute import lock
from hypojax.reason import RunError
from standin import StandIn
class Slow(StandIn):
    def segment_batch(self, scans):
        print("at work", flush=True)
        sys.stdin.readline()
        return super().segment_batch(scans)
lock.lease = partial(lock.lease, interval={INTERVAL})
try:
    execute.run([{scans!r}], out={out!r}, segmenter=Slow())
except RunError as error:
    print(error)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "at work\n"
        other.send_signal(signal.SIGSTOP)
        other.stdin.write("go on\n")
        other.stdin.flush()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hypojax.execute.lock.lease", partial(lease, interval=INTERVAL))
            assert execute.run([scans], out=out, settings=ONE, segmenter=StandIn()).done == 1
        expected = bucket.snapshot("out/")
        other.send_signal(signal.SIGCONT)
        assert "another run took over" in other.stdout.read()
    assert bucket.snapshot("out/") == expected
    assert execute.verify(out) == ()
