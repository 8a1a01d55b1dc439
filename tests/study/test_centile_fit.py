"""Centile models on matrices: known answers of R, and what simulated people must give."""

from pathlib import Path

import numpy as np
import pytest
from r_reference import entry, ixi
from scipy.stats import norm

from hypojax.reason import RunError
from hypojax.study.centiles.centile_fit import Shape, fit_centiles, score_error
from hypojax.study.centiles.shash import Shash, at_score, cdf, quantile, score

LOCATION = ("intercept", "a", "a2", "male")


@pytest.mark.parametrize(("shape", "scale_name"), [("normal", "log_sd"), ("shash", "log_scale")])
def test_known_answers(shared: Path, shape: Shape, scale_name: str) -> None:
    known, people = entry(shared, f"norms_ixi_{shape}"), ixi(shared)
    values, a = people["brain"].to_numpy() / 1000, (people["age"].to_numpy() - 50) / 10
    location = np.column_stack([np.ones(len(a)), a, a**2, people["sex"] == "M"]).astype(float)
    scale = location[:, :2]
    found = fit_centiles(values, location, scale, shape=shape)
    known.check(found.log_likelihood, "loglik")
    known.check(dict(zip(LOCATION, found.location, strict=True)), "location")
    known.check(dict(zip(LOCATION, found.log_scale, strict=False)), scale_name)
    distribution = found.at(location, scale)
    centiles, scores = 100 * cdf(distribution, values), score(distribution, values)
    curves = {f"q{100 * share:02.0f}": quantile(distribution, share) for share in (0.05, 0.5, 0.95)}
    for number, row in enumerate(known.at("rows")):
        person = people["ID"].tolist().index(row["id"])
        known.check({"centile": centiles[person], "z": scores[person]}, "rows", number)
        known.check({name: curve[person] for name, curve in curves.items()}, "rows", number)
    known.check({f"below_{share}": np.mean(centiles < share) for share in (5, 25, 50, 75, 95)}, "calibration")
    known.check(np.mean(np.abs(scores) > 1.96), "calibration", "outside_1.96")
    if shape == "shash":
        known.check({"epsilon": found.epsilon, "delta": found.delta})


def simulated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Shash]:
    """Values, designs and the truth of people with skewed volumes whose spread grows with age."""
    random = np.random.default_rng(seed)
    age, male = random.uniform(-3, 4, n), random.integers(0, 2, n).astype(float)
    truth = Shash(900 - 20 * age + 40 * male, np.exp(4 + 0.05 * age), 0.3, 0.9)
    one = np.ones(n)
    return at_score(truth, random.standard_normal(n)), np.column_stack([one, age, male]), np.column_stack([one, age]), truth


def test_planted_parameters_are_found() -> None:
    values, location, scale, _ = simulated(4000, 0)
    found = fit_centiles(values, location, scale)
    errors = np.sqrt(np.diag(found.covariance))
    planted = np.array([900, -20, 40, 4, 0.05, 0.3, np.log(0.9)])
    parameters = np.concatenate([found.location, found.log_scale, [found.epsilon, np.log(found.delta)]])
    assert (np.abs(parameters - planted) < 4 * errors).all()
    below = [np.mean(values < quantile(found.at(location, scale), share)) for share in (0.05, 0.5, 0.95)]
    assert below == pytest.approx([0.05, 0.5, 0.95], abs=0.012)
    assert found.bic < fit_centiles(values, location, scale, shape="normal").bic


def test_units_and_origins_do_not_matter() -> None:
    values, location, scale, _ = simulated(300, 1)
    found = fit_centiles(values, location, scale)
    other = location @ np.array([[1.0, 500, 0], [0, 1e4, 0], [0, 0, 1]])  # age in other units, from another zero
    moved = fit_centiles(1e3 * values + 1e6, other, scale)
    assert np.allclose(score(moved.at(other, scale), 1e3 * values + 1e6), score(found.at(location, scale), values), atol=1e-4)
    errors = score_error(moved, other, scale, 1e3 * values + 1e6)
    assert np.allclose(errors, score_error(found, location, scale, values), rtol=1e-2)


def test_the_error_of_a_score_falls_with_the_root_of_n() -> None:
    errors = []
    for n in (400, 1600):
        values, location, scale, _ = simulated(n, 2)
        errors.append(np.median(score_error(fit_centiles(values, location, scale), location, scale, values)))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.3)


def test_the_error_of_a_normal_score_is_the_known_one() -> None:
    values = norm.ppf((np.arange(400) + 0.5) / 400)
    one = np.ones((400, 1))
    found = fit_centiles(values, one, one, shape="normal")
    at = np.array([0.0, 2.0])
    # Variance of (y - mean) / sd for y given: 1/n + z²/(2n).
    assert score_error(found, one[:2], one[:2], at) == pytest.approx(np.sqrt([1 / 400, 3 / 400]), rel=0.03)


def test_values_that_do_not_vary_are_refused() -> None:
    with pytest.raises(RunError, match="all 30 values are about 7"):
        fit_centiles(np.full(30, 7.0), np.ones((30, 1)), np.ones((30, 1)))


def coverage(n: int, rounds: int) -> float:
    """Share of intervals of z, at a new person each, that hold the true z."""
    held = []
    for seed in range(rounds):
        values, location, scale, truth = simulated(n, 1000 + seed)
        found = fit_centiles(values[1:], location[1:], scale[1:], shape="shash" if n > 150 else "normal")
        new = Shash(truth.location[:1], truth.scale[:1], truth.epsilon, truth.delta)
        z, error = score(found.at(location[:1], scale[:1]), values[:1]), score_error(found, location[:1], scale[:1], values[:1])
        held.append(abs(z[0] - score(new, values[:1])[0]) < 1.96 * error[0])
    return float(np.mean(held))


@pytest.mark.slow
@pytest.mark.long
def test_intervals_of_scores_cover_what_they_say() -> None:
    assert coverage(300, 1000) == pytest.approx(0.95, abs=0.025)
