"""What the model says of groups and of people: adjusted means, each person's adjusted volume, lines by age, and residuals."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from hypojax.study.design import Design
from hypojax.study.linear import LinearFit

AGES: Final = 40
"""Points of a line by age."""

MOST_POINTS: Final = 4096
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


def reference_points(design: Design, people: pd.DataFrame, fixed: Mapping[str, object]) -> pd.DataFrame:
    """People who stand for all: every combination of the other categories once, numbers at their mean over the people analysed.

    Equal weights of categories are the default of R's emmeans; with observed proportions the mean of the controls would differ.
    """
    levels = {factor.name: coding.levels for factor, coding in design.codings.items() if coding.levels and factor.name not in fixed}
    if np.prod([len(known) for known in levels.values()], initial=1.0) > MOST_POINTS:
        levels = {name: known[:1] for name, known in levels.items()}
    points = list(product(*levels.values()))
    found: dict[str, list[Any]] = {name: [point[number] for point in points] for number, name in enumerate(levels)}
    for name in design.formula.names:
        if name not in found:
            found[name] = [fixed[name] if name in fixed else float(pd.to_numeric(people[name]).mean())] * len(points)
    return pd.DataFrame(found, index=range(len(points)))


def group_rows(design: Design, people: pd.DataFrame, column: str, **at: object) -> dict[str, Float64[np.ndarray, " column"]]:
    """The row of the design that stands for each category of a column, with equal weights of the others.

    Parameters
    ----------
    design, people
        The model and who is in it.
    column
        A column of categories in the design.
    at
        Values of other columns: ``age=40.0``.
    """
    coding = next(coding for factor, coding in design.codings.items() if factor.name == column and coding.levels)
    return {level: design.at(reference_points(design, people, {**at, column: level})).mean(axis=0) for level in coding.levels}


def adjusted_means(model: FittedModel, column: str, *, confidence: float = 0.95) -> pd.DataFrame:
    """Adjusted mean of every region and category with its interval: columns ``region``, ``group``, ``mean``, ``ci_low``, ``ci_high``.

    The interval is of the mean given the model and its robust errors; whether groups differ is a question to their difference.
    """
    rows = []
    for level, row in group_rows(model.design, model.people, column).items():
        mean, half = _with_interval(model, row, confidence)
        for number, region in enumerate(model.regions):
            rows.append((region, level, mean[number], mean[number] - half[number], mean[number] + half[number]))
    return pd.DataFrame(rows, columns=["region", "group", "mean", "ci_low", "ci_high"])


def adjusted_volumes(model: FittedModel, column: str | None, *, keep_age: bool = False) -> pd.DataFrame:
    """Each person's volume as it would be with the mean covariates: the adjusted mean of the own group, and the own residual.

    Parameters
    ----------
    model
        The model.
    column
        The column of groups; without one, all people are one group.
    keep_age
        Whether the own age stays, as in a figure against age.

    Returns
    -------
    Columns ``region``, ``scan``, ``group``, ``age`` (where known), ``adjusted``.
    """
    people = model.people
    own = [name for name in (column, "age" if keep_age and "age" in model.design.formula.names else None) if name]
    matrix = np.empty((len(people), len(model.design.columns)))
    for key, rows in people.groupby(own, sort=False).indices.items() if own else [((), np.arange(len(people)))]:
        fixed = dict(zip(own, key if isinstance(key, tuple) else (key,), strict=True))
        matrix[rows] = model.design.at(reference_points(model.design, people, fixed)).mean(axis=0)
    values = matrix @ model.fit.coefficients + model.fit.residuals
    group = people[column].astype(str).to_numpy() if column else np.full(len(people), "")
    age = people["age"].to_numpy(float) if "age" in people else np.full(len(people), np.nan)
    tables = [
        pd.DataFrame({"region": region, "scan": people.index, "group": group, "age": age, "adjusted": values[:, number]})
        for number, region in enumerate(model.regions)
    ]
    return pd.concat(tables, ignore_index=True)


def age_bands(model: FittedModel, column: str | None, *, confidence: float = 0.95) -> pd.DataFrame:
    """The line of the model by age in each group with its interval, over the ages of that group.

    Returns
    -------
    Columns ``region``, ``group``, ``age``, ``fit``, ``ci_low``, ``ci_high``; empty where age is not in the model.
    """
    columns = ["region", "group", "age", "fit", "ci_low", "ci_high"]
    if "age" not in model.design.formula.names:
        return pd.DataFrame(columns=columns)
    groups = list(dict.fromkeys(model.people[column].astype(str))) if column else [""]
    found = []
    for group in groups:
        own = model.people if not column else model.people[model.people[column].astype(str) == group]
        for age in np.linspace(own["age"].min(), own["age"].max(), AGES):
            fixed = {"age": float(age), **({column: group} if column else {})}
            row = model.design.at(reference_points(model.design, model.people, fixed)).mean(axis=0)
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
