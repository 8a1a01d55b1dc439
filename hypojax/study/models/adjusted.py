"""What the model says of groups and of people: adjusted means, each person's adjusted volume, lines by age, and residuals."""

from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from hypojax.study.formulas.design import Design
from hypojax.study.models.linear import LinearFit

AGES: Final = 40
"""Points of a line by age."""

MOST_PEOPLE: Final = 5000
"""People in a figure."""

MOST_POINTS: Final = 512
"""Combinations of categories that are averaged over; with more of them the first category of each factor stands for it."""


@dataclass(frozen=True)
class FittedModel:
    """A linear model of some regions, with the people it was fitted to.

    Parameters
    ----------
    regions
        Regions in order of the columns of the fit.
    design
        Its design.
    fit
        The estimates.
    covariances
        Of the coefficients, as the tests use it.
    people
        The people in the fit, in order of its rows.
    df
        Degrees of freedom of the tests.
    """

    regions: tuple[str, ...]
    design: Design
    fit: LinearFit
    covariances: Float64[np.ndarray, "region column column"]
    people: pd.DataFrame
    df: float


def mean_rows(design: Design, people: pd.DataFrame, fixed: pd.DataFrame) -> Float64[np.ndarray, "point column"]:
    """Rows of the design that stand for all people at some points: other categories with equal weights, other numbers at their mean.

    Equal weights of categories are the default of R's emmeans; with observed proportions the mean of the controls would differ.

    Parameters
    ----------
    design, people
        The model, and who is in it.
    fixed
        A row a point, with the columns that are given there.
    """
    levels = {factor.name: coding.levels for factor, coding in design.codings.items() if coding.levels and factor.name not in fixed}
    if np.prod([len(known) for known in levels.values()], initial=1.0) > MOST_POINTS:
        levels = {name: known[:1] for name, known in levels.items()}
    others = list(product(*levels.values()))
    frame: dict[str, Any] = {}
    for name in design.formula.names:
        if name in fixed:
            frame[name] = np.repeat(fixed[name].to_numpy(), len(others))
        elif name in levels:
            frame[name] = [one[list(levels).index(name)] for one in others] * len(fixed)
        else:
            frame[name] = np.full(len(fixed) * len(others), float(pd.to_numeric(people[name]).mean()))
    rows = design.at(pd.DataFrame(frame, index=range(len(fixed) * len(others))))
    return rows.reshape(len(fixed), len(others), -1).mean(axis=1)


def levels_in(design: Design, column: str) -> tuple[str, ...]:
    """Categories of a column of the design, the reference first; none where it is no category there."""
    return next((coding.levels for factor, coding in design.codings.items() if factor.name == column and coding.levels), ())


def adjusted_means(model: FittedModel, column: str, *, confidence: float = 0.95) -> pd.DataFrame:
    """Adjusted mean of every region and category with its interval: columns ``region``, ``group``, ``mean``, ``ci_low``, ``ci_high``.

    The interval is of the mean given the model and its robust errors; whether groups differ is a question to their difference.
    """
    rows = []
    levels = levels_in(model.design, column)
    fixed = pd.DataFrame({column: np.array(levels, object)})
    for level, row in zip(levels, mean_rows(model.design, model.people, fixed), strict=True):
        mean, half = _with_interval(model, row, confidence)
        for number, region in enumerate(model.regions):
            rows.append((region, level, mean[number], mean[number] - half[number], mean[number] + half[number]))
    return pd.DataFrame(rows, columns=["region", "group", "mean", "ci_low", "ci_high"])


def adjusted_volumes(model: FittedModel, column: str | None, *, keep_age: bool = False, most: int = MOST_PEOPLE) -> pd.DataFrame:
    """Each person's volume as it would be with the mean covariates: the adjusted mean of the own group, and the own residual.

    Parameters
    ----------
    model
        The model.
    column
        The column of groups; without one, all people are one group.
    keep_age
        Whether the own age stays, as in a figure against age.
    most
        People shown: of more, so many are drawn by chance (always the same).

    Returns
    -------
    Columns ``region``, ``scan``, ``group``, ``age`` (where known), ``adjusted``.
    """
    chosen = np.arange(len(model.people))
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, most, replace=False))
    people = model.people.iloc[chosen]
    own = [name for name in (column, "age" if keep_age and "age" in model.design.formula.names else None) if name]
    fixed = pd.DataFrame(people[own].reset_index(drop=True), index=range(len(people)))
    values = mean_rows(model.design, model.people, fixed) @ model.fit.coefficients + model.fit.residuals[chosen]
    group = people[column].astype(str).to_numpy() if column else np.full(len(people), "")
    age = people["age"].to_numpy(float) if "age" in people else np.full(len(people), np.nan)
    tables = [
        pd.DataFrame({"region": region, "scan": people.index, "group": group, "age": age, "adjusted": values[:, number]})
        for number, region in enumerate(model.regions)
    ]
    return pd.concat(tables, ignore_index=True)


def age_lines(model: FittedModel, column: str | None, *, confidence: float = 0.95) -> pd.DataFrame:
    """The line of the model by age in each group with its interval, over the ages of that group.

    Returns
    -------
    Columns ``region``, ``group``, ``age``, ``fit``, ``ci_low``, ``ci_high``; empty where age is not in the model.
    """
    columns = ["region", "group", "age", "fit", "ci_low", "ci_high"]
    if "age" not in model.design.formula.names:
        return pd.DataFrame(columns=columns)
    found = []
    for group in levels_in(model.design, column) if column else ("",):
        own = model.people[model.people[column].astype(str) == group] if column else model.people
        ages = np.linspace(own["age"].min(), own["age"].max(), AGES)
        fixed = pd.DataFrame({"age": ages, **({column: group} if column else {})})
        for age, row in zip(ages, mean_rows(model.design, model.people, fixed), strict=True):
            mean, half = _with_interval(model, row, confidence)
            for number, region in enumerate(model.regions):
                found.append((region, group, float(age), mean[number], mean[number] - half[number], mean[number] + half[number]))
    return pd.DataFrame(found, columns=columns)


def _with_interval(
    model: FittedModel, row: Float64[np.ndarray, " column"], confidence: float
) -> tuple[Float64[np.ndarray, " region"], Float64[np.ndarray, " region"]]:
    """A weighted sum of the coefficients, and half the width of its interval."""
    se = np.sqrt(np.einsum("i,rij,j->r", row, model.covariances, row))
    return row @ model.fit.coefficients, stats.t.ppf((1 + confidence) / 2, model.df) * se
