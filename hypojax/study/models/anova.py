"""Tests of whole terms by F: of splines, categories of several levels, and interactions of several coefficients.

They are of Type II: each term given all terms that do not contain it (Fox 2016), with the errors of the model. Partial eta squared and its
interval are those of equal variances, as everywhere.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64
from scipy import linalg, stats

from hypojax.study.formulas.design import Design
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.effect import Effect
from hypojax.study.models.effect_size import partial_eta_squared
from hypojax.study.models.linear import covariance, satterthwaite_df

WHOLE: Final = "whole_term"
"""Quantity of the F test of a term; it has no estimate."""

ETA: Final = "partial_eta_squared"

Square = Float64[np.ndarray, "column column"]


def whole_terms(
    model: FittedModel, *, method: str, clusters: Int64[np.ndarray, " row"] | None = None, with_eta: bool = True, confidence: float = 0.95
) -> Iterator[Effect]:
    """Rows of ``effects.tsv`` on each term of several coefficients; a term of one has its t-test.

    Parameters
    ----------
    model
        A fitted model.
    method
        Of the model: ``linear model, HC3, t``.
    clusters
        Number of the subject of each row, where errors are clustered.
    with_eta
        Whether partial eta squared is given too; it means nothing for repeated and for weighted scans.
    confidence
        Coverage of its interval.
    """
    people, classical = len(model.people), covariance(model.fit, "classical")
    for term in [one.label for one in model.design.formula.terms if len(model.design.columns_of(one.label)) > 1]:
        contrast = f"{len(model.design.columns_of(term))} coefficients together"
        for number, region in enumerate(model.regions):
            statistic, count = term_test(model, term, number, model.covariances[number])
            statistic, df = _corrected(model, term, statistic, count, clusters)
            p = float(stats.f.sf(statistic, count, df))
            named = (region, term, contrast)
            nan = float("nan")
            yield Effect(*named, WHOLE, method, nan, "1", statistic=statistic, df=df, p=p, n=people)
            if with_eta:
                plain = term_test(model, term, number, classical[number])[0]
                share = partial_eta_squared(plain, float(count), float(model.fit.df), confidence=confidence)
                yield Effect(*named, ETA, method, share.estimate, "1", ci_low=share.low, ci_high=share.high, n=people)


def term_test(model: FittedModel, term: str, region: int, errors: Square) -> tuple[float, int]:
    """F of a term in one region with these errors, and its degrees of freedom; NaN where the errors are none."""
    hypothesis = _hypothesis(model.design, term, errors)
    if not np.isfinite(hypothesis).all() or not np.diag(errors).all():
        return float("nan"), len(model.design.columns_of(term))
    return wald(hypothesis, model.fit.coefficients[:, region], errors)


def wald(hypothesis: Float64[np.ndarray, "test column"], coefficients: Float64[np.ndarray, " column"], errors: Square) -> tuple[float, int]:
    """F of the hypothesis that some weighted sums of coefficients are all 0, and their number.

    >>> wald(np.array([[1.0, 0.0]]), np.array([2.0, 5.0]), np.eye(2))
    (4.0, 1)
    """
    off = hypothesis @ coefficients
    return float(off @ np.linalg.solve(hypothesis @ errors @ hypothesis.T, off)) / len(off), len(off)


def _corrected(
    model: FittedModel, term: str, statistic: float, count: int, clusters: Int64[np.ndarray, " row"] | None
) -> tuple[float, float]:
    """F and its residual degrees of freedom; with clusters as Hotelling's T², with the fewest of Satterthwaite for a coefficient of it.

    NaN where clusters are too few for so many coefficients (after Pustejovsky and Tipton 2018).
    """
    if clusters is None:
        return statistic, float(model.fit.df)
    unit = np.eye(len(model.design.columns))
    own = min(satterthwaite_df(model.fit, clusters, unit[column]) for column in model.design.columns_of(term))
    left = own - count + 1
    return (statistic * left / own, left) if left > 0 else (float("nan"), float("nan"))


def _hypothesis(design: Design, term: str, errors: Square) -> Float64[np.ndarray, "test column"]:
    """The part of the term, and of those that contain it, that is uncorrelated with those that contain it.

    With classical errors this is the difference in residual squares of the model without the containing terms, with and without this one.
    """
    factors = {one.label: set(one.factors) for one in design.formula.terms}
    above = [other for other in factors if factors[other] > factors[term]]
    own, containing = design.columns_of(term), np.concatenate([np.empty(0, np.int64), *(design.columns_of(other) for other in above)])
    if not containing.size:
        return np.eye(len(errors))[own]
    space, scale = np.concatenate([containing, own]), np.sqrt(np.diag(errors))  # correlations: units must not matter to rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = errors[np.ix_(containing, space)] / np.outer(scale[containing], scale[space])
    if not np.isfinite(correlations).all():
        return np.full((len(own), len(errors)), np.nan)
    free = linalg.null_space(correlations)
    hypothesis = np.zeros((free.shape[1], len(errors)))
    hypothesis[:, space] = free.T / scale[space]
    return hypothesis
