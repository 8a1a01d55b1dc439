"""Images and posteriors of all scans in one lazy Dataset: what was stored, NaN where nothing is, nothing read before it is asked for."""

import pickle
from collections.abc import Callable
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from sample_store import DONE, FAILED, PENDING, SETTINGS, STRIPPED, UNTOUCHED, segmented, small_store

import hypojax
from hypojax import cohort
from hypojax.cohort.lazy_arrays import LAZY, lazy_arrays
from hypojax.reason import Reason, ScanError
from hypojax.schema import PARTS, REGIONS
from hypojax.store import CohortStore

ROUNDING = 1e-6
"""Of sums of ten posteriors in float32."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    """A store that these tests only read."""
    return small_store(tmp_path_factory.mktemp("lazy") / "cohort.zarr")


@pytest.fixture
def opened(store: CohortStore) -> xr.Dataset:
    return hypojax.open_cohort(store.root)


def refuse(*_: object, **__: object) -> None:
    """A Dask scheduler that computes nothing."""
    raise AssertionError("something was computed")


def test_nothing_is_computed_before_it_is_asked_for(store: CohortStore, tmp_path: Path) -> None:
    """Opening, selecting, a group's mean, joining two sites and writing the graph of a cohort read no chunk."""
    other = small_store(tmp_path / "other.zarr")
    with dask.config.set(scheduler=refuse):
        opened = hypojax.open_cohort(store.root)
        opened.posterior.sel(region="hypothalamus").where(opened.group == "control").mean("scan")
        both = xr.concat([opened, hypojax.open_cohort(other.root)], "scan")
        written = both[["head_image"]].to_zarr(tmp_path / "graph.zarr", consolidated=False, compute=False)
    assert both.sizes["scan"] == 10
    assert all(both[name].chunks[0] == (1,) * 10 for name in LAZY)
    assert written is not None


def test_values_are_those_that_were_stored(store: CohortStore, opened: xr.Dataset) -> None:
    """A slow twin reads each scan by itself; wholes are sums of their parts, the intracranial volume is in no box."""
    for scan in (DONE, STRIPPED):
        one, twin = opened.sel(scan=scan), store.read_segmentation(scan)
        for region in REGIONS[1:]:
            expected = sum(twin.box.values[value - 1].astype(float) for value in PARTS[region]) / 255
            np.testing.assert_allclose(one.posterior.sel(region=region), expected, rtol=ROUNDING)
        assert one.posterior.sel(region="icv").isnull().all()
        np.testing.assert_array_equal(one.image, twin.box_image)
        np.testing.assert_array_equal(one.head_image, twin.head_image)
        np.testing.assert_allclose(one.head_posterior, twin.head.values / 255, rtol=ROUNDING)


def test_scans_that_are_not_done_are_missing_and_never_zero(opened: xr.Dataset) -> None:
    others = opened[list(LAZY)].sel(scan=[FAILED, PENDING, UNTOUCHED])
    assert all(values.isnull().all() for values in others.data_vars.values())
    assert opened[list(LAZY[1:])].sel(scan=[DONE, STRIPPED]).notnull().all().to_array().all()


def test_a_group_has_a_probability_map(store: CohortStore, opened: xr.Dataset) -> None:
    """Failed and pending scans of the group do not count as zeros; the map becomes an image on the grid of the model."""
    chosen = opened.assign(group=("scan", np.array(["patient", "control", "patient", "patient", "control"], object)))
    shown = chosen.posterior.sel(region="hypothalamus").where(chosen.group == "patient").mean("scan").compute()
    np.testing.assert_allclose(shown, store.read_segmentation(DONE).box.values.sum(axis=0) / 255, rtol=ROUNDING)
    assert hypojax.to_nifti(shown).shape == shown.shape
    with pytest.raises(Exception, match="give the Dataset"):
        hypojax.to_nifti(opened.image.sel(scan=DONE))
    np.testing.assert_array_equal(hypojax.to_nifti(opened.image.sel(scan=DONE), opened).affine, opened.box_affine.sel(scan=DONE))
    head = hypojax.to_nifti(opened.head_posterior.sel(scan=DONE), opened)
    np.testing.assert_array_equal(head.affine, opened.head_affine.sel(scan=DONE))


INDICES = [0, -1, slice(1, 4, 2), slice(3, 3), [2, 0], np.array([True, False, True, False, False])]


