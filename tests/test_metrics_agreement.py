"""Agreement and bootstrap: the published example, an analysis of variance that loops, coverage of intervals, SciPy as twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64, Shaped
from scipy import stats

from hypojax.metrics import (
    Interval,
    PairedAgreement,
    bland_altman,
    bootstrap,
    bootstrap_sums,
    concordance,
    icc21,
    icc31,
    minimal_detectable_change,
    paired_agreement,
    pearson,
    slope,
    within_subject_cv,
    within_subject_sd,
)
from hypojax.metrics.agreement import SHROUT_FLEISS, mean_squares

ROUNDING = 1e-9
"""Relative; sums in another order."""

TRIALS = 200
FEWEST = 0.89
"""Share of 95 % intervals that must hold the truth: of 200, fewer than that would be seen once in a thousand times (binomial)."""

Table = Float64[np.ndarray, "subject measurement"]


def tables() -> st.SearchStrategy[Table]:
    numbers = st.integers(0, 2**32 - 1)
    return st.builds(
        lambda seed, people, columns: np.random.default_rng(seed).normal(800, 80, (people, columns)),
        numbers,
        st.integers(2, 8),
        st.integers(2, 5),
    )


def simulated(rng: np.random.Generator, *, people: int, columns: int, icc: float, raters: float = 0.0) -> Table:
    """Subjects × measurements of which a known share of the variance lies between subjects."""
    table = rng.normal(0, icc**0.5, (people, 1)) + rng.normal(0, (1 - icc) ** 0.5, (people, columns))
    return np.asarray(table + rng.normal(0, 1, (1, columns)) * raters**0.5)


def twin_anova(table: Table) -> tuple[float, float, float]:
    """Mean squares by the textbook, one cell after the other."""
    people, columns = table.shape
    grand = sum(table[i, j] for i in range(people) for j in range(columns)) / table.size
    rows = [sum(table[i, j] for j in range(columns)) / columns for i in range(people)]
    heads = [sum(table[i, j] for i in range(people)) / people for j in range(columns)]
    between = columns * sum((row - grand) ** 2 for row in rows) / (people - 1)
    judges = people * sum((head - grand) ** 2 for head in heads) / (columns - 1)
    rest = sum((table[i, j] - rows[i] - heads[j] + grand) ** 2 for i in range(people) for j in range(columns))
    return between, judges, rest / ((people - 1) * (columns - 1))


def test_the_published_example() -> None:
    # Shrout and Fleiss 1979, tables 3 and 4; intervals as R's psych::ICC prints them.
    assert mean_squares(SHROUT_FLEISS)[:3] == pytest.approx((11.24, 32.49, 1.02), abs=0.005)
    assert icc21(SHROUT_FLEISS) == pytest.approx((0.290, 0.019, 0.761), abs=0.0006)
    assert icc31(SHROUT_FLEISS) == pytest.approx((0.715, 0.342, 0.946), abs=0.0006)


@given(tables())
def test_against_an_analysis_of_variance_that_loops(table: Table) -> None:
    between, judges, rest = twin_anova(table)
    people, columns = table.shape
    assert mean_squares(table)[:3] == pytest.approx((between, judges, rest), rel=1e-6)
    agreement = (between - rest) / (between + (columns - 1) * rest + columns * (judges - rest) / people)
    assert icc21(table).estimate == pytest.approx(agreement, rel=1e-6, abs=1e-9)
    assert icc31(table).estimate == pytest.approx((between - rest) / (between + (columns - 1) * rest), rel=1e-6, abs=1e-9)


def test_intervals_of_icc_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = {"consistency": 0, "agreement": 0}
    for _ in range(TRIALS):
        held["consistency"] += icc31(simulated(rng, people=20, columns=2, icc=0.8)).holds(0.8)
        # Twelve raters: with two, the rater variance itself is known to within a factor of hundreds.
        held["agreement"] += icc21(simulated(rng, people=20, columns=12, icc=0.8, raters=0.2)).holds(0.8 / 1.2)
    assert min(held.values()) >= FEWEST * TRIALS, held


def test_a_constant_difference_spoils_agreement_but_not_consistency() -> None:
    first = np.linspace(700, 1000, 12)
    table = np.stack([first, first + 100], axis=1)
    assert tuple(icc31(table)) == (1.0, 1.0, 1.0)
    assert icc21(table).estimate < 0.7
    assert pearson(first, first + 100) == pytest.approx(1.0)
    assert concordance(first, first + 100) < 0.8


def test_perfect_and_empty_tables() -> None:
    same = np.stack([np.arange(5.0)] * 3, axis=1)
    assert tuple(icc21(same)) == tuple(icc31(same)) == (1.0, 1.0, 1.0)
    for nothing in (np.zeros((0, 2)), np.ones((1, 2)), np.ones((4, 2)), np.full((3, 2), np.nan)):
        assert np.isnan([*icc21(nothing), *icc31(nothing)]).all()
    assert np.isnan([within_subject_cv(np.ones((3, 1))), within_subject_sd(np.zeros((0, 2))), concordance(np.ones(0), np.ones(0))]).all()
    assert np.isnan(bland_altman(np.array([1.0])).bias.estimate)


def test_missing_measurements_leave_the_subject_out() -> None:
    table = simulated(np.random.default_rng(1), people=9, columns=3, icc=0.5)
    holes = np.concatenate([table, [[np.nan, 1.0, 2.0]]])
    assert icc21(holes) == icc21(table)
    assert icc31(holes) == icc31(table)


def test_limits_of_agreement() -> None:
    differences = np.random.default_rng(2).normal(-20, 30, 40)
    limits = bland_altman(np.append(differences, np.nan))
    expected = stats.t.interval(0.95, 39, loc=differences.mean(), scale=stats.sem(differences))
    assert limits.bias == pytest.approx((differences.mean(), *expected), rel=ROUNDING)
    assert limits.upper.estimate - limits.bias.estimate == pytest.approx(1.96 * differences.std(ddof=1), rel=1e-4)
    assert limits.bias.estimate - limits.lower.estimate == pytest.approx(1.96 * differences.std(ddof=1), rel=1e-4)


def test_intervals_of_limits_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    held = sum(bland_altman(rng.normal(5, 10, 25)).upper.holds(5 + 1.959964 * 10) for _ in range(TRIALS))
    assert held >= FEWEST * TRIALS


def test_within_subject_variation_is_that_of_the_noise() -> None:
    rng = np.random.default_rng(4)
    people = rng.uniform(600, 1100, (2000, 1))
    table = people * (1 + rng.normal(0, 0.02, (2000, 3)))
    table[:500, 2] = np.nan
    assert within_subject_cv(table) == pytest.approx(0.02, rel=0.05)
    even = people + rng.normal(0, 15, (2000, 2))
    assert within_subject_sd(even) == pytest.approx(15, rel=0.05)
    assert minimal_detectable_change(even) == pytest.approx(1.96 * 2**0.5 * within_subject_sd(even), rel=1e-4)
    # Of two measurements of one subject, 95 % lie closer together than the minimal detectable change.
    assert np.mean(np.abs(np.diff(even, axis=1)) < minimal_detectable_change(even)) == pytest.approx(0.95, abs=0.02)


@given(tables())
def test_within_subject_sd_is_the_one_way_analysis_of_variance(table: Table) -> None:
    inside = sum(((row - row.mean()) ** 2).sum() for row in table) / (table.size - len(table))
    assert within_subject_sd(table) == pytest.approx(inside**0.5, rel=ROUNDING)


def test_correlation_and_slope_against_scipy() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(1500, 120, 30)
    y = 0.5 * x + rng.normal(0, 40, 30)
    fit = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, 28) * fit.stderr
    assert slope(y, on=x) == pytest.approx((fit.slope, fit.slope - reach, fit.slope + reach), rel=1e-6)
    assert pearson(x, y) == pytest.approx(fit.rvalue, rel=1e-6)
    covariance = np.cov(x, y, ddof=0)
    assert concordance(x, y) == pytest.approx(2 * covariance[0, 1] / (np.trace(covariance) + (x.mean() - y.mean()) ** 2), rel=1e-6)


@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_without_repeats_it_is_the_bootstrap_of_scipy(method: str) -> None:
    values = np.random.default_rng(6).beta(8, 2, 25)
    expected = stats.bootstrap((values,), np.mean, n_resamples=2000, method=method, rng=np.random.default_rng(11)).confidence_interval
    assert bootstrap(values, method=method, seed=11) == pytest.approx((values.mean(), expected.low, expected.high), rel=ROUNDING)


def test_scans_of_one_subject_are_drawn_together() -> None:
    values = np.random.default_rng(7).normal(0.85, 0.05, 30)
    people = np.array([f"sub-{number:02d}" for number in range(30)])
    once, thrice = bootstrap(values, subjects=people), bootstrap(values.repeat(3), subjects=people.repeat(3))
    assert tuple(thrice) == pytest.approx(tuple(once), rel=ROUNDING)
    naive = bootstrap(values.repeat(3))
    assert (once.high - once.low) / (naive.high - naive.low) == pytest.approx(3**0.5, rel=0.1)


@given(st.integers(0, 1000), st.integers(2, 12))
@settings(max_examples=15, deadline=None)
def test_any_statistic_gives_what_the_fast_mean_gives(seed: int, people: int) -> None:
    rng = np.random.default_rng(seed)
    subjects = rng.integers(0, people, 3 * people)
    values = rng.normal(size=3 * people)
    # Percentiles, because the correction counts draws equal to the estimate, which rounding decides where subjects are few.
    fast = bootstrap(values, subjects=subjects, resamples=60, seed=seed, method="percentile")
    slow = bootstrap(values, subjects=subjects, resamples=60, seed=seed, method="percentile", statistic=lambda drawn: float(np.mean(drawn)))
    assert tuple(slow) == pytest.approx(tuple(fast), rel=1e-6, abs=1e-9, nan_ok=True)


def test_the_seed_decides_and_the_order_of_scans_does_not() -> None:
    rng = np.random.default_rng(8)
    values, subjects, order = rng.normal(size=24), np.arange(24) // 2, rng.permutation(24)
    assert bootstrap(values, subjects=subjects) == bootstrap(values, subjects=subjects)
    assert bootstrap(values, subjects=subjects) != bootstrap(values, subjects=subjects, seed=1)
    assert bootstrap(values[order], subjects=subjects[order]) == pytest.approx(bootstrap(values, subjects=subjects), rel=ROUNDING)


def test_values_that_are_missing_are_left_out_and_constant_ones_have_no_width() -> None:
    values = np.array([0.8, np.nan, 0.9, np.inf, 0.7])
    assert bootstrap(values) == bootstrap(np.array([0.8, 0.9, 0.7]))
    assert tuple(bootstrap(np.full(4, 0.5))) == (0.5, 0.5, 0.5)
    assert np.isnan(bootstrap(np.array([np.nan]))).all()


def test_intervals_of_a_skewed_mean_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(9)
    held = 0
    for trial in range(TRIALS):
        people = rng.exponential(1.0, 40)
        held += bootstrap(people.repeat(2), subjects=np.arange(40).repeat(2), resamples=300, seed=trial).holds(1.0)
    assert held >= 0.86 * TRIALS  # known to fall a few per cent short on skewed data (Davison and Hinkley 1997, table 5.8)


def repeated(rng: np.random.Generator, *, people: int, scans: int) -> tuple[Table, Shaped[np.ndarray, "scan"]]:
    """Two measurements of each scan that differ by an amount which is much the same in all scans of a subject; and the subjects.

    Standard deviations of volume 80, of that amount 20 about a mean of 10, of the noise of either 10 mm³.
    """
    volume, amount = rng.normal(0, 80, (people, 1)), rng.normal(10, 20, (people, 1))
    pairs = np.stack([volume + amount + rng.normal(0, 10, (people, scans)), volume + rng.normal(0, 10, (people, scans))], axis=-1)
    return pairs.reshape(-1, 2), np.arange(people).repeat(scans)


def intervals(found: PairedAgreement) -> dict[str, Interval]:
    limits = found.limits
    return {"bias": limits.bias, "lower": limits.lower, "upper": limits.upper, "icc21": found.icc21, "icc31": found.icc31}


def test_intervals_hold_the_truth_where_subjects_have_several_scans() -> None:
    # Covariance 80²; variances 80² + 20² + 10² and 80² + 10²; of the difference 20² + 2 · 10².
    reach, variance = 1.959964 * 600**0.5, 80**2 + 20**2 / 2 + 10**2
    icc = {"icc21": 80**2 / (variance + 10**2 / 2), "icc31": 80**2 / variance}
    truth = {"bias": 10.0, "lower": 10 - reach, "upper": 10 + reach, **icc}
    rng, held, naive = np.random.default_rng(10), dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for trial in range(TRIALS):
        pairs, subjects = repeated(rng, people=20, scans=4)
        clustered = intervals(paired_agreement(pairs, subjects=subjects, resamples=200, seed=trial))
        independent = intervals(paired_agreement(pairs))
        for name, value in truth.items():
            held[name] += clustered[name].holds(value)
            naive[name] += independent[name].holds(value)
    assert min(held["bias"], held["icc21"], held["icc31"]) >= FEWEST * TRIALS, held
    # Limits fall a few per cent short: the standard deviation of few subjects is skewed.
    assert min(held.values()) >= 0.85 * TRIALS, held
    assert max(naive.values()) < 0.85 * TRIALS, naive


def test_only_repeated_scans_change_intervals_and_nothing_changes_estimates() -> None:
    pairs, subjects = repeated(np.random.default_rng(11), people=12, scans=3)
    pairs = np.append(pairs, [[np.nan, 1.0]], axis=0)
    once, clustered = paired_agreement(pairs), paired_agreement(pairs, subjects=np.append(subjects, 0))
    assert once == paired_agreement(pairs, subjects=np.arange(37))
    assert (once.limits, once.icc21, once.icc31) == (bland_altman(pairs[:, 0] - pairs[:, 1]), icc21(pairs), icc31(pairs))
    for name, interval in intervals(clustered).items():
        assert interval.estimate == pytest.approx(intervals(once)[name].estimate, rel=ROUNDING)
    assert clustered.limits.bias.high - clustered.limits.bias.low > 1.3 * (once.limits.bias.high - once.limits.bias.low)


def test_repeats_that_agree_fully_or_are_of_one_subject_or_say_nothing() -> None:
    first = np.arange(6.0)
    same = paired_agreement(np.stack([first, first], axis=1), subjects=np.arange(6) // 2)
    assert tuple(same.icc21) == tuple(same.icc31) == (1.0, 1.0, 1.0)
    assert tuple(same.limits.upper) == (0.0, 0.0, 0.0)
    apart = paired_agreement(np.stack([first + 100, first], axis=1), subjects=np.arange(6) // 2)
    assert (tuple(apart.limits.lower), tuple(apart.icc31)) == ((100.0,) * 3, (1.0,) * 3)
    alone = paired_agreement(np.stack([first, first + first % 2], axis=1), subjects=np.zeros(6))
    assert np.isfinite([alone.limits.bias.estimate, alone.icc31.estimate]).all()
    assert np.isnan([*alone.limits.bias[1:], *alone.limits.upper[1:], *alone.icc31[1:]]).all()
    nothing = paired_agreement(np.ones((4, 2)), subjects=np.arange(4) // 2)
    assert np.isnan([*nothing.icc21, *nothing.icc31]).all()
    assert np.isnan(paired_agreement(np.full((2, 2), np.nan), subjects=np.zeros(2)).limits.bias).all()


def test_spread_of_sums_against_a_loop_and_the_seed_decides() -> None:
    rng = np.random.default_rng(12)
    subjects, values = rng.integers(0, 6, 20), rng.normal(size=20)
    terms = np.stack([np.ones(20), values], axis=1)

    def found(seed: int) -> Interval:
        return bootstrap_sums(terms, lambda sums: sums[..., 1:] / sums[..., :1], subjects=subjects, resamples=50, seed=seed)[0]

    chosen = np.random.default_rng(3).integers(6, size=(50, 6))
    draws = [np.concatenate([values[subjects == one] for one in drawn]).mean() for drawn in chosen]
    reach = stats.t.ppf(0.975, 5) * (6 / 5) ** 0.5 * np.std(draws, ddof=1)
    assert found(3) == pytest.approx((values.mean(), values.mean() - reach, values.mean() + reach), rel=1e-6)
    assert found(3) == found(3) != found(4)
