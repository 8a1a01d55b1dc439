"""Adjusted means of groups, and a difference as a percentage of one of them.

The adjusted mean of a group is what the model predicts for it at the mean of every number among the people analysed and, of every other
category (sex, site), with equal weight to each level (Searle, Speed and Milliken 1980).
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.study.formulas.design import Design
from hypojax.study.models.linear import Estimates, LinearFit, student


def reference_rows(design: Design, people: pd.DataFrame, name: str) -> dict[str, Float64[np.ndarray, " column"]]:
    """Weights of the coefficients that give the adjusted mean of every level of a category.

    Parameters
    ----------
    design
        The model; ``name`` is a category of it.
    people
        Those analysed, whose mean numbers are taken.
    name
        Column of the category, such as the group.
    """
    levels = levels_in(design, name)
    return dict(zip(levels, design.averaged(pd.DataFrame({name: np.array(levels, object)}), people), strict=True))


def levels_in(design: Design, column: str) -> tuple[str, ...]:
    """Categories of a column of the design, the reference first; none where it is no category there."""
    return next((coding.levels for factor, coding in design.codings.items() if factor.name == column and coding.levels), ())


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


def percent_of_log(found: Estimates) -> Mapping[Literal["estimate", "low", "high"], Float64[np.ndarray, " region"]]:
    """A coefficient of a model of log(volume) as a percentage: 100 (exp(b) - 1), and so its ends.

    It is another quantity than `percent_of_mean`: the ratio of geometric, not of arithmetic, means.
    """
    return {"estimate": 100 * np.expm1(found.estimate), "low": 100 * np.expm1(found.low), "high": 100 * np.expm1(found.high)}
