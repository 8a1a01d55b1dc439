"""Permutation tests: exact enumeration of eight people as R counted it, the literal procedure, nilearn's numbers, blocks."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from plain_designs import plain_design
from r_reference import entry, known_input

from hypojax.reason import RunError
from hypojax.study.models.exchange import Exchange
from hypojax.study.models.linear import contrast_effects, covariance, fit
from hypojax.study.models.permutation import PermutedModel, contrast_basis, freedman_lane, permute

REGIONS = ["hypothalamus", "hippocampus", "thalamus"]


@pytest.mark.parametrize(
    ("terms", "where"), [(("group", "age"), "freedman_lane_age"), (("group", "age", "site"), "freedman_lane_age_site_within_site_blocks")]
)
def test_all_permutations_of_eight_people_are_counted_as_r_counts_them(shared: Path, terms: tuple[str, ...], where: str) -> None:
    known, table = entry(shared, "permutation_eight"), known_input(shared, "eight.csv")
    matrix, names = plain_design(table, *terms)
    within = np.unique(table.site, return_inverse=True)[1] if "site" in terms else None
    contrast = np.array([name == "grouppatient" for name in names], float)
    found = freedman_lane(matrix, table[REGIONS].to_numpy(float), contrast, exchange=Exchange.of(8, within=within))
    assert found.exact
    known.check(found.of, where, "n_permutations")
    known.check(dict(zip(REGIONS, found.as_large.tolist(), strict=True)), where, "count_two_sided")
    for what, values in (("t", found.statistic), ("p_two_sided", found.p), ("p_family_wise_max_abs_t", found.p_fwer)):
        known.check(dict(zip(REGIONS, values, strict=True)), where, what)


def test_two_samples_without_covariates_are_the_allocations_to_groups(shared: Path) -> None:
    known, table = entry(shared, "permutation_eight"), known_input(shared, "eight.csv")
    matrix, _ = plain_design(table, "group")
    found = freedman_lane(matrix, table[["hypothalamus"]].to_numpy(float), np.array([0, 1.0]))
    known.check(found.p[0], "two_sample_no_covariate", "p_two_sided")
    known.check(found.as_large[0] / (found.of / 70), "two_sample_no_covariate", "count")


def test_family_wise_p_of_nilearn(shared: Path) -> None:
    known, table = entry(shared, "permutation_cohort_nilearn"), known_input(shared, "cohort.csv")
    matrix, _ = plain_design(table, "group", "age", "sex", "icv")
    regions = [*REGIONS, "amygdala"]
    found = freedman_lane(matrix, table[regions].to_numpy(float), np.array([0, 1.0, 0, 0, 0]), permutations=20_000, seed=3)
    for region, t, p in zip(regions, found.statistic, found.p_fwer, strict=True):
        known.check(t, "t", region, relative=1e-4)
        right = known.at("p_family_wise", region)
        known.check(p, "p_family_wise", region, relative=0.0, absolute=4 * np.sqrt(right * (1 - right) / 20_000) + 1 / 20_000)


def literal(matrix: np.ndarray, volumes: np.ndarray, contrast: np.ndarray, order: np.ndarray, kind: str = "classical") -> np.ndarray:
    """Statistics of one permutation as the procedure is written: permuted residuals are added back, and the whole model is fitted again.

    The nuisance model is that in which the contrast, one column's coefficient, is left out.
    """
    nuisance = matrix[:, contrast == 0]
    reduced = np.linalg.lstsq(nuisance, volumes, rcond=None)[0]
    residuals = volumes - nuisance @ reduced
    again = fit(matrix, nuisance @ reduced + residuals[order])
    return contrast_effects(again, covariance(again, kind), contrast).statistic


def test_permuting_the_design_gives_the_same_counts_as_the_literal_procedure() -> None:
    random = np.random.default_rng(4)
    matrix = np.column_stack([np.ones(5), [0, 0, 1, 1, 0], random.normal(size=5)])
    volumes, contrast = random.normal(size=(5, 3)), np.array([0, 1.0, 0])
    found = freedman_lane(matrix, volumes, contrast)
    observed = literal(matrix, volumes, contrast, np.arange(5))
    all_t = np.abs([literal(matrix, volumes, contrast, np.array(order)) for order in permutations(range(5))])
    np.testing.assert_allclose(found.statistic, observed, rtol=1e-9)
    assert found.as_large.tolist() == (all_t >= np.abs(observed) - 1e-9).sum(axis=0).tolist()
    assert found.p_fwer.tolist() == ((all_t.max(axis=1)[:, None] >= np.abs(observed) - 1e-9).mean(axis=0)).tolist()


def test_any_contrast_is_the_test_of_a_coefficient_of_an_equal_model() -> None:
    random = np.random.default_rng(5)
    matrix = np.column_stack([np.ones(20), random.normal(size=(20, 3))])
    contrast = np.array([0, 1.0, -1.0, 0])
    basis = contrast_basis(matrix, contrast)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)
    volumes = random.normal(size=(20, 2))
    model = fit(matrix, volumes)
    expected = contrast_effects(model, covariance(model, "classical"), contrast)
    np.testing.assert_allclose(freedman_lane(matrix, volumes, contrast, permutations=1).statistic, expected.statistic, rtol=1e-9)
    # x1 - x2 has the coefficient (b1 - b2) / 2 where x1 + x2 takes their mean.
    twin = np.column_stack([matrix[:, 0], matrix[:, 1] - matrix[:, 2], matrix[:, 1] + matrix[:, 2], matrix[:, 3]])
    one, other = (freedman_lane(m, volumes, c, permutations=60_000) for m, c in ((matrix, contrast), (twin, np.array([0, 1.0, 0, 0]))))
    np.testing.assert_array_equal(one.as_large, other.as_large)


def test_weighted_volumes_have_the_t_of_the_weighted_model() -> None:
    random = np.random.default_rng(6)
    matrix, volumes = np.column_stack([np.ones(30), random.normal(size=(30, 2))]), random.normal(size=(30, 2))
    weights, contrast = random.uniform(0.5, 2, (30, 2)), np.array([0, 0, 1.0])
    found = freedman_lane(matrix, volumes, contrast, permutations=99, weights=weights)
    for region in range(2):
        model = fit(matrix, volumes[:, [region]], weights=weights[:, region])
        assert contrast_effects(model, covariance(model, "classical"), contrast).statistic[0] == pytest.approx(found.statistic[region])


def test_a_robust_statistic_is_that_of_hc3_errors_in_every_permutation() -> None:
    random = np.random.default_rng(8)
    matrix = np.column_stack([np.ones(5), [0, 0, 1, 1, 0], random.normal(size=5)])
    volumes, contrast, rows = random.normal(size=(5, 2)), np.array([0, 1.0, 0]), np.ones(5, bool)
    model = PermutedModel(matrix, volumes, contrast, rows, robust=True)
    found = permute([model], permutations=1, seed=0, exchange=Exchange.of(5))
    all_t = np.abs([literal(matrix, volumes, contrast, np.array(order), kind="HC3") for order in permutations(range(5))])
    np.testing.assert_allclose(np.abs(found.statistic), all_t[0], rtol=1e-9)
    assert found.as_large.tolist() == (all_t >= all_t[0] - 1e-9).sum(axis=0).tolist()


def test_families_have_each_their_own_largest_statistic() -> None:
    random = np.random.default_rng(9)
    matrix, volumes = np.column_stack([np.ones(12), np.arange(12) % 2.0]), random.normal(size=(12, 4))
    rows, contrast = np.ones(12, bool), np.array([0, 1.0])
    models = [PermutedModel(matrix, volumes[:, some], contrast, rows) for some in ([0, 1], [2, 3])]
    both = permute(models, permutations=200, seed=5, exchange=Exchange.of(12), families=np.array([0, 1, 0, 1]))
    for family in (0, 1):
        alone = freedman_lane(matrix, volumes[:, [family, family + 2]], contrast, permutations=200, seed=5)
        np.testing.assert_array_equal(both.p_fwer[[family, family + 2]], alone.p_fwer)


def test_a_region_with_gaps_is_permuted_among_those_who_have_it() -> None:
    random = np.random.default_rng(7)
    matrix, volumes = np.column_stack([np.ones(8), [0, 1, 0, 1, 0, 1, 0, 1.0]]), random.normal(size=(8, 3))
    volumes[2, 1], volumes[:, 2] = np.nan, np.nan
    contrast = np.array([0, 1.0])
    found = freedman_lane(matrix, volumes, contrast)
    alone = freedman_lane(np.delete(matrix, 2, axis=0), np.delete(volumes[:, [1]], 2, axis=0), contrast)
    assert (found.of, alone.of) == (40320, 5040)
    assert found.p[1] == pytest.approx(alone.p[0])
    assert found.p[0] == freedman_lane(matrix, volumes[:, [0]], contrast).p[0]
    assert np.isnan([found.p[2], found.p_fwer[2], found.statistic[2]]).all()


@pytest.mark.parametrize("gap", [False, True])
def test_scans_of_a_subject_move_together_to_subjects_with_as_many_and_stay_in_their_site(gap: bool) -> None:
    blocks, within = np.array([3, 3, 1, 1, 2, 2, 0, 5, 4, 4]), np.array([0, 0, 0, 0, 1, 1, 0, 0, 1, 1])
    rows = np.ones(10, bool)
    rows[4] = not gap
    exchange = Exchange.of(10, within=within, blocks=blocks).among(rows)
    orders = np.concatenate(list(exchange.random(200, batch=7, seed=0)))
    assert {tuple(order) for order in orders} == {tuple(order) for one in exchange.all(5) for order in one}
    assert exchange.count() == (2 * 2 if gap else 2 * 2 * 2)
    left, sites = blocks[rows], within[rows]
    for order in orders:
        assert sorted(order) == list(range(len(left)))
        assert (sites[order] == sites).all()
        moved = {(old, new) for old, new in zip(left, left[order], strict=True)}
        assert len(moved) == len(set(left))
        assert all(np.diff(order[left == block]).tolist() == [1] * (sum(left == block) - 1) for block in set(left))


def test_the_seed_decides_and_batches_do_not_repeat_each_other() -> None:
    exchange = Exchange.of(50)
    first, again = (np.concatenate(list(exchange.random(64, batch=16, seed=1))) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first, axis=0)) == 64
    assert not (np.concatenate(list(exchange.random(64, batch=16, seed=2))) == first).all()


def test_what_cannot_be_permuted_is_refused() -> None:
    with pytest.raises(RunError, match="no two scans may change places"):
        Exchange.of(3, within=np.arange(3))
    with pytest.raises(RunError, match="a subject has scans in two sites"):
        Exchange.of(4, within=np.array([0, 1, 0, 1]), blocks=np.array([0, 0, 1, 1]))
    with pytest.raises(RunError, match="0 permutations"):
        freedman_lane(np.ones((4, 1)), np.ones((4, 1)), np.ones(1), permutations=0)
