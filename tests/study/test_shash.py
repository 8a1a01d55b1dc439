"""The SHASH distribution: known answers, and slow twins of its derivatives."""

from pathlib import Path

import numpy as np
import pytest
from r_reference import entry
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr
from scipy.stats import norm

from hypojax.study.centiles.shash import Shash, at_score, cdf, log_density, log_density_slopes, quantile, score, score_slopes

NAMES = ("location", "log scale", "epsilon", "log delta")


def one_for_all(n: int) -> Shash:
    return Shash(np.full(n, 900.0), np.full(n, 60.0), -0.3, 0.8)


def moved(shape: Shash, name: str, step: float) -> Shash:
    """The distribution with one of its parameters moved."""
    location, scale, epsilon, delta = shape
    return {
        "location": Shash(location + step, scale, epsilon, delta),
        "log scale": Shash(location, scale * np.exp(step), epsilon, delta),
        "epsilon": Shash(location, scale, epsilon + step, delta),
        "log delta": Shash(location, scale, epsilon, delta * np.exp(step)),
    }[name]


def test_known_answers(shared: Path) -> None:
    known = entry(shared, "shash_function")
    values = np.array(known.at("y"), float)
    known.check(log_density(one_for_all(len(values)), values), "log_density")
    known.check(cdf(one_for_all(len(values)), values), "cdf")
    known.check(quantile(one_for_all(5), np.array([0.05, 0.25, 0.5, 0.75, 0.95])), "quantile_05_25_50_75_95")
    known.check(
        quad(lambda y: float(np.exp(log_density(one_for_all(1), np.array([y])))[0]), -3000, 6000, limit=500, points=[900])[0],
        "integral_of_density",
    )


def test_epsilon_0_and_delta_1_are_the_normal_distribution() -> None:
    values = np.linspace(-6, 6, 25)
    normal = Shash(np.full(25, 1.0), np.full(25, 2.0), 0.0, 1.0)
    assert np.allclose(log_density(normal, values), norm.logpdf(values, 1, 2))
    assert np.allclose(score(normal, values), (values - 1) / 2)


def test_the_score_stays_finite_where_the_centile_is_0_or_100() -> None:
    values = np.array([-5e4, 5e4])
    scores = score(one_for_all(2), values)
    assert cdf(one_for_all(2), values).tolist() == [0.0, 1.0]
    assert np.isfinite(scores).all()
    assert np.allclose(at_score(one_for_all(2), scores), values)
    assert np.isfinite(log_density(one_for_all(2), values)).all()
    assert np.isfinite(log_ndtr(scores[0]))


@pytest.mark.parametrize(("function", "slopes"), [(log_density, log_density_slopes), (score, score_slopes)])
def test_derivatives(function, slopes) -> None:  # noqa: ANN001
    values, shape = np.linspace(600, 1300, 15), one_for_all(15)
    found = slopes(shape, values)
    for number, name in enumerate(NAMES):
        step = 1e-3 if name == "location" else 1e-5
        slow = (function(moved(shape, name, step), values) - function(moved(shape, name, -step), values)) / (2 * step)
        assert np.allclose(found[:, number], slow, rtol=1e-6, atol=1e-7), name


def test_quantiles_and_shares_are_inverse() -> None:
    probabilities = np.linspace(0.001, 0.999, 40)
    shape = Shash(np.linspace(-5, 5, 40), np.linspace(0.1, 9, 40), 0.7, 1.6)
    assert np.allclose(cdf(shape, quantile(shape, probabilities)), probabilities)
    assert np.allclose(ndtr(score(shape, quantile(shape, 0.5))), 0.5)
