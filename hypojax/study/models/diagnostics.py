"""Whether a linear model may be believed: unequal variances, odd people, people who decide the result, covariates that go together."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Float64
from scipy import stats

from hypojax.study.models.linear import FULL_LEVERAGE, LinearFit, fit

MOST_FOR_SHAPIRO: Final = 5000
"""Residuals up to which the p-value of Shapiro and Wilk is known."""

HIGH_VIF: Final = 5.0
"""Inflation of a variance beyond which covariates are said to go together."""


def diagnose(
    found: LinearFit,
    *,
    terms: Sequence[str],
    scans: Sequence[str],
    regions: Sequence[str],
    contrast: Float64[np.ndarray, " column"] | None = None,
) -> xr.Dataset:
    """Diagnostics of a fit of all regions.

    Parameters
    ----------
    found
        The fit.
    terms
        Term of each column of the design; the intercept is called ``(Intercept)``.
    scans, regions
        Names of rows and regions.
    contrast
        Weights of the coefficient of interest, for ``without``: how its estimate changes when this scan is left out.

    Returns
    -------
    Dataset with ``leverage(scan)``; ``cook``, ``studentised``, ``outlier_p`` and ``without`` (scan, region): Cook's distance (1977),
    residual over its error without that scan, its p-value by Bonferroni, and change of the contrast without it, in units of the volumes;
    ``breusch_pagan`` and ``breusch_pagan_p`` (Koenker 1981: do variances follow the covariates?);
    ``breusch_pagan_original`` (1979); ``shapiro`` and ``shapiro_p`` (1965: are residuals normal? NaN beyond 5000 scans); ``vif(term)``
    (generalised, Fox and Monette 1992).
    """
    rows, columns = found.design.shape
    free = np.where(found.leverage > 1 - FULL_LEVERAGE, np.nan, 1 - found.leverage)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = found.residuals * np.sqrt(found.weights)[:, None] / (found.sigma * np.sqrt(free))
        studentised = scaled * np.sqrt((found.df - 1) / np.maximum(found.df - scaled**2, 0.0))
    outlier = np.minimum(2 * stats.t.sf(np.abs(studentised), found.df - 1) * rows, 1.0)
    koenker, original, df = _breusch_pagan(found)
    shapiro = np.array([_shapiro(column[np.isfinite(column)]) for column in found.residuals.T])
    names = [term for term in dict.fromkeys(terms) if term != "(Intercept)"]
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "leverage": (("scan",), found.leverage),
        "cook": (("scan", "region"), scaled**2 * (1 - free) / free / columns),
        "studentised": (("scan", "region"), studentised),
        "outlier_p": (("scan", "region"), outlier),
        "breusch_pagan": (("region",), koenker),
        "breusch_pagan_p": (("region",), stats.chi2.sf(koenker, df)),
        "breusch_pagan_original": (("region",), original),
        "shapiro": (("region",), shapiro[:, 0]),
        "shapiro_p": (("region",), shapiro[:, 1]),
        "vif": (("term",), np.array([_vif(found, terms, name) for name in names])),
    }
    if contrast is not None:
        variables["without"] = (("scan", "region"), change_without(found, contrast))
    return xr.Dataset(variables, coords={"scan": list(scans), "region": list(regions), "term": names})


def change_without(found: LinearFit, contrast: Float64[np.ndarray, " column"]) -> Float64[np.ndarray, "row region"]:
    """How a contrast changes when one row is left out: estimate without it less estimate with it; NaN for a row of leverage 1."""
    free = np.where(found.leverage > 1 - FULL_LEVERAGE, np.nan, 1 - found.leverage)
    pull = found.design @ (found.inverse @ contrast) * found.weights / free
    return -pull[:, None] * found.residuals


def _breusch_pagan(found: LinearFit) -> tuple[Float64[np.ndarray, " region"], Float64[np.ndarray, " region"], int]:
    """Koenker's statistic, the original one, and their degrees of freedom."""
    squares = found.weights[:, None] * found.residuals**2
    off = squares - squares.mean(axis=0)
    explained = off - fit(found.design, off).residuals
    with np.errstate(invalid="ignore", divide="ignore"):
        koenker = len(off) * (explained**2).sum(axis=0) / (off**2).sum(axis=0)
        original = (explained**2).sum(axis=0) / (2 * squares.mean(axis=0) ** 2)
    return koenker, original, found.design.shape[1] - 1


def _shapiro(residuals: Float64[np.ndarray, " row"]) -> tuple[float, float]:
    if not 3 <= residuals.size <= MOST_FOR_SHAPIRO or np.ptp(residuals) == 0:
        return float("nan"), float("nan")
    found = stats.shapiro(residuals)
    return float(found.statistic), float(found.pvalue)


def _vif(found: LinearFit, terms: Sequence[str], term: str) -> float:
    """Generalised variance inflation of a term: determinants of the correlations of coefficients."""
    others = np.array([one != "(Intercept)" for one in terms])
    deviations = np.sqrt(np.diag(found.inverse))
    correlations = (found.inverse / np.outer(deviations, deviations))[np.ix_(others, others)]
    own = np.array([one == term for one in terms])[others]
    parts = (np.linalg.slogdet(correlations[np.ix_(some, some)])[1] for some in (own, ~own))
    return float(np.exp(sum(parts) - np.linalg.slogdet(correlations)[1]))
