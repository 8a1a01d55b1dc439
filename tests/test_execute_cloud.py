"""A run whose scans and store lie in buckets gives the cohort of a run on a disk, whatever the network does in between."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import xarray as xr
from s3_server import Bucket, Trouble, first, proxy
from standin import StandIn, write_phantom

import hypojax
from hypojax import execute
from hypojax.cohort import open_cohort
from hypojax.cohort.lazy_arrays import LAZY
from hypojax.execute.outcome import NoCallback
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings
from hypojax.storage import ObjectPath, locate, set_retry_timeout
from hypojax.storage.lease import LeaseState, lease
from hypojax.store import CohortStore, verify

MAPS = RunSettings(read_ahead=2)


def bids(folder: Path) -> Path:
    """Two good scans, a poisoned and an empty one, with their ages."""
    for number in range(4):
        path = folder / f"sub-0{number}" / "anat" / f"sub-0{number}_T1w.nii.gz"
        write_phantom(path, poison=number == 2)
        if number == 3:
            path.write_bytes(b"")
    (folder / "participants.tsv").write_text(
        "\n".join(["participant_id\tage", *(f"sub-0{number}\t{20 + number}" for number in range(4)), ""])
    )
    return folder


def stable(cohort: xr.Dataset) -> xr.Dataset:
    """A cohort without what differs from run to run and from place to place."""
    messages = [str(text).replace(str(path), "PATH") for text, path in zip(cohort["message"].values, cohort["path"].values, strict=True)]
    return cohort.drop_vars(["seconds", "path", *LAZY]).assign(message=("scan", messages)).drop_attrs(deep=False)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a disk: ``in`` and ``out``."""
    folder = tmp_path_factory.mktemp("twin")
    execute.run([bids(folder / "in")], out=folder / "out", settings=MAPS, segmenter=StandIn())
    return folder


@pytest.fixture
def scans(bucket: Bucket, twin: Path) -> str:
    """The same scans in a bucket."""
    bucket.upload(twin / "in", below="in/")
    return f"{bucket.url}/in"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_whole_run_in_a_bucket(bucket: Bucket, scans: str, twin: Path) -> None:
    """Table, voxels, label maps and derivatives are those of the run on a disk; so are the verbs that follow."""
    out = f"{bucket.url}/out"
    outcome = execute.run([scans], out=out, settings=MAPS, segmenter=StandIn())
    assert (outcome.done, outcome.failed) == (2, 2)
    xr.testing.assert_identical(stable(open_cohort(out)), stable(open_cohort(twin / "out")))
    found, expected = bucket.snapshot("out/"), files(twin / "out")
    held = {key for key in (*found, *expected) if key.startswith(".hypojax")}  # leases here, locks there
    assert found.keys() - held == expected.keys() - held
    same = [key for key in expected if key.startswith("derivatives/sub-") and not key.endswith(".json")]
    same += [key for key in expected if key.startswith(ARRAYS)]
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    (source,) = json.loads(found["derivatives/dseg.json"])["Sources"]
    links = json.loads(found["derivatives/dataset_description.json"])["DatasetLinks"]
    assert links[source.removeprefix("bids:").removesuffix(":")].rstrip("/") == scans.rstrip("/")
    assert execute.verify(out) == ()
    network = StandIn()
    again = execute.run([scans], out=out, settings=replace(MAPS, retry_failed=True), segmenter=network)
    assert (again.done, again.kept, len(network.batches)) == (2, 2, 1)  # only the poisoned one is tried again
    assert execute.status(out).done == 2
    assert execute.export(out).done == 2
    assert {**bucket.snapshot("out/"), ".hypojax.lease": b""}.keys() == {**found, ".hypojax.lease": b""}.keys()


@pytest.mark.parametrize("places", ["in", "out"])
def test_only_one_end_in_a_bucket(bucket: Bucket, scans: str, twin: Path, tmp_path: Path, places: str) -> None:
    source, out = (scans, tmp_path / "out") if places == "in" else (twin / "in", f"{bucket.url}/out")
    execute.run([source], out=out, settings=MAPS, segmenter=StandIn())
    xr.testing.assert_identical(stable(open_cohort(out)), stable(open_cohort(twin / "out")))


def test_the_parts_one_after_the_other(bucket: Bucket, scans: str, twin: Path) -> None:
    out = f"{bucket.url}/out"
    assert execute.ingest([scans], out=out, settings=MAPS, segmenter=StandIn()).pending == 3
    for key in bucket.snapshot("in/"):
        bucket.delete(f"in/{key}")  # what was ingested is all that segmenting needs
    assert execute.segment_store(out, settings=MAPS, segmenter=StandIn()).done == 2
    xr.testing.assert_identical(stable(open_cohort(out)), stable(open_cohort(twin / "out")))


@pytest.mark.slow
@pytest.mark.parametrize("change", [None, lambda data: bytes([data[0] ^ 1]) + data[1:]])
def test_damage_is_found_and_only_that_scan_done_again(bucket: Bucket, scans: str, change: Callable[[bytes], bytes] | None) -> None:
    """An object deleted, and one whose bytes are others."""
    out = f"{bucket.url}/out"
    execute.run([scans], out=out, settings=MAPS, segmenter=StandIn())
    whole, shard = arrays_in(bucket), "cohort.zarr/native/sub-00/c/0/0/0"
    if change is None:
        bucket.delete(f"out/{shard}")
    else:
        bucket.put(f"out/{shard}", change(whole[shard]))
    assert {problem.scan for problem in execute.verify(out)} == {"sub-00"}
    watch = Tally()
    outcome = execute.run([scans], out=out, settings=RunSettings(check=True), segmenter=StandIn(), callback=watch)
    assert (outcome.done, watch.total) == (2, 1)
    assert execute.verify(out) == ()
    assert arrays_in(bucket) == whole


