"""Clusters that lose a worker, their scheduler or their client: no scan is lost, blamed or done twice."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from child import Child, run_of, wait_until
from distributed import Client
from standin import StandIn
from test_cluster import plugins
from test_faults_processes import LOCAL, done, ledger
from undisturbed import undisturbed, write_scans, written

from hypojax import execute
from hypojax.execute import dispatch
from hypojax.reason import Reason, RunError
from hypojax.settings import ClusterSettings

SCANS = 24

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("in"), scans=SCANS)


@pytest.fixture(scope="module")
def expected(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return undisturbed(scans, tmp_path_factory.mktemp("whole"))


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[Child, str]]:
    """A Dask scheduler on loopback, and its address."""
    where = folder / "scheduler.json"
    where.unlink(missing_ok=True)
    command = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    with Child([*command, "--scheduler-file", str(where)], log=folder / "scheduler.log") as child:
        child.until(where.exists)
        wait_until(lambda: bool(where.read_text()))
        yield child, json.loads(where.read_text())["address"]


def workers(address: str, folder: Path, *, name: str = "workers", count: int = 2, memory: str = "0") -> Child:
    """Dask workers of one thread each, as a job of a queue starts them."""
    command = ["-m", "distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--no-dashboard", "--death-timeout", "60"]
    options = ["--nworkers", str(count), "--nthreads", "1", "--memory-limit", memory, "--local-directory", str(folder / f"{name}-dask")]
    return Child([*command, *options], log=folder / f"{name}.log")


def worker_processes(child: Child) -> list[psutil.Process]:
    """Processes of the workers that a child has started."""
    found = []
    for process in psutil.Process(child.process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has ended since
            found += [process] if any(word in " ".join(process.cmdline()) for word in ("spawn_main", "dask worker")) else []
    return found


def kill_one(processes: Sequence[psutil.Process], generator: np.random.Generator, number: signal.Signals) -> bool:
    """Send a signal to one of them; whether there was one to send it to."""
    with suppress(psutil.NoSuchProcess):
        if processes:
            processes[int(generator.integers(len(processes)))].send_signal(number)
            return True
    return False


@pytest.mark.parametrize(("number", "seed"), [(signal.SIGKILL, 1), (signal.SIGTERM, 2)])
def test_a_worker_that_is_killed_costs_no_scan(
    scans: Path, expected: dict[str, Any], tmp_path: Path, number: signal.Signals, seed: int
) -> None:
    """Three times, also while it is starting; what is at work when it dies is done again."""
    out, generator = tmp_path / "out", np.random.default_rng(seed)
    with run_of("--sleep", 0.3, scans, out, *LOCAL, log=tmp_path / "log") as child:
        for _ in range(3):
            before = done(out)
            child.until(lambda before=before: done(out) > before)
            wait_until(lambda: kill_one(worker_processes(child), generator, number))
        assert child.end() == 0, child.said
        assert "Traceback" not in child.said
    assert execute.status(out).done == SCANS
    assert written(out) == expected


@pytest.mark.long
def test_a_job_that_is_preempted_costs_no_scan(scans: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    """SIGTERM to one of two jobs of workers that joined a scheduler by themselves."""
    out = tmp_path / "out"
    with (
        scheduler(tmp_path) as (_, address),
        workers(address, tmp_path, name="stays", count=1),
        workers(address, tmp_path, name="goes", count=1) as goes,
        run_of("--sleep", 0.3, scans, out, "--cluster", address, log=tmp_path / "log") as child,
    ):
        child.until(lambda: done(out) >= 4)
        goes.send(signal.SIGTERM)
        assert child.end() == 0, child.said
        assert "Traceback" not in child.said
    assert execute.status(out).done == SCANS
    assert written(out) == expected


def test_a_scheduler_that_is_killed_ends_the_run_with_a_sentence(scans: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with scheduler(tmp_path) as (boss, address), workers(address, tmp_path):
        with run_of("--sleep", 0.3, scans, out, "--cluster", address, log=tmp_path / "log") as child:
            child.until(lambda: done(out) >= 2)
            boss.kill_all()
            assert child.end() == 1, child.said
            assert "the Dask scheduler is gone; finished scans are kept" in " ".join(child.said.split())
            assert "Traceback" not in child.said
        with scheduler(tmp_path) as (_, other), workers(other, tmp_path, name="others"):
            before = ledger(out)
            with run_of(scans, out, "--cluster", other, log=tmp_path / "log") as child:
                assert child.end() == 0, child.said
    assert before.items() <= ledger(out).items()
    assert written(out) == expected


@pytest.mark.long
def test_workers_of_a_client_that_is_killed_never_meet_the_next_run(scans: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    """They belong to a scheduler that lives on: they end the scans that they are at, begin no other, and forget the run."""
    out = tmp_path / "out"
    with scheduler(tmp_path) as (_, address), workers(address, tmp_path):
        with run_of("--sleep", 0.5, scans, out, "--cluster", address, log=tmp_path / "log") as child:
            child.until(lambda: done(out) >= 2)
            child.kill_all()
        with Client(address) as onlooker:
            wait_until(lambda: plugins(onlooker) == set())
        outcome = execute.run([scans], out=out, segmenter=StandIn())
        assert (outcome.done, outcome.failed) == (SCANS, 0)
        assert written(out) == expected
        with run_of(scans, out, "--cluster", address, log=tmp_path / "log") as child:  # its workers serve the next client
            assert child.end() == 0, child.said
    assert written(out) == expected


@pytest.mark.long
def test_a_scan_that_takes_all_memory_fails_alone(tmp_path: Path) -> None:
    """The nanny of a worker kills it at its limit; the scans that waited behind go elsewhere."""
    scans, out = write_scans(tmp_path / "in", scans=8, poisoned=3), tmp_path / "out"
    with (
        scheduler(tmp_path) as (_, address),
        workers(address, tmp_path, memory="1GB"),
        run_of("--poison", "memory", scans, out, "--cluster", address, log=tmp_path / "log") as child,
    ):
        assert child.end() == 2, child.said
        assert "Traceback" not in child.said
    outcome = execute.status(out)
    (failure,) = outcome.failures
    assert (outcome.done, failure.scan, failure.reason) == (7, "sub-03", Reason.CRASHED)
    assert "more memory" in failure.message
    assert execute.verify(out) == ()


class Stillborn(StandIn):
    """Kills every worker that looks at it."""

    @property
    def provenance(self) -> Mapping[str, str]:
        if multiprocessing.parent_process() is not None:
            os._exit(1)
        return super().provenance


@pytest.mark.long
def test_workers_that_cannot_begin_end_the_run_and_blame_no_scan(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MOST_EARLY_DEATHS", 1)
    with pytest.raises(RunError, match="workers die before they begin a scan") as error:
        execute.run([scans], out=tmp_path / "out", segmenter=Stillborn(), where=ClusterSettings("local", workers=2))
    assert error.value.reason == Reason.CLUSTER_LOST
    assert execute.status(tmp_path / "out").pending == SCANS
