"""Processes that end where nobody expects it: what they leave is gone on with, and the cohort is that of a run that nothing befell."""

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from child import run_of, wait_until
from standin import StandIn, write_phantom
from test_execute import Tally
from undisturbed import undisturbed, write_scans, written

from hypojax import execute
from hypojax.reason import Reason, RunError
from hypojax.scans import write_nifti
from hypojax.settings import RunSettings

SCANS = 12
MANY = 60
"""Scans that twenty runs cut short do not get through."""

LOCAL = ("--cluster", "local", "--workers", "2")
TERMINATED = 143


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("in"), scans=SCANS)


@pytest.fixture(scope="module")
def expected(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return undisturbed(scans, tmp_path_factory.mktemp("whole"))


def done(out: Path) -> int:
    """Scans that the ledger has as done; 0 while there is no store."""
    try:
        return execute.status(out).done
    except RunError:
        return 0


def ledger(out: Path) -> dict[str, bytes]:
    """Scan → the bytes of its record; a marker of who was at work is none."""
    entries = (out / "cohort.zarr" / "ledger").glob("*/zarr.json")
    return {path.parent.name: data for path in entries if b'"status"' in (data := path.read_bytes())}


def test_a_killed_process_is_gone_on_from(scans: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with run_of("--sleep", 0.05, scans, out, log=tmp_path / "log") as child:
        child.until(lambda: done(out) >= 3)
        child.kill_all()
    before = ledger(out)
    assert 3 <= len(before) < SCANS
    outcome = execute.run([scans], out=out, segmenter=StandIn())
    assert (outcome.done, outcome.kept) == (SCANS, len(before))
    assert before.items() <= ledger(out).items()
    assert written(out) == expected


@pytest.mark.slow
@pytest.mark.parametrize("where", [(), LOCAL], ids=["here", "local"])
@pytest.mark.parametrize("seed", [20261127])
@pytest.mark.long
def test_power_lost_twenty_times_at_random_moments(tmp_path: Path, where: tuple[str, ...], seed: int) -> None:
    """All processes killed at once, from the first file to the last table; what was done is never lost and never done again."""
    generator, out, scans = np.random.default_rng(seed), tmp_path / "out", write_scans(tmp_path / "in", scans=MANY)
    kept: dict[str, bytes] = {}
    for number in itertools.count():
        with run_of("--sleep", 0.2, scans, out, *where, log=tmp_path / "log") as child:
            if number == 20:
                assert child.end() == 0, child.said
                break
            aim = len(kept) + int(generator.choice([0, 0, 1, 2, 3]))  # 0: at once, while it starts or counts what is there
            wait_until(lambda aim=aim: child.ended or ((out / ".hypojax.lock").exists() and len(ledger(out)) >= aim))
            time.sleep(generator.uniform(0.0, 0.3 if aim > len(kept) else 4.0))
            assert len(kept) < MANY, "there is nothing left to interrupt: give it more scans"
            child.kill_all()
        assert kept.items() <= ledger(out).items(), f"seed {seed}, kill {number}"
        kept = ledger(out)
        print(f"seed {seed}: kill {number} left {len(kept)} scans")
    assert written(out) == undisturbed(scans, tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_asked_to_end_it_writes_the_table_and_goes_on(
    scans: Path, expected: dict[str, Any], tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    with run_of("--sleep", 0.05, scans, out, log=tmp_path / "log") as child:
        child.until(lambda: done(out) >= 2)
        child.send(number)
        assert child.end() == 128 + number
        assert "run the same command again to continue" in child.said
        assert "Traceback" not in child.said
    left = execute.status(out)
    assert (left.failed, 2 <= left.done < SCANS) == (0, True)
    assert not [problem for problem in execute.verify(out) if not problem.scan]  # the table is there, and that of the ledger
    outcome = execute.run([scans], out=out, segmenter=StandIn())
    assert (outcome.done, outcome.kept) == (SCANS, left.done)
    assert written(out) == expected


@pytest.mark.slow
@pytest.mark.long
def test_a_cluster_asked_to_end_ends_and_is_gone_on_from(scans: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with run_of("--sleep", 0.1, scans, out, *LOCAL, log=tmp_path / "log") as child:
        child.until(lambda: done(out) >= 2)
        child.send(signal.SIGTERM)
        assert child.end() == TERMINATED
        assert "Traceback" not in child.said
    assert 2 <= done(out) < SCANS
    assert execute.run([scans], out=out, segmenter=StandIn()).done == SCANS
    assert written(out) == expected


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_terminal_asks_all_processes_of_a_cluster_to_end_and_none_dies_of_it(scans: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, or a terminal that is closed: the whole group gets it, and the workers still put down what they have in hand."""
    out = tmp_path / "out"
    with run_of("--sleep", 0.1, scans, out, *LOCAL, log=tmp_path / "log") as child:
        child.until(lambda: done(out) >= 2)
        os.killpg(child.process.pid, number)
        assert child.end() == 128 + number
        assert "run the same command again to continue" in child.said
        assert "Traceback" not in child.said
    assert not [problem for problem in execute.verify(out) if not problem.scan]
    outcome, watch = execute.status(out), Tally()
    assert (outcome.done + outcome.pending, outcome.failed) == (SCANS, 0)
    assert execute.run([scans], out=out, segmenter=StandIn(), callback=watch).done == SCANS
    assert not any("when an earlier run died" in note for note in watch.notes)


@pytest.mark.slow
@pytest.mark.long
def test_the_next_run_waits_for_workers_that_outlive_their_client(scans: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    """Only the client is killed. Its workers end by themselves; whoever comes at once never writes beside them."""
    out, watch = tmp_path / "out", Tally()
    with run_of("--sleep", 0.1, scans, out, *LOCAL, log=tmp_path / "log") as child:
        child.until(lambda: done(out) >= 2)
        child.send(signal.SIGKILL)
        child.end()
        outcome = execute.run([scans], out=out, segmenter=StandIn(), callback=watch)
    assert (outcome.done, outcome.failed) == (SCANS, 0)
    assert written(out) == expected


@pytest.mark.slow
def test_a_scan_that_kills_the_process_hinders_no_other(tmp_path: Path) -> None:
    """In one process it does so each time it is tried; once that has shown which it is, all others get done before it."""
    scans, out = write_scans(tmp_path / "in", scans=6, poisoned=2), tmp_path / "out"
    for _ in range(3):  # those read ahead of it are suspects too, until it alone brings a process down
        with run_of("--poison", "segfault", scans, out, log=tmp_path / "log") as child:
            assert child.end() == -signal.SIGSEGV, child.said
        execute.status(out)
    outcome = execute.status(out)
    assert (outcome.done, outcome.failed, outcome.pending) == (5, 0, 1)
    assert [result.scan for result in outcome.results if result.status == "pending"] == ["sub-02"]
    with run_of("--poison", "segfault", scans, out, *LOCAL, log=tmp_path / "log") as child:
        assert child.end() == 2, child.said
        assert "Traceback" not in child.said
    (failure,) = execute.status(out).failures
    assert (failure.scan, failure.reason) == ("sub-02", Reason.CRASHED)
    assert execute.verify(out) == ()


@pytest.mark.slow
def test_a_scan_larger_than_memory_fails_alone(tmp_path: Path) -> None:
    """A real limit: the address space of a process. The large scan is sound, so that only memory stands against it."""
    scans, out = tmp_path / "in", tmp_path / "out"
    large = np.broadcast_to(np.arange(900, dtype=np.int16), (900, 900, 900))  # 1.5 GB when it is read
    write_nifti(scans / "large_T1w.nii.gz", large, np.diag([0.2, 0.2, 0.2, 1]))
    for name in ("a", "z"):
        write_phantom(scans / f"{name}_T1w.nii.gz")
    with run_of("--memory", 1_000_000_000, scans, out, log=tmp_path / "log") as child:
        assert child.end() == 2, child.said
    outcome = execute.status(out)
    (failure,) = outcome.failures
    assert (outcome.done, failure.scan, failure.reason) == (2, "large", Reason.TOO_LARGE)
    assert "memory" in failure.message
    assert execute.verify(out) == ()


def test_a_clock_set_back_changes_nothing(scans: Path, expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written stands in the future, and the clock jumps back with every look at it."""
    out, network = tmp_path / "out", Interrupted(after=5)
    with pytest.raises(KeyboardInterrupt):
        execute.run([scans], out=out, segmenter=network)
    for path in out.rglob("*"):
        os.utime(path, (4_000_000_000, 4_000_000_000))
    for name, unit in (("time", 1), ("time_ns", 10**9)):
        ticks = itertools.count(2_000_000_000, -3600)
        monkeypatch.setattr(time, name, lambda ticks=ticks, unit=unit: next(ticks) * unit)
    outcome = execute.run([scans], out=out, settings=RunSettings(check=True), segmenter=StandIn())
    monkeypatch.undo()
    assert outcome.done == SCANS
    assert outcome.kept > 0
    assert written(out) == expected


class Interrupted(StandIn):
    """Meets Ctrl-C after so many scans."""

    def __init__(self, *, after: int) -> None:
        super().__init__()
        self.after = after

    def segment_batch(self, scans: Any) -> Any:  # noqa: ANN401  (as `StandIn` has them)
        if len(self.batches) >= self.after:
            raise KeyboardInterrupt
        return super().segment_batch(scans)


def test_a_second_run_is_refused_and_hinders_nothing(scans: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with run_of("--sleep", 0.02, scans, out, log=tmp_path / "log") as child:
        child.until(lambda: done(out) >= 1)
        with pytest.raises(RunError) as error:
            execute.run([scans], out=out, segmenter=StandIn())
        assert error.value.reason == Reason.BUSY
        assert child.end() == 0, child.said
    assert written(out) == expected


@pytest.mark.slow
@pytest.mark.long
def test_of_runs_that_begin_at_once_one_is_let_through(scans: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    children = [run_of("--sleep", 0.05, scans, out, log=tmp_path / f"log-{number}") for number in range(3)]
    assert sorted(child.end() for child in children) == [0, 1, 1], [child.said for child in children]
    assert sum("another run is writing into" in child.said for child in children) == 2
    assert written(out) == expected
