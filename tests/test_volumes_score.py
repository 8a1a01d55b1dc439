"""Quality scores: signs against loops and formulas, the fit against what no other weights do better, and what may never raise it."""

from pathlib import Path

import numpy as np
import pytest
from affines import rotation
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hypojax.checkpoint import sha256
from hypojax.grid import Grid
from hypojax.release import STAGES, released_folder
from hypojax.schema import SCORED, SUBUNITS
from hypojax.volumes.measure import QUALITY_SIGNS
from hypojax.volumes.score import FARTHEST, ScoreModel, Sign, parsed, quality_scores, released_models
from hypojax.volumes.signs import (
    HeadPlace,
    cranium_signs,
    hypothalamus_signs,
    moments,
    pose_signs,
    second_moments,
    views_apart,
)
from pipelines.maintenance.score_fit import PENALTY, auc, fitted, write_models

GRID = Grid((30, 24, 28), np.diag([1.0, 0.8, 1.2, 1.0]))
SIZES = np.array([1.0, 0.8, 1.2])


def blobs(scale: float = 1.0) -> np.ndarray:
    """Two sides of five Gaussian subunits each, 3 mm apart from front to back, 12 mm from left to right."""
    place = np.moveaxis(np.indices(GRID.shape), 0, -1) * SIZES
    posterior = np.zeros((10, *GRID.shape), np.float32)
    for side, right in enumerate((10.8, 22.8)):
        for n, front in enumerate((21.0, 18.0, 9.0, 15.0, 12.0)):
            away = (place - [front, 9.6, right]) / [2.0, 1.6, 1.5]
            posterior[5 * side + n] = 0.3 * scale * np.exp(-0.5 * (away**2).sum(-1))
    return posterior


def quantised(posterior: np.ndarray) -> np.ndarray:
    return np.round(posterior * 255).astype(np.uint8)


def test_moments_against_a_loop() -> None:
    weights = np.random.default_rng(0).uniform(size=(4, 5, 6)).astype(np.float32)
    places = [np.array(index) * SIZES for index in np.ndindex(4, 5, 6)]
    total = sum(weights[index] for index in np.ndindex(4, 5, 6))
    centre = sum(weights[index] * place for index, place in zip(np.ndindex(4, 5, 6), places, strict=True)) / total
    variance = sum(weights[index] * (place - centre) ** 2 for index, place in zip(np.ndindex(4, 5, 6), places, strict=True)) / total
    found = moments(weights, SIZES)
    assert_allclose(found[0], centre, rtol=1e-5)
    assert_allclose(found[1], variance, rtol=1e-5)


def test_signs_of_blobs_are_those_of_the_formulas() -> None:
    posterior = blobs()
    signs = hypothalamus_signs(posterior, subunits=quantised(posterior), grid=GRID)
    assert_allclose(signs["volume"], np.log(10 * 0.3 * (2 * np.pi) ** 1.5 * 2.0 * 1.6 * 1.5), atol=0.01)
    # Five places 3 mm apart add a variance of 18 mm² to that of each blob.
    assert_allclose(signs["length"], 0.5 * np.log(18 + 4), atol=0.01)
    assert_allclose(signs["height"], np.log(1.6), atol=0.01)
    assert_allclose(signs["width"], np.log(1.5), atol=0.02)
    assert_allclose(signs["sides_apart"], np.log(12), atol=0.01)
    assert_allclose(signs["front_to_back"], 12, atol=0.05)
    assert_allclose([signs[f"share_{name}"] for name in SUBUNITS], np.log(0.2), atol=0.01)
    assert_allclose(signs["kept"], 1, atol=0.03)
    assert 0.2 < signs["decided"] < 1


def test_what_cleaning_took_away_and_what_is_undecided_shows() -> None:
    posterior = blobs()
    more = quantised(posterior)
    more[:, :4] += 5
    assert hypothalamus_signs(posterior, subunits=more, grid=GRID)["kept"] < 0.9
    even = np.broadcast_to(posterior.mean(axis=0), posterior.shape).copy()
    assert_allclose(hypothalamus_signs(even, subunits=quantised(even), grid=GRID)["decided"], 0.1, atol=1e-5)


SHAPE = (40, 40, 40)


def head(size: float = 4.0, *, height: float = 1.0, place: HeadPlace | None = None) -> dict[str, float]:
    """Signs of an ellipsoid of 136 by 96 by 112 mm in voxels of 4 mm (or another size, or another height of them)."""
    away = (((np.moveaxis(np.indices(SHAPE), 0, -1) - 20) / [17, 12, 14]) ** 2).sum(-1)
    posterior = np.where(away < 1, 0.95, 0).astype(np.float32)
    grid = Grid(SHAPE, np.diag([size, size * height, size, 1.0]))
    return cranium_signs(posterior, intracranial=quantised(posterior), grid=grid, place=place or HeadPlace())


