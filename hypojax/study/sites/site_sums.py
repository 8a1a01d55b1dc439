"""What one site gives away for a joint analysis: sums, nothing about a person.

A file holds how many people there are, and of every column of the model and every region the mean and the sums of squares and products
about the mean. Linear models with a term for the site follow from these exactly (`hypojax.study.sites.pooled_sums`): estimates
and classical errors. What does not follow is said there. Every category has a column of its own here, so that sites need not
agree on a reference, nor have all groups.

Refused, because it would tell of single people: fewer than `LEAST_PEOPLE` people, fewer than `SPARE` more people than columns, and any
category or pair of categories that 1 to `LEAST_CELL` - 1 people have. People without a covariate or one of the volumes are left out
of all sums: two sums over nearly the same people would give the difference away. The same holds for two files of nearly the same
people, which no program can see: give away one file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64

from hypojax.reason import Reason, RunError, visible
from hypojax.study.formulas.factor_coding import Values, coding_of, factor_values, present
from hypojax.study.formulas.terms import Factor, Formula, Term
from hypojax.tables import text_of

FORMAT: Final = "hypojax sums of a site, 1"

LEAST_PEOPLE: Final = 20

LEAST_CELL: Final = 5

SPARE: Final = 10
"""People more than columns: with as many columns as people, sums are the people."""

FEW_VALUES: Final = 5
"""Different numbers up to which a column of numbers is counted as categories too."""

Levels = tuple[tuple[str, str], ...]
"""What a column of the sums is: each factor with its category; an empty one for a number."""


@dataclass(frozen=True)
class SiteSums:
    """Sums of one site.

    Parameters
    ----------
    site
        Its name.
    formula
        The model, without the site.
    unit
        Of the volumes.
    people
        How many are in the sums.
    columns
        What each column is: ``(("group", "patient"), ("age", ""))`` is the age of patients, 0 for the others.
    regions
        Names of the regions.
    means
        Of each column, in its own unit.
    volume_means
        Of each region.
    products
        Sums of products of columns about their means.
    volume_products
        Sums of products of columns and volumes about their means.
    volume_squares
        Sums of squares of volumes about their means.
    """

    site: str
    formula: str
    unit: str
    people: int
    columns: tuple[Levels, ...]
    regions: tuple[str, ...]
    means: Float64[np.ndarray, " column"]
    volume_means: Float64[np.ndarray, " region"]
    products: Float64[np.ndarray, "column column"]
    volume_products: Float64[np.ndarray, "column region"]
    volume_squares: Float64[np.ndarray, " region"]

    def to_json(self) -> str:
        """As text that a person can check before giving it away."""
        numbers = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(self).items()}
        return json.dumps({"format": FORMAT, **numbers}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def of_json(cls, text: str, *, name: str) -> "SiteSums":
        """From such a text.

        Raises
        ------
        RunError
            USAGE: it is no such file, or one that somebody changed.
        """
        try:
            return cls(**_read(json.loads(text)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            why = visible(f"{type(error).__name__}: {error}")[:200]
            raise RunError(
                Reason.USAGE, f"{name} holds no sums of a site ({why}): write it again with hypojax study --summaries"
            ) from error


def site_sums(formula: Formula, people: pd.DataFrame, volumes: xr.DataArray, *, site: str) -> SiteSums:
    """Sums of one site for a linear model that is to be fitted to several sites together.

    Parameters
    ----------
    formula
        The model; the site is no term of it here. Splines need the people of all sites, and are refused.
    people
        One row a person, with the columns of the formula.
    volumes
        Over (scan, region), in the order of the people; ``attrs["units"]`` is their unit.
    site
        Name of the site.

    Raises
    ------
    RunError
        USAGE: the sums would tell of single people, or the formula is one that sums cannot serve.
    """
    _check_formula(formula)
    if "subject" in people and (twice := people["subject"][people["subject"].duplicated()]).size:
        raise RunError(
            Reason.USAGE,
            f"site {visible(site)}: {twice.nunique()} people have several scans, which sums would count as people: keep one of each",
        )
    factors = list(dict.fromkeys(factor for term in formula.terms for factor in term.factors))
    values = {factor: factor_values(factor, people[factor.name]) for factor in factors if _has(people, factor)}
    y = volumes.transpose("scan", "region").values.astype(np.float64)
    kept = np.logical_and.reduce([np.isfinite(y).all(axis=1), *map(present, values.values())])
    values, y = {factor: one[kept] for factor, one in values.items()}, y[kept]
    x, columns = _columns(formula.terms, values, rows=len(y))
    _check_people(site, len(y), len(columns), left_out=int((~kept).sum()))
    _check_cells(site, values)
    means, volume_means = x.mean(axis=0), y.mean(axis=0)
    x, y = x - means, y - volume_means
    return SiteSums(
        site=site,
        formula=str(formula),
        unit=str(volumes.attrs.get("units", "")),
        people=len(y),
        columns=columns,
        regions=tuple(map(str, volumes.region.values.tolist())),
        means=means,
        volume_means=volume_means,
        products=x.T @ x,
        volume_products=x.T @ y,
        volume_squares=(y**2).sum(axis=0),
    )


def _columns(
    terms: tuple[Term, ...], values: Mapping[Factor, Values], *, rows: int
) -> tuple[Float64[np.ndarray, "row column"], tuple[Levels, ...]]:
    """Columns of all terms, one for every category or combination of them."""
    blocks, names = [np.ones((rows, 0))], list[Levels]()
    parts = {factor: _factor_columns(factor, one) for factor, one in values.items()}
    for term in terms:
        block, levels = np.ones((rows, 1)), list[Levels]([()])
        for factor in term.factors:
            more, own = parts[factor]
            block = (block[:, :, None] * more[:, None, :]).reshape(rows, -1)
            levels = [(*before, (factor.label, level)) for before in levels for level in own]
        blocks.append(block)
        names += levels
    return np.concatenate(blocks, axis=1), tuple(names)


def _factor_columns(factor: Factor, values: Values) -> tuple[Float64[np.ndarray, "row level"], tuple[str, ...]]:
    """A column for every category, or the number itself."""
    coding = coding_of(factor, values, references={}) if len(values) else None
    if coding is None:
        return np.ones((0, 1)), ("",)
    return coding.columns(values, coding="all")[0], coding.levels or ("",)


def _has(people: pd.DataFrame, factor: Factor) -> bool:
    if factor.name in people:
        return True
    known = ", ".join(visible(str(name)) for name in people.columns)
    raise RunError(Reason.USAGE, f"formula: there is no column {visible(factor.name)!r}: the columns are {known}")


def _check_formula(formula: Formula) -> None:
    """Refuse what sums of sites cannot serve."""
    terms = {frozenset(term.factors) for term in formula.terms}
    if not formula.has_intercept or formula.is_log or any(factor.kind == "spline" for term in terms for factor in term):
        why = "has no intercept, a logarithm of the volume or a spline"
        raise RunError(
            Reason.USAGE, f"formula {visible(str(formula))} {why}: sums of sites serve models with an intercept and without these"
        )
    for term in terms:
        missing = [part for part in combinations(term, len(term) - 1) if part and frozenset(part) not in terms]
        if missing:
            named = ":".join(map(str, missing[0]))
            raise RunError(Reason.USAGE, f"formula {visible(str(formula))} has an interaction without its part {visible(named)}: write a*b")


def _check_people(site: str, people: int, columns: int, *, left_out: int) -> None:
    if people < LEAST_PEOPLE or people < columns + SPARE:
        need = max(LEAST_PEOPLE, columns + SPARE)
        said = f" ({left_out} without a covariate or a volume of a region asked for are left out)" if left_out else ""
        raise RunError(
            Reason.USAGE,
            f"site {visible(site)} has {people} people{said} for {columns} columns: their sums could tell of single people, "
            f"and are given from {need} people on; take terms out of the formula",
        )


def _check_cells(site: str, values: Mapping[Factor, Values]) -> None:
    """Refuse small cells of every category and pair of categories."""
    codes = {factor.label: _as_text(one) for factor, one in values.items() if _is_few(one)}
    groups = [*((name,) for name in codes), *combinations(codes, 2)]
    for names in groups:
        counts = pd.DataFrame({name: codes[name] for name in names}).value_counts()
        small = counts[counts < LEAST_CELL]
        if len(small):
            cell = " and ".join(f"{name} {visible(str(value))}" for name, value in zip(names, small.index[0], strict=True))
            raise RunError(
                Reason.USAGE,
                f"site {visible(site)}: fewer than {LEAST_CELL} people have {cell}, so the sums could tell of single people: "
                "merge categories, leave these people out, or take a term out of the formula",
            )


def _is_few(values: Values) -> bool:
    return values.dtype == object or len(np.unique(values)) <= FEW_VALUES


def _as_text(values: Values) -> list[str]:
    return [text_of(value) for value in values.tolist()]


def _read(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the sums, with their shapes checked."""
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}, not {FORMAT!r}")
    columns = tuple(tuple((str(name), str(level)) for name, level in one) for one in content["columns"])
    regions = tuple(map(str, content["regions"]))
    p, r, people = len(columns), len(regions), int(content["people"])
    shapes = {"means": (p,), "volume_means": (r,), "products": (p, p), "volume_products": (p, r), "volume_squares": (r,)}
    arrays = {name: np.array(content[name], np.float64).reshape(shape) for name, shape in shapes.items()}
    if people < LEAST_PEOPLE or not all(np.isfinite(one).all() for one in arrays.values()):
        raise ValueError(f"{people} people, or numbers that are none")
    texts = {name: str(content[name]) for name in ("site", "formula", "unit")}
    return {**texts, "people": people, "columns": columns, "regions": regions, **arrays}
