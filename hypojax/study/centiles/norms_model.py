"""The centile model of norms: which people it is fitted on, which formulas it has, and how one region is fitted."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from hypojax.reason import Reason, RunError
from hypojax.study.centiles.centile_fit import CentileFit, Shape, fit_centiles
from hypojax.study.formulas.design import Design, build_design
from hypojax.study.formulas.formula import parse

LEAST_PEOPLE: Final = 60
"""People below which no norms are fitted: with 60 the standard error of a z-score at the 5th centile is about a quarter."""

LEAST_OF_SEX: Final = 20
"""People of each sex below which sex is not told apart."""

LEAST_FOR_SHAPE: Final = 150
"""People from which a SHASH is tried: skewness and tails are not known from fewer."""

ShapeChoice = Literal["best", "normal", "shash"]


@dataclass(frozen=True)
class NormsModel:
    """Designs of location and scale over the people who have all that they need.

    Parameters
    ----------
    location, scale
        Their rows are the same people.
    rows
        Which people these are.
    with_sex, with_head_size
        What is in the model.
    notes
        What was left out.
    """

    location: Design
    scale: Design
    rows: Bool[np.ndarray, " scan"]
    with_sex: bool
    with_head_size: bool
    notes: tuple[str, ...]

    def without_head_size(self) -> Bool[np.ndarray, " column"]:
        """Which columns of the location stay for the intracranial volume itself."""
        return np.array([term != "icv" for term in self.location.terms])


def possible_df(n: int) -> range:
    """Degrees of freedom of the curve of age that are tried: from 2 (from 1,000 people on: 3) to one for each 40 people, at most 6.

    A straight line is not tried: where age acts by a slight curve, BIC would take the line, and the intervals would hold too little.

    >>> list(possible_df(60)), list(possible_df(4000))
    ([2], [3, 4, 5, 6])
    """
    return range(2 if n < 1000 else 3, min(max(n // 40, 2), 6) + 1)


def norms_model(people: pd.DataFrame, *, df: int, head_size: bool) -> NormsModel:
    """Median ~ spline(age, df) + sex + icv, and log(scale) ~ age + sex.

    Head size acts linearly: a volume goes with a power of head size between 0.5 and 1 (Liu 2014; de Jong 2017), which between 1.2 and 1.9
    litres differs from a straight line less than from one in log(icv). In the scale there is no head size: with age and sex it changes
    little, and costs the intervals.

    Parameters
    ----------
    people
        With ``age`` and, where they are known, ``sex`` and ``icv``.
    df
        Degrees of freedom of the natural spline of age.
    head_size
        Take head size into the model where there is one.

    Raises
    ------
    RunError
        ``USAGE``: there is no age, or too few people.
    """
    known = {name: people[name].notna().to_numpy() if name in people else np.zeros(len(people), bool) for name in ("age", "sex", "icv")}
    if not known["age"].any():
        raise RunError(Reason.USAGE, "norms need the age of people, and no column of ages was found; name it with --age")
    counts = people.loc[known["age"] & known["sex"], "sex"].value_counts() if known["sex"].any() else pd.Series(dtype=int)
    with_sex = len(counts) > 1 and bool(counts.min() >= LEAST_OF_SEX)
    with_head_size = head_size and bool(known["icv"].any())
    used = ["age", *(["sex"] if with_sex else []), *(["icv"] if with_head_size else [])]
    rows = np.logical_and.reduce([known[name] for name in used])
    if (n := int(rows.sum())) < LEAST_PEOPLE:
        raise RunError(
            Reason.USAGE,
            f"norms need {LEAST_PEOPLE} people with {', '.join(used)}, and there are {n}; compare with controls of your own instead",
        )
    location = build_design(parse(" + ".join([f"volume ~ spline(age, {df})", *used[1:]])), people[rows])
    scale = build_design(parse("volume ~ age + sex" if with_sex else "volume ~ age"), people[rows])
    return NormsModel(location, scale, rows, with_sex, with_head_size, tuple(_said(people, counts, with_sex, with_head_size, rows)))


def _said(people: pd.DataFrame, counts: pd.Series, with_sex: bool, with_head_size: bool, rows: np.ndarray) -> list[str]:
    """What the model does without."""
    notes = []
    if not with_sex:
        shown = ", ".join(f"{sex} {count}" for sex, count in counts.items()) or "unknown"
        notes.append(f"sex is not told apart: norms take {LEAST_OF_SEX} people of each or more (here: {shown})")
    if not with_head_size:
        notes.append("head size is not in the norms: a large head has large volumes in them")
    if missing := int((~rows).sum()):
        notes.append(f"{missing} of {len(people)} scans are not in the norms, since age, sex or head size is missing")
    return notes


def fit_region(
    values: Float64[np.ndarray, " row"],
    location: Float64[np.ndarray, "row location"],
    scale: Float64[np.ndarray, "row scale"],
    *,
    shape: ShapeChoice,
) -> tuple[CentileFit, dict[Shape, float]]:
    """The fit of one region, of the shape with the smaller BIC where it is to be chosen; and the BIC of each shape tried."""
    tried: Sequence[Shape] = ("normal", "shash") if shape == "best" else (shape,)
    if shape == "best" and len(values) < LEAST_FOR_SHAPE:
        tried = ("normal",)
    fits = {tried[0]: fit_centiles(values, location, scale, shape=tried[0])}
    for one in tried[1:]:
        with suppress(RunError):  # values of a few kinds have no SHASH: the normal shape stays
            fits[one] = fit_centiles(values, location, scale, shape=one)
    best = min(fits.values(), key=lambda fit: fit.bic)
    return best, {one: fit.bic for one, fit in fits.items()}
