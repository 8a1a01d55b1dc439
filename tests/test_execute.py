"""The line: what goes wrong with one scan stays with it, what is done is kept, and any batch or stage order gives the same cohort."""

import errno
import json
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from standin import AFFINE, StandIn, phantom_voxels, write_phantom

import hypojax
from hypojax import execute
from hypojax.cli.screen import facts
from hypojax.cohort import open_cohort
from hypojax.cohort.lazy_arrays import LAZY
from hypojax.evaluation.summary import subjects_of
from hypojax.execute import output
from hypojax.execute.lock import locked
from hypojax.execute.output import source_datasets
from hypojax.execute.pipeline import Item, attempted
from hypojax.execute.readahead import overlapped
from hypojax.phantom import HYPOTHALAMUS_CENTRE, Phantom
from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans import discover, write_nifti
from hypojax.settings import RunSettings
from hypojax.store import CohortStore

QUANTISED = 1e-3
"""Relative error of a phantom's soft volume from posteriors stored as bytes on 1 and 2 mm grids."""


class Tally:
    """A watch that remembers."""

    def __init__(self) -> None:
        self.total = self.kept = -1
        self.results: list[execute.ScanResult] = []
        self.notes: list[str] = []

    def started(self, *, total: int, kept: int) -> None:
        self.total, self.kept = total, kept

    def finished(self, result: execute.ScanResult) -> None:
        self.results.append(result)

    def noted(self, text: str) -> None:
        self.notes.append(text)


