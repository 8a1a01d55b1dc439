"""Sizes of effects: Hedges' g of raw and of adjusted differences, and partial eta squared.

Their intervals invert the noncentral distribution of the test statistic (Steiger and Fouladi 1997): exact where volumes are normal with
one variance, unlike those of the differences themselves, which `hypojax.study.models.linear` makes for unequal variances.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy import optimize, special, stats

from hypojax.reason import Reason, RunError
from hypojax.study.models.linear import LinearFit

STEPS: Final = 60
"""How often a bracket of a root is widened; a fifth each time."""


class EffectSize(NamedTuple):
    """A standardised difference in every region, 1, with its interval."""

    estimate: Float64[np.ndarray, " region"]
    se: Float64[np.ndarray, " region"]
    low: Float64[np.ndarray, " region"]
    high: Float64[np.ndarray, " region"]


def exact_correction(df: float) -> float:
    """What Cohen's d is multiplied by to be unbiased: J by gamma functions (Hedges 1981), not 1 - 3 / (4 df - 1).

    NaN for one degree of freedom or less, where d has no expectation: J would make 0 of every difference.

    >>> round(exact_correction(62.0), 6)
    0.987846
    """
    if df <= 1:
        return float("nan")
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def hedges_g(
    cases: Float64[np.ndarray, "case region"], controls: Float64[np.ndarray, "control region"], *, confidence: float = 0.95
) -> EffectSize:
    """Hedges' g of the raw difference, cases - controls, in units of their pooled standard deviation; nothing is adjusted for.

    Parameters
    ----------
    cases, controls
        Volumes without gaps.
    confidence
        Coverage of the interval: that of Cohen's d by the noncentral t, both ends times J. The error is J times the large-sample error of
        d (Hedges and Olkin 1985).

    Raises
    ------
    RunError
        A group has nobody, or there are not three people in all.
    """
    df = len(cases) + len(controls) - 2
    if not len(cases) or not len(controls) or df < 1:
        raise RunError(Reason.USAGE, f"{len(cases)} cases and {len(controls)} controls: there is no spread to compare a difference with")
    squares = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in (cases, controls))
    unit = float(np.sqrt(1 / len(cases) + 1 / len(controls)))
    with np.errstate(divide="ignore", invalid="ignore"):
        d = (cases.mean(axis=0) - controls.mean(axis=0)) / np.sqrt(squares / df)
    se, j = np.sqrt(unit**2 + d**2 / (2 * (df + 2))), exact_correction(float(df))
    low, high = noncentral_t_limits(d / unit, float(df), confidence=confidence)
    return EffectSize(j * d, j * se, j * unit * low, j * unit * high)


def hedges_g_adjusted(found: LinearFit, contrast: Float64[np.ndarray, " column"], *, confidence: float = 0.95) -> EffectSize:
    """A contrast in units of the residual standard deviation, times J of the residual degrees of freedom.

    The residual standard deviation holds less than the raw one, so this is larger than `hedges_g` of the same people: never print one under
    the other's name. The interval is that of the noncentral t of the classical test.
    """
    unit = float(np.sqrt(contrast @ found.inverse @ contrast))
    with np.errstate(divide="ignore", invalid="ignore"):
        d = contrast @ found.coefficients / found.sigma
    low, high = noncentral_t_limits(d / unit, float(found.df), confidence=confidence)
    j = exact_correction(float(found.df))
    return EffectSize(j * d, j * np.sqrt(unit**2 + d**2 / (2 * found.df)), j * unit * low, j * unit * high)


def noncentral_t_limits(
    statistic: Float64[np.ndarray, " region"], df: float, *, confidence: float = 0.95
) -> tuple[Float64[np.ndarray, " region"], Float64[np.ndarray, " region"]]:
    """Noncentralities for which the observed t lies at the upper and at the lower end of what is usual; NaN where t is none.

    >>> low, high = noncentral_t_limits(np.array([0.0]), 10.0)
    >>> low.round(6).tolist(), high.round(6).tolist()
    ([-1.959964], [1.959964])
    """
    tail = (1 - confidence) / 2
    return (
        np.array([_noncentral_t(float(t), df, 1 - tail) for t in statistic]),
        np.array([_noncentral_t(float(t), df, tail) for t in statistic]),
    )


def _noncentral_t(t: float, df: float, share: float) -> float:
    """Noncentrality at which the distribution function at t is ``share``."""
    if not np.isfinite(t):
        return float("nan")
    spread = float(np.sqrt(1 + t * t / (2 * df)))
    return _root(lambda ncp: _below(t, df, ncp) - share, t - float(stats.norm.ppf(share)) * spread, spread)  # near the normal approximation


def _below(t: float, df: float, ncp: float) -> float:
    """Distribution function of the noncentral t; SciPy gives NaN far out in a tail, where it is 0 or 1 to 15 digits."""
    found = float(stats.nct.cdf(t, df, ncp))
    return float(ncp < t) if np.isnan(found) else found


def _root(function: Callable[[float], float], start: float, width: float) -> float:
    """Where a falling function is 0, near a start; NaN where it is not found."""
    low, high = start - width / 2, start + width / 2
    for _ in range(STEPS):
        at_low, at_high = function(low), function(high)
        if at_low >= 0 >= at_high:
            return float(optimize.brentq(function, low, high, xtol=1e-12, rtol=1e-13))
        low, high = (low - width / 5, high) if at_low < 0 else (low, high + width / 5)
    return float("nan")


class VarianceShare(NamedTuple):
    """Share of a variance, 1, with its interval."""

    estimate: float
    low: float
    high: float


def partial_eta_squared(statistic: float, df: float, df_residual: float, *, confidence: float = 0.95) -> VarianceShare:
    """Share of what the other terms leave that a term explains: SS / (SS + SS residual), from its F; NaN without one.

    The two-sided interval is that of the noncentral F.

    >>> round(partial_eta_squared(20.693889, 1.0, 59.0).estimate, 6)
    0.259667
    """
    if not np.isfinite(statistic):
        return VarianceShare(*[float("nan")] * 3)
    tail = (1 - confidence) / 2
    low, high = (_noncentral_f(statistic, df, df_residual, share) for share in (1 - tail, tail))
    return VarianceShare(statistic * df / (statistic * df + df_residual), low / (low + df_residual), high / (high + df_residual))


def _noncentral_f(statistic: float, df: float, df_residual: float, share: float) -> float:
    """Noncentrality at which the distribution function at F is ``share``; 0 where it is below even without an effect."""

    def above(ncp: float) -> float:
        return float(stats.ncf.cdf(statistic, df, df_residual, ncp)) - share

    if above(0.0) <= 0:
        return 0.0
    high = max(statistic * df, 1.0)
    while above(high) > 0:
        high *= 1.5
    return float(optimize.brentq(above, 0.0, high, xtol=1e-12, rtol=1e-13))
