"""Factors of a formula as columns of numbers: numbers as they are, categories as contrasts with a reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Shaped

from hypojax.reason import Reason, RunError, visible
from hypojax.study.formulas.spline import NaturalSpline
from hypojax.study.formulas.terms import Factor
from hypojax.tables import text_of

Contrasts = Literal["treatment", "all"]
"""Of categories: a column for each but the reference, or a column for each."""

Values = Shaped[np.ndarray, " scan"]
"""Values of one column: float64, or objects that are text or None."""

SHOWN: Final = 3
"""Names of people shown in a message."""


@dataclass(frozen=True)
class Coding:
    """How one factor becomes columns, whoever the people are.

    Parameters
    ----------
    factor
        The factor.
    levels
        Its categories, the reference first; none for a number.
    spline
        Of a factor that is one.
    """

    factor: Factor
    levels: tuple[str, ...] = ()
    spline: NaturalSpline | None = None

    def columns(self, values: Values, *, coding: Contrasts) -> tuple[Float64[np.ndarray, "scan column"], list[str]]:
        """Its columns and their names as R gives them."""
        label = self.factor.label
        if self.levels:
            first = int(coding == "treatment")
            matrix, endings = np.eye(len(self.levels))[:, first:], self.levels[first:]
            numbers = {level: row for row, level in enumerate(self.levels)}
            rows = np.array([numbers.get(value, len(self.levels)) for value in values], dtype=np.int64)
            return np.vstack([matrix, np.full(matrix.shape[1], np.nan)])[rows], [f"{label}{ending}" for ending in endings]
        numbers_of = _transformed(self.factor, values)
        if self.spline is not None:
            basis = self.spline.basis(numbers_of)
            return basis, [f"{label}{number + 1}" for number in range(basis.shape[1])]
        return numbers_of[:, None], [label]


def coding_of(factor: Factor, values: Values, *, references: Mapping[str, str]) -> Coding:
    """The coding that these values, all of them present, ask for."""
    if values.dtype == object:
        return Coding(factor, levels_of(factor.name, values, references.get(factor.name)))
    if factor.kind == "spline":
        return Coding(factor, spline=NaturalSpline.of(values, int(factor.number), name=factor.name))
    return Coding(factor)


def levels_of(name: str, values: Values, reference: str | None) -> tuple[str, ...]:
    """Categories: the reference first, by default the first in order; then the others in order, numbers by size.

    Raises
    ------
    RunError
        ``USAGE``: nobody has the reference.

    Examples
    --------
    >>> levels_of("group", np.array(["AD", "control", "MCI"], object), "control"), levels_of("site", np.array(["10", "9"], object), None)
    (('control', 'AD', 'MCI'), ('9', '10'))
    """
    found = sorted(set(values.tolist()), key=_order)
    if reference is None:
        return tuple(found)
    if reference not in found:
        known = ", ".join(map(visible, found))
        raise RunError(Reason.USAGE, f"column {visible(name)!r}: nobody has the reference {visible(reference)!r}; it has: {known}")
    return (reference, *(level for level in found if level != reference))


def factor_values(factor: Factor, column: pd.Series) -> Values:
    """Values of a column: numbers (missing and infinite ones are NaN), or text (missing is None) where they are categories.

    Raises
    ------
    RunError
        ``USAGE``: a number is needed, and the column has text.
    """
    is_text = is_categorical(column)
    if is_text and factor.kind not in ("plain", "category"):
        example = next((value for value in column if isinstance(value, str)), column.iloc[0])
        raise RunError(Reason.USAGE, f"formula: {factor} needs numbers, and column {factor.name!r} has {visible(str(example))!r}")
    if is_text or factor.kind == "category":
        codes, kinds = pd.factorize(column)  # a missing value is -1, and so the last of the texts
        texts = np.empty(len(kinds) + 1, dtype=object)
        texts[:-1] = [None if _is_absent(kind) else text_of(kind) for kind in kinds]
        return texts[codes]
    numbers: Float64[np.ndarray, " scan"] = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def is_categorical(column: pd.Series) -> bool:
    """Whether a column is of categories: text, true or false, or a pandas category; numbers never are, however few there are.

    >>> is_categorical(pd.Series(["a", None])), is_categorical(pd.Series([1, 2, 2])), is_categorical(pd.Series([1, None], dtype=object))
    (True, False, False)
    """
    if pd.api.types.is_bool_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if pd.api.types.is_numeric_dtype(column):
        return False
    kinds = [kind for kind in pd.factorize(column)[1] if not _is_absent(kind)]
    return any(isinstance(value, str | bool | np.bool_) or not isinstance(value, int | float | np.number) for value in kinds)


def present(values: Values) -> Bool[np.ndarray, " scan"]:
    """Which values are there."""
    if values.dtype == object:
        return np.array([value is not None for value in values], dtype=bool)
    return np.isfinite(values)


def _is_absent(value: object) -> bool:
    """Whether a cell is empty, or infinite."""
    return bool(pd.isna(value)) or value in ("", np.inf, -np.inf)  # type: ignore[call-overload]


def _order(level: str) -> tuple[bool, float, str, str]:
    """Numbers by size, then words in order of the alphabet."""
    try:
        return False, float(level), "", level
    except ValueError:
        return True, 0.0, level.casefold(), level


def _transformed(factor: Factor, values: Float64[np.ndarray, " scan"]) -> Float64[np.ndarray, " scan"]:
    """Logarithm or power of numbers.

    Raises
    ------
    RunError
        ``USAGE``: a logarithm of a number that is not above 0.
    """
    if factor.kind == "log":
        if (values <= 0).any():
            raise RunError(
                Reason.USAGE, f"formula: {factor} of {np.nanmin(values):g}: logarithms are of numbers above 0; correct {factor.name}"
            )
        return np.log(values)
    if factor.kind == "power":
        if (values < 0).any() and factor.number % 1:
            raise RunError(Reason.USAGE, f"formula: {factor} of {np.nanmin(values):g}: give a whole exponent where numbers are below 0")
        return values**factor.number
    return values
