"""Linear models: R's numbers to seven digits, whatever the errors; refusals that name who; gaps by pattern."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plain_designs import plain_design
from r_reference import entry, ixi, known_input

from hypojax.reason import RunError
from hypojax.study.models.linear import complete_patterns, contrast_effects, covariance, fit, satterthwaite_df

TERMS = ("group", "age", "sex", "icv")


def coefficients(found, names, kind, *, clusters=None, df=None) -> dict[str, dict[str, float]]:  # noqa: ANN001
    """Table of coefficients of the only region, with R's names."""
    errors = covariance(found, kind, clusters=clusters)
    table = {}
    for number, name in enumerate(names):
        one = contrast_effects(found, errors, np.eye(len(names))[number], df=df)
        numbers = zip(
            ("estimate", "se", "statistic", "p", "ci_low", "ci_high"), (one[0], one[1], one[2], one[4], one[5], one[6]), strict=True
        )
        table[name] = {what: float(value[0]) for what, value in numbers} | {"df": one.df}
    return table


def check_model(known, table: pd.DataFrame, outcome: str, terms: tuple[str, ...], kinds: dict[str, str], *path: str, weights=None) -> None:  # noqa: ANN001
    matrix, names = plain_design(table, *terms)
    found = fit(matrix, table[[outcome]].to_numpy(float), weights=weights, columns=names)
    known.check({"df_residual": found.df, "n": len(table), "r_squared": found.r_squared[0], "sigma": found.sigma[0]}, *path)
    known.check(found.leverage.max(), *path, "leverage_max")
    for name, kind in kinds.items():
        known.check(coefficients(found, names, kind), *path, name)


ALL = {"classic": "classical", "HC0": "HC0", "HC1": "HC1", "HC2": "HC2", "HC3": "HC3"}
TWO = {"classic": "classical", "HC3": "HC3"}


def test_r_of_the_cohort(shared: Path) -> None:
    check_model(entry(shared, "ols_cohort"), known_input(shared, "cohort.csv"), "hypothalamus", TERMS, ALL)


def test_r_with_weights(shared: Path) -> None:
    table = known_input(shared, "cohort.csv")
    weights = 1 / table.volume_se.to_numpy() ** 2
    check_model(entry(shared, "wls_cohort"), table, "hypothalamus", TERMS, TWO, weights=weights)


def test_r_of_real_people_of_three_sites(shared: Path) -> None:
    check_model(entry(shared, "ols_ixi"), ixi(shared), "hippocampus", ("sex", "age", "icv", "site"), TWO | {"HC2": "HC2"})


def test_r_with_missing_values_left_out(shared: Path) -> None:
    table = known_input(shared, "cohort_missing.csv")
    entry(shared, "ols_cohort_missing").check({"n_rows": len(table), "n_left_out": int(table.isna().any(axis=1).sum())})
    check_model(entry(shared, "ols_cohort_missing"), table.dropna(), "hypothalamus", TERMS, TWO)


def test_r_with_an_interaction_by_sex(shared: Path) -> None:
    known, table = entry(shared, "sex_interaction"), known_input(shared, "cohort.csv")
    terms = ("group", "sex", "age", "icv", "group:sex")
    check_model(known, table, "amygdala", terms, TWO)
    matrix, names = plain_design(table, *terms)
    found = fit(matrix, table[["amygdala"]].to_numpy(float))
    for sex in "FM":
        one = contrast_effects(
            found, covariance(found, "classical"), np.isin(names, ["grouppatient", f"grouppatient:sex{sex}"]).astype(float)
        )
        numbers = {"estimate": one.estimate, "se": one.se, "t": one.statistic, "p": one.p, "ci_low": one.low, "ci_high": one.high}
        known.check({what: float(value[0]) for what, value in numbers.items()}, "group_difference_by_sex", sex)


def test_r_clustered_by_subject(shared: Path) -> None:
    known, table = entry(shared, "ols_clustered"), known_input(shared, "repeated.csv")
    matrix, names = plain_design(table, "group", "age_baseline", "sex", "icv")
    found = fit(matrix, table[["volume"]].to_numpy(float))
    clusters = np.unique(table.subject, return_inverse=True)[1]
    known.check({"n": len(table), "n_clusters": clusters.max() + 1})
    for kind in ("CR0", "CR1", "CR1S", "CR3"):
        known.check(coefficients(found, names, kind, clusters=clusters, df=float(clusters.max())), kind)
    shuffled = np.random.default_rng(0).permutation(len(table))
    again = fit(matrix[shuffled], table[["volume"]].to_numpy(float)[shuffled])
    np.testing.assert_allclose(
        covariance(again, "CR3", clusters=clusters[shuffled]), covariance(found, "CR3", clusters=clusters), rtol=1e-9
    )


