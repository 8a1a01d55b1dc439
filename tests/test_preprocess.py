"""`hypojax.preprocess`: lazy, the same for every way a scan can be stored, and what it says it is."""

from typing import NoReturn

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from affines import ORIENTATIONS, affine_of, reorder, rotation
from numpy.testing import assert_allclose, assert_array_equal

from hypojax.grid import conformed_grid, resample, to_world
from hypojax.phantom import Phantom, render
from hypojax.preprocessing.foreground import conform
from hypojax.preprocessing.lazy import STATISTICS, preprocess, scan_dataset, scan_statistics
from hypojax.reason import HypojaxError, Reason

INTERPOLATION_TOLERANCE = 2e-3
"""Largest change of a z-score when the same voxels come in another axis order. Positions differ by float rounding (1e-12
voxels), sums of products are taken in another order (float32, parts in 1e7), and the statistics with them."""

BRIGHTNESS_TOLERANCE = 0.02
"""Largest change of a z-score under a gain and offset: rounding to integers once more, over a standard deviation of 150."""

PHANTOM_TOLERANCE = 0.15
"""Median change of the z-score when the same head is scanned with other voxels: edges are blurred differently."""

HEAD = Phantom(rotation=(4.0, -3.0, 5.0), noise=15.0, bias=0.1)


