"""The mixed model against lmerTest, against what is known exactly in balanced designs, and against statsmodels."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import Entry, entry, known_input

from hypojax.reason import RunError
from hypojax.study.models.mixed import MixedFit, fit_mixed

COLUMNS = ("(Intercept)", "grouppatient", "years", "age_c", "sexM", "icv_z", "grouppatient:years")


def design(people: pd.DataFrame) -> np.ndarray:
    """Volume ~ group*years + age_c + sex + icv_z, as in the reference."""
    patient, male = (people["group"] == "patient").to_numpy(float), (people["sex"] == "M").to_numpy(float)
    years, age, icv = people["years"].to_numpy(), people["age_baseline"].to_numpy() - 45, (people["icv"].to_numpy() - 1450000) / 100000
    return np.column_stack([np.ones(len(people)), patient, years, age, male, icv, patient * years])


def check_fixed(found: MixedFit, known: Entry) -> None:
    known.check({"loglik_reml": found.loglik, "n": found.rows, "n_subjects": found.groups})
    for number, name in enumerate(COLUMNS):
        one = found.contrast(np.eye(len(COLUMNS))[number])
        known.check(one._asdict(), "fixed", name)


def test_lmertest_random_intercept(shared: Path) -> None:
    known, people = entry(shared, "mixed_random_intercept"), known_input(shared, "repeated.csv")
    found = fit_mixed(design(people), people["volume"].to_numpy(), people["subject"].to_numpy(str))
    check_fixed(found, known)
    known.check(found.between[0, 0], "variance_components", 0, "covariance")
    known.check(found.within, "variance_components", 1, "covariance")
    assert not found.is_singular


def test_lmertest_random_slope(shared: Path) -> None:
    known, people = entry(shared, "mixed_random_slope"), known_input(shared, "repeated.csv")
    found = fit_mixed(design(people), people["volume"].to_numpy(), people["subject"].to_numpy(str), time=people["years"].to_numpy())
    check_fixed(found, known)
    components = [found.between[0, 0], found.between[1, 1], found.between[0, 1], found.within]
    for number, value in enumerate(components):
        known.check(value, "variance_components", number, "covariance")


def balanced(seed: int, *, slope_sd: float, subjects: int = 14, visits: int = 4) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    subject, years = np.repeat(np.arange(subjects), visits), np.tile(np.arange(visits, dtype=float) + 60, subjects)
    patient = (subject < subjects // 2).astype(float)
    volume = 900 + rng.normal(0, 40, subjects)[subject] + (rng.normal(0, slope_sd, subjects)[subject] - 3) * (years - 60)
    return subject, years, patient, volume + rng.normal(0, 5, len(subject))


def test_balanced_groups_are_a_t_test_of_means() -> None:
    """With the same number of scans each, the group effect is that of the subjects' means, with subjects - 2 degrees of freedom."""
    subject, _, patient, volume = balanced(0, slope_sd=0)
    found = fit_mixed(np.column_stack([np.ones(len(volume)), patient]), volume, subject).contrast(np.array([0.0, 1.0]))
    means, groups = volume.reshape(14, 4).mean(axis=1), patient.reshape(14, 4)[:, 0] == 1
    pooled = (means[groups].var(ddof=1) + means[~groups].var(ddof=1)) / 2
    assert found.estimate == pytest.approx(means[groups].mean() - means[~groups].mean())
    assert found.se == pytest.approx((pooled * 2 / 7) ** 0.5, rel=1e-5)
    assert found.df == pytest.approx(12, rel=1e-3)


def test_balanced_slopes_are_a_t_test_of_slopes() -> None:
    """With the same times each, group:years is the difference of the subjects' own slopes; times far from 0 change nothing."""
    subject, years, patient, volume = balanced(1, slope_sd=6)
    columns = np.column_stack([np.ones(len(volume)), patient, years, patient * years])
    found = fit_mixed(columns, volume, subject, time=years).contrast(np.eye(4)[3])
    slopes = np.polyfit(years[:4] - 61.5, volume.reshape(14, 4).T, 1)[0]
    groups = patient.reshape(14, 4)[:, 0] == 1
    pooled = (slopes[groups].var(ddof=1) + slopes[~groups].var(ddof=1)) / 2
    assert found.estimate == pytest.approx(slopes[groups].mean() - slopes[~groups].mean())
    assert found.se == pytest.approx((pooled * 2 / 7) ** 0.5, rel=1e-4)
    assert found.df == pytest.approx(12, rel=1e-2)


