"""ComBat on matrices: location and scale of every site and feature, shrunk by empirical Bayes, in float64.

The model of Johnson, Li and Rabinovic 2007 as used for volumes by Fortin 2018: a volume is the grand mean, plus what the covariates do,
plus a shift of its site, plus an error with the variance of its site. Shift and variance of a site are shrunk towards their mean over
features, and then taken out; what the covariates do is kept.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int

from hypojax.reason import Reason, RunError

CONVERGED: Final = 1e-12
"""Largest relative change of the last step. The published code stops at 1e-4, which moves volumes by less than 0.001 mm³."""

STEPS: Final = 100_000
"""Steps after which the iteration is given up; it takes a few dozen."""

LEAST_FEATURES: Final = 3
"""Features from which the spread of the priors is estimated. With two of them it would have one degree of freedom."""

Table = Float64[np.ndarray, "row feature"]
Covariates = Float64[np.ndarray, "row covariate"]
Sites = Int[np.ndarray, " row"]
BySite = Float64[np.ndarray, "site feature"]


@dataclass(frozen=True)
class Combat:
    """Parameters of ComBat; arrays over site and feature are in units of the pooled standard deviation.

    Parameters
    ----------
    gamma_hat, delta_hat
        Mean and variance (n - 1) of each site and feature, standardised. NaN where the site has none of this feature.
    gamma_star, delta_star
        The same after shrinkage: what is taken out. 0 and 1 for a reference site; `gamma_hat` and `delta_hat` without empirical Bayes.
    coefficients
        Slopes of the covariates, in units of the feature.
    grand_mean, pooled_variance
        Mean of the sites, weighted by their number of scans, and mean squared residual (divided by n); those of the reference site
        where there is one.
    gamma_bar, tau_squared, prior_a, prior_b
        Priors of each site: normal for the shifts, inverse gamma for the variances. NaN without empirical Bayes.
    scans
        Scans of each site and feature.
    """

    gamma_hat: BySite
    delta_hat: BySite
    gamma_star: BySite
    delta_star: BySite
    coefficients: Float64[np.ndarray, "covariate feature"]
    grand_mean: Float64[np.ndarray, " feature"]
    pooled_variance: Float64[np.ndarray, " feature"]
    gamma_bar: Float64[np.ndarray, " site"]
    tau_squared: Float64[np.ndarray, " site"]
    prior_a: Float64[np.ndarray, " site"]
    prior_b: Float64[np.ndarray, " site"]
    scans: Int[np.ndarray, "site feature"]


def fit_combat(
    volumes: Table, site: Sites, covariates: Covariates, *, sites: int, empirical_bayes: bool = True, reference: int | None = None
) -> Combat:
    """Estimate ComBat (Johnson 2007; Fortin 2018).

    Parameters
    ----------
    volumes
        Row × feature; NaN where a volume is missing: each feature is fitted on the rows that have it. No feature may be constant.
    site
        Number of the site of each row, 0 … ``sites`` - 1.
    covariates
        What is kept, row × covariate, finite, without an intercept.
    sites
        Number of sites.
    empirical_bayes
        Shrink shifts and variances towards their mean over features.
    reference
        Number of the site that stays as it is, or None.

    Raises
    ------
    RunError
        The iteration did not converge.
    """
    indicator = (site[:, None] == np.arange(sites)).astype(float)
    present = np.isfinite(volumes)
    count = (indicator.T @ present).astype(int)
    coefficients = _least_squares(np.hstack([indicator, covariates]), volumes, present)
    by_site, slopes = coefficients[:sites], coefficients[sites:]
    residuals = volumes - indicator @ by_site - covariates @ slopes
    if reference is None:
        grand = (count * by_site).sum(axis=0) / count.sum(axis=0)
        pooled = np.nanmean(residuals**2, axis=0)
    else:
        grand, pooled = by_site[reference], np.nanmean(residuals[site == reference] ** 2, axis=0)
    scores = (volumes - grand - covariates @ slopes) / np.sqrt(pooled)
    gamma_hat, delta_hat = _moments(scores, site, sites)
    shrunk = [_shrink(scores[site == one], gamma_hat[one], delta_hat[one], count[one]) for one in range(sites)] if empirical_bayes else []
    gamma_star, delta_star = (
        np.stack([one[part] for one in shrunk]) if shrunk else hat.copy() for part, hat in ((0, gamma_hat), (1, delta_hat))
    )
    priors = np.stack([one[2] for one in shrunk]) if shrunk else np.full((sites, 4), np.nan)
    if reference is not None:
        gamma_star[reference], delta_star[reference] = 0.0, 1.0
    gamma_bar, tau_squared, prior_a, prior_b = priors.T
    return Combat(gamma_hat, delta_hat, gamma_star, delta_star, slopes, grand, pooled, gamma_bar, tau_squared, prior_a, prior_b, count)


def remove_sites(found: Combat, volumes: Table, site: Sites, covariates: Covariates, *, reference: int | None = None) -> Table:
    """Volumes without the shift and the variance of their sites, in the units of ``volumes``; missing stays missing.

    Parameters
    ----------
    found
        From `fit_combat`, on these rows or others.
    volumes, site, covariates
        As in `fit_combat`, with the same features, sites and covariates.
    reference
        Site whose rows are given back as they are, bit for bit.
    """
    kept = found.grand_mean + covariates @ found.coefficients
    spread = np.sqrt(found.pooled_variance)
    scores = (volumes - kept) / spread
    harmonised = (scores - found.gamma_star[site]) / np.sqrt(found.delta_star[site]) * spread + kept
    return harmonised if reference is None else np.where((site == reference)[:, None], volumes, harmonised)


def total_bic(volumes: Table, design: Float64[np.ndarray, "row column"]) -> float:
    """BIC of the linear model (Schwarz 1978), up to a constant, summed over features, each on the rows that have it."""
    present = np.isfinite(volumes)
    residuals = volumes - design @ _least_squares(design, volumes, present)
    n = present.sum(axis=0)
    return float((n * np.log(np.nanmean(residuals**2, axis=0)) + design.shape[1] * np.log(n)).sum())


def _least_squares(design: Float64[np.ndarray, "row column"], volumes: Table, present: np.ndarray) -> Float64[np.ndarray, "column feature"]:
    """Coefficients of every feature on the rows that have it; 0 for a site that has none of it."""
    patterns, which = np.unique(present, axis=1, return_inverse=True)
    coefficients = np.empty((design.shape[1], volumes.shape[1]))
    scale = np.sqrt((design**2).mean(axis=0))
    scale[scale == 0] = 1.0
    for number, rows in enumerate(patterns.T):
        columns = np.flatnonzero(which.ravel() == number)
        coefficients[:, columns] = np.linalg.lstsq(design[rows] / scale, volumes[np.ix_(rows, columns)])[0]
    return coefficients / scale[:, None]


def _moments(scores: Table, site: Sites, sites: int) -> tuple[BySite, BySite]:
    """Mean and variance (n - 1) of each site and feature; NaN where there are none."""
    mean, variance = (np.full((sites, scores.shape[1]), np.nan) for _ in range(2))
    for one in range(sites):
        rows = scores[site == one]
        known = np.isfinite(rows).sum(axis=0) > 1
        mean[one, known], variance[one, known] = np.nanmean(rows[:, known], axis=0), np.nanvar(rows[:, known], axis=0, ddof=1)
    return mean, variance


def _shrink(
    scores: Table, gamma_hat: Float64[np.ndarray, " feature"], delta_hat: Float64[np.ndarray, " feature"], count: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior shift and variance of one site with its priors (gamma bar, tau², a, b), iterated to the end (Johnson 2007, section 3.2)."""
    centre, tau, mean, spread = np.nanmean(gamma_hat), np.nanvar(gamma_hat, ddof=1), np.nanmean(delta_hat), np.nanvar(delta_hat, ddof=1)
    a, b = (2 * spread + mean**2) / spread, (mean * spread + mean**3) / spread
    gamma, delta = gamma_hat, delta_hat
    for _ in range(STEPS):
        shift = (tau * count * gamma_hat + delta * centre) / (tau * count + delta)
        variance = (np.nansum((scores - shift) ** 2, axis=0) / 2 + b) / (count / 2 + a - 1)
        variance[count == 0] = np.nan
        change = max(_relative(shift, gamma), _relative(variance, delta))
        gamma, delta = shift, variance
        if change < CONVERGED:
            return gamma, delta, np.array([centre, tau, a, b])
    raise RunError(Reason.UNEXPECTED, f"ComBat did not converge in {STEPS} steps; harmonise without empirical Bayes and report this")


def _relative(new: np.ndarray, old: np.ndarray) -> float:
    """Largest change, relative to the largest value."""
    return float(np.nanmax(np.abs(new - old)) / max(float(np.nanmax(np.abs(old))), np.finfo(float).tiny))
