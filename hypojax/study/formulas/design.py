"""The design matrix of a formula: a row a scan, a column a coefficient, named as R names them."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64

from hypojax.reason import Reason, RunError, visible
from hypojax.study.formulas.factor_coding import Coding, Contrasts, Values, coding_of, factor_values, is_categorical, present
from hypojax.study.formulas.formula import refused_name
from hypojax.study.formulas.terms import Factor, Formula, Term
from hypojax.tables.cells import counted

INTERCEPT: Final = "(Intercept)"

NO_REFERENCES: Final[Mapping[str, str]] = MappingProxyType({})

COLLINEAR: Final = 1e-7
"""Share of a column that no other column explains, below which it is taken as their sum (R's ``lm`` has the same)."""

FEW_VALUES: Final = 5
"""Different whole numbers, up to which a column of numbers is said to enter as a slope: they may be codes."""


@dataclass(frozen=True)
class Design:
    """Design matrix of a linear model.

    Parameters
    ----------
    matrix
        The scans that have all covariates, by coefficient.
    columns
        Names of the coefficients: ``(Intercept)``, ``grouppatient``, ``sexM``, ``grouppatient:years``.
    terms
        Term of each column: ``(Intercept)``, ``group``, ``sex``, ``group:years``.
    levels
        Factor → its categories, the reference first.
    kept
        Which rows of the people are in the matrix.
    notes
        What was left out or is worth knowing, one sentence each.
    formula
        The formula, without the terms that were left out.
    codings
        How each factor becomes columns.
    """

    matrix: Float64[np.ndarray, "row column"]
    columns: tuple[str, ...]
    terms: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    kept: Bool[np.ndarray, " scan"]
    notes: tuple[str, ...]
    formula: Formula
    codings: Mapping[Factor, Coding]

    def columns_of(self, term: str) -> Int64[np.ndarray, " column"]:
        """Numbers of the columns of a term."""
        return np.flatnonzero(np.array(self.terms) == term).astype(np.int64)

    def at(self, frame: pd.DataFrame) -> Float64[np.ndarray, "row column"]:
        """The design of other people, or of points of reference, coded as this one: a missing value gives a row of NaN.

        Raises
        ------
        RunError
            ``USAGE``: a column is missing, or somebody is of a category that nobody here is of.
        """
        _check_names(self.formula, frame)
        values = {factor: factor_values(_as_coded(coding), frame[factor.name]) for factor, coding in self.codings.items()}
        for factor, coding in self.codings.items():
            if coding.levels and (others := sorted(set(values[factor][present(values[factor])]) - set(coding.levels))):
                known = ", ".join(map(visible, coding.levels))
                raise RunError(Reason.USAGE, f"column {factor.name!r}: {visible(others[0])!r} is not among those of the model ({known})")
        matrix, _, _ = _matrix(self.formula, self.codings, values, rows=len(frame))
        return np.where(_complete(list(values.values()), len(frame))[:, None], matrix, np.nan)

    def averaged(self, fixed: pd.DataFrame, people: pd.DataFrame) -> Float64[np.ndarray, "point column"]:
        """Rows that stand for all people at some points: other numbers at their mean, other categories with equal weights, as R's emmeans.

        A column is a product of factors, so its mean over all combinations of categories is the product of the means of the factors.

        Parameters
        ----------
        fixed
            A row a point, with the columns that are given there.
        people
            Whose means are taken.
        """
        values: dict[Factor, Values] = {}
        for factor, coding in self.codings.items():
            if factor.name in fixed:
                values[factor] = factor_values(_as_coded(coding), fixed[factor.name])
            else:
                mean = np.nan if coding.levels else float(pd.to_numeric(people[factor.name]).mean())
                values[factor] = np.array(coding.levels, object) if coding.levels else np.array([mean])
        free = {factor for factor in values if factor.name not in fixed}
        return _matrix(self.formula, self.codings, values, rows=len(fixed), averaged=free)[0]


def build_design(formula: Formula, people: pd.DataFrame, *, references: Mapping[str, str] = NO_REFERENCES) -> Design:
    """The design matrix of a formula, with the columns and names that R's ``model.matrix`` gives.

    Parameters
    ----------
    formula
        The model.
    people
        One row a scan, with the columns of the formula. Text, true and false, and ``C(x)`` are categories; numbers are slopes.
    references
        Column → the category that others are compared with; by default the first in order.

    Raises
    ------
    RunError
        ``USAGE``: a column is unknown, nobody has all covariates, or a column of the design is a sum of others.

    Examples
    --------
    >>> from hypojax.study.formulas.formula import parse
    >>> people = pd.DataFrame({"group": ["patient", "control", "patient", "control"], "age": [30.0, 40, 50, 70]})
    >>> design = build_design(parse("volume ~ group + age"), people, references={"group": "control"})
    >>> design.columns, design.matrix[0].tolist()
    (('(Intercept)', 'grouppatient', 'age'), [1.0, 1.0, 30.0])
    """
    _check_names(formula, people)
    factors = list(dict.fromkeys(factor for term in formula.terms for factor in term.factors))
    values = {factor: factor_values(factor, people[factor.name]) for factor in factors}
    kept = _complete(list(values.values()), len(people))
    if not kept.any():
        raise RunError(Reason.USAGE, _nobody(factors, values, len(people)))
    notes = [*_infinite(people, factors), *_codes(people, factors), *_vanished(values, kept)]
    values = {factor: one[kept] for factor, one in values.items()}
    formula, said = _without_constants(formula, values)
    used = {factor for term in formula.terms for factor in term.factors}
    codings = {factor: coding_of(factor, one, references=references) for factor, one in values.items() if factor in used}
    matrix, columns, terms = _matrix(formula, codings, values, rows=int(kept.sum()))
    _check_rank(matrix, columns, formula)
    levels = {factor.label: coding.levels for factor, coding in codings.items() if coding.levels}
    return Design(matrix, columns, terms, levels, kept, (*notes, *said), formula, codings)


def check_rank(matrix: Float64[np.ndarray, "row column"], columns: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """The first column that is a sum of columns before it, and those; None where there is none.

    >>> check_rank(np.array([[1.0, 1.0, 2.0], [1.0, 0.0, 1.0], [1.0, 3.0, 4.0]]), ["a", "b", "c"])
    ('c', ('a', 'b'))
    """
    lengths = np.linalg.norm(matrix, axis=0)
    unit = matrix / np.where(lengths > 0, lengths, 1.0)
    own = np.abs(np.diagonal(np.linalg.qr(unit, mode="r"))) if min(matrix.shape) else np.array([])
    bad = np.flatnonzero((own < COLLINEAR) | (lengths[: len(own)] == 0))
    if not len(bad) and matrix.shape[1] <= matrix.shape[0]:
        return None
    last = int(bad[0]) if len(bad) else matrix.shape[0]
    weights = np.linalg.lstsq(unit[:, :last], unit[:, last], rcond=None)[0]
    return columns[last], tuple(columns[number] for number in np.flatnonzero(np.abs(weights) > 1e-6).tolist())


def _check_names(formula: Formula, people: pd.DataFrame) -> None:
    """Refuse a name that the table does not have."""
    known = [str(name) for name in people.columns]
    for name in formula.names:
        if known.count(name) > 1:
            raise RunError(Reason.USAGE, f"the table has {known.count(name)} columns {visible(name)!r}; name each once")
        if name not in known:
            folded = {one.casefold(): one for one in reversed(known)}
            close = [folded[one] for one in difflib.get_close_matches(name.casefold(), list(folded), n=2)]
            raise refused_name(name, close or (known if len(known) <= 8 else []), where="the table")


def _nobody(factors: Sequence[Factor], values: Mapping[Factor, Values], rows: int) -> str:
    """Why there is no row."""
    counts = ", ".join(f"{factor.name}: {int(present(values[factor]).sum())}" for factor in factors)
    return f"none of {counted(rows, 'scan')} has all covariates of the formula (known: {counts or 'nothing'}); leave one out or complete it"


def _complete(values: Sequence[Values], rows: int) -> Bool[np.ndarray, " scan"]:
    """Which rows have all values."""
    return np.logical_and.reduce([np.ones(rows, dtype=bool), *map(present, values)])


def _infinite(people: pd.DataFrame, factors: Sequence[Factor]) -> list[str]:
    """A note on each column with infinite numbers."""
    names = [name for name in dict.fromkeys(factor.name for factor in factors) if pd.api.types.is_float_dtype(people[name])]
    counts = {name: int(np.isinf(people[name].to_numpy(dtype=np.float64, na_value=np.nan)).sum()) for name in names}
    return [f"column {visible(name)!r}: {counted(count, 'infinite value')} counted as missing" for name, count in counts.items() if count]


def _codes(people: pd.DataFrame, factors: Sequence[Factor]) -> list[str]:
    """A note on each column of a few whole numbers that enters as a slope."""
    found = []
    for name in dict.fromkeys(factor.name for factor in factors if factor.kind == "plain"):
        if is_categorical(people[name]):
            continue
        known = people[name].dropna().unique()
        if 2 < len(known) <= FEW_VALUES and len(people) > 2 * len(known) and all(float(value).is_integer() for value in known):
            numbers = ", ".join(f"{value:g}" for value in sorted(map(float, known)))
            found.append(f"column {visible(name)!r} has the numbers {numbers} and enters as a slope; if they are codes, write C({name})")
    return found


def _vanished(values: Mapping[Factor, Values], kept: Bool[np.ndarray, " scan"]) -> list[str]:
    """A note on categories of which nobody has all covariates."""
    found = []
    for factor, one in values.items():
        if one.dtype == object and (gone := sorted(set(one[present(one)]) - set(one[kept]))):
            named = ", ".join(map(visible, gone))
            gone_text = "it is" if len(gone) == 1 else "they are"
            found.append(f"column {factor.name!r}: nobody with {named} has all covariates, so {gone_text} not in the model")
    return found


def _without_constants(formula: Formula, values: Mapping[Factor, Values]) -> tuple[Formula, list[str]]:
    """The formula without columns that have one value only, which the intercept has already."""
    constant = {factor: one[0] for factor, one in values.items() if len(set(one.tolist())) == 1}
    if not formula.has_intercept:
        constant = {factor: value for factor, value in constant.items() if isinstance(value, str)}
    gone = dict.fromkeys(factor for term in formula.terms for factor in term.factors if factor in constant)
    terms = tuple(term for term in formula.terms if not any(factor in constant for factor in term.factors))
    shown = {factor: constant[factor] if isinstance(constant[factor], str) else f"{constant[factor]:g}" for factor in gone}
    notes = [f"{factor} is left out: all scans have {visible(value)}" for factor, value in shown.items()]
    return Formula(formula.outcome, terms, has_intercept=formula.has_intercept, is_log=formula.is_log), notes


def _matrix(
    formula: Formula, codings: Mapping[Factor, Coding], values: Mapping[Factor, Values], *, rows: int, averaged: Collection[Factor] = ()
) -> tuple[Float64[np.ndarray, "row column"], tuple[str, ...], tuple[str, ...]]:
    """Matrix, names of columns, and the term of each; of some factors the mean of their values stands in every row."""
    blocks = [np.ones((rows, int(formula.has_intercept)))]
    columns, terms = [INTERCEPT] * formula.has_intercept, [INTERCEPT] * formula.has_intercept
    for term, kinds in zip(formula.terms, _contrasts(formula, codings), strict=True):
        block, names = np.ones((rows, 1)), [""]
        for factor, kind in zip(term.factors, kinds, strict=True):
            more, endings = codings[factor].columns(values[factor], coding=kind)
            more = more.mean(axis=0, keepdims=True) if factor in averaged else more
            block = (more[:, :, None] * block[:, None, :]).reshape(rows, -1)  # the first factor changes fastest, as in R
            names = [f"{name}:{ending}".removeprefix(":") for ending in endings for name in names]
        blocks.append(block)
        columns += names
        terms += [term.label] * len(names)
    return np.concatenate(blocks, axis=1), tuple(columns), tuple(terms)


def _contrasts(formula: Formula, codings: Mapping[Factor, Coding]) -> list[list[Contrasts]]:
    """Coding of each factor of each term: one column fewer than categories where the model has the term without that factor, as in R."""
    known = {frozenset[Factor](), *(frozenset(term.factors) for term in formula.terms)}
    first = None if formula.has_intercept else next((term for term in formula.terms if _is_category(term, codings)), None)
    return [
        ["all" if term is first or frozenset(term.factors) - {factor} not in known else "treatment" for factor in term.factors]
        for term in formula.terms
    ]


def _is_category(term: Term, codings: Mapping[Factor, Coding]) -> bool:
    """Whether a term is one factor of categories."""
    return len(term.factors) == 1 and bool(codings[term.factors[0]].levels)


def _as_coded(coding: Coding) -> Factor:
    """The factor that reads numbers as categories where the model has them as such."""
    return Factor(coding.factor.name, "category") if coding.levels else coding.factor


def _check_rank(matrix: Float64[np.ndarray, "row column"], columns: Sequence[str], formula: Formula) -> None:
    """Refuse a design in which a column is a sum of others."""
    rows, count = matrix.shape
    if found := check_rank(matrix, columns):
        column, others = found
        if count > rows:
            why = f"it has {counted(count, 'coefficient')} and {counted(rows, 'scan')} with all covariates"
        elif not others:
            why = f"nobody is in {visible(column)}"
        else:
            why = f"{visible(column)} is a sum of {_listed(others)}: their effects cannot be told apart"
        raise RunError(Reason.USAGE, f"formula {visible(str(formula))}: {why}; leave a term out with --formula")


def _listed(names: Iterable[str], most: int = 6) -> str:
    shown = [visible(name) for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