def bids(folder: Path, *, subjects: Sequence[str] = ("01", "02"), poisoned: Sequence[str] = ()) -> Path:
    for subject in subjects:
        write_phantom(folder / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.nii.gz", poison=subject in poisoned)
    rows = [f"sub-{subject}\t{20 + number}" for number, subject in enumerate(subjects)]
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tage", *rows]) + "\n")
    return folder


def stable(cohort: xr.Dataset) -> xr.Dataset:
    """A cohort without what differs from run to run."""
    return cohort.drop_vars(["seconds", *LAZY]).drop_attrs(deep=False)


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_gives_volumes_tables_and_derivatives(tmp_path: Path) -> None:
    watch, truth = Tally(), Phantom().volumes
    outcome = execute.run([bids(tmp_path / "in")], out=tmp_path / "out", segmenter=StandIn(), callback=watch)
    assert (outcome.done, outcome.failed, outcome.pending, outcome.kept) == (2, 0, 0, 0)
    assert (watch.total, watch.kept, [result.status for result in watch.results]) == (2, 0, ["done", "done"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw = xr.open_zarr(tmp_path / "out" / "cohort.zarr")
    assert raw.volume_mm3.attrs["units"] == "mm3"
    cohort = open_cohort(tmp_path / "out")
    assert cohort.age.values.tolist() == [20, 21]
    for region in ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right"):
        np.testing.assert_allclose(cohort.volume_mm3.sel(region=region), truth[region], rtol=QUANTISED)
    assert cohort.attrs["weights_head_sha256"] == "stand-in"
    names = bytes_below(tmp_path / "out")
    assert {"volumes.parquet", "volumes.tsv", "derivatives/dataset_description.json", "derivatives/dseg.tsv"} <= set(names)
    assert "derivatives/sub-02/anat/sub-02_space-orig_seg-hypothalamus_dseg.nii.gz" in names
    assert execute.verify(tmp_path / "out") == ()


def test_what_the_search_noticed_is_said_at_the_start_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said, watch, read = bids(tmp_path / "in"), "1 table row has no folder", Tally(), Tally()
    found = replace(discover([folder]), notes=(said,))
    monkeypatch.setattr("hypojax.execute.inputs.discover", lambda inputs, **_: found)
    outcome = execute.run([folder], out=tmp_path / "out", segmenter=StandIn(), callback=watch)
    ingested = execute.ingest([folder], out=tmp_path / "read", segmenter=StandIn(), callback=read)
    assert watch.notes[0] == read.notes[0] == f"note: {said}"
    assert outcome.notes == ingested.notes == (said,)
    assert facts(outcome)["notes"] == said


def test_a_second_site_with_the_same_labels_joins_an_output_as_other_people(tmp_path: Path) -> None:
    one, two = bids(tmp_path / "a" / "bids"), bids(tmp_path / "b" / "bids")
    for subject in ("01", "02"):
        write_phantom(two / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.nii.gz", mark=7)
    execute.run([one], out=tmp_path / "out", segmenter=StandIn())
    again = Tally()
    outcome = execute.run([one, two], out=tmp_path / "out", segmenter=StandIn(), callback=again)
    assert (outcome.done, outcome.kept) == (4, 2)
    cohort = open_cohort(tmp_path / "out")
    assert cohort.scan.values.tolist() == ["sub-01", "sub-02", "b_bids_sub-01", "b_bids_sub-02"]
    assert cohort.dataset.values.tolist() == ["bids", "bids", "bids-2", "bids-2"]
    assert len(set(subjects_of(cohort))) == 4
    assert execute.run([two], out=tmp_path / "out", segmenter=StandIn()).kept == 2
    joined = execute.run([two], out=tmp_path / "other", segmenter=StandIn())
    joined = execute.run([one], out=tmp_path / "other", segmenter=StandIn())
    assert joined.done == 4
    assert any("its new ids begin with bids-2_" in note for note in joined.notes)
    assert open_cohort(tmp_path / "other").dataset.values.tolist() == ["bids", "bids", "bids-2", "bids-2"]


def test_a_dataset_has_the_name_that_the_user_gives_it(tmp_path: Path) -> None:
    for site in ("a", "b"):
        execute.run([bids(tmp_path / site / "bids", subjects=("01",))], out=tmp_path / "out", segmenter=StandIn(), dataset=site.upper())
    cohort = open_cohort(tmp_path / "out")
    assert dict(zip(cohort.scan.values.tolist(), cohort.dataset.values.tolist(), strict=True)) == {"sub-01": "A", "B_sub-01": "B"}
    table = pd.read_csv(tmp_path / "out" / "volumes.tsv", sep="\t")
    assert set(table["dataset"]) == {"A", "B"}


def same_heads(folder: Path) -> Path:
    """Five scans of two heads: one as float32 in an uncompressed file, and one with another affine."""
    voxels, other = phantom_voxels(), phantom_voxels().copy()
    other[0, 0, 0] += 1
    moved = AFFINE.copy()
    moved[:3, 3] += 1.0
    for name, stored, affine in (
        ("b", voxels, AFFINE), ("c", voxels.astype(np.float32), AFFINE), ("d", other, AFFINE), ("e", voxels, AFFINE), ("f", voxels, moved),
    ):  # fmt: skip
        write_nifti(folder / f"{name}.nii{'' if name == 'c' else '.gz'}", stored, affine)
    return folder


@pytest.mark.parametrize("settings", [RunSettings(), RunSettings(batch=4, threads=2)])
def test_the_same_voxels_keep_their_rows_are_segmented_once_and_name_the_first(tmp_path: Path, settings: RunSettings) -> None:
    network = StandIn()
    outcome = execute.run([same_heads(tmp_path / "in")], out=tmp_path / "out", settings=settings, segmenter=network)
    assert (outcome.done, outcome.failed, sum(network.batches)) == (5, 0, 3)
    assert outcome.summary is not None
    assert outcome.summary.duplicates == 3
    assert "3 scans" in facts(outcome)["same voxels as another scan"]
    cohort = open_cohort(tmp_path / "out")
    assert cohort.duplicate_of.values.tolist() == ["", "b", "", "b", "b"]
    first = cohort.volume_mm3.sel(scan="b").values
    for scan in ("c", "e"):
        np.testing.assert_array_equal(cohort.volume_mm3.sel(scan=scan).values, first)
    assert (cohort.status == "done").all()


def test_shards_resumed_runs_and_stages_name_the_same_duplicates(tmp_path: Path) -> None:
    folder = same_heads(tmp_path / "in")
    execute.run([folder], out=tmp_path / "whole", segmenter=StandIn())
    expected = stable(open_cohort(tmp_path / "whole"))
    for number in (2, 1):
        execute.run([folder], out=tmp_path / "shards", segmenter=StandIn(), shard=execute.parse_shard(f"{number}/2"))
    execute.run([folder / "e.nii.gz", folder / "f.nii.gz"], out=tmp_path / "resumed", segmenter=StandIn())
    execute.run([folder], out=tmp_path / "resumed", segmenter=StandIn())
    execute.ingest([folder], out=tmp_path / "stages", segmenter=StandIn())
    read = open_cohort(tmp_path / "stages")
    execute.segment_store(tmp_path / "stages", segmenter=StandIn())
    assert read.duplicate_of.values.tolist() == expected.duplicate_of.values.tolist()
    for name in ("shards", "resumed", "stages"):
        found = stable(open_cohort(tmp_path / name))
        xr.testing.assert_equal(found.sel(scan=expected.scan.values), expected)


def test_an_unforeseen_fault_takes_no_neighbour_along(tmp_path: Path) -> None:
    folder = bids(tmp_path / "in", subjects=("01", "02", "03"), poisoned=("02",))
    outcome = execute.run([folder], out=tmp_path / "out", settings=RunSettings(batch=3), segmenter=StandIn())
    assert [result.status for result in outcome.results] == ["done", "failed", "done"]
    (failure,) = outcome.failures
    assert failure.reason == Reason.UNEXPECTED
    assert "sub-02" in failure.message
    assert "ZeroDivisionError" in failure.message
    cohort = open_cohort(tmp_path / "out")
    assert cohort.volume_mm3.isnull().all("region").values.tolist() == [False, True, False]
    assert cohort.reason.values.tolist() == ["", "unexpected", ""]


def test_running_again_keeps_what_is_done_and_tries_the_rest_when_asked(tmp_path: Path) -> None:
    folder = bids(tmp_path / "in", poisoned=("02",))
    execute.run([folder], out=tmp_path / "out", segmenter=StandIn())
    before = bytes_below(tmp_path / "out" / "cohort.zarr" / "ledger" / "sub-01")
    write_phantom(folder / "sub-03" / "anat" / "sub-03_T1w.nii.gz")
    network, watch = StandIn(), Tally()
    outcome = execute.run([folder], out=tmp_path / "out", segmenter=network, callback=watch)
    assert (outcome.done, outcome.failed, outcome.kept, sum(network.batches)) == (2, 1, 1, 1)
    assert any("--retry-failed" in note for note in watch.notes)
    write_phantom(folder / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    outcome = execute.run([folder], out=tmp_path / "out", settings=RunSettings(retry_failed=True), segmenter=network)
    assert (outcome.done, outcome.failed, outcome.kept, sum(network.batches)) == (3, 0, 2, 2)
    assert bytes_below(tmp_path / "out" / "cohort.zarr" / "ledger" / "sub-01") == before


def test_batch_and_read_ahead_change_nothing(tmp_path: Path) -> None:
    folder, network = bids(tmp_path / "in", subjects=("01", "02", "03")), StandIn()
    execute.run([folder], out=tmp_path / "a", segmenter=StandIn())
    execute.run([folder], out=tmp_path / "b", settings=RunSettings(batch=2, read_ahead=9, derivatives=False), segmenter=network)
    assert network.batches == [2, 1]
    xr.testing.assert_identical(stable(open_cohort(tmp_path / "a")), stable(open_cohort(tmp_path / "b")))
    for part in ("native", "labels", "posterior", "image", "head"):
        assert bytes_below(tmp_path / "a" / "cohort.zarr" / part) == bytes_below(tmp_path / "b" / "cohort.zarr" / part)
    assert not (tmp_path / "b" / "derivatives").exists()


def test_the_parts_one_after_the_other_are_the_whole(tmp_path: Path) -> None:
    folder = bids(tmp_path / "in")
    (folder / "sub-03" / "anat").mkdir(parents=True)
    (folder / "sub-03" / "anat" / "sub-03_T1w.nii.gz").write_bytes(b"")
    execute.run([folder], out=tmp_path / "whole", segmenter=StandIn())
    ingested = execute.ingest([folder], out=tmp_path / "parts", segmenter=StandIn())
    assert (ingested.done, ingested.pending, ingested.failed) == (0, 2, 1)
    for path in folder.rglob("*.nii.gz"):
        path.unlink()  # what was ingested is all that segmenting needs
    segmented = execute.segment_store(tmp_path / "parts", segmenter=StandIn())
    assert (segmented.done, segmented.pending, segmented.failed) == (2, 0, 1)
    xr.testing.assert_identical(stable(open_cohort(tmp_path / "whole")), stable(open_cohort(tmp_path / "parts")))
    whole = bytes_below(tmp_path / "whole" / "derivatives")
    assert bytes_below(tmp_path / "parts" / "derivatives") == whole
    for path in sorted((tmp_path / "parts" / "derivatives").rglob("*.nii.gz")):
        path.unlink()
    execute.export(tmp_path / "parts")
    assert bytes_below(tmp_path / "parts" / "derivatives") == whole
    assert execute.verify(tmp_path / "parts") == ()


def test_damaged_voxels_in_the_store_are_read_again_or_said_to_be_damaged(tmp_path: Path) -> None:
    folder, out = bids(tmp_path / "in"), tmp_path / "out"
    execute.ingest([folder], out=out, segmenter=StandIn())
    damage(out, "sub-01")
    assert execute.segment_store(out, segmenter=StandIn()).done == 2
    assert execute.verify(out) == ()
    damage(out, "sub-02")
    outcome = execute.export(out)
    assert [result.reason for result in outcome.results] == ["", Reason.STORE_DAMAGED]
    assert "--check" in outcome.failures[0].message


def damage(out: Path, scan: str) -> None:
    """Flip a bit of a scan's stored voxels."""
    shard = out / "cohort.zarr" / "native" / scan / "c" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)


@pytest.mark.parametrize("part", ["native/sub-01", "labels/sub-01", "head/c/0", "posterior/c/0"])
def test_check_writes_a_damaged_scan_anew_and_nothing_else(tmp_path: Path, part: str) -> None:
    folder, out, network = bids(tmp_path / "in"), tmp_path / "out", StandIn()
    execute.run([folder], out=out, segmenter=network)
    victim = max((out / "cohort.zarr" / part).rglob("0"), key=lambda path: path.is_file() and path.stat().st_size)
    before = victim.read_bytes()
    victim.write_bytes(bytes([before[0] ^ 1]) + before[1:])
    assert {problem.scan for problem in execute.verify(out)} == {"sub-01"}
    assert "--check" in str(execute.verify(out)[0].what)
    watch = Tally()
    outcome = execute.run([folder], out=out, settings=RunSettings(check=True), segmenter=network, callback=watch)
    assert (outcome.done, outcome.kept, watch.total) == (2, 1, 1)
    assert execute.verify(out) == ()
    assert victim.read_bytes() == before


def test_scans_without_a_record_are_segmented_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    execute.ingest([bids(tmp_path / "in", subjects=("01", "02", "03"))], out=out, segmenter=StandIn())
    shutil.rmtree(out / "cohort.zarr" / "ledger" / "sub-02")  # as when ingesting broke off
    record = out / "cohort.zarr" / "ledger" / "sub-03" / "zarr.json"
    record.write_bytes(record.read_bytes().replace(b"pending", b"pendinG"))
    outcome = execute.segment_store(out, segmenter=StandIn())
    assert (outcome.done, outcome.pending, outcome.processed) == (3, 0, 3)
    assert execute.verify(out) == ()


def test_batches_are_those_of_the_network_or_larger(tmp_path: Path) -> None:
    folder = bids(tmp_path / "in", subjects=("01", "02", "03", "04"))
    for asked, sizes in ((None, [2, 2]), (1, [2, 2]), (3, [3, 1])):
        network = StandIn(batch=2)
        execute.run([folder], out=tmp_path / f"{asked}", settings=RunSettings(batch=asked, derivatives=False), segmenter=network)
        assert network.batches == sizes


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"batch": -1}, {"read_ahead": 0}, {"threads": 0}])
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="must be 1 or more") as error:
        RunSettings(**wrong)
    assert error.value.reason == Reason.USAGE


