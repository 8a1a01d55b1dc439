"""Adjusted means of groups, and a difference as a percentage of one of them.

The adjusted mean of a group is what the model predicts for it at the mean of every number among the people analysed and, of every other
category (sex, site), with equal weight to each level (Searle, Speed and Milliken 1980), or in the shares observed.
"""

from collections.abc import Mapping
from itertools import product
from typing import Final, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from hypojax.reason import Reason, RunError
from hypojax.study.formulas.design import Design
from hypojax.study.formulas.factor_coding import factor_values
from hypojax.study.formulas.terms import Factor
from hypojax.study.models.linear import Estimates, LinearFit, student

Weighting = Literal["equal", "proportional"]

MOST_POINTS: Final = 20_000
"""Combinations of levels that are averaged over."""


def reference_rows(
    design: Design, people: pd.DataFrame, name: str, *, weighting: Weighting = "equal"
) -> dict[str, Float64[np.ndarray, " column"]]:
    """Weights of the coefficients that give the adjusted mean of every level of a category.

    Parameters
    ----------
    design
        The model; ``name`` is a category of it.
    people
        Those analysed, whose mean numbers are taken.
    name
        Column of the category, such as the group.
    weighting
        Of the levels of other categories: ``equal``, or ``proportional`` to how often their combinations are seen among ``people``.

    Raises
    ------
    RunError
        More than `MOST_POINTS` combinations of levels.
    """
    levels = {factor.name: coding.levels for factor, coding in design.codings.items() if coding.levels}
    others = {other: found for other, found in levels.items() if other != name}
    size = len(levels[name]) * int(np.prod([len(found) for found in others.values()], dtype=float))
    if size > MOST_POINTS:
        raise RunError(
            Reason.USAGE, f"adjusted means would average over {size} combinations of levels of {', '.join(others)}; leave one of them out"
        )
    means = {number: float(people[number].astype(float).mean()) for number in design.formula.names if number not in levels}
    points = list(product(*others.values()))
    weights = _weights(points, list(others), people, weighting)
    grid = pd.DataFrame(points, columns=list(others)) if others else pd.DataFrame(index=range(1))
    grid = grid.assign(**means)
    return {level: weights @ design.at(grid.assign(**{name: level})) for level in levels[name]}


def _weights(points: list[tuple[str, ...]], names: list[str], people: pd.DataFrame, weighting: Weighting) -> Float64[np.ndarray, " point"]:
    """Share of each combination of levels."""
    if weighting == "equal" or not names:
        return np.full(len(points), 1 / len(points))
    values = zip(*(factor_values(Factor(name, "category"), people[name]) for name in names), strict=True)
    seen = pd.Series(list(values)).value_counts()
    return np.array([seen.get(point, 0) for point in points]) / len(people)


def percent_of_mean(
    found: LinearFit,
    covariances: Float64[np.ndarray, "region column column"],
    contrast: Float64[np.ndarray, " column"],
    reference: Float64[np.ndarray, " column"],
    *,
    df: float | None = None,
    confidence: float = 0.95,
) -> Estimates:
    """A contrast as a percentage of an adjusted mean, with the error of both (delta method), and t.

    Parameters
    ----------
    found, covariances
        The fit, and `hypojax.study.models.linear.covariance` of it.
    contrast
        Weights of the difference, such as patient - control.
    reference
        Weights of the mean, such as the row of the controls of `reference_rows`.
    df, confidence
        As in `hypojax.study.models.linear.contrast_effects`.
    """
    mean = reference @ found.coefficients
    share = contrast @ found.coefficients / mean
    gradient = (contrast[:, None] - reference[:, None] * share) / mean
    se = np.sqrt(np.einsum("ir,rij,jr->r", gradient, covariances, gradient))
    return student(100 * share, 100 * se, float(found.df if df is None else df), confidence=confidence)


def fieller_limits(
    found: LinearFit,
    covariances: Float64[np.ndarray, "region column column"],
    contrast: Float64[np.ndarray, " column"],
    reference: Float64[np.ndarray, " column"],
    *,
    df: float | None = None,
    confidence: float = 0.95,
) -> tuple[Float64[np.ndarray, " region"], Float64[np.ndarray, " region"]]:
    """Ends of the interval of `percent_of_mean` by Fieller (1954); NaN where the mean is not told from 0."""
    t = stats.t.ppf((1 + confidence) / 2, found.df if df is None else df)
    difference, mean = contrast @ found.coefficients, reference @ found.coefficients
    v11, v12, v22 = (
        np.einsum("i,rij,j->r", one, covariances, other)
        for one, other in ((contrast, contrast), (contrast, reference), (reference, reference))
    )
    # (difference - share mean)² = t² (v11 - 2 share v12 + share² v22), a quadratic in the share.
    a, b, c = mean**2 - t**2 * v22, t**2 * v12 - difference * mean, difference**2 - t**2 * v11
    with np.errstate(invalid="ignore"):
        root = np.where(a > 0, np.sqrt(b**2 - a * c), np.nan)
    return 100 * (-b - root) / a, 100 * (-b + root) / a


def percent_of_log(
    found: Estimates,
) -> Mapping[Literal["estimate", "low", "high"], Float64[np.ndarray, " region"]]:
    """A coefficient of a model of log(volume) as a percentage: 100 (exp(b) - 1), and so its ends.

    It is another quantity than `percent_of_mean`: the ratio of geometric, not of arithmetic, means.
    """
    return {"estimate": 100 * np.expm1(found.estimate), "low": 100 * np.expm1(found.low), "high": 100 * np.expm1(found.high)}
