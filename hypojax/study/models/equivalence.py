"""Is a difference too small to matter? Two one-sided tests against a bound in the unit of the volumes (Schuirmann 1987)."""

from typing import Final, NamedTuple

import numpy as np

from hypojax.reason import Reason, RunError

SIGNIFICANCE: Final = 0.05
"""Level of each of the two one-sided tests; the interval that goes with them covers 1 - 2 x 0.05 = 90 %."""


class Equivalence(NamedTuple):
    """Result of two one-sided tests (TOST).

    Parameters
    ----------
    difference, se, df
        The estimated difference, its standard error and degrees of freedom.
    bound
        Differences between -bound and +bound count as none; same unit.
    p_low, p_high
        One-sided p-values against a difference at or below -bound, and at or above +bound.
    p
        The larger of the two: below 0.05, the groups are equivalent within the bound.
    low, high
        Interval that covers 1 - 2 x significance (90 %): within the bounds exactly where p is below the significance.
    """

    difference: float
    se: float
    df: float
    bound: float
    p_low: float
    p_high: float
    p: float
    low: float
    high: float


def equivalence_test(difference: float, se: float, df: float, *, bound: float, significance: float = SIGNIFICANCE) -> Equivalence:
    """Two one-sided t-tests of a difference against a bound (Schuirmann 1987).

    Parameters
    ----------
    difference, se, df
        Estimate, standard error (same unit) and degrees of freedom; infinite ones stand for the normal distribution.
    bound
        Largest difference that would not matter, in the same unit, above 0. Fix it before looking, and in mm3: a bound in percent of
        an estimated mean is itself uncertain.
    significance
        Level of each test.

    Returns
    -------
    Tests and interval; NaN where the error is NaN or 0.

    Raises
    ------
    RunError
        USAGE: the bound is not a positive number.

    Examples
    --------
    >>> round(equivalence_test(0.0, 1.0, 20.0, bound=2.0).p, 4)
    0.0296
    """
    from scipy.stats import t

    if not (np.isfinite(bound) and bound > 0):
        raise RunError(Reason.USAGE, f"the bound of the equivalence test is {bound}: give a number above 0 in the unit of the volumes")
    error = se if se > 0 else float("nan")
    p_low, p_high = float(t.sf((difference + bound) / error, df)), float(t.cdf((difference - bound) / error, df))
    reach = float(t.ppf(1 - significance, df)) * error
    return Equivalence(difference, se, df, bound, p_low, p_high, float(np.maximum(p_low, p_high)), difference - reach, difference + reach)