def test_nothing_between_subjects_is_singular() -> None:
    """Subjects that differ less than chance would make them: no variance between them, and least squares' own errors."""
    rng = np.random.default_rng(2)
    volume = np.ravel([[900 + step, 900 - step] for step in rng.uniform(3, 9, 20)])
    found = fit_mixed(np.ones((40, 1)), volume, np.repeat(np.arange(20), 2))
    one = found.contrast(np.ones(1))
    assert found.is_singular
    assert found.between[0, 0] == 0
    assert one.se == pytest.approx(volume.std(ddof=1) / 40**0.5)
    assert one.df == pytest.approx(39, rel=1e-3)


def test_units_change_nothing(shared: Path) -> None:
    """Head size in mm3 and volumes in mL: the same t, degrees of freedom, and likelihood but for the units."""
    people = known_input(shared, "repeated.csv")
    columns, subject = design(people), people["subject"].to_numpy(str)
    raw = columns.copy()
    raw[:, 5] = people["icv"]
    scaled = fit_mixed(columns, people["volume"].to_numpy(), subject).contrast(np.eye(7)[5])
    found = fit_mixed(raw, people["volume"].to_numpy() / 1000, subject).contrast(np.eye(7)[5])
    assert found.estimate * 1e8 == pytest.approx(scaled.estimate, rel=1e-6)
    assert found.se * 1e8 == pytest.approx(scaled.se, rel=1e-6)
    assert found.df == pytest.approx(scaled.df, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_statsmodels_never_finds_a_higher_likelihood(seed: int) -> None:
    """Unbalanced cohorts: at least the likelihood of statsmodels' best start, and where it converged, its variances."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    subject, years, patient, volume = balanced(seed, slope_sd=(0, 4)[seed % 2], subjects=24)
    kept = np.random.default_rng(seed).uniform(size=len(volume)) < 0.8
    subject, years, volume = subject[kept], (years - 60)[kept], volume[kept]
    columns = np.column_stack([np.ones(len(volume)), patient[kept], years, patient[kept] * years])
    model = MixedLM(volume, columns, subject, exog_re=np.column_stack([np.ones(len(volume)), years]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [model.fit(reml=True, method=method, maxiter=2000) for method in ("powell", "lbfgs")]
    best = max(fits, key=lambda one: one.llf)
    found = fit_mixed(columns, volume, subject, time=years)
    assert found.loglik >= best.llf - 1e-4
    if not found.is_singular and abs(found.loglik - best.llf) < 1e-6:
        np.testing.assert_allclose(found.between, best.cov_re, rtol=2e-2, atol=1e-2 * found.between[0, 0] ** 0.5)
        np.testing.assert_allclose(found.coefficients, best.fe_params, rtol=1e-3, atol=1e-2)


def test_what_cannot_be_fitted_is_refused() -> None:
    volume, one_each = np.arange(8.0) ** 2, np.arange(8)
    with pytest.raises(RunError, match="needs repeated scans"):
        fit_mixed(np.ones((8, 1)), volume, one_each)
    with pytest.raises(RunError, match="time does not vary within"):
        fit_mixed(np.ones((8, 1)), volume, one_each // 2, time=(one_each // 2).astype(float))
    with pytest.raises(RunError, match="sum of others"):
        fit_mixed(np.ones((8, 2)), volume, one_each // 2)
    with pytest.raises(RunError, match="the same at all scans of each subject"):
        fit_mixed(np.ones((8, 1)), (one_each // 2).astype(float), one_each // 2)
    with pytest.raises(RunError, match="missing or infinite"):
        fit_mixed(np.ones((8, 1)), np.where(volume == 9, np.nan, volume), one_each // 2)
