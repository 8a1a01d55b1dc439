"""A run on a cluster: the same cohort as in one process, and a scan that takes its worker down is the only one to fail."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from distributed import Client
from standin import StandIn, write_phantom
from test_execute import Tally, bytes_below, stable

from hypojax import execute
from hypojax.cohort import open_cohort
from hypojax.execute.cluster import on_this_machine
from hypojax.execute.dispatch import batches
from hypojax.execute.lock import Shard, WorkerLock, parse_shard
from hypojax.execute.worker import Assignment, assigned
from hypojax.reason import HypojaxError, Reason, RunError, ScanError
from hypojax.segmenter.segmenter import Segmentation
from hypojax.settings import ClusterSettings, RunSettings

LOCAL = ClusterSettings("local", workers=2)


@dataclass
class Deadly(StandIn):
    """Dies of a poisoned scan, as of a fault in a C library; each death leaves a file in a folder."""

    deaths: Path = Path()

    def segment_batch(self, scans: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Segmentation]:
        try:
            return super().segment_batch(scans)
        except ZeroDivisionError:
            (self.deaths / f"{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
            raise


def folder(path: Path, *, scans: int, poisoned: Sequence[int] = ()) -> Path:
    for number in range(scans):
        write_phantom(path / f"sub-{number:02d}_T1w.nii.gz", poison=number in poisoned)
    return path


@pytest.mark.floor
def test_a_cluster_gives_the_cohort_of_one_process(tmp_path: Path) -> None:
    scans, watch = folder(tmp_path / "in", scans=7, poisoned=(3,)), Tally()
    execute.run([scans], out=tmp_path / "here", segmenter=StandIn())
    outcome = execute.run([scans], out=tmp_path / "there", segmenter=StandIn(), where=LOCAL, callback=watch)
    assert (outcome.done, outcome.failed, outcome.processed) == (6, 1, 7)
    assert sorted(result.scan for result in watch.results) == [result.scan for result in outcome.results]
    assert "2 worker processes" in watch.notes[0]
    here, there = (open_cohort(tmp_path / name) for name in ("here", "there"))
    xr.testing.assert_identical(stable(here), stable(there))
    assert there.attrs["device"] == "none"  # said by the workers
    for part in ("cohort.zarr/native", "cohort.zarr/labels", "cohort.zarr/posterior", "derivatives"):
        assert bytes_below(tmp_path / "here" / part) == bytes_below(tmp_path / "there" / part)
    assert execute.verify(tmp_path / "there") == ()
    again = execute.run([scans], out=tmp_path / "there", segmenter=StandIn(), where=LOCAL)
    assert (again.kept, again.processed) == (6, 0)


@pytest.mark.slow
def test_a_scan_that_takes_its_worker_down_fails_alone(tmp_path: Path) -> None:
    scans = folder(tmp_path / "in", scans=12, poisoned=(5,))
    (deaths := tmp_path / "deaths").mkdir()
    outcome = execute.run([scans], out=tmp_path / "out", segmenter=Deadly(deaths=deaths), where=LOCAL)
    assert (outcome.done, outcome.failed) == (11, 1)
    assert len(list(deaths.iterdir())) == 3, "with others, alone on its worker, and with nothing else at work"
    (failure,) = outcome.failures
    assert (failure.scan, failure.reason) == ("sub-05", Reason.CRASHED)
    assert "--retry-failed" in failure.message
    assert execute.verify(tmp_path / "out") == ()


def test_shards_are_the_whole_and_each_writes_the_table_of_what_is_done(tmp_path: Path) -> None:
    scans = folder(tmp_path / "in", scans=5)
    execute.run([scans], out=tmp_path / "whole", segmenter=StandIn())
    out, shares = tmp_path / "parts", []
    for number in (2, 1, 3):
        outcome = execute.run([scans], out=out, segmenter=StandIn(), shard=Shard(number, 3))
        shares.append([result.scan for result in outcome.results])
        assert outcome.pending == 0
        cohort = open_cohort(out)
        assert set(cohort.scan.values[cohort.status.values == "done"]) == {scan for share in shares for scan in share}
        assert execute.verify(out) == ()
    assert shares == [["sub-01", "sub-04"], ["sub-00", "sub-03"], ["sub-02"]]
    xr.testing.assert_identical(stable(open_cohort(tmp_path / "whole")), stable(open_cohort(out)))
    assert execute.verify(out) == ()


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "x", "1/2/3", "-1/2"])
def test_shares_that_are_none(text: str) -> None:
    with pytest.raises(RunError, match="--shard") as error:
        parse_shard(text)
    assert error.value.reason == Reason.USAGE


@pytest.mark.parametrize(
    "wrong", [{"cluster": "slrum"}, {"cluster": "local", "workers": 0}, {"cluster": "slurm"}, {"cluster_config": Path("cluster.toml")}]
)
def test_clusters_that_cannot_be(wrong: dict[str, str]) -> None:
    with pytest.raises(RunError) as error:
        ClusterSettings(**wrong)
    assert error.value.reason == Reason.USAGE


@pytest.mark.parametrize(("scans", "workers", "least"), [(0, 1, 1), (1, 4, 1), (100, 2, 1), (100, 2, 16), (10_000, 4, 8)])
def test_batches_hold_every_scan_once(scans: int, workers: int, least: int) -> None:
    names = [f"sub-{number}" for number in range(scans)]
    made = batches(names, workers=workers, least=least)
    assert [scan for batch in made for scan in batch] == names
    assert all(least <= len(batch) <= max(least, 32) for batch in made[:-1])


@pytest.mark.parametrize("error", [RunError(Reason.DISK_FULL, "full"), ScanError(Reason.TRUNCATED, "sub-01", "ends early")])
def test_errors_travel_between_processes_whole(error: HypojaxError) -> None:
    import pickle

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert (type(again), str(again), again.reason, vars(again)) == (type(error), str(error), error.reason, vars(error))


def test_other_settings_are_refused_or_everything_is_done_anew(tmp_path: Path) -> None:
    scans, out = folder(tmp_path / "in", scans=3), tmp_path / "out"
    execute.run([scans], out=out, segmenter=StandIn())
    with pytest.raises(RunError, match="--recompute") as error:
        execute.run([scans], out=out, segmenter=StandIn(weights="new"))
    assert error.value.reason == Reason.OTHER_SETTINGS
    one = scans / "sub-01_T1w.nii.gz"
    outcome = execute.run([one], out=out, settings=RunSettings(recompute=True), segmenter=StandIn(weights="new"))
    assert (outcome.done, outcome.pending) == (1, 2)  # what was made with the old weights no longer counts
    assert open_cohort(out).attrs["weights_head_sha256"] == "new"
    outcome = execute.run([scans], out=out, segmenter=StandIn(weights="new"))
    assert (outcome.done, outcome.kept) == (3, 1)
    assert execute.verify(out) == ()


def test_scans_at_work_when_a_process_died_come_last_and_alone_the_worst_at_the_end(tmp_path: Path) -> None:
    scans, out, watch = folder(tmp_path / "in", scans=4), tmp_path / "out", Tally()
    execute.ingest([scans], out=out, segmenter=StandIn())
    from hypojax.store import CohortStore

    store = CohortStore.open(out / "cohort.zarr")
    for scan in ("sub-00", "sub-00", "sub-02"):
        store.begin(scan)  # and then the process dies
    network = StandIn()
    execute.run([scans], out=out, settings=RunSettings(batch=4), segmenter=network, callback=watch)
    assert [result.scan for result in watch.results] == ["sub-01", "sub-03", "sub-02", "sub-00"]
    assert network.batches == [2, 1, 1]
    assert any(note.startswith("at work when an earlier run died: sub-02, sub-00, left for last") for note in watch.notes)
    assert store.begun("sub-00") == 0
    assert execute.verify(out) == ()


def test_whoever_looks_on_is_told_of_each_scan_once(tmp_path: Path) -> None:
    scans, out, watch = folder(tmp_path / "in", scans=4), tmp_path / "out", Tally()
    execute.ingest([scans], out=out, segmenter=StandIn())
    shards = iter([Shard(1, 2), Shard(2, 2)])

    def pause(seconds: float) -> None:
        execute.run([scans], out=out, segmenter=StandIn(), shard=next(shards))

    execute.follow(out, every=0.0, callback=watch, pause=pause)
    assert (watch.total, watch.kept) == (4, 0)
    assert [result.scan for result in watch.results] == ["sub-00", "sub-02", "sub-01", "sub-03"]


def plugins(client: Client) -> set[str]:
    """Plugins of hypojax that a scheduler and its workers have."""
    kept = client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.worker_plugins, *dask_scheduler.plugins])
    held = client.run(lambda dask_worker: list(dask_worker.plugins))
    return {name for name in (*kept, *(name for names in held.values() for name in names)) if name.startswith("hypojax-")}


@pytest.mark.floor
def test_a_cluster_forgets_a_run_however_it_ends(tmp_path: Path) -> None:
    """By an error in the client, and by a client that is gone and cleans up nothing."""
    ends, vanishes = (Assignment(WorkerLock(None, f"hypojax-{name}"), tmp_path, RunSettings()) for name in ("ends", "vanishes"))
    with on_this_machine([{}]) as cluster, Client(cluster) as onlooker:
        onlooker.wait_for_workers(1, timeout=120)
        with suppress(KeyboardInterrupt), assigned(onlooker, ends):
            assert plugins(onlooker) == {"hypojax-ends", "hypojax-ends-removal"}
            raise KeyboardInterrupt
        assert plugins(onlooker) == set()
        going = Client(cluster, set_as_default=False)
        block = assigned(going, vanishes)
        block.__enter__()  # and never its end
        assert plugins(onlooker) == {"hypojax-vanishes", "hypojax-vanishes-removal"}
        going.close()
        end = time.monotonic() + 120
        while plugins(onlooker) and time.monotonic() < end:
            time.sleep(0.05)
        assert plugins(onlooker) == set()