def test_the_store_says_how_it_was_made(tmp_path: Path) -> None:
    class Configured(StandIn):
        @property
        def provenance(self) -> dict[str, str]:
            return {**super().provenance, "configuration": '{"widths": [8, 16]}'}

    execute.run([bids(tmp_path / "in")], out=tmp_path / "out", settings=RunSettings(read_ahead=3), segmenter=Configured())
    attributes = open_cohort(tmp_path / "out").attrs
    assert json.loads(attributes["run_settings"]) == {
        "batch": None,
        "check": False,
        "derivatives": True,
        "ensemble": False,
        "exclude": None,
        "memory": None,
        "read_ahead": 3,
        "recompute": False,
        "recompute_changed": False,
        "retry_failed": False,
        "strict_tables": False,
        "threads": None,
        "weights": None,
    }
    assert json.loads(attributes["configuration"]) == {"widths": [8, 16]}


@pytest.mark.parametrize("name", ["dataset_description.json", "participants.tsv", "sub-01/x", "scan.nii.gz"])
def test_a_folder_of_scans_is_no_output(tmp_path: Path, name: str) -> None:
    raw = tmp_path / "site-b"
    (raw / name).parent.mkdir(parents=True)
    (raw / name).write_bytes(b"")
    before = bytes_below(tmp_path)
    with pytest.raises(RunError, match="looks like a folder of scans") as error:
        execute.run([bids(tmp_path / "site-a")], out=raw, segmenter=StandIn())
    assert error.value.reason == Reason.USAGE
    assert bytes_below(raw) == {key.removeprefix("site-b/"): data for key, data in before.items()}


