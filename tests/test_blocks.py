"""A cohort as lazy blocks: the volumes of `hypojax.run`, nothing computed until asked, failures as rows with a reason."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from s3_server import Bucket
from standin import AFFINE, SHAPE, phantom_voxels, write_phantom
from test_pipeline import Drawn

import hypojax
from hypojax.cohort import open_cohort
from hypojax.execute import ingest, measured, run
from hypojax.execute.blocks import IN_HAND, measure_cohort, preprocess_cohort, segment_cohort
from hypojax.preprocessing.foreground import Prepared
from hypojax.scans import write_nifti
from hypojax.segmenter.pose import PoseFound, pose_of
from hypojax.segmenter.segmenter import Segmentation
from pipelines.segment_cohort import main as pipeline

SAME = ("volume_mm3", "volume_hard_mm3", "uncertainty_mm3", "missing_reason", "status", "reason", "message", "quality_score",
        "quality_location", "icv_cut_off", "flagged", "voxels_checksum", "duplicate_of", "path",
        "tilt_deg", "shift_mm", "head_scale", "pose_residual_mm", "brain_extraction_mm3",
        "t1w_probability")  # fmt: skip


@pytest.fixture(autouse=True)
def every_scan_is_t1w(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phantom's ellipsoids are no brain, however bright: here they count as one."""
    monkeypatch.setattr(measured, "t1w_probability", lambda *_, **__: 0.8)


class Posed(Drawn):
    """Knows the template: every head is turned a little, in a grid of its own, and of every other one the pose was not found."""

    def segment_batch(self, scans: Sequence[Prepared]) -> list[Segmentation]:
        turned = np.array([[1.0, 0, 0, 3], [0, 0.8, 0.6, 0], [0, -0.6, 0.8, 0], [0, 0, 0, 1.1]]) / 1.1
        return [
            replace(one, brain_extraction=one.intracranial // 2 * 2, pose=PoseFound(pose_of(turned) if known else None, 7.5))
            for one, known in zip(super().segment_batch(scans), (scan.volume[1, 1, 1] % 2 == 0 for scan in scans), strict=True)
        ]


def scans(folder: Path) -> Path:
    """Three heads that differ, one that the network fails on, one that has no head, and one file that is none."""
    for number, name in enumerate("abc"):
        noise = np.random.default_rng(number).integers(-20, 20, SHAPE).astype(np.int16)
        write_nifti(folder / f"{name}.nii.gz", phantom_voxels() + noise, AFFINE)
    write_phantom(folder / "poisoned.nii.gz", poison=True)
    write_nifti(folder / "flat.nii.gz", np.full(SHAPE, 7, np.int16), AFFINE)
    (folder / "broken.nii.gz").write_bytes(b"no image")
    return folder


def never(*_: object, **__: object) -> None:
    raise AssertionError("computed before anybody asked")


def lazily(out: Path, *, batch: int, network: Drawn) -> xr.Dataset:
    return measure_cohort(segment_cohort(preprocess_cohort(open_cohort(out), out, batch=batch), segmenter=network))


@pytest.mark.filterwarnings("ignore:Data variable")
def test_blocks_give_the_rows_of_a_run_and_compute_nothing_until_asked(tmp_path: Path) -> None:
    folder = scans(tmp_path / "in")
    run([folder], out=tmp_path / "run", segmenter=Posed())
    expected = open_cohort(tmp_path / "run")
    ingest([folder], out=tmp_path / "out", segmenter=Posed())
    with dask.config.set(scheduler=never):
        table = lazily(tmp_path / "out", batch=2, network=Posed())
    assert table.chunksizes["scan"] == (2, 2, 2)
    found = table.compute(scheduler="threads", num_workers=2)
    xr.testing.assert_identical(*(table[list(SAME)].drop_attrs() for table in (found, expected)))
    assert dict(zip(found["scan"].values, found["status"].values, strict=True)) == {
        **dict.fromkeys("abc", "done"), "poisoned": "failed", "flat": "failed", "broken": "failed"
    }  # fmt: skip
    assert np.isfinite(found["volume_mm3"].sel(scan=list("abc"), region="hypothalamus")).all()
    assert np.isfinite(found["brain_extraction_mm3"].sel(scan=list("abc"))).all()
    poor = found["flagged"].sel(scan=list("abc"), flag="poor_pose").values
    assert 0 < poor.sum() < 3
    np.testing.assert_array_equal(np.isnan(found["tilt_deg"].sel(scan=list("abc"), direction="right")), poor)
    assert not IN_HAND._held.keys() & {(str(tmp_path / "out" / "cohort.zarr"), scan) for scan in "abc"}


def test_the_pipeline_writes_into_a_bucket_what_it_writes_to_a_disk(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypojax, "segment_cohort", lambda heads, ensemble: segment_cohort(heads, segmenter=Drawn()))
    write_phantom(tmp_path / "in" / "a.nii.gz")
    places = [str(tmp_path / "out"), f"{bucket.url}/out"]
    for out in places:
        pipeline([str(tmp_path / "in")], out, scheduler=None, batch=1, ensemble=False)
    for key, data in bucket.snapshot("out/").items():
        (tmp_path / "copy" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / key).write_bytes(data)
    tables = [xr.open_zarr(folder / "volumes.zarr", consolidated=False).load() for folder in (tmp_path / "out", tmp_path / "copy")]
    xr.testing.assert_identical(*(table[list(SAME)].drop_attrs() for table in tables))
    assert tables[0]["status"].values.tolist() == ["done"]
    assert (tmp_path / "copy" / "pipeline.parquet").read_bytes() == (tmp_path / "out" / "pipeline.parquet").read_bytes()


def test_a_step_can_be_looked_at_and_changed(tmp_path: Path) -> None:
    """Heads are arrays over scan like any other: what is done to them reaches the network; failed scans are NaN."""
    ingest([scans(tmp_path / "in")], out=tmp_path / "out", segmenter=Drawn())
    heads = preprocess_cohort(open_cohort(tmp_path / "out").sel(scan=["a", "broken"]), tmp_path / "out", batch=1)
    image = heads["head_image"].compute()
    assert np.isfinite(image.sel(scan="a")).all()
    assert np.isnan(image.sel(scan="broken")).all()
    plain, other = (
        segment_cohort(given, segmenter=Drawn())["located"].sel(scan="a").compute().item()
        for given in (heads, heads.assign(head_image=heads["head_image"] * 0))
    )
    assert plain != other