def test_a_stretched_head_shows_and_a_larger_one_does_not() -> None:
    plain, larger, tall = head(), head(5.0), head(height=1.5)
    assert_allclose([plain["head_height"], plain["head_width"]], np.log([12 / 17, 14 / 17]), atol=0.02)
    assert_allclose(tall["head_height"] - plain["head_height"], np.log(1.5))
    assert_allclose(tall["head_width"], plain["head_width"])
    assert_allclose(list(larger.values()), list(plain.values()), atol=1e-9)


def test_a_head_in_its_pose_has_the_same_shape_however_it_is_turned_and_whatever_the_template() -> None:
    """Its axes right, anterior and superior are 14, 17 and 12 voxels; a pose that stretches takes nothing away and adds nothing."""
    turn = np.eye(4)
    turn[:3, :3] = rotation(0, 25) @ rotation(2, -40)
    turn[:3, 3] = (7.0, -30.0, 12.0)
    axes = np.array([[0, 0, 4.0, 0], [4.0, 0, 0, 0], [0, 4.0, 0, 0], [0, 0, 0, 1]])
    stretch = np.diag([1.0, 1.2, 0.5, 1.0])
    posterior = (((np.moveaxis(np.indices(SHAPE), 0, -1) - 20) / [17, 12, 14]) ** 2).sum(-1) < 1
    for affine, to_template in ((axes, np.eye(4)), (axes, stretch), (turn @ axes, stretch @ np.linalg.inv(turn))):
        shown = cranium_signs(
            posterior.astype(np.float32),
            intracranial=quantised(posterior),
            grid=Grid(SHAPE, affine),
            place=HeadPlace(to_template=to_template),
        )
        found = [shown[name] for name in ("cranium_height", "cranium_width", "cranium_width_over_height")]
        assert_allclose(found, np.log([12 / 17, 14 / 17, 14 / 12]), atol=0.02)


def test_where_no_pose_is_known_there_are_no_signs_of_it() -> None:
    assert pose_signs(HeadPlace()) == {}
    assert pose_signs(HeadPlace(residual_mm=5.0)) == {"residual_mm": pytest.approx(np.log(5)), "lost": 1.0}
    assert not [name for name in head() if name.startswith("cranium")]


def test_second_moments_against_numpy() -> None:
    weights = np.random.default_rng(1).uniform(size=(5, 4, 6)).astype(np.float32)
    places = np.moveaxis(np.indices(weights.shape), 0, -1).reshape(-1, 3) * SIZES
    covariance = second_moments(weights, SIZES)
    assert_allclose(covariance, np.cov(places.T, aweights=weights.ravel(), ddof=0), rtol=1e-4, atol=1e-4)


def test_views_that_agree_are_not_apart() -> None:
    assert views_apart(np.full((3, 10), 80, np.float32)) == 0
    assert np.isnan(views_apart(None))
    assert np.isnan(views_apart(np.full((1, 10), 80, np.float32)))


def test_departures_count_on_their_side_alone() -> None:
    below, above, both = (Sign(10.0, 2.0, side, 1.0) for side in ("below", "above", "both"))
    assert [sign.departure(18.0) for sign in (below, above, both)] == [0, 2, 2]  # four spreads, two of them usual
    assert [sign.departure(0.0) for sign in (below, above, both)] == [3, 0, 3]
    assert [sign.departure(value) for value in (6.0, 8.0, 10.0, 14.0) for sign in (below, above, both)] == [0] * 12
    assert both.departure(1e9) == FARTHEST
    assert both.departure(float("nan")) == 0


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=3), st.integers(0, 2), st.floats(1, 10))
def test_nothing_unusual_ever_raises_the_score(values: list[float], which: int, farther: float) -> None:
    signs = {"a": Sign(0.0, 1.0, "both", 0.7), "b": Sign(0.0, 2.0, "below", 0.3), "c": Sign(0.0, 1.0, "above", 0.0)}
    model = ScoreModel(2.0, signs, {})
    given_signs = dict(zip(signs, values, strict=True))
    name = "abc"[which]
    worse = given_signs | {name: given_signs[name] * farther}
    assert model.score(worse) <= model.score(given_signs) <= model.score({}) == round(1 / (1 + np.exp(-2)), 3)