def test_two_runs_cannot_write_into_one_output(tmp_path: Path) -> None:
    folder, out = bids(tmp_path / "in"), tmp_path / "out"
    execute.ingest([folder], out=out, segmenter=StandIn())
    verbs: tuple[Callable[[], object], ...] = (
        lambda: execute.run([folder], out=out, segmenter=StandIn()),
        lambda: execute.ingest([folder], out=out, segmenter=StandIn()),
        lambda: execute.segment_store(out, segmenter=StandIn()),
        lambda: execute.export(out),
    )
    with locked(out):
        for verb in verbs:
            with pytest.raises(RunError, match="another run") as error:
                verb()
            assert error.value.reason == Reason.BUSY
        assert execute.status(out).pending == 2  # looking on is always possible
    assert execute.run([folder], out=out, segmenter=StandIn()).done == 2


def test_a_scan_that_fails_keeps_no_maps_of_an_earlier_run(tmp_path: Path) -> None:
    folder, out = bids(tmp_path / "in"), tmp_path / "out"
    execute.run([folder], out=out, segmenter=StandIn())
    shutil.rmtree(out / "cohort.zarr" / "ledger" / "sub-02")
    (folder / "sub-02" / "anat" / "sub-02_T1w.nii.gz").write_bytes(b"")
    outcome = execute.run([folder], out=out, settings=RunSettings(derivatives=False), segmenter=StandIn())
    assert (outcome.done, outcome.failed, outcome.processed) == (1, 1, 1)
    maps = [name for name in bytes_below(out / "derivatives") if name.startswith("sub-")]
    assert len(maps) == 2
    assert all(name.startswith("sub-01/") for name in maps)


