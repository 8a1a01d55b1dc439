"""What a fitted model says, as rows of ``effects.tsv``: differences, percentages and effect sizes of categories, slopes, interactions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from hypojax.study.formulas.design import Design
from hypojax.study.formulas.factor_coding import factor_values
from hypojax.study.formulas.terms import Factor, Term
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.adjusted_means import percent_of_log, percent_of_mean, reference_rows
from hypojax.study.models.effect import NAN, Effect
from hypojax.study.models.effect_size import EffectSize, hedges_g, hedges_g_adjusted
from hypojax.study.models.linear import Estimates, contrast_effects, satterthwaite_df

STEP: Final = 1e-3
"""Step of a slope at the mean, in standard deviations of the number."""


@dataclass(frozen=True)
class Question:
    """One contrast of the coefficients of a model.

    Parameters
    ----------
    term, contrast, quantity
        As in `Effect`.
    weights
        Of each coefficient.
    factor
        The column whose two levels are compared, for percentages and effect sizes.
    levels
        These levels, case and reference.
    reference
        Weights of the adjusted mean of the reference.
    """

    term: str
    contrast: str
    quantity: str
    weights: Float64[np.ndarray, " column"]
    factor: Factor | None = None
    levels: tuple[str, str] = ("", "")
    reference: Float64[np.ndarray, " column"] | None = None


def questions_of(model: FittedModel) -> list[Question]:
    """Every contrast that is reported of a model, in the order of its terms.

    A category: each level less the reference, at the mean of the numbers and with equal weight of the levels of other categories (so
    also where it is part of an interaction). A number: its slope; where it is in other terms too, its slope at the mean and with equal
    weights. An interaction: each of its coefficients. A spline has no single number: `hypojax.study.models.anova` tests it as a whole.
    """
    found: list[Question] = []
    for term in model.design.formula.terms:
        if len(term.factors) > 1:
            found += _interactions(model.design, term)
        elif model.design.codings[term.factors[0]].levels:
            found += _differences(model, term)
        elif term.factors[0].kind != "spline":
            found += [_slope(model, term)]
    return found


def _differences(model: FittedModel, term: Term) -> Iterator[Question]:
    """Levels of a category against its reference."""
    factor = term.factors[0]
    rows = reference_rows(model.design, model.people, factor.name)
    first, *others = model.design.codings[factor].levels
    for level in others:
        weights = rows[level] - rows[first]
        yield Question(term.label, f"{level} - {first}", "difference", weights, factor, (level, first), rows[first])


def _slope(model: FittedModel, term: Term) -> Question:
    """The coefficient of a number; the slope at the mean where the number is in other terms too."""
    design, factor = model.design, term.factors[0]
    weights = (np.array(design.terms) == term.label).astype(np.float64)
    if factor.kind != "plain" or sum(factor.name in one.names for one in design.formula.terms) == 1:
        return Question(term.label, "", "slope", weights)
    numbers = model.people[factor.name].astype(float)
    step = STEP * float(numbers.std())
    down, up = design.averaged(pd.DataFrame({factor.name: float(numbers.mean()) + np.array([-step, step])}), model.people)
    return Question(term.label, "at the mean", "slope", (up - down) / (2 * step))


def _interactions(design: Design, term: Term) -> Iterator[Question]:
    """Each coefficient of an interaction; the contrast names the levels of its categories."""
    endings = [
        [f"{level} - {coding.levels[0]}" for level in coding.levels[1:]] if coding.levels else [""]
        for coding in (design.codings[factor] for factor in term.factors)
    ]
    names = [""]
    for own in endings:  # the first factor changes fastest, as the columns do
        names = [", ".join(filter(None, (name, ending))) for ending in own for name in names]
    columns = design.columns_of(term.label)
    for number, column in enumerate(columns):
        contrast = names[number] if len(names) == len(columns) else design.columns[column]
        yield Question(term.label, contrast, "interaction", np.eye(len(design.columns))[column])


def effects_of(
    model: FittedModel,
    questions: list[Question],
    *,
    method: str,
    unit: str,
    measured: Float64[np.ndarray, "row region"] | None = None,
    clusters: Int64[np.ndarray, " row"] | None = None,
    confidence: float = 0.95,
) -> list[Effect]:
    """Rows of effects of every question and region.

    Parameters
    ----------
    model
        A fitted model.
    questions
        Contrasts of it.
    method, unit
        As in `Effect`; a slope is in this unit for one unit of its column.
    measured
        Volumes of the people of the model as they were measured, for Hedges' g; without them there is none, as for repeated scans of a
        subject and for weighted volumes.
    clusters
        Number of the subject of each row, where errors are clustered: the degrees of freedom are then Satterthwaite's.
    confidence
        Coverage of the intervals.
    """
    found: list[Effect] = []
    for question in questions:
        df = model.df if clusters is None else satterthwaite_df(model.fit, clusters, question.weights)
        numbers = contrast_effects(model.fit, model.covariances, question.weights, df=df, confidence=confidence)
        rows = {question.quantity: _rows(numbers, unit)}
        if question.reference is not None:
            rows["percent"] = _percent(model, question.weights, question.reference, numbers, confidence)
        if question.factor is not None and measured is not None:
            rows["hedges_g"] = _sized(_raw_g(model, measured, question.factor.name, question.levels, confidence))
            rows["hedges_g_adjusted"] = _sized(hedges_g_adjusted(model.fit, question.weights, confidence=confidence))
        for number, region in enumerate(model.regions):
            for quantity, values in rows.items():
                own = {name: value if isinstance(value, str | float) else float(value[number]) for name, value in values.items()}
                found.append(
                    Effect(region, question.term, question.contrast, quantity, method, n=len(model.people), **own)  # type: ignore[arg-type]
                )
    return found


Columns = dict[str, str | float | Float64[np.ndarray, " region"]]


def _rows(found: Estimates, unit: str) -> Columns:
    known: Columns = {"estimate": found.estimate, "unit": unit, "se": found.se, "statistic": found.statistic}
    return {**known, "df": found.df, "p": found.p, "ci_low": found.low, "ci_high": found.high}


def _percent(
    model: FittedModel,
    weights: Float64[np.ndarray, " column"],
    reference: Float64[np.ndarray, " column"],
    found: Estimates,
    confidence: float,
) -> Columns:
    """A difference as a percentage; its test is that of the difference and is not repeated with another statistic."""
    if model.design.formula.is_log:
        ends = percent_of_log(found)
        return {"estimate": ends["estimate"], "unit": "%", "ci_low": ends["low"], "ci_high": ends["high"]}
    share = percent_of_mean(model.fit, model.covariances, weights, reference, df=found.df, confidence=confidence)
    return {"estimate": share.estimate, "unit": "%", "se": share.se, "df": share.df, "ci_low": share.low, "ci_high": share.high}


def _raw_g(
    model: FittedModel, volumes: Float64[np.ndarray, "row region"], name: str, levels: tuple[str, str], confidence: float
) -> EffectSize:
    """Hedges' g of the volumes as they were measured, of the people in the model."""
    level = factor_values(Factor(name, "category"), model.people[name])
    cases, controls = (volumes[level == one] for one in levels)
    return hedges_g(cases, controls, confidence=confidence)


def _sized(found: EffectSize) -> Columns:
    return {"estimate": found.estimate, "unit": "1", "se": found.se, "ci_low": found.low, "ci_high": found.high, "df": NAN}
