"""Tests of whole terms: analysis of variance of Type I, II and III, with errors for equal or unequal variances; Welch's for groups.

Type I tests each term given those before it, in the order of the formula; Type II given all terms that do not contain it; Type III given
all others, which means something only where categories are coded by their sum (Fox 2016).
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int
from scipy import linalg, stats

from hypojax.reason import Reason, RunError
from hypojax.study.formulas.design import INTERCEPT, Design
from hypojax.study.models.linear import Kind, LinearFit, covariance, fit

ANOVA_COLUMNS: Final = ("region", "term", "type", "method", "sum_sq", "df", "df_residual", "statistic", "p")

RESIDUALS: Final = "Residuals"

SumsOfSquares = Literal[1, 2, 3]


def anova_table(
    design: Design,
    volumes: Float64[np.ndarray, "row region"],
    *,
    regions: Sequence[str],
    sums: SumsOfSquares = 2,
    kind: Kind = "classical",
) -> pd.DataFrame:
    """F of every term in every region.

    Parameters
    ----------
    design
        The model; built with ``coding="sum"`` for Type III.
    volumes
        Volumes of the rows of the design, without gaps.
    regions
        Their names.
    sums
        Type of the sums of squares.
    kind
        ``classical``, or errors of `covariance` for unequal variances; these have no sums of squares, and none of Type I.

    Returns
    -------
    Table with the columns `ANOVA_COLUMNS`.

    Raises
    ------
    RunError
        Type III of an interaction of categories that are not coded by their sum; Type I with robust errors.
    """
    _check(design, sums, kind)
    found = fit(design.matrix, volumes, columns=design.columns)
    errors = covariance(found, kind)
    method = f"{'I' * sums}, {kind}, F"
    rows: list[tuple[object, ...]] = []
    for number, region in enumerate(regions):
        scale = float(found.sigma[number]) ** 2
        for term, (statistic, df) in _tests(design, found, errors[number], number, sums).items():
            squares = statistic * df * scale if kind == "classical" else np.nan
            p = float(stats.f.sf(statistic, df, found.df))
            rows.append((region, term, sums, method, squares, df, found.df, statistic, p))
        squares = scale * found.df if kind == "classical" else np.nan
        rows.append((region, RESIDUALS, sums, method, squares, found.df, found.df, np.nan, np.nan))
    return pd.DataFrame(rows, columns=list(ANOVA_COLUMNS))


def _check(design: Design, sums: SumsOfSquares, kind: Kind) -> None:
    if sums == 1 and kind != "classical":
        raise RunError(Reason.USAGE, f"Type I takes terms in order and has no {kind} errors; ask for Type II")
    if sums == 3 and design.coding != "sum" and any(len(term.factors) > 1 for term in design.formula.terms):
        raise RunError(
            Reason.USAGE,
            "Type III of a model with interactions means something only where categories are coded by their sum; "
            "build the design with coding='sum', or ask for Type II",
        )


def _tests(
    design: Design, found: LinearFit, errors: Float64[np.ndarray, "column column"], region: int, sums: SumsOfSquares
) -> Mapping[str, tuple[float, int]]:
    """F and degrees of freedom of each term."""
    terms = [term for term in dict.fromkeys(design.terms) if term != INTERCEPT or sums == 3]
    if sums == 1:
        return _sequential(design, found, region, terms)
    tests = {}
    for term in terms:
        hypothesis = _hypothesis(design, term, errors) if sums == 2 else np.eye(len(errors))[design.columns_of(term)]
        tests[term] = wald(hypothesis, found.coefficients[:, region], errors)
    return tests


def wald(
    hypothesis: Float64[np.ndarray, "test column"],
    coefficients: Float64[np.ndarray, " column"],
    errors: Float64[np.ndarray, "column column"],
) -> tuple[float, int]:
    """F of the hypothesis that some weighted sums of coefficients are all 0, and their number.

    >>> wald(np.array([[1.0, 0.0]]), np.array([2.0, 5.0]), np.eye(2))
    (4.0, 1)
    """
    off = hypothesis @ coefficients
    return float(off @ np.linalg.solve(hypothesis @ errors @ hypothesis.T, off)) / len(off), len(off)


def _sequential(design: Design, found: LinearFit, region: int, terms: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Sums of squares in order are squares of the volumes' components along the orthonormal columns."""
    volumes = found.fitted[:, region] + found.residuals[:, region]
    squares = (np.linalg.qr(design.matrix)[0].T @ volumes) ** 2 / found.sigma[region] ** 2
    return {term: (float(squares[design.columns_of(term)].mean()), len(design.columns_of(term))) for term in terms}


def _hypothesis(design: Design, term: str, errors: Float64[np.ndarray, "column column"]) -> Float64[np.ndarray, "test column"]:
    """Type II: the part of the term, and of those that contain it, that is uncorrelated with those that contain it.

    With classical errors this is the difference in residual squares of the model without the containing terms, with and without this one.
    """
    factors = {one.label: set(one.factors) for one in design.formula.terms}
    above = [other for other in factors if factors[other] > factors[term]]
    own, containing = design.columns_of(term), np.concatenate([np.empty(0, np.int64), *(design.columns_of(other) for other in above)])
    if not containing.size:
        return np.eye(len(errors))[own]
    space = np.concatenate([containing, own])
    free = linalg.null_space(errors[np.ix_(containing, space)] / _lengths(errors, containing, space))
    hypothesis = np.zeros((free.shape[1], len(errors)))
    hypothesis[:, space] = free.T / np.sqrt(np.diag(errors)[space])
    return hypothesis


def _lengths(
    errors: Float64[np.ndarray, "column column"], rows: Int[np.ndarray, " row"], columns: Int[np.ndarray, " some"]
) -> Float64[np.ndarray, "row some"]:
    """What makes covariances correlations, so that units of the columns do not matter to rounding."""
    deviations = np.sqrt(np.diag(errors))
    return np.outer(deviations[rows], deviations[columns])


class GroupMeans(NamedTuple):
    """Welch's test that the means of several groups are one."""

    statistic: float
    df: float
    df_residual: float
    p: float


def welch_anova(groups: Sequence[Float64[np.ndarray, "_"]]) -> GroupMeans:
    """F for groups of unequal variances (Welch 1951).

    Raises
    ------
    RunError
        Fewer than two groups, or a group of fewer than two people.
    """
    sizes = np.array([len(group) for group in groups])
    if len(groups) < 2 or sizes.min() < 2:
        raise RunError(Reason.USAGE, f"groups of {', '.join(map(str, sizes))}: Welch's test needs two groups of two people at least")
    weights = sizes / np.array([group.var(ddof=1) for group in groups])
    means, share = np.array([group.mean() for group in groups]), weights / weights.sum()
    spread = float(((1 - share) ** 2 / (sizes - 1)).sum())
    df = len(groups) - 1
    between = float((weights * (means - share @ means) ** 2).sum()) / df
    statistic = between / (1 + 2 * (df - 1) * spread / (df * (df + 2)))
    df_residual = df * (df + 2) / (3 * spread)
    return GroupMeans(statistic, float(df), df_residual, float(stats.f.sf(statistic, df, df_residual)))
