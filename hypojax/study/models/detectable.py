"""What a study could have shown: power for a difference, and the smallest difference that it would have found.

All of it is exact for normal errors: a t-statistic of a true difference has the noncentral t distribution with noncentrality
difference / standard error, and both tails count as found (Cohen 1988; R's ``pwr`` counts them likewise). Power is of the
design and the error that was estimated; power "for the difference that was found" says no more than p does (Hoenig and Heisey
2001) and is not made.
"""

from typing import Final

import numpy as np
from jaxtyping import Float64

SIGNIFICANCE: Final = 0.05

POWER: Final = 0.8
"""Power that a smallest detectable difference is given for by default."""

PERCENTS: Final = (2.0, 4.0, 6.0, 8.0)
"""Differences, % of the adjusted mean of controls, whose power is reported."""

FAR: Final = 5.0
"""Noncentrality from which on the tail on the other side holds less than 3e-7, and where SciPy's noncentral t gives NaN is 0."""

Numbers = Float64[np.ndarray, "*numbers"]


def power_at(difference: Numbers | float, se: Numbers | float, df: Numbers | float, *, significance: float = SIGNIFICANCE) -> Numbers:
    """Probability that a two-sided t-test finds a true difference.

    Parameters
    ----------
    difference
        True difference, in any unit; its sign does not matter.
    se
        Standard error of its estimate, same unit.
    df
        Degrees of freedom of that error.
    significance
        Two-sided level of the test.

    Returns
    -------
    Power, 0 to 1; NaN where an input is NaN or the error is not above 0.

    Examples
    --------
    >>> round(float(power_at(37.2624937070298, 14.8436917331737, 59.0)), 6)
    0.694743
    """
    from scipy.stats import nct, t

    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(np.greater(se, 0), np.abs(np.asarray(difference, np.float64)) / se, np.nan)
    freedom = np.asarray(df, np.float64)
    needed = t.ppf(1 - significance / 2, freedom)
    above, below = nct.sf(needed, freedom, ratio), nct.cdf(-needed, freedom, ratio)
    above = np.where(np.isnan(above) & (ratio > needed + FAR), 1.0, above)
    return np.asarray(np.minimum(above + np.where(np.isnan(below) & (ratio > FAR), 0.0, below), 1.0), np.float64)


def smallest_difference(se: Numbers | float, df: Numbers | float, *, power: float = POWER, significance: float = SIGNIFICANCE) -> Numbers:
    """The smallest true difference that a two-sided t-test finds with the given power (root of `power_at`, not the rule of thumb).

    Parameters
    ----------
    se, df
        Standard error of the difference, any unit, and its degrees of freedom.
    power
        Wanted probability of finding it, above ``significance`` and below 1.
    significance
        Two-sided level of the test.

    Returns
    -------
    Difference in the unit of ``se``; NaN where an input is NaN or there is no degree of freedom.

    Examples
    --------
    >>> round(float(smallest_difference(14.8436917331737, 59.0)), 4)
    42.2782
    """
    errors, freedoms = np.broadcast_arrays(np.asarray(se, np.float64), np.asarray(df, np.float64))
    ratios = {freedom: _smallest_ratio(freedom, power, significance) for freedom in set(freedoms.ravel().tolist())}
    found = [ratios[freedom] * error for freedom, error in zip(freedoms.ravel().tolist(), errors.ravel().tolist(), strict=True)]
    return np.reshape(np.array(found, np.float64), errors.shape)


def power_of_groups(d: Numbers | float, first: int, second: int, *, significance: float = SIGNIFICANCE) -> Numbers:
    """Power of a two-sided t-test of two groups for a standardised difference (Cohen's d), as ``pwr.t2n.test`` in R.

    >>> round(float(power_of_groups(0.8, 7, 21)), 6)
    0.422921
    """
    error = (1 / first + 1 / second) ** 0.5 if min(first, second) > 0 else float("nan")
    return power_at(d, error, float(first + second - 2), significance=significance)


def _smallest_ratio(df: float, power: float, significance: float) -> float:
    """Noncentrality at which the test has the power asked for."""
    from scipy.optimize import brentq
    from scipy.stats import t

    if not df > 0:
        return float("nan")

    def lacking(ratio: float) -> float:
        return float(power_at(ratio, 1.0, df, significance=significance)) - power

    high = float(t.ppf(1 - significance / 2, df) + t.ppf(power, df)) + 1  # near the rule of thumb
    while lacking(high) < 0:
        high *= 2
    return float(brentq(lacking, 0.0, high, xtol=1e-12, rtol=1e-14))
