"""Two one-sided tests against R, and their agreement with the interval."""

from pathlib import Path

import numpy as np
import pytest
from r_reference import entry

from hypojax.reason import RunError
from hypojax.study.models.equivalence import equivalence_test


@pytest.mark.parametrize("case", ["thalamus_adjusted", "thalamus_welch", "hypothalamus_adjusted", "thalamus_adjusted_hc3"])
def test_r(shared: Path, case: str) -> None:
    known = entry(shared, "tost")
    difference, se, df, bound = (float(known.at(case, name)) for name in ("difference", "se", "df", "bound"))
    found = equivalence_test(difference, se, df, bound=bound)
    known.check({"p_lower": found.p_low, "p_upper": found.p_high, "p_tost": found.p}, case)
    known.check({"ci90_low": found.low, "ci90_high": found.high}, case)


def test_interval_and_tests_agree() -> None:
    """Equivalent exactly where the 90 % interval lies within the bounds."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        found = equivalence_test(rng.normal(0, 2), rng.uniform(0.1, 2), rng.uniform(2, 60), bound=2.0)
        assert (found.p < 0.05) == (found.low > -2 and found.high < 2)


@pytest.mark.parametrize("bound", [0.0, -5.0, np.nan, np.inf])
def test_a_bound_is_a_positive_number(bound: float) -> None:
    with pytest.raises(RunError, match="give a number above 0"):
        equivalence_test(1.0, 1.0, 10.0, bound=bound)


def test_no_error_no_test() -> None:
    assert np.isnan(equivalence_test(1.0, np.nan, 10.0, bound=2.0).p)