@pytest.mark.parametrize("rows", INDICES, ids=str)
def test_any_index_gives_what_numpy_gives(opened: xr.Dataset, rows: object) -> None:
    """Dask hands over slices, numbers and lists, whole or of some dims; the twin has all rows in memory."""
    whole = opened.image.values
    np.testing.assert_array_equal(opened.image.isel(scan=rows, superior=20), whole[rows][..., :, 20, :])
    chunks = lazy_arrays(Path(), opened)["image"].data  # of a store that is not there
    assert chunks.shape == whole.shape


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [spoil, Path.unlink])
@pytest.mark.parametrize("array", ["posterior", "image", "head"])
def test_a_damaged_chunk_names_its_scan(tmp_path: Path, array: str, damage: Callable[[Path], None]) -> None:
    """Zarr alone would read a chunk that is missing as zeros."""
    store = small_store(tmp_path / "cohort.zarr")
    opened, lost = hypojax.open_cohort(tmp_path), DONE if damage is spoil else STRIPPED
    (chunk,) = [path for path in (store.root / array / "c" / str(opened.scan.values.tolist().index(lost))).rglob("*") if path.is_file()]
    damage(chunk)
    for name in (name for name in LAZY if name.startswith(array)):
        with pytest.raises(ScanError, match=rf"{lost}.*chunk of {array} in .*run again with --check") as caught:
            opened[name].compute(scheduler="synchronous")
        assert caught.value.reason is Reason.STORE_DAMAGED
        assert opened[name].sel(scan=STRIPPED if lost == DONE else DONE).notnull().any()


def test_forty_five_thousand_scans_are_one_layer_of_a_graph() -> None:
    """The graph does not grow with the scans before it is computed, and the ids stand in it once."""
    count = 45_000
    table = xr.Dataset(
        {"status": ("scan", np.full(count, "pending", object))}, coords={"scan": np.arange(count).astype(str).astype(object)}
    )
    for name, values in ((name, lazy_arrays(Path("cohort.zarr"), table)[name]) for name in LAZY):
        held = [layer for layer in values.data.dask.layers.values() if layer.is_materialized()]
        assert (name, len(values.data.dask.layers), sum(map(len, held))) == (name, 2, 1)
    assert values[count - 1].isnull().all()
    assert len(pickle.dumps(held[0].mapping)) < 2 * len(pickle.dumps(table.scan.values))


def test_a_cohort_of_two_sites_is_written_and_read(store: CohortStore, tmp_path: Path) -> None:
    """Lazy arrays too; what a site has no column for is missing, and empty text in a file."""
    entry = {"scan": "new", "path": "new.nii", "entities": {}, "columns": {"site": "north"}, "dataset": "b"}
    second = CohortStore.create(tmp_path / "b.zarr", scans=[entry], settings=SETTINGS)
    second.write_table(cohort.build(second.records(), second.scans))
    both = xr.concat([hypojax.open_cohort(store.root), hypojax.open_cohort(second.root)], "scan")
    both = both.isel(head_anterior=slice(4), head_superior=slice(4)).isel(scan=[0, 2, 5])
    both.to_netcdf(tmp_path / "both.nc")
    both.to_zarr(tmp_path / "both.zarr", consolidated=False)
    expected = both.fillna(dict.fromkeys(("site", "subject", "group", "status_participant"), "")).compute()
    with xr.open_dataset(tmp_path / "both.nc") as netcdf, xr.open_zarr(tmp_path / "both.zarr", consolidated=False) as zarr:
        xr.testing.assert_identical(netcdf.load(), expected)
        xr.testing.assert_identical(zarr.load(), expected)
        assert xr.concat([netcdf, zarr], "scan").dataset.values.tolist() == [*expected.dataset.values] * 2
    assert np.isfinite(segmented(0).box_image).all()
    assert hypojax.open_cohort(second.root, dataset="north").dataset.values.tolist() == ["north"]
    of_both = CohortStore.create(tmp_path / "c.zarr", scans=[entry, {**entry, "scan": "x", "path": "x.nii", "dataset": ""}], settings={})
    of_both.write_table(cohort.build(of_both.records(), of_both.scans))
    assert hypojax.open_cohort(of_both.root, dataset="north").dataset.values.tolist() == ["north_b", "north"]
