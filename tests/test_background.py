"""Whatever software wrote round a head, the head is seen as if it lay in air; and an ordinary scan stays as it is."""

from functools import cache

import numpy as np
import pytest
from affines import affine_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hypojax.phantom import Phantom, render
from hypojax.preprocessing.background import NOISE_OUTSIDE, mended
from hypojax.preprocessing.foreground import find_head
from hypojax.reason import HypojaxError, Reason

SHAPE = (64, 76, 64)
AFFINE = affine_of((3.0, 3.0, 3.0), SHAPE)

SAME = 0.03
"""Relative difference of mean and spread of tissue with and without what was written round the head: the coarse copy has another phase."""


@cache
def head() -> np.ndarray:
    """A phantom head with noise, air of 10 to 40 and tissue of 300 to 1200."""
    volume = np.abs(render(Phantom(noise=15.0), shape=SHAPE, affine=AFFINE)).astype(np.float32)
    volume.setflags(write=False)
    return volume


@cache
def outside() -> np.ndarray:
    """Where there is no head: beyond a box round it."""
    bright = head() > 200
    mask = np.ones(SHAPE, bool)
    mask[tuple(slice(int(index.min()) - 2, int(index.max()) + 3) for index in np.nonzero(bright))] = False
    return mask


def moments(volume: np.ndarray) -> np.ndarray:
    """Mean and spread of the tissue of a head."""
    statistics = find_head(volume, AFFINE).statistics
    return np.array([statistics.mean, statistics.std])


def as_in_air(volume: np.ndarray) -> np.ndarray:
    """Mend a scan whose head has to look as it does in air, and give what was made of it."""
    found = mended(volume).volume
    np.testing.assert_allclose(moments(found), moments(head()), rtol=SAME)
    return found


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (1e-6, 0.0), (1.0, -500.0), (2.0, 1000.0)])
def test_an_ordinary_scan_stays_the_same_array(gain: float, offset: float) -> None:
    volume = (head() * gain + offset).astype(np.float32)
    assert mended(volume).volume is volume
    assert mended(volume).flags == ()


def test_zeros_written_outside_stay() -> None:
    for limit in (50.0, 200.0):
        volume = np.where(head() < limit, np.float32(0), head())
        assert mended(volume).volume is volume


def test_a_removed_skull_stays_removed() -> None:
    where = np.linalg.norm((np.indices(SHAPE).T - np.array(SHAPE) / 2).T, axis=0) < 18
    volume = np.where(where, head(), np.float32(0))
    assert mended(volume).volume is volume


@pytest.mark.parametrize("value", [-32768.0, -1024.0, -1000.0, -100.0, 350.0, 700.0, 4095.0, 65535.0])
def test_padding_of_any_value_becomes_air(value: float) -> None:
    padding = np.zeros(SHAPE, bool)
    for axis in range(3):
        np.moveaxis(padding, axis, 0)[[0, 1, 2, 3, -4, -3, -2, -1]] = True
    found = as_in_air(np.where(padding & outside(), np.float32(value), head()))
    assert abs(found[padding & outside()]).max() < 60
    np.testing.assert_array_equal(found[~outside()], head()[~outside()])


@pytest.mark.parametrize("value", [-1000.0, 900.0, 4095.0])
def test_wedges_of_a_rotation_become_air(value: float) -> None:
    i, j, _ = np.indices(SHAPE)
    wedge = ((i + j < 18) | (i - j > 40)) & outside()
    found = as_in_air(np.where(wedge, np.float32(value), head()))
    assert abs(found[wedge]).max() < 60


@given(gain=st.floats(0.01, 100), offset=st.floats(-50, 50), below=st.floats(0.5, 100))
@settings(max_examples=20, deadline=None)
def test_air_far_below_the_head_is_raised_at_any_gain_and_offset(gain: float, offset: float, below: float) -> None:
    volume = np.where(outside(), np.float32(-1000 * below), head()) * gain + offset * gain
    expected = moments(head()) * gain + np.array([offset * gain, 0])
    np.testing.assert_allclose(moments(mended(volume.astype(np.float32)).volume), expected, rtol=SAME, atol=SAME * 100 * gain)


@pytest.mark.parametrize(("level", "spread"), [(-600.0, 20.0), (-1024.0, 100.0)])
def test_noisy_air_below_zero_is_raised(level: float, spread: float) -> None:
    air = np.random.default_rng(0).normal(level, spread, SHAPE).astype(np.float32)
    inner = np.where(head() < 15, np.float32(0), head())  # the head holds air of its own
    as_in_air(np.where(outside(), air, inner))


@pytest.mark.parametrize("value", [-5000.0, -32768.0])
def test_what_lies_far_below_within_the_scan_is_raised(value: float) -> None:
    volume = head().copy()
    volume[30:36, 20] = value
    found = mended(volume).volume
    assert found.min() >= 0
    np.testing.assert_array_equal(np.delete(found, 20, axis=1) > 100, np.delete(head(), 20, axis=1) > 100)


@pytest.mark.parametrize("value", [-3e38, 3e38, -1e9])
def test_a_voxel_that_marks_no_value_counts_for_nothing(value: float) -> None:
    volume = head().copy()
    volume[0, 0, 0] = value
    found = as_in_air(volume)
    assert abs(found).max() <= head().max()
    np.testing.assert_array_equal(found.ravel()[1:], head().ravel()[1:])


def noises() -> dict[str, np.ndarray]:
    """Noise as bright as tissue."""
    random = np.random.default_rng(0)
    return {
        "uniform": random.uniform(0, 1200, SHAPE),
        "normal": np.abs(random.normal(600, 300, SHAPE)),
        "salt and pepper": 1200.0 * random.integers(0, 2, SHAPE),
    }


@pytest.mark.parametrize("name", noises())
@pytest.mark.parametrize("part", [1.0, 0.4])
def test_noise_as_bright_as_tissue_becomes_air(name: str, part: float) -> None:
    place = outside() & (np.indices(SHAPE)[1] < part * SHAPE[1])
    volume = np.where(place, noises()[name].astype(np.float32), head())
    found = mended(volume)
    assert found.flags == (NOISE_OUTSIDE,)
    np.testing.assert_allclose(moments(found.volume), moments(head()), rtol=2 * SAME)
    assert found.volume[place].mean() < 0.15 * volume[place].mean()


def test_grains_of_sparse_noise_become_air() -> None:
    grains = np.where(np.random.default_rng(0).random(SHAPE) < 0.15, np.float32(1200), np.float32(0))
    found = mended(np.where(outside(), grains, head()))
    assert found.flags == (NOISE_OUTSIDE,)
    assert (found.volume[outside()] > 600).mean() < 0.1 * (grains[outside()] > 600).mean()


@pytest.mark.parametrize("slope", [-1.0, -0.01])
def test_an_inverted_scan_is_refused(slope: float) -> None:
    with pytest.raises(HypojaxError, match="brighter than the head") as caught:
        mended(head() * np.float32(slope))
    assert caught.value.reason == Reason.INVERTED


def test_an_inverted_scan_in_constant_air_is_refused() -> None:
    with pytest.raises(HypojaxError, match="darker head"):
        mended(np.where(head() < 60, np.float32(4095), 4095 - head()))


def test_the_scan_itself_is_not_changed() -> None:
    volume = np.where(outside(), np.float32(-1000), head())
    before = volume.copy()
    mended(volume)
    np.testing.assert_array_equal(volume, before)
