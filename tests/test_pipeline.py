"""The pipeline by itself: threads and pipelines side by side change nothing, and no scan is kept longer than it is needed."""

import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin import AFFINE, SHAPE, StandIn, phantom_voxels, write_phantom
from tiny_segmenter import tiny

from hypojax.execute.pipeline import Item, Pipeline, Segments
from hypojax.preprocessing.foreground import Prepared
from hypojax.reason import HypojaxError, Reason
from hypojax.scans import write_nifti
from hypojax.segmenter.segmenter import Segmentation
from hypojax.settings import RunSettings
from hypojax.store import CohortStore, ScanEntry, ScanRecord

MARK = 4000
"""A voxel of this value is in no phantom."""


def pipeline(
    folder: Path, network: Segments, *, names: Sequence[str] = tuple("abcde"), broken: Sequence[str] = (), out: str = "out"
) -> Pipeline:
    """A pipeline from phantoms of these names into an empty store."""
    entries = []
    for name in names:
        path = write_phantom(folder / "in" / f"{name}.nii.gz")
        if name in broken:
            path.write_bytes(b"")
        entries.append(ScanEntry(scan=name, path=str(path), entities={}, columns={}))
    return Pipeline(CohortStore.create(folder / out, scans=entries, settings={}), folder / "derivatives", network)


def stable(records: Sequence[ScanRecord]) -> list[ScanRecord]:
    """Records without what differs from run to run."""
    return [ScanRecord({**record, "row": {**record["row"], "seconds": None}}) for record in records]


def test_threads_change_nothing(tmp_path: Path) -> None:
    records = []
    for threads in (1, 3):
        made = pipeline(tmp_path, StandIn(batch=2), broken=("b",), out=f"{threads}")
        results = list(made.results(made.store.index.ids, settings=RunSettings(threads=threads, read_ahead=4)))
        found = [(result.scan, result.status) for result in results]
        assert found == [("b", "failed"), *((scan, "done") for scan in "acde")]  # what is refused does not wait for a batch
        records.append(stable(made.store.records()))
    assert records[0] == records[1]
    assert len(records[0]) == 5


class Drawn(StandIn):
    """A stand-in that lets the tiny networks say how sure it is, so that what they say of a scan stands in its record."""

    def __init__(self) -> None:
        super().__init__(batch=2)
        self.network = tiny(batch=2)

    def segment_batch(self, scans: Sequence[Prepared]) -> list[Segmentation]:
        shown, drawn = super().segment_batch(scans), self.network.segment_batch(scans)
        return [replace(one, located=other.located, views=other.views) for one, other in zip(shown, drawn, strict=True)]


def test_two_pipelines_share_a_store_and_a_segmenter(tmp_path: Path) -> None:
    """As two batches of a worker do."""
    network = Drawn()
    alone, shared = (pipeline(tmp_path, network, out=out) for out in ("alone", "shared"))
    for number, scan in enumerate("abcde"):
        noise = np.random.default_rng(number).integers(-20, 20, SHAPE).astype(np.int16)
        write_nifti(tmp_path / "in" / f"{scan}.nii.gz", phantom_voxels() + noise, AFFINE)
    list(alone.results(alone.store.index.ids, settings=RunSettings(threads=1)))
    together = threading.Barrier(2, timeout=60)

    def work(scans: Sequence[str]) -> list[str]:
        together.wait()
        return [result.scan for result in shared.results(scans, settings=RunSettings(threads=2))]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, [("a", "b"), ("c", "d", "e")])) == [["a", "b"], ["c", "d", "e"]]
    records = stable(alone.store.records())
    assert stable(shared.store.records()) == records
    assert len({record["row"]["quality_location"] for record in records}) == 5


def test_closed_early_it_commits_what_it_finishes(tmp_path: Path) -> None:
    made = pipeline(tmp_path, StandIn())
    with closing(made.results(made.store.index.ids, settings=RunSettings(threads=1))) as results:
        assert next(results).scan == "a"
    done = [record["scan"] for record in made.store.records()]
    assert done[0] == "a"
    assert len(done) < 5
    assert made.store.missing() == tuple("abcde"[len(done) :])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hypojax")]


