"""ComBat on matrices: known answers of neuroHarmonize and neuroCombat, and what must hold whatever the numbers are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import Entry, entry, known_input
from scipy.stats import t

from hypojax.study.sites.combat import Combat, fit_combat, remove_sites

SITES = ("S1", "S2", "S3")

CONVERGED = 1e-8
"""Relative: the reference names it for a ComBat iterated to 1e-12."""


@pytest.fixture(scope="module")
def table(shared: Path) -> pd.DataFrame:
    return known_input(shared, "sites.csv")


def matrices(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    covariates = np.column_stack([table["age"], table["sex"] == "M", table["group"] == "patient"]).astype(float)
    return table.iloc[:, 5:].to_numpy(float), table["site"].map(SITES.index).to_numpy(int), covariates


def check_rows(known: Entry, key: str, table: pd.DataFrame, found: np.ndarray, **tolerance: float) -> None:
    adjusted = pd.DataFrame(found, table["subject"], table.columns[5:])
    known.check({name: adjusted.loc[name].to_dict() for name in known.at(key)}, key, **tolerance)


def check_sites(known: Entry, key: str, table: pd.DataFrame, found: np.ndarray, **tolerance: float) -> None:
    known.check(pd.DataFrame(found, list(SITES), table.columns[5:]).to_dict("index"), key, **tolerance)


def test_empirical_bayes(table: pd.DataFrame, shared: Path) -> None:
    volumes, site, covariates = matrices(table)
    known, found = entry(shared, "combat_eb"), fit_combat(volumes, site, covariates, sites=3)
    harmonised = remove_sites(found, volumes, site, covariates)
    check_rows(known, "adjusted_rows", table, harmonised)
    check_rows(known, "adjusted_rows_fully_converged", table, harmonised, relative=CONVERGED, absolute=0.0)
    for name in ("gamma_star", "delta_star"):
        check_sites(known, name, table, getattr(found, name))
        check_sites(known, f"{name}_fully_converged", table, getattr(found, name), relative=CONVERGED, absolute=1e-12)
    for name in ("gamma_hat", "delta_hat"):
        check_sites(known, name, table, getattr(found, name), relative=CONVERGED, absolute=1e-12)
    known.check(dict(zip(table.columns[5:], found.grand_mean, strict=True)), "grand_mean")
    known.check(dict(zip(table.columns[5:], found.pooled_variance, strict=True)), "pooled_variance")
    slopes = pd.DataFrame(found.coefficients, ["age", "male", "patient"], table.columns[5:])
    known.check(slopes.to_dict("index"), "covariate_coefficients")
    priors = {"gamma_bar": found.gamma_bar, "tau_squared": found.tau_squared, "a": found.prior_a, "b": found.prior_b}
    known.check({site: {name: value[number] for name, value in priors.items()} for number, site in enumerate(SITES)}, "priors")
    means = pd.DataFrame(harmonised, columns=table.columns[5:]).groupby(table["site"].to_numpy()).mean()
    known.check(means.to_dict("index"), "adjusted_means_by_site")


def test_without_empirical_bayes(table: pd.DataFrame, shared: Path) -> None:
    volumes, site, covariates = matrices(table)
    known, found = entry(shared, "combat_no_eb"), fit_combat(volumes, site, covariates, sites=3, empirical_bayes=False)
    check_rows(known, "adjusted_rows", table, remove_sites(found, volumes, site, covariates))
    check_sites(known, "gamma_hat", table, found.gamma_star)
    check_sites(known, "delta_hat", table, found.delta_star)


def test_the_list_of_features_is_part_of_the_result(table: pd.DataFrame, shared: Path) -> None:
    subunits = table.drop(columns="icv")
    volumes, site, covariates = matrices(subunits)
    known, found = entry(shared, "combat_without_icv"), fit_combat(volumes, site, covariates, sites=3)
    harmonised = remove_sites(found, volumes, site, covariates)
    check_rows(known, "adjusted_rows", subunits, harmonised)
    check_rows(known, "adjusted_rows_fully_converged", subunits, harmonised, relative=CONVERGED, absolute=0.0)
    check_sites(known, "gamma_star", subunits, found.gamma_star)
    check_sites(known, "delta_star", subunits, found.delta_star)


def test_reference_site(table: pd.DataFrame, shared: Path) -> None:
    volumes, site, covariates = matrices(table)
    known, found = entry(shared, "combat_reference_site"), fit_combat(volumes, site, covariates, sites=3, reference=0)
    harmonised = remove_sites(found, volumes, site, covariates, reference=0)
    check_rows(known, "adjusted_rows", table, harmonised)
    check_rows(known, "adjusted_rows_fully_converged", table, harmonised, relative=CONVERGED, absolute=0.0)
    check_sites(known, "gamma_star", table, found.gamma_star)
    check_sites(known, "delta_star", table, found.delta_star)
    assert np.array_equal(harmonised[site == 0], volumes[site == 0])


def test_applied_to_new_scans(table: pd.DataFrame, shared: Path) -> None:
    known, new = entry(shared, "combat_apply_to_new"), table[1::2]
    found = fit_combat(*matrices(table[::2]), sites=3)
    harmonised = remove_sites(found, *matrices(new))
    check_rows(known, "adjusted_new_rows", new, harmonised)
    known.check(dict(zip(table.columns[5:], harmonised.mean(axis=0), strict=True)), "mean_new")


def simulated(seed: int, n: int = 60, features: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    site, covariates = random.permutation(np.arange(n) % 3), random.normal(size=(n, 2))
    shifts, spreads = random.normal(size=(3, features)), random.uniform(0.5, 2, (3, features))
    volumes = 100 + covariates @ random.normal(size=(2, features)) + shifts[site] + spreads[site] * random.normal(size=(n, features))
    return volumes, site, covariates


def harmonise_all(volumes: np.ndarray, site: np.ndarray, covariates: np.ndarray) -> tuple[Combat, np.ndarray]:
    found = fit_combat(volumes, site, covariates, sites=3)
    return found, remove_sites(found, volumes, site, covariates)


@pytest.mark.parametrize("seed", range(3))
def test_order_names_and_units_do_not_matter(seed: int) -> None:
    volumes, site, covariates = simulated(seed)
    _, harmonised = harmonise_all(volumes, site, covariates)
    order = np.random.default_rng(seed).permutation(len(volumes))
    assert np.allclose(harmonise_all(volumes[order], site[order], covariates[order])[1], harmonised[order], rtol=1e-10)
    assert np.allclose(harmonise_all(volumes, (site + 1) % 3, covariates)[1], harmonised, rtol=1e-10)
    units, origin = np.array([1e-3, 1, 1e3, 2, 3, 4]), np.array([0.0, 5, -3, 0, 0, 1])
    assert np.allclose(harmonise_all(volumes * units + origin, site, covariates)[1], harmonised * units + origin, rtol=1e-9)
    assert np.allclose(harmonise_all(volumes, site, 1e3 * covariates + 40)[1], harmonised, rtol=1e-9)


def test_a_missing_volume_is_missing_and_its_feature_is_fitted_on_the_others() -> None:
    volumes, site, covariates = simulated(1)
    holes = volumes.copy()
    holes[[0, 7, 9], 0] = np.nan
    found = fit_combat(holes, site, covariates, sites=3, empirical_bayes=False)
    harmonised = remove_sites(found, holes, site, covariates)
    assert np.array_equal(np.isnan(harmonised), np.isnan(holes))
    known = np.isfinite(holes[:, 0])
    alone = fit_combat(volumes[known][:, :1], site[known], covariates[known], sites=3, empirical_bayes=False)
    assert np.allclose(harmonised[known, :1], remove_sites(alone, volumes[known][:, :1], site[known], covariates[known]))
    complete = fit_combat(volumes, site, covariates, sites=3, empirical_bayes=False)
    assert np.allclose(harmonised[:, 1:], remove_sites(complete, volumes, site, covariates)[:, 1:])
    assert found.scans[:, 0].sum() == len(volumes) - 3


def test_a_site_without_a_feature_leaves_the_others_their_own() -> None:
    volumes, site, covariates = simulated(2)
    volumes[site == 2, 0] = np.nan
    found, harmonised = harmonise_all(volumes, site, covariates)
    assert np.isnan(found.gamma_star[2, 0])
    assert np.array_equal(np.isnan(harmonised), np.isnan(volumes))


def test_planted_sites_go_and_the_covariate_stays() -> None:
    random = np.random.default_rng(5)
    n, features = 600, 10
    site, group = np.arange(n) % 3, (np.arange(n) // 3) % 2
    effect = -6.0
    errors = random.normal(size=(n, features)) * 5
    volumes = 100 + effect * group[:, None] + np.array([8.0, -4, 0])[site, None] + np.array([0.6, 1, 1.8])[site, None] * errors
    _, harmonised = harmonise_all(volumes, site, group[:, None].astype(float))
    kept = harmonised[group == 1].mean(axis=0) - harmonised[group == 0].mean(axis=0)
    assert kept.mean() == pytest.approx(effect, abs=0.5)
    residuals = harmonised - effect * group[:, None]
    means, spreads = (np.array([function(residuals[site == one]) for one in range(3)]) for function in (np.mean, np.std))
    assert np.ptp(means) < 0.5
    assert np.ptp(spreads) / spreads.mean() < 0.05


def false_alarms(volumes: np.ndarray, design: np.ndarray, column: int) -> float:
    """Share of features whose column of the design differs from 0 at .05 (HC3, t)."""
    inverse = np.linalg.inv(design.T @ design)
    residuals = volumes - design @ (inverse @ design.T @ volumes)
    scaled = (design @ inverse[:, column])[:, None] * residuals / (1 - np.einsum("ij,jk,ik->i", design, inverse, design))[:, None]
    statistic = (inverse @ design.T @ volumes)[column] / np.sqrt((scaled**2).sum(axis=0))
    return float((np.abs(statistic) > t.ppf(0.975, len(design) - design.shape[1])).mean())


@pytest.mark.slow
@pytest.mark.long
def test_a_model_of_harmonised_volumes_keeps_its_level_with_the_site_and_not_without_it() -> None:
    random, rates = np.random.default_rng(1), []
    site = np.repeat([0, 1, 2], 20)
    for _ in range(1000):
        group = (random.random(60) < np.array([0.85, 0.5, 0.15])[site]).astype(float)
        covariates = np.column_stack([group, random.normal(size=60)])
        shifts = np.array([1, 0, -1.0])[site][:, None] * random.normal(size=11)
        volumes = random.normal(size=(60, 11)) * np.array([0.7, 1, 1.4])[site][:, None] + shifts
        _, harmonised = harmonise_all(volumes, site, covariates)
        with_site, without = np.column_stack([np.eye(3)[site], covariates]), np.column_stack([np.ones(60), covariates])
        rates.append((false_alarms(harmonised, with_site, 3), false_alarms(harmonised, without, 1)))
    kept, lost = np.mean(rates, axis=0)
    assert 0.02 < kept < 0.065
    assert lost > 0.08
