"""What the model says of groups and of people: adjusted means, each person's adjusted volume, lines by age, and residuals."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from hypojax.study.formulas.design import Design
from hypojax.study.models.adjusted_means import levels_in, reference_rows
from hypojax.study.models.linear import LinearFit

AGES: Final = 40
"""Points of a line by age."""

MOST_PEOPLE: Final = 5000
"""People in a figure."""


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


def adjusted_means(model: FittedModel, column: str, *, confidence: float = 0.95) -> pd.DataFrame:
    """Adjusted mean of every region and category with its interval: columns ``region``, ``group``, ``mean``, ``ci_low``, ``ci_high``.

    The interval is of the mean given the model and its robust errors; whether groups differ is a question to their difference.
    """
    rows = []
    for level, row in reference_rows(model.design, model.people, column).items():
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
    values = model.design.averaged(fixed, model.people) @ model.fit.coefficients + model.fit.residuals[chosen]
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
        for age, row in zip(ages, model.design.averaged(fixed, model.people), strict=True):
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