def test_the_time_of_the_devices_is_told(tmp_path: Path) -> None:
    class Timed(StandIn):
        def segment_batch(self, scans: Sequence[Prepared]) -> list[Segmentation]:
            return [replace(found, device_seconds=0.25) for found in super().segment_batch(scans)]

    made = pipeline(tmp_path, Timed(), names=("a", "b"), broken=("b",))
    assert [result.device_seconds for result in made.results(["a", "b"], settings=RunSettings())] == [0.25, 0.0]


@pytest.mark.parametrize("names", ["a", "abcde"])
def test_other_threads_work_while_the_network_is_compiled_and_the_libraries_of_tables_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    reading, compiled, finishing, loaded = (threading.Event() for _ in range(4))

    class Compiled(StandIn):
        def compile(self) -> None:
            assert reading.wait(60)
            compiled.set()

        def prepare(self, volume: np.ndarray, affine: np.ndarray) -> Prepared:
            reading.set()
            assert compiled.wait(60)
            return super().prepare(volume, affine)

    def load(name: str) -> None:
        assert finishing.wait(60)
        loaded.set()

    monkeypatch.setattr("hypojax.execute.pipeline.import_module", load)
    made = pipeline(tmp_path, Compiled(), names=tuple(names))
    commit = made.store.commit

    def last_commit(scan: str, **facts: Any) -> None:  # noqa: ANN401 (as the store has them)
        if scan == names[-1]:
            finishing.set()
            assert loaded.wait(60)
        commit(scan, **facts)

    monkeypatch.setattr(made.store, "commit", last_commit)
    results = list(made.results(list(names), settings=RunSettings(threads=1)))
    assert [(result.scan, result.status) for result in results] == [(name, "done") for name in names]


def test_a_scan_that_does_not_fit_fails_alone(tmp_path: Path) -> None:
    class Cramped(StandIn):
        def prepare(self, volume: np.ndarray, affine: np.ndarray) -> Prepared:
            if volume.shape != phantom_voxels().shape:
                raise MemoryError
            return super().prepare(volume, affine)

        def segment_batch(self, scans: Sequence[Prepared]) -> list[Segmentation]:
            if any((scan.volume == MARK).any() for scan in scans):
                raise HypojaxError(Reason.OUT_OF_MEMORY, "memory does not suffice for 1 at a time")
            return super().segment_batch(scans)

    made = pipeline(tmp_path, Cramped(batch=2), names=("a", "b", "c"))
    write_nifti(tmp_path / "in" / "b.nii.gz", phantom_voxels()[:-1], AFFINE)
    marked = phantom_voxels().copy()
    marked[0, 0, 0] = MARK
    write_nifti(tmp_path / "in" / "c.nii.gz", marked, AFFINE)
    results = list(made.results(["a", "b", "c"], settings=RunSettings()))
    assert [(result.scan, result.reason) for result in results] == [("b", Reason.TOO_LARGE), ("a", ""), ("c", Reason.OUT_OF_MEMORY)]
    assert all("memory" in result.message for result in results if result.failed)
    assert all(record["row"]["voxel_size_mm"] == [5.0, 5.0, 5.0] for record in made.store.records())


def test_scans_of_a_batch_are_let_go_one_by_one(tmp_path: Path) -> None:
    network = StandIn(batch=3)
    made, seen = pipeline(tmp_path, network, names=("a", "b", "c")), []

    def ready() -> Iterator[Item]:
        for scan in made.store.index.ids:
            yield watched(made.prepare(Item(scan), network))

    def watched(item: Item) -> Item:
        seen.append(weakref.ref(item.prepared.volume))
        return item

    for number, item in enumerate(made.segment(ready(), network, batch=3)):
        assert [volume() is not None for volume in seen] == [other >= number for other in range(3)]
        del item
    assert len(seen) == 3


def test_a_pipeline_without_a_network_segments_nothing(tmp_path: Path) -> None:
    made = replace(pipeline(tmp_path, StandIn(), names=("a",)), segmenter=None)
    with pytest.raises(ValueError, match="no network"):
        list(made.results(["a"], settings=RunSettings()))
