"""Change per year of each person, compared between groups: one number a person, then a linear model that trusts no variance.

In small samples the obvious models of repeated scans raise false alarms (24 people with 3 scans each, at .05: a mixed
model with a random intercept .09, with random slopes tested by the normal distribution .07 to .095). The slope of each person
is one number, so people are independent and a linear model with HC3 errors and t holds its level; that is the default here.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.reason import Reason, RunError
from hypojax.study.formulas.design import INTERCEPT, NO_REFERENCES, Design, build_design
from hypojax.study.formulas.terms import Formula
from hypojax.study.models.adjusted_means import reference_rows
from hypojax.study.models.effect import Effect
from hypojax.study.models.linear import complete_patterns, contrast_effects, covariance, fit
from hypojax.study.models.repeated_scans import column_contrast, effect_rows

METHOD: Final = "change per person, linear model, HC3, t"

EVERYBODY: Final = "all"
"""Contrast of the mean change where there is no group."""

LEAST_SPARE: Final = 2
"""People more than coefficients that a model of change needs."""


def change_model(
    changes: Float64[np.ndarray, "subject region"],
    people: pd.DataFrame,
    formula: Formula,
    *,
    regions: Sequence[str],
    unit: str,
    suffix: str = "",
    references: dict[str, str] | None = None,
    confidence: float = 0.95,
) -> list[Effect]:
    """Effects on the change per year of people.

    Parameters
    ----------
    changes
        One row a person; NaN where there is none.
    people
        One row a person: columns of the formula, as they were at the first scan.
    formula
        Model of the change.
    regions
        Names of the columns of ``changes``.
    unit
        Of ``changes``, such as mm3/year.
    suffix
        Of the quantities: ``_percent`` where the change is in percent.
    references
        Column → the category that others are compared with.
    confidence
        Coverage of the intervals.

    Returns
    -------
    For every column of the design ``change_difference``, ``change_slope`` or ``change_interaction``, and for every group
    ``change_mean``: the adjusted mean change (numbers at their mean, categories with equal weights) against none.

    Raises
    ------
    RunError
        USAGE: too few people have a change for this formula.
    """
    found = list[Effect]()
    for which, rows in complete_patterns(changes):
        design = build_design(formula, people[rows], references=references or NO_REFERENCES)
        if design.matrix.shape[0] < design.matrix.shape[1] + LEAST_SPARE:
            raise RunError(Reason.USAGE, _too_few(design, formula))
        kept = np.flatnonzero(rows)[design.kept]
        model = fit(design.matrix, changes[np.ix_(kept, which)], columns=design.columns)
        errors = covariance(model, "HC3", names=people.index[kept].astype(str).tolist())
        for term, contrast, quantity, weights in _contrasts(design, people.iloc[kept]):
            made = contrast_effects(model, errors, weights, confidence=confidence)
            found += effect_rows(
                made, [regions[number] for number in which], n=len(kept), term=term, contrast=contrast,
                quantity=f"change_{quantity}{suffix}", method=METHOD, unit=unit,
            )  # fmt: skip
    return found


def _contrasts(design: Design, people: pd.DataFrame) -> Iterator[tuple[str, str, str, Float64[np.ndarray, " column"]]]:
    """Term, contrast, quantity and weights of the coefficients."""
    for column, term in enumerate(design.terms):
        if term != INTERCEPT:
            yield term, *column_contrast(design, column), np.eye(len(design.columns))[column]
    if "group" in design.levels:
        for level, row in reference_rows(design, people, "group").items():
            yield "group", level, "mean", row
    else:
        yield INTERCEPT, EVERYBODY, "mean", design.matrix.mean(axis=0)


def _too_few(design: Design, formula: Formula) -> str:
    rows, columns = design.matrix.shape
    return (
        f"{rows} people have a change over time and all covariates, and the model ({formula}) has {columns} coefficients: take "
        "terms out of the formula, or add people with two scans"
    )