def test_sources_are_roots_of_datasets(tmp_path: Path) -> None:
    folder = bids(tmp_path / "in")
    write_phantom(tmp_path / "loose" / "one.nii.gz")
    execute.run([folder, tmp_path / "loose"], out=tmp_path / "out", segmenter=StandIn())
    execute.run(folder, out=folder / "derivatives" / "own", segmenter=StandIn())
    inside = json.loads((folder / "derivatives" / "own" / "derivatives" / "dataset_description.json").read_text())
    assert inside["SourceDatasets"] == [{"URL": "../../.."}]
    description = json.loads((tmp_path / "out" / "derivatives" / "dataset_description.json").read_text())
    assert "SourceDatasets" not in description  # where they lie on this machine is nobody's business
    assert source_datasets([str(folder / f"sub-{n}" / "anat" / "x.nii") for n in range(50)]) == [str(folder)]


def test_ingesting_loads_no_network(tmp_path: Path) -> None:
    folder, weights = bids(tmp_path / "in"), tmp_path / "weights"
    weights.mkdir()
    for stage in ("head", "box"):
        (weights / f"{stage}.safetensors").write_bytes(b"not read")
    (weights / "SHA256SUMS").write_text("aa  head.safetensors\nbb  box.safetensors\n")
    arguments = ["ingest", str(folder), str(tmp_path / "out"), "--weights", str(weights)]
    code = f"import sys; from hypojax.cli import main; code = main({arguments}); print(code, 'jax' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "0 False"
    assert open_cohort(tmp_path / "out").attrs["weights_box_sha256"] == "bb"
    (weights / "box.safetensors").unlink()
    with pytest.raises(RunError) as error:
        execute.ingest([folder], out=tmp_path / "other", settings=RunSettings(weights=weights))
    assert error.value.reason == Reason.WEIGHTS_MISSING