def test_degrees_of_freedom_of_clustered_errors_are_those_of_the_matrix_they_approximate() -> None:
    """Twin: the quadratic form of the errors in full, with its trace and that of its square."""
    random = np.random.default_rng(3)
    clusters = np.repeat(np.arange(9), random.integers(1, 4, 9))
    matrix = np.column_stack([np.ones(len(clusters)), (np.arange(9) < 3)[clusters], random.normal(size=len(clusters))])
    found, contrast = fit(matrix, random.normal(size=(len(clusters), 1))), np.array([0, 1.0, 0])
    hat = matrix @ found.inverse @ matrix.T
    pulls = []
    for number in range(9):
        own = clusters == number
        weights = np.linalg.solve(np.eye(own.sum()) - hat[np.ix_(own, own)], matrix[own] @ found.inverse @ contrast)
        pulls.append((np.eye(len(clusters)) - hat)[:, own] @ weights)
    form = np.array(pulls) @ np.array(pulls).T
    assert satterthwaite_df(found, clusters, contrast) == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form), rel=1e-9)


def test_a_site_of_one_is_named_instead_of_an_error_made_of_rounding(shared: Path) -> None:
    known, table = entry(shared, "leverage_one"), known_input(shared, "leverage_one.csv")
    matrix, names = plain_design(table, "group", "age", "site")
    found = fit(matrix, table[["volume"]].to_numpy(float))
    known.check(found.leverage.max(), "leverage_of_sub_20")
    known.check(found.coefficients[1, 0], "group_estimate_full")
    for kind, name in (("classical", "group_se_classic_full"), ("HC1", "hc1_se_group_full")):
        known.check(coefficients(found, names, kind)["grouppatient"]["se"], name)
    with pytest.raises(RunError, match=r"sub-20: leverage 1 .* HC3"):
        covariance(found, "HC3", names=table.subject.tolist())
    with pytest.raises(RunError, match="one subject alone carries a column"):
        covariance(found, "CR3", clusters=np.arange(len(table)))
    check_model(known, table[table.subject != "sub-20"], "volume", ("group", "age", "site"), TWO, "without_that_person")


def test_clusters_of_one_are_the_errors_of_single_people() -> None:
    random = np.random.default_rng(1)
    found = fit(np.column_stack([np.ones(30), random.normal(size=(30, 2))]), random.normal(size=(30, 3)), weights=random.uniform(1, 2, 30))
    for clustered, single in (("CR0", "HC0"), ("CR3", "HC3")):
        np.testing.assert_allclose(covariance(found, clustered, clusters=np.arange(30)), covariance(found, single), rtol=1e-10)


def test_all_regions_at_once_are_each_by_itself() -> None:
    random = np.random.default_rng(2)
    matrix, volumes, weights = (
        np.column_stack([np.ones(50), random.normal(size=(50, 3))]),
        random.normal(size=(50, 4)),
        random.uniform(1, 2, 50),
    )
    together = fit(matrix, volumes, weights=weights)
    for region in range(4):
        alone = fit(matrix, volumes[:, [region]], weights=weights)
        np.testing.assert_allclose(together.coefficients[:, region], alone.coefficients[:, 0], rtol=1e-12)
        np.testing.assert_allclose(covariance(together)[region], covariance(alone)[0], rtol=1e-9)


def test_regions_are_sorted_by_who_has_them() -> None:
    volumes = np.ones((5, 4))
    volumes[2, 1], volumes[:, 3] = np.nan, np.nan
    found = [(regions.tolist(), rows.tolist()) for regions, rows in complete_patterns(volumes)]
    assert found == [([0, 2], [True] * 5), ([1], [True, True, False, True, True])]


@pytest.mark.parametrize(
    ("matrix", "volumes", "sentence"),
    [
        (np.eye(3), np.ones((3, 1)), "3 columns and 3 scans: it needs more scans"),
        (
            np.column_stack([np.ones(9), np.arange(9), 1 + 2.0 * np.arange(9)]),
            np.ones((9, 1)),
            "number 3 follows from the columns before it",
        ),
        (np.ones((4, 1)), np.array([[1.0], [np.nan], [2], [np.inf]]), "2 values of the volumes are missing or infinite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(matrix: np.ndarray, volumes: np.ndarray, sentence: str) -> None:
    with pytest.raises(RunError, match=sentence):
        fit(matrix.astype(float), volumes)
