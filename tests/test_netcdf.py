"""Datasets that hypojax gives go through NetCDF and Zarr, as xarray writes them by itself, and come back equal."""

from pathlib import Path

import pytest
import xarray as xr
from sample_store import DONE, PENDING, small_store
from standin import AFFINE, StandIn, phantom_voxels

import hypojax
from hypojax import cohort
from hypojax.preprocessing.lazy import scan_dataset
from hypojax.store import ScanEntry
from hypojax.store.chunks import SCAN_GROUPS

COLUMNS = {"IQ (WAIS)": 3, "int": "x", "a.b": None, "größe %": 1.5, "1st": "", "big": 2**60, "seen": "yes\nno"}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.Dataset]:
    """One of each kind."""
    store = small_store(tmp_path_factory.mktemp("store") / "cohort.zarr")
    scan = scan_dataset(phantom_voxels(), affine=AFFINE, slope=0.5)
    return {
        "segment": hypojax.segment(phantom_voxels(), affine=AFFINE, segmenter=StandIn()),
        "scan_dataset": scan,
        "preprocess": hypojax.preprocess(scan, spacing=8.0),
        "open_cohort": hypojax.open_cohort(store.root),
        "open_scan": hypojax.open_scan(store.root, DONE),
        "open_scan, voxels alone": hypojax.open_scan(store.root, PENDING),
        "odd columns": cohort.build([], [ScanEntry(scan="é 1", path="/a b", entities={}, columns=COLUMNS)]),
        **{group: store.open_scan(DONE, group=group) for group in SCAN_GROUPS},
    }


@pytest.mark.parametrize(
    "name", ["segment", "scan_dataset", "preprocess", "open_cohort", "open_scan", "open_scan, voxels alone", "odd columns", *SCAN_GROUPS]
)
def test_a_dataset_comes_back_equal(tmp_path: Path, datasets: dict[str, xr.Dataset], name: str) -> None:
    given = datasets[name].compute()
    datasets[name].to_netcdf(tmp_path / "one.nc")
    datasets[name].to_zarr(tmp_path / "one.zarr", consolidated=False)
    with xr.open_dataset(tmp_path / "one.nc") as netcdf, xr.open_zarr(tmp_path / "one.zarr", consolidated=False) as zarr:
        xr.testing.assert_identical(netcdf.load(), given)
        xr.testing.assert_identical(zarr.load(), given)


def test_labels_say_what_they_mean_after_netcdf(tmp_path: Path, datasets: dict[str, xr.Dataset]) -> None:
    datasets["labels"].to_netcdf(tmp_path / "labels.nc")
    with xr.open_dataset(tmp_path / "labels.nc") as labels:
        meanings = dict(zip(labels.hypothalamus.flag_values.tolist(), labels.hypothalamus.flag_meanings.split(), strict=True))
        assert meanings[6] == "right_anterior_inferior"