def results(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signs of results: the first falls in bad ones, the second departs either way, the third says nothing, the fourth misses at times."""
    random = np.random.default_rng(seed)
    good = np.arange(400) % 2 == 0
    values = random.normal(size=(400, 4))
    values[~good, 0] -= 4
    values[~good, 1] *= 6
    values[random.uniform(size=400) < 0.2, 3] = np.nan
    return values, good, good & (np.arange(400) < 200)


NAMES = ["kept", "volume", "idle", "holed"]


def test_a_fit_finds_what_separates() -> None:
    values, good, usual = results()
    model = fitted(values, good, names=NAMES, usual=usual)
    weights = {name: sign.weight for name, sign in model.signs.items()}
    assert weights["kept"] > 0.3
    assert weights["volume"] > 0.2
    assert max(weights["idle"], weights["holed"]) < 0.15 * min(weights["kept"], weights["volume"])
    assert min(weights.values()) >= 0
    assert [sign.side for sign in model.signs.values()] == ["below", "both", "both", "both"]
    fresh, truth, _ = results(1)
    scores = np.array([model.score(dict(zip(NAMES, row, strict=True))) for row in fresh])
    assert auc(scores, truth) > 0.93
    assert (scores[truth] > 0.5).mean() > 0.85
    assert (scores[~truth] < 0.5).mean() > 0.8


def test_no_other_weights_fit_better() -> None:
    values, good, usual = results()
    model = fitted(values, good, names=NAMES, usual=usual)
    away = np.array([[sign.departure(value) for sign, value in zip(model.signs.values(), row, strict=True)] for row in values])

    def loss(constant: float, weights: np.ndarray) -> float:
        logit = constant - away @ weights
        each = np.where(good, np.log1p(np.exp(-logit)), np.log1p(np.exp(logit)))
        return float((each[good].mean() + each[~good].mean()) / 2 + PENALTY / 2 * (weights**2).sum())

    best = np.array([sign.weight for sign in model.signs.values()])
    least = loss(model.constant, best)
    for step in (-0.02, 0.02):
        assert loss(model.constant + step, best) > least
        for n in range(4):
            other = best.copy()
            other[n] = max(0.0, other[n] + step)
            assert loss(model.constant, other) >= least


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    values, good, usual = results()
    model = fitted(values, good, names=NAMES, usual=usual)
    write_models({"icv": model, "hypothalamus": model}, tmp_path / "score.json")
    assert parsed((tmp_path / "score.json").read_text()) == {"icv": model, "hypothalamus": model}


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: 0 < sum(g for _, g in rows) < len(rows)
    )
)
def test_area_under_the_curve_against_every_pair(rows: list[tuple[int, bool]]) -> None:
    pairs = [(a, b) for a, good in rows if good for b, other in rows if not other]
    expected = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
    found = auc(np.array([score for score, _ in rows], float), np.array([good for _, good in rows]))
    assert found == pytest.approx(expected)


def test_the_released_scores_know_their_signs() -> None:
    posterior = blobs()
    place = HeadPlace(0.9, np.eye(4), 3.0)
    of_head = {*head(place=place), *pose_signs(place)}
    of_hypothalamus = {*hypothalamus_signs(posterior, subunits=quantised(posterior), grid=GRID)}
    taken = {"hypothalamus": of_hypothalamus | of_head | {*QUALITY_SIGNS, "views_apart"}, "icv": of_head}
    assert set(released_models()) == set(SCORED)
    for region, model in released_models().items():
        assert set(model.signs) <= taken[region]
        assert min(sign.weight for sign in model.signs.values()) >= 0
        assert model.fitted_on["auc"] > 0.9
        usual = {name: sign.middle for name, sign in model.signs.items()}
        assert model.score(usual) > {"hypothalamus": 0.9, "icv": 0.8}[region]
        taller = {name: usual[name] + np.log(1.5) for name in ("height", "cranium_height", "stretch_height") if name in usual}
        assert quality_scores({region: usual | taller})[region] < 0.5
        assert model.score(usual) == round(model.score(usual), 3)


def test_the_scores_were_fitted_to_the_released_weights() -> None:
    """Other weights have other signs: after a release the scores are fitted anew by ``pipelines/maintenance/quality_score.py``."""
    sums = [sha256(released_folder() / f"{stage}.safetensors")[:12] for stage in STAGES]
    assert released_models()["hypothalamus"].fitted_on["weights"] == "-".join(sums)
    assert released_models()["icv"].fitted_on["weights"] == sums[STAGES.index("head")]