def stored_head(sizes: tuple[float, ...], shape: tuple[int, int, int], turn: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Integer voxels and affine of a phantom."""
    affine = affine_of(sizes, shape, turn)
    return np.round(render(HEAD, shape=shape, affine=affine)).astype(np.int16), affine


def refuse(*_: object, **__: object) -> NoReturn:
    """A Dask scheduler that runs nothing."""
    pytest.fail("something was computed while the graph was built")


def test_nothing_is_read_or_computed_until_asked() -> None:
    unread = da.map_blocks(refuse, chunks=((40, 40), (90,), (80,)), dtype=np.int16, meta=np.empty((0, 0, 0), np.int16))
    with dask.config.set(scheduler=refuse):
        result = preprocess(scan_dataset(unread, affine=affine_of((2.0, 2.0, 2.0), (80, 90, 80))))
    assert all(dask.is_dask_collection(variable.data) for variable in result.data_vars.values())
    assert result["conformed"].dtype == np.float32
    assert dict(result["conformed"].sizes) == {"anterior": 180, "superior": 160, "right": 160}


def test_arrays_become_lazy_too() -> None:
    voxels, affine = stored_head((8.0, 8.0, 8.0), (24, 26, 22))
    ds = xr.Dataset({"voxels": (("i", "j", "k"), voxels)}, attrs={"affine": affine.tolist()})
    with dask.config.set(scheduler=refuse):
        result = preprocess(ds)
    assert_array_equal(result["conformed"], preprocess(scan_dataset(voxels, affine=affine))["conformed"])


def test_the_lazy_result_is_that_of_the_pure_functions() -> None:
    voxels, affine = stored_head((4.0, 3.0, 5.0), (44, 66, 34))
    result = preprocess(scan_dataset(voxels, affine=affine, slope=0.5, intercept=-20.0)).compute()
    volume = (voxels * 0.5 - 20).astype(np.float32)
    statistics, grid = scan_statistics(volume, affine), conformed_grid(volume.shape, affine)
    assert_array_equal(result["conformed"], conform(volume, affine, grid=grid, statistics=statistics))
    assert_allclose(
        [result[row.name].item() for row in STATISTICS], [statistics.background, statistics.threshold, statistics.mean, statistics.std]
    )
    assert_allclose(result["affine"], grid.affine)
    undone = result["conformed"] * result["intensity_std"] + result["intensity_mean"]
    tissue = np.abs(result["conformed"]) < 9.9
    assert_allclose(undone.where(tissue, 0), tissue * resample(volume, affine, grid, fill=statistics.background), atol=0.05)


def test_coordinates_are_world_positions_of_a_straight_scan() -> None:
    voxels, affine = stored_head((3.0, 3.0, 3.0), (56, 66, 52))
    affine[:3, 3] += [7.0, -3.0, 11.0]
    result = preprocess(scan_dataset(voxels, affine=affine), spacing=2.0)
    corner = to_world(np.array(result["affine"]), np.zeros(3))
    assert_allclose([result["right"][0], result["anterior"][0], result["superior"][0]], corner, atol=1e-9)
    assert_allclose(np.diff(result["right"]), 2.0)
    assert result["right"].attrs["units"] == "mm"


def test_every_variable_explains_itself() -> None:
    result = preprocess(scan_dataset(np.zeros((4, 5, 6), np.int16), affine=np.eye(4)))
    assert all(variable.attrs["long_name"] for variable in result.variables.values())


@pytest.mark.parametrize("degrees", [0.0, 14.0, 33.0])
def test_all_48_axis_orders_give_the_same_conformed_volume(degrees: float) -> None:
    voxels, affine = stored_head((8.0, 7.0, 6.0), (24, 30, 28), rotation(0, degrees))
    expected = preprocess(scan_dataset(voxels, affine=affine), spacing=4.0).compute()
    for order, flips in ORIENTATIONS[:: 1 if degrees == 0 else 5]:
        stored, turned = reorder(voxels, affine, order, flips)
        found = preprocess(scan_dataset(stored, affine=turned), spacing=4.0).compute()
        xr.testing.assert_allclose(found, expected, atol=INTERPOLATION_TOLERANCE)


@pytest.mark.parametrize(
    ("sizes", "shape", "turn"),
    [
        ((0.7, 0.7, 2.8), (240, 290, 58), None),
        ((1.0, 1.0, 6.0), (170, 210, 28), None),
        ((6.0, 0.9, 0.9), (30, 230, 190), rotation(2, 20)),
        ((0.9, 0.9, 5.0), (200, 240, 44), rotation(0, 40)),
        ((0.5, 0.5, 7.0), (512, 512, 24), rotation(0, 8)),
    ],
    ids=["0.7 mm in plane", "6 mm axial", "6 mm sagittal, tilted", "5 mm, oblique", "512 a side"],
)
def test_any_voxel_size_shows_the_same_head(sizes: tuple[float, ...], shape: tuple[int, int, int], turn: np.ndarray | None) -> None:
    voxels, affine = stored_head(sizes, shape, turn)
    result = preprocess(scan_dataset(voxels, affine=affine), spacing=2.0).compute()
    reference_voxels, reference_affine = stored_head((1.5, 1.5, 1.5), (112, 132, 106))
    reference = preprocess(scan_dataset(reference_voxels, affine=reference_affine), spacing=2.0).compute()
    index = np.stack(np.meshgrid(*[np.arange(-30, 31, 4.0)] * 3), axis=-1).reshape(-1, 3)
    seen, expected = (
        ds["conformed"].values[tuple(np.round(np.linalg.solve(a[:3, :3], (index - a[:3, 3]).T)).astype(int))]
        for ds in (result, reference)
        for a in [np.array(ds["affine"])]
    )
    assert np.isfinite(result["conformed"]).all()
    assert np.median(np.abs(seen - expected)) < PHANTOM_TOLERANCE


def test_gain_and_offset_change_nothing() -> None:
    voxels, affine = stored_head((4.0, 4.0, 4.0), (44, 54, 42))
    expected = preprocess(scan_dataset(voxels, affine=affine))["conformed"]
    brighter = np.round(voxels * 3.7 + 200).astype(np.int16)
    assert_allclose(preprocess(scan_dataset(brighter, affine=affine))["conformed"], expected, atol=BRIGHTNESS_TOLERANCE)


def test_more_air_moves_the_statistics_little() -> None:
    voxels, affine = stored_head((4.0, 4.0, 4.0), (44, 54, 42))
    wide, wide_affine = stored_head((4.0, 4.0, 4.0), (64, 64, 60))
    close, far = (scan_statistics(volume.astype(np.float32), where) for volume, where in ((voxels, affine), (wide, wide_affine)))
    assert_allclose(far.mean, close.mean, rtol=0.02)
    assert_allclose(far.std, close.std, rtol=0.05)


def test_nonfinite_voxels_take_the_lowest_finite_value() -> None:
    voxels, affine = stored_head((6.0, 6.0, 6.0), (30, 36, 28))
    broken = voxels.astype(np.float32)
    broken[:2, :2, :2] = [[[np.nan, np.inf]] * 2] * 2
    assert np.isfinite(preprocess(scan_dataset(broken, affine=affine))["conformed"]).all()


def test_nothing_is_changed_in_place() -> None:
    voxels, affine = stored_head((8.0, 8.0, 8.0), (24, 26, 22))
    ds, before = scan_dataset(voxels, affine=affine), voxels.copy()
    attributes = dict(ds["voxels"].attrs)
    preprocess(ds).compute()
    assert_array_equal(voxels, before)
    assert ds["voxels"].attrs == attributes


@pytest.mark.parametrize(
    "ds",
    [
        xr.Dataset({"image": (("i", "j", "k"), np.zeros((2, 2, 2)))}),
        xr.Dataset({"voxels": (("i", "j"), np.zeros((2, 2)), {"affine": np.eye(4).tolist()})}),
        xr.Dataset({"voxels": (("i", "j", "k"), np.zeros((2, 2, 2)))}),
    ],
    ids=["no voxels", "two-dimensional", "no affine"],
)
def test_a_dataset_that_is_no_scan_is_refused(ds: xr.Dataset) -> None:
    with pytest.raises(HypojaxError, match="scan_dataset") as caught:
        preprocess(ds)
    assert caught.value.reason == Reason.USAGE