ARRAYS = tuple(f"cohort.zarr/{name}/" for name in ("native", "labels", "posterior", "image", "head"))


def arrays_in(bucket: Bucket) -> dict[str, bytes]:
    """Objects of all arrays of scans."""
    return {key: data for key, data in bucket.snapshot("out/").items() if key.startswith(ARRAYS)}


class Tally(NoCallback):
    """Remembers how many scans there were to do."""

    total = -1

    def started(self, *, total: int, kept: int) -> None:
        self.total = total


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(first("503"), id="503", marks=pytest.mark.slow),
        pytest.param(first("drop_answer"), id="drop_answer", marks=pytest.mark.slow),
        pytest.param(lambda method, path, before: "drop_request" if before == 0 and method == "PUT" else "pass", id="drop_request"),
        pytest.param(first("slow"), id="slow", marks=pytest.mark.slow),
        pytest.param(first("503", times=3), id="503 thrice", marks=pytest.mark.long),
    ],
)
def test_a_bad_network_changes_nothing(
    bucket: Bucket, scans: str, twin: Path, monkeypatch: pytest.MonkeyPatch, trouble: Callable[[str, str, int], str]
) -> None:
    """Every request fails at first: the table is that of an undisturbed run, every scan counted once."""
    out, met = f"{bucket.url}/out", Trouble(trouble)
    with proxy(bucket.endpoint, met) as endpoint, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        execute.run([scans], out=out, settings=MAPS, segmenter=StandIn())
    assert met.done.total() - met.done["pass"] > 50
    xr.testing.assert_identical(stable(open_cohort(out)), stable(open_cohort(twin / "out")))
    assert execute.verify(out) == ()


@pytest.mark.slow
@pytest.mark.parametrize("after", [5, 60, 110])
def test_a_server_that_goes_away_ends_the_run_and_the_same_command_goes_on(
    bucket: Bucket, scans: str, twin: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """One sentence; no scan is failed for it, none half counted."""
    out, requests = f"{bucket.url}/out", [0]

    def down(_method: str, _path: str, _before: int) -> str:
        requests[0] += 1
        return "503" if requests[0] > after else "pass"

    with proxy(bucket.endpoint, Trouble(down)) as endpoint, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        set_retry_timeout(0.5)
        with pytest.raises(
            RunError, match=f"^{bucket.url}/.* cannot be reached: the server answers 503; check the network and the server"
        ) as caught:
            execute.run([scans], out=out, settings=MAPS, segmenter=StandIn())
    assert caught.value.reason is Reason.UNREACHABLE
    if after > 20:
        store = CohortStore.open(locate(f"{out}/cohort.zarr"))
        assert {record["reason"] for record in store.records() if record["status"] == "failed"} <= {"empty_file", "unexpected"}
        assert {problem.scan for problem in verify(store.root)} <= {"", *store.missing()}
    set_retry_timeout(8.0)
    release(bucket)
    execute.run([scans], out=out, settings=MAPS, segmenter=StandIn())
    xr.testing.assert_identical(stable(open_cohort(out)), stable(open_cohort(twin / "out")))
    assert execute.verify(out) == ()


def release(bucket: Bucket) -> None:
    """Take the lease of a run that could not give it back, which would be free in half a minute."""
    bucket.delete("out/.hypojax.lease")


def test_a_second_run_is_refused(bucket: Bucket, scans: str) -> None:
    out = f"{bucket.url}/out"
    with lease(ObjectPath(bucket.url, "out"), interval=0.3), pytest.raises(RunError, match="another run") as caught:
        execute.run([scans], out=out, segmenter=StandIn())
    assert caught.value.reason is Reason.BUSY
    assert execute.run([scans], out=out, segmenter=StandIn()).done == 2


def test_a_run_that_lost_its_output_stops_and_another_goes_on(
    bucket: Bucket, scans: str, twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the renewal says so, not at the end."""
    out, network = f"{bucket.url}/out", StandIn()
    monkeypatch.setattr("hypojax.execute.lock.lease", partial(lease, interval=0.1))

    class Robbed(NoCallback):
        def finished(self, result: execute.ScanResult) -> None:
            bucket.put("out/.hypojax.lease", LeaseState("other", "process 1 on elsewhere").encoded())
            time.sleep(1.0)  # ten intervals

    with pytest.raises(RunError, match="another run took over") as caught:
        execute.run([scans], out=out, settings=MAPS, segmenter=network, callback=Robbed())
    assert caught.value.reason is Reason.BUSY
    assert "volumes.tsv" not in bucket.snapshot("out/")
    assert execute.run([scans], out=out, settings=MAPS, segmenter=StandIn()).kept >= 1
    xr.testing.assert_identical(stable(open_cohort(out)), stable(open_cohort(twin / "out")))


def test_an_output_that_holds_scans_is_refused(scans: str, bucket: Bucket) -> None:
    with pytest.raises(RunError, match="looks like a folder of scans") as caught:
        execute.run([scans], out=f"{bucket.url}/in", segmenter=StandIn())
    assert caught.value.reason is Reason.USAGE


def test_one_scan_by_its_url(scans: str) -> None:
    dataset = hypojax.segment(f"{scans}/sub-00/anat/sub-00_T1w.nii.gz", segmenter=StandIn())
    assert dataset.scan.item() == "sub-00"
    assert int(dataset.age) == 20
