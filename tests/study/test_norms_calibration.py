"""Calibration of z-scores: right ones are called right, shifted and narrow ones are not."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from hypojax.study.centiles.norms_calibration import age_bands, binomial_interval, calibration


def scores(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values[:, None], dims=("scan", "region"), coords={"region": ["icv"]})


def test_right_scores_are_called_right_and_others_not() -> None:
    random = np.random.default_rng(3)
    age, z = random.uniform(20, 80, 4000), random.standard_normal(4000)
    table = calibration(scores(z), age)
    assert table[["age_from", "age_to"]].to_numpy().tolist() == [[20, 80], [20, 30], [30, 40], [40, 50], [50, 60], [60, 70], [70, 80]]
    assert table["n"].iloc[0] == table["n"].iloc[1:].sum() == 4000
    first = table.iloc[0]
    assert first["outside_low"] < 0.05 < first["outside_high"]
    assert first["z_mean_low"] < 0 < first["z_mean_high"]
    assert first["z_sd_low"] < 1 < first["z_sd_high"]
    wrong = calibration(scores(1.3 * z + 0.2), age).iloc[0]
    assert wrong["outside_low"] > 0.05
    assert wrong["z_mean_low"] > 0
    assert wrong["z_sd_low"] > 1


def test_missing_scores_are_not_counted() -> None:
    z = np.array([0.0, 2.5, np.nan, -0.5])
    row = calibration(scores(z), np.array([30.0, 31, 32, np.nan])).iloc[0]
    assert (row["n"], row["outside"], row["below_50"]) == (2, 0.5, 0.0)


def test_bands_have_enough_people() -> None:
    age = np.concatenate([np.full(3, 15.0), np.full(20, 25.0), np.full(9, 35.0), np.full(40, 55.0), [91.0]])
    edges = age_bands(age)
    assert edges == [10, 30, 60, 100][:1] + edges[1:-1] + [100]
    counts = np.histogram(age, edges)[0]
    assert counts.min() >= 10
    assert counts.sum() == len(age)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (1, 20), (10, 20), (20, 20)])
def test_binomial_intervals_are_those_of_scipy(hits: int, n: int) -> None:
    known = stats.binomtest(hits, n).proportion_ci(method="exact")
    assert binomial_interval(hits, n) == pytest.approx((known.low, known.high))
