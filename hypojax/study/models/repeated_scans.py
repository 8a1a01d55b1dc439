"""Effects from repeated scans by a mixed model: every region by itself, singular and failed fits said."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float64, Shaped

from hypojax.reason import RunError
from hypojax.study.formulas.design import INTERCEPT, Design
from hypojax.study.models.effect import Effect
from hypojax.study.models.linear import Estimates, student
from hypojax.study.models.mixed import MixedFit, fit_mixed

METHOD: Final = "mixed model, REML, Satterthwaite t"

Quantity = Literal["difference", "slope", "interaction"]


class MixedEffects(NamedTuple):
    """Effects of a mixed model, and what is to be known of its fits.

    Parameters
    ----------
    effects
        Of every column of the design but the intercept, in every region.
    notes
        One sentence for all regions whose fit is singular, and one for every region that could not be fitted.
    """

    effects: list[Effect]
    notes: tuple[str, ...]


def mixed_effects(
    design: Design,
    volumes: xr.DataArray,
    groups: Shaped[np.ndarray, " row"],
    *,
    time: Float64[np.ndarray, " row"] | None = None,
    confidence: float = 0.95,
) -> MixedEffects:
    """Effects of every column of a design in every region, with a random intercept by group.

    Parameters
    ----------
    design
        Fixed effects of the scans that have all covariates.
    volumes
        Of these scans, over (scan, region); missing ones are left out region by region.
    groups
        Subject (or site) of each of these scans.
    time
        Years of each, for a random slope beside the intercept.
    confidence
        Coverage of the intervals.
    """
    effects, singular, notes = list[Effect](), list[str](), list[str]()
    values = volumes.transpose("scan", "region").values.astype(np.float64)
    unit = str(volumes.attrs.get("units", ""))
    for region, name in enumerate(map(str, volumes.region.values.tolist())):
        known = np.isfinite(values[:, region])
        try:
            found = fit_mixed(design.matrix[known], values[known, region], groups[known], time=None if time is None else time[known])
        except RunError as error:
            notes.append(f"{name}: no mixed model, because {error}")
            continue
        singular += [name] if found.is_singular else []
        effects += _of_region(design, found, name, unit, confidence)
    if singular:
        what = "a random intercept" if time is None else "random intercepts and slopes"
        why = "nothing is left between subjects, or the slope is not told apart from the intercept"
        notes.insert(0, f"the mixed model with {what} is singular in {', '.join(singular)} ({why}): a simpler model would do as well there")
    return MixedEffects(effects, tuple(notes))


def column_contrast(design: Design, column: int) -> tuple[str, Quantity]:
    """What a column compares (``patient - control``; empty for numbers; the column's name for interactions), and what it is.

    The column must be of treatment coding.
    """
    term, name = design.terms[column], design.columns[column]
    if ":" in term:
        return name, "interaction"
    coding = next((coding for factor, coding in design.codings.items() if factor.label == term and coding.levels), None)
    if coding is None:
        return "" if name == term else name, "slope"
    return f"{name.removeprefix(term)} - {coding.levels[0]}", "difference"


def effect_rows(
    made: Estimates, regions: Sequence[str], *, n: int, term: str, contrast: str, quantity: str, method: str, unit: str
) -> Iterator[Effect]:
    """Estimates of all regions as rows of ``effects.tsv``."""
    columns = (made.estimate, made.se, made.statistic, made.p, made.low, made.high)
    for region, estimate, se, statistic, p, low, high in zip(regions, *(one.tolist() for one in columns), strict=True):
        yield Effect(region, term, contrast, quantity, method, estimate, unit, se, statistic, float(made.df), p, low, high, n)


def _of_region(design: Design, found: MixedFit, region: str, unit: str, confidence: float) -> Iterator[Effect]:
    for column, term in enumerate(design.terms):
        if term == INTERCEPT:
            continue
        contrast, quantity = column_contrast(design, column)
        one = found.contrast(np.eye(len(design.columns))[column])
        made = student(np.array([one.estimate]), np.array([one.se]), one.df, confidence=confidence)
        yield from effect_rows(made, [region], n=found.rows, term=term, contrast=contrast, quantity=quantity, method=METHOD, unit=unit)