def test_status_tells_what_waits(tmp_path: Path) -> None:
    execute.ingest([bids(tmp_path / "in")], out=tmp_path / "out", segmenter=StandIn())
    before = bytes_below(tmp_path / "out")
    outcome = execute.status(tmp_path / "out")
    assert (outcome.done, outcome.pending, outcome.failed) == (0, 2, 0)
    assert bytes_below(tmp_path / "out") == before


def test_results_inside_the_input_are_no_scans(tmp_path: Path) -> None:
    write_phantom(tmp_path / "one.nii.gz")
    for _ in range(2):
        outcome = execute.run([tmp_path], out=tmp_path / "out", segmenter=StandIn())
        assert [result.scan for result in outcome.results] == ["one"]


def test_an_interrupted_run_leaves_a_table_and_goes_on(tmp_path: Path) -> None:
    class Impatient(Tally):
        def finished(self, result: execute.ScanResult) -> None:
            raise KeyboardInterrupt

    folder, one = bids(tmp_path / "in", subjects=("01", "02", "03")), RunSettings(threads=1)
    with pytest.raises(KeyboardInterrupt):
        execute.run([folder], out=tmp_path / "out", settings=one, segmenter=StandIn(), callback=Impatient())
    assert open_cohort(tmp_path / "out").status.values.tolist() == ["done", "done", "pending"]  # the second was being finished
    outcome = execute.run([folder], out=tmp_path / "out", segmenter=StandIn())
    assert (outcome.done, outcome.kept) == (3, 2)


def test_one_scan_from_file_and_array(tmp_path: Path) -> None:
    path = write_phantom(tmp_path / "sub-07_T1w.nii.gz")
    dataset = hypojax.segment(path, segmenter=StandIn())
    assert dataset.scan.item() == "sub-07"
    assert "box_affine" not in dataset.coords  # there is nothing that it could place
    assert float(dataset.volume_mm3.sel(region="hypothalamus")) == pytest.approx(Phantom().volumes["hypothalamus"], rel=QUANTISED)
    assert dataset.hypothalamus.shape == phantom_voxels().shape
    assert dataset.intracranial.attrs["missing_reason"] == ""
    array = hypojax.segment(phantom_voxels(), affine=AFFINE, segmenter=StandIn())
    np.testing.assert_array_equal(array.intracranial, dataset.intracranial)
    np.testing.assert_array_equal(array.volume_mm3, dataset.volume_mm3)
    np.testing.assert_array_equal(array.affine, AFFINE)


def test_one_input_needs_no_list_and_several_may_be_anything_iterable(tmp_path: Path) -> None:
    folder = bids(tmp_path / "in")
    for number, inputs in enumerate([str(folder), folder, (folder,), iter([str(folder), folder])]):
        outcome = execute.ingest(inputs, str(tmp_path / f"out{number}"), segmenter=StandIn())
        assert [result.scan for result in outcome.results] == ["sub-01", "sub-02"]
    assert hypojax.run(str(folder), str(tmp_path / "out0"), segmenter=StandIn()).done == 2
    with pytest.raises(RunError, match="an empty text"):
        execute.ingest("", tmp_path / "none")


