"""Change per year of each person, compared between groups: one number a person, then a linear model that trusts no variance.

In small samples the obvious models of repeated scans raise false alarms (24 people with 3 scans each, at .05: a mixed
model with a random intercept .09, with random slopes tested by the normal distribution .07 to .095). The slope of each person
is one number, so people are independent and a linear model with HC3 errors and t holds its level; that is the default here.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.reason import Reason, RunError
from hypojax.study.formulas.design import INTERCEPT, NO_REFERENCES, Design, build_design
from hypojax.study.formulas.terms import Formula
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.adjusted_means import reference_rows
from hypojax.study.models.anova import whole_terms
from hypojax.study.models.effect import Effect
from hypojax.study.models.linear import complete_patterns, covariance, fit
from hypojax.study.models.model_effects import Question, effects_of, questions_of

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
    Effects as `hypojax.study.models.model_effects.questions_of` asks for them: ``change_difference``, ``change_slope``,
    ``change_interaction``; for every group ``change_mean``, the adjusted mean change (numbers at their mean, categories with equal
    weights) against none; and tests of whole terms.

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
        fitted = fit(design.matrix, changes[np.ix_(kept, which)], columns=design.columns)
        errors = covariance(fitted, "HC3", names=people.index[kept].astype(str).tolist())
        model = FittedModel(tuple(regions[number] for number in which), design, fitted, errors, people.iloc[kept], float(fitted.df))
        asked = [_of_change(question, suffix) for question in [*questions_of(model), *_means(model)]]
        found += effects_of(model, asked, method=METHOD, unit=unit, confidence=confidence)
        found += [] if suffix else whole_terms(model, method=METHOD, confidence=confidence)
    return found


def _of_change(question: Question, suffix: str) -> Question:
    """The same of a change: a share of its mean, or an effect size of it, would mean nothing."""
    return replace(question, quantity=f"change_{question.quantity}{suffix}", factor=None, reference=None)


def _means(model: FittedModel) -> list[Question]:
    """The mean change of each group, or of all."""
    design = model.design
    if "group" not in design.levels:
        return [Question(INTERCEPT, EVERYBODY, "mean", design.matrix.mean(axis=0))]
    return [Question("group", level, "mean", row) for level, row in reference_rows(design, model.people, "group").items()]


def _too_few(design: Design, formula: Formula) -> str:
    rows, columns = design.matrix.shape
    return (
        f"{rows} people have a change over time and all covariates, and the model ({formula}) has {columns} coefficients: take "
        "terms out of the formula, or add people with two scans"
    )
