"""The demo cohort: its truth holds, its files are a BIDS dataset, and the comparison reads them back."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hypojax import demonstration as demo
from hypojax.grid import Affine, to_world
from hypojax.scans import discover, read
from hypojax.schema import REGIONS

AFFINE: Affine = np.array([[1.0, 0, 0, -40], [0, 1, 0, -41], [0, 0, 1, -52], [0, 0, 0, 1]])
SHAPE = (82, 81, 82)
INTERPOLATION = 2e-3
"""Relative error of a ball's volume after cubic interpolation of its 1 mm samples."""

SMALL = (demo.COHORT[0], demo.COHORT[-1])


def ball(radius: float) -> np.ndarray:
    """A ball round the middle of the hypothalamus with a soft edge of two millimetres, 0 to 200."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    distance = np.linalg.norm(to_world(AFFINE, index) - np.array(demo.CENTRE_MM), axis=-1)
    return np.round(200 * np.clip((radius + 1 - distance) / 2, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize("factor", [0.76, 1.0, 1.05])
def test_the_core_changes_by_the_known_factor(factor: float) -> None:
    before = ball(9.0)
    after = demo.deform(before, AFFINE, factor=factor)
    assert after.sum() / before.sum() == pytest.approx(factor, rel=INTERPOLATION)


def test_nothing_moves_beyond_the_rim() -> None:
    before = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    after = demo.deform(before, AFFINE, factor=0.8)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    far = np.linalg.norm(to_world(AFFINE, index) - np.array(demo.CENTRE_MM), axis=-1) > demo.RIM_MM
    np.testing.assert_allclose(after[far], before[far], atol=1e-9)
    assert np.abs(after - before)[~far].mean() > 1


def test_the_sample_scan_is_a_small_whole_head() -> None:
    scan = read("colin27", demo.sample_scan())
    assert (scan.voxels.shape, scan.voxels.dtype, scan.flags) == ((181, 217, 181), np.uint8, ())
    assert demo.sample_scan().stat().st_size < 3e6
    assert "McGill" in demo.sample_scan().with_name("COPYING").read_text()


def test_the_sample_is_the_published_scan(shared: Path) -> None:
    published = read("colin27", shared / "scans" / "colin27_T1w.nii.gz").scaled()
    sample = read("colin27", demo.sample_scan())
    np.testing.assert_allclose(sample.scaled() * 2, published, atol=1)  # half a step of two


def test_the_cohort_is_a_bids_dataset_with_its_truth(tmp_path: Path) -> None:
    folder = demo.write_cohort(tmp_path / "bids", subjects=SMALL)
    scans = discover([folder]).scans
    assert [scan.id for scan in scans] == ["sub-01", "sub-06"]
    assert scans[1].columns["group"] == "smaller"
    assert scans[1].columns["known_icv_ratio"] == pytest.approx(0.97**3, abs=1e-6)
    first, last = (read(scan.id, scan.path) for scan in scans)
    assert np.linalg.det(last.affine) / np.linalg.det(first.affine) == pytest.approx(0.97**3)


def test_the_cohort_is_the_same_each_time(tmp_path: Path) -> None:
    a, b = (demo.write_cohort(tmp_path / name, subjects=SMALL[:1]) for name in "ab")
    assert [path.read_bytes() for path in sorted(a.rglob("*.nii.gz"))] == [path.read_bytes() for path in sorted(b.rglob("*.nii.gz"))]


def test_the_second_group_is_the_first_with_a_smaller_hypothalamus() -> None:
    reference, smaller = ([s for s in demo.COHORT if s.group == group] for group in ("reference", "smaller"))
    for one, other in zip(reference, smaller, strict=True):
        assert other.head == one.head
        assert other.hypothalamus / one.hypothalamus == pytest.approx(demo.GROUP_FACTOR)


def test_comparison_of_a_perfect_measurement() -> None:
    volumes = [[1.5e6 * s.known["icv"], 900 * s.known["hypothalamus"]] for s in demo.COHORT]
    cohort = xr.Dataset(
        {"volume_mm3": (("scan", "region"), volumes)},
        coords={"scan": [f"sub-{s.name}" for s in demo.COHORT], "region": ["icv", "hypothalamus"]},
    )
    assert {"icv", "hypothalamus"} <= set(REGIONS)
    rows = demo.compare(cohort)
    assert len(rows) == 2 * len(demo.COHORT)
    assert all(row.measured == pytest.approx(row.known) for row in rows)
    assert demo.group_ratio(cohort) == pytest.approx(demo.GROUP_FACTOR)
