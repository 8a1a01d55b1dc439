"""Effect sizes: R's numbers and intervals; what they cover in simulated people."""

from pathlib import Path

import numpy as np
import pytest
from plain_designs import plain_design
from r_reference import entry, ixi, known_input

from hypojax.reason import RunError
from hypojax.study.models.comparability import balance_of_groups
from hypojax.study.models.effect_size import exact_correction, hedges_g, hedges_g_adjusted, noncentral_t_limits
from hypojax.study.models.linear import fit

GROUP = np.array([0, 1.0, 0, 0, 0])


def two_groups(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    table = known_input(shared, "cohort.csv")
    return tuple(table.loc[table.group == name, ["hypothalamus"]].to_numpy(float) for name in ("patient", "control"))


def cohort_fit(shared: Path):  # noqa: ANN201
    table = known_input(shared, "cohort.csv")
    return fit(plain_design(table, "group", "age", "sex", "icv")[0], table[["hypothalamus"]].to_numpy(float))


def test_hedges_g_of_raw_volumes(shared: Path) -> None:
    known, (cases, controls) = entry(shared, "hedges_g"), two_groups(shared)
    found = hedges_g(cases, controls)
    j = exact_correction(62.0)
    assert np.isnan(exact_correction(1.0))  # and not 0, which would make every difference none
    known.check({"J_exact": j, "hedges_g": found.estimate[0], "g_ci_low": found.low[0], "g_ci_high": found.high[0]})
    known.check({"cohen_d": found.estimate[0] / j, "d_ci_low": found.low[0] / j, "d_ci_high": found.high[0] / j})
    known.check(found.estimate[0] - 1.959963984540054 * found.se[0], "g_ci_low_normal_approximation")


def test_hedges_g_of_adjusted_volumes(shared: Path) -> None:
    known, found = entry(shared, "hedges_g_adjusted"), hedges_g_adjusted(cohort_fit(shared), GROUP)
    known.check({"J_exact": exact_correction(59.0), "g_adjusted": found.estimate[0], "g_ci_low": found.low[0], "g_ci_high": found.high[0]})


def test_facts_that_must_come_out_of_real_people(shared: Path) -> None:
    known, people = entry(shared, "facts_ixi"), ixi(shared)
    found = balance_of_groups(people[["icv"]], people["sex"], contrasts={"M - F": ("M", "F")}).iloc[0]
    known.check({"icv_mean_F_mm3": found["control"], "icv_mean_M_mm3": found["case"], "icv_welch_t_M_minus_F": found["statistic"]})
    share = (people.brain / people.icv).to_numpy()
    known.check(np.corrcoef(people.age, share)[0, 1], "cor_age_brain_over_icv")
    falls = fit(plain_design(people, "age")[0], share[:, None])
    known.check(falls.coefficients[1, 0] * 1000, "slope_percent_of_icv_per_decade")


@pytest.mark.parametrize(("t", "df"), [(-4.5, 59.0), (0.0, 3.0), (300.0, 99_994.0), (20.0, 5.0), (-2.0, 2.0), (-16.4, 1.0), (60.0, 1.0)])
def test_limits_are_where_the_observed_t_is_at_the_ends_of_what_is_usual(t: float, df: float) -> None:
    from scipy import stats

    low, high = noncentral_t_limits(np.array([t]), df)
    assert low[0] < t < high[0]
    assert stats.nct.cdf(t, df, low[0]) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, df, high[0]) == pytest.approx(0.025, abs=1e-6)


def test_groups_without_spread_are_refused() -> None:
    with pytest.raises(RunError, match="0 cases and 5 controls"):
        hedges_g(np.ones((0, 1)), np.ones((5, 1)))