def test_a_hypothalamus_of_nan_is_missing_and_the_flag_names_them() -> None:
    place = np.moveaxis(np.indices(phantom_voxels().shape), 0, -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    hole = np.linalg.norm(place - HYPOTHALAMUS_CENTRE, axis=-1) < 16
    found = hypojax.segment(np.where(hole, np.nan, phantom_voxels()).astype(np.float32), affine=AFFINE, segmenter=StandIn())
    assert found.missing_reason.sel(region="hypothalamus") == "nonfinite_voxels"
    assert found.flagged.sel(flag="nonfinite_near_hypothalamus")
    assert found.volume_mm3.sel(region="icv") > 0


def test_noise_in_place_of_a_part_of_the_head_is_named_as_the_reason() -> None:
    noise = np.random.default_rng(0).uniform(0, 1200, phantom_voxels().shape)
    back = np.indices(noise.shape)[1] < 15
    found = hypojax.segment(np.where(back, noise, phantom_voxels()), affine=AFFINE, segmenter=StandIn())
    assert found.flagged.sel(flag="noise_outside_head")
    assert found.missing_reason.sel(region="icv") == "noise_outside_head"


def test_a_missing_intracranial_volume_has_an_empty_mask_that_says_why(tmp_path: Path) -> None:
    cut = phantom_voxels()[:, :, :28]
    dataset = hypojax.segment(cut, affine=AFFINE, segmenter=StandIn())
    assert dataset.missing_reason.sel(region="icv") == Reason.CUT_OFF
    assert dataset.intracranial.attrs["missing_reason"] == Reason.CUT_OFF
    assert not dataset.intracranial.any()
    assert dataset.volume_mm3.sel(region="hypothalamus") > 0
    write_nifti(tmp_path / "in" / "cut.nii.gz", cut, AFFINE)
    execute.run([tmp_path / "in"], out=tmp_path / "out", segmenter=StandIn())
    stored = CohortStore.open(tmp_path / "out" / "cohort.zarr").read_segmentation("cut")
    assert not stored.intracranial.any()
    assert stored.head.values.any()


@pytest.mark.parametrize(
    ("voxels", "affine", "reason"),
    [
        (np.zeros((4, 4, 4)), AFFINE, Reason.CONSTANT_IMAGE),
        (np.arange(64, dtype=np.complex64).reshape(4, 4, 4), AFFINE, Reason.UNSUPPORTED_DTYPE),
        (np.arange(128.0).reshape(4, 4, 4, 2), AFFINE, Reason.NOT_3D),
        (np.arange(64.0).reshape(4, 4, 4), np.zeros((4, 4)), Reason.AFFINE_SINGULAR),
        (np.arange(64.0).reshape(4, 4, 4), np.full((4, 4), np.nan), Reason.AFFINE_NOT_FINITE),
    ],
)
def test_arrays_are_held_against_the_bounds_of_files(voxels: np.ndarray, affine: np.ndarray, reason: Reason) -> None:
    with pytest.raises(ScanError) as error:
        hypojax.segment(voxels, affine=affine, segmenter=StandIn())
    assert error.value.reason == reason


def test_an_array_needs_an_affine() -> None:
    with pytest.raises(RunError, match="affine="):
        hypojax.segment(phantom_voxels(), segmenter=StandIn())


def test_reading_ahead_is_bounded() -> None:
    begun, lock = [], threading.Semaphore(0)

    def load(scan: str) -> str:
        begun.append(scan)
        lock.release()
        return scan

    items = overlapped(map(str, range(9)), load, depth=2)
    assert next(items) == "0"
    for _ in range(3):
        assert lock.acquire(timeout=5)
    assert not lock.acquire(timeout=0.05)  # nothing is read beyond the two that wait
    assert begun == ["0", "1", "2"]
    items.close()
    assert len(begun) == 3


def test_reading_ahead_passes_errors_of_the_run_on() -> None:
    def load(scan: str) -> str:
        raise RunError(Reason.DISK_FULL, "full")

    with pytest.raises(RunError, match="full"):
        list(overlapped(["a", "b"], load, depth=2))


def test_a_full_disk_is_not_the_fault_of_a_scan() -> None:
    with pytest.raises(RunError) as error, attempted(Item("sub-01")):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.reason == Reason.DISK_FULL


def test_ids_that_differ_in_case_never_share_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that tells them apart each is itself; on one that does not they are refused, also where one comes a month later."""
    for name in ("sub-a", "sub-A"):
        write_phantom(tmp_path / name / f"{name}_T1w.nii.gz")
    execute.run([tmp_path / "sub-a"], out=tmp_path / "out", segmenter=StandIn())
    with monkeypatch.context() as patch:
        patch.setattr(output, "ignores_case", lambda _: True)
        with pytest.raises(RunError, match="'sub-a' and 'sub-A' do; name an OUT on another disk") as error:
            execute.run([tmp_path / "sub-A"], out=tmp_path / "out", segmenter=StandIn())
    assert error.value.reason is Reason.DUPLICATE_SCAN
    assert execute.run([tmp_path / "sub-a", tmp_path / "sub-A"], out=tmp_path / "out", segmenter=StandIn()).done == 2
    assert open_cohort(tmp_path / "out").scan.values.tolist() == ["sub-a", "sub-A"]
