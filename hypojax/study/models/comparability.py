"""How alike the groups of a study are: counts, means and shares, standardised differences, tests, and a sentence for each that matters.

The standardised difference is what to look at (Austin 2009): it does not depend on the number of people. A test of balance asks whether
chance alone made the groups differ, and in a small study it finds nothing however different they are; it is given because reviewers ask.
"""

from collections.abc import Collection, Mapping
from math import inf, sqrt
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from hypojax.study.writing.wording import names_of, p_text, plain_number, records

NOTICEABLE: Final = 0.25
"""Standardised difference from which adjustment in the model depends on its form (Rubin 2001; Ho 2007)."""

LARGE: Final = 0.5

TITLES: Final = {"icv": "Head size", "flagged": "The share of flagged scans"}
"""Variables whose names are no words."""

FEWEST_LEVELS: Final = 2

MOST_LEVELS: Final = 12
"""Levels of a text column beyond which it is taken for ids or notes, and not for a category."""


class BalanceRow(NamedTuple):
    """One line of ``balance.tsv``: a number, or one level of a category, in a case group and in the controls.

    Parameters
    ----------
    variable, level
        The column, and the level whose share is given; empty for a number.
    contrast
        ``patient - control``.
    n_control, n_case
        People whose value is known.
    control, case
        Mean of a number, share (0 to 1) of a level.
    sd_control, sd_case
        Standard deviation of a number (n - 1); NaN for a level.
    standardised_difference
        (case - control) / sqrt((variance case + variance control) / 2), the variance of a share being p (1 - p) (Austin 2009).
    test, statistic, df, p
        In the first line of a variable: Welch's t of a number; of a category with two levels Fisher's exact test (two-sided), else
        the chi-squared test.
    chi_squared, chi_squared_df, chi_squared_p
        Pearson's test of a category, without continuity correction.
    """

    variable: str
    level: str
    contrast: str
    n_control: int
    n_case: int
    control: float
    case: float
    sd_control: float = float("nan")
    sd_case: float = float("nan")
    standardised_difference: float = float("nan")
    test: str = ""
    statistic: float = float("nan")
    df: float = float("nan")
    p: float = float("nan")
    chi_squared: float = float("nan")
    chi_squared_df: float = float("nan")
    chi_squared_p: float = float("nan")


def balance_of_groups(people: pd.DataFrame, group: pd.Series, *, contrasts: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Every case group beside its controls, in each variable.

    Parameters
    ----------
    people
        One row a person, with the columns to compare: numbers, and text with at most `MOST_LEVELS` different values.
    group
        Group of each person.
    contrasts
        Contrast → its case group and its control group.

    Returns
    -------
    One row for a number, one a level for a category (of two levels only the first): the fields of `BalanceRow`.

    Examples
    --------
    >>> people = pd.DataFrame({"age": [20.0, 30, 40, 30, 40, 50]})
    >>> group = pd.Series(list("aaabbb"))
    >>> balance_of_groups(people, group, contrasts={"b - a": ("b", "a")}).loc[0, ["control", "case", "standardised_difference"]].tolist()
    [30.0, 40.0, 1.0]
    """
    rows: list[BalanceRow] = []
    for contrast, (case, control) in contrasts.items():
        cases, controls = (group == case).to_numpy(), (group == control).to_numpy()
        for name in people:
            rows += _of_variable(people[name], cases, controls, contrast)
    return pd.DataFrame(rows, columns=list(BalanceRow._fields))


def imbalances(balance: pd.DataFrame, *, adjusted: Collection[str] = ()) -> list[str]:
    """A sentence for every variable whose standardised difference is beyond `NOTICEABLE`, the largest first.

    Parameters
    ----------
    balance
        Of `balance_of_groups`.
    adjusted
        Columns that the model has.
    """
    found = balance[balance["standardised_difference"].abs() > NOTICEABLE]
    order = found.assign(size=found["standardised_difference"].abs()).sort_values("size", ascending=False, kind="stable")
    first = order.drop_duplicates(["variable", "contrast"])
    return [_sentence(row, balance, adjusted) for row in records(first)]


def signed_difference(case: Float64[np.ndarray, "n"], control: Float64[np.ndarray, "m"], *, share: bool = False) -> float:
    """Difference of means over the root of the mean variance, with its sign (Austin 2009); infinite between two different constants.

    >>> signed_difference(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    if not case.size or not control.size:
        return float("nan")
    freedom = 0 if share else 1
    if not share and min(case.size, control.size) < 2:
        return float("nan")
    difference = float(case.mean() - control.mean())
    spread = sqrt((float(case.var(ddof=freedom)) + float(control.var(ddof=freedom))) / 2)
    if spread > 1e-12 * max(1.0, float(np.abs(case).max())):
        return difference / spread
    return 0.0 if abs(difference) <= 1e-12 * max(1.0, float(np.abs(case).max())) else inf if difference > 0 else -inf


def is_category(values: pd.Series) -> bool:
    """Whether a column has levels, and not numbers."""
    return values.dtype == bool or not pd.api.types.is_numeric_dtype(values)


def comparable(people: pd.DataFrame) -> list[str]:
    """Columns that can be compared between groups: numbers that vary, and text with a few different values.

    >>> comparable(pd.DataFrame({"age": [20.0, 30.0], "sex": ["F", "M"], "site": ["A", "A"]}))
    ['age', 'sex']
    """
    most = {name: MOST_LEVELS if is_category(people[name]) else inf for name in people}
    return [str(name) for name in people if FEWEST_LEVELS <= people[name].nunique() <= most[name]]


def _of_variable(values: pd.Series, cases: np.ndarray, controls: np.ndarray, contrast: str) -> list[BalanceRow]:
    if is_category(values):
        return _of_category(values, cases, controls, contrast)
    numbers = values.to_numpy(float, na_value=np.nan)
    case, control = (numbers[who][np.isfinite(numbers[who])] for who in (cases, controls))
    row = BalanceRow(str(values.name), "", contrast, control.size, case.size, _mean(control), _mean(case), _sd(control), _sd(case))
    row = row._replace(standardised_difference=signed_difference(case, control))
    if min(case.size, control.size) < 2 or np.ptp(case) + np.ptp(control) == 0:
        return [row]
    test = stats.ttest_ind(case, control, equal_var=False)
    return [row._replace(test="Welch's t", statistic=float(test.statistic), df=float(test.df), p=float(test.pvalue))]


def _of_category(values: pd.Series, cases: np.ndarray, controls: np.ndarray, contrast: str) -> list[BalanceRow]:
    known = values.notna().to_numpy()
    text = values.astype(str).to_numpy()
    case, control = text[cases & known], text[controls & known]
    levels = sorted({*case, *control})
    rows = []
    for level in levels[:1] if len(levels) == FEWEST_LEVELS else levels:
        shares = (case == level).astype(float), (control == level).astype(float)
        difference = signed_difference(*shares, share=True)
        rows.append(
            BalanceRow(str(values.name), str(level), contrast, control.size, case.size, _mean(shares[1]), _mean(shares[0]))._replace(
                standardised_difference=difference
            )
        )
    if len(levels) < FEWEST_LEVELS or not case.size or not control.size:
        return rows
    counts = np.array([[np.sum(one == level) for level in levels] for one in (case, control)])
    return [rows[0]._replace(**_tests(counts)), *rows[1:]]


def _tests(counts: np.ndarray) -> dict[str, Any]:
    """Pearson's test of a table of counts, and Fisher's where it is two by two."""
    pearson = stats.chi2_contingency(counts, correction=False)
    found: dict[str, Any] = {
        "chi_squared": float(pearson.statistic),
        "chi_squared_df": float(pearson.dof),
        "chi_squared_p": float(pearson.pvalue),
    }
    if counts.shape == (2, 2):
        exact = stats.fisher_exact(counts)
        return found | {"test": "Fisher's exact", "p": float(exact.pvalue)}
    return found | {"test": "chi-squared", "statistic": pearson.statistic, "df": float(pearson.dof), "p": float(pearson.pvalue)}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else float("nan")


def _sentence(row: Mapping[Any, Any], balance: pd.DataFrame, adjusted: Collection[str]) -> str:
    """What differs, by how much, and what that does to the comparison."""
    case, control = names_of(str(row["contrast"]))
    size = abs(row["standardised_difference"])
    word = "differs much" if size > LARGE else "differs"
    number = "infinite" if size == inf else f"{size:.2f}"
    same = balance[(balance["variable"] == row["variable"]) & (balance["contrast"] == row["contrast"])]
    p = float(same["p"].iloc[0])
    kind = str(same["test"].iloc[0])
    test = f"; {kind}{'' if kind.endswith('t') else ' test'}, p {p_text(p)}{_small(p, size)}" if np.isfinite(p) else ""
    shown = f"{_shown(row, case, control)} (standardised difference {number}{test})"
    name = str(row["variable"])
    title = TITLES.get(name, f"{name[:1].upper()}{name[1:]}")
    return f"{title} {word} between {case} and {control}: {shown}. {_cost(row, case, control, levels=len(same), adjusted=adjusted)}"


def _small(p: float, size: float) -> str:
    """What a p-value that looks harmless hides."""
    return ": in groups this small a test finds little" if p > 0.05 and size > LARGE else ""


def _shown(row: Mapping[Any, Any], case: str, control: str) -> str:
    if not row["level"]:
        return f"mean {plain_number(row['case'])} in {case} and {plain_number(row['control'])} in {control}"
    sides = ((case, row["case"], row["n_case"]), (control, row["control"], row["n_control"]))
    parts = [f"{round(share * count)} of {count} in {name} ({100 * share:.0f} %)" for name, share, count in sides]
    return f"{row['level']} {' and '.join(parts)}"


def _cost(row: Mapping[Any, Any], case: str, control: str, *, levels: int, adjusted: Collection[str]) -> str:
    """What to think of it."""
    one_sided = (0.0, 1.0) if levels == 1 else (1.0,)  # a category with one line has two levels
    alone = [name for name, share in ((case, row["case"]), (control, row["control"])) if row["level"] and share in one_sided]
    if row["variable"] not in adjusted:
        return f"The model does not have {row['variable']}: the difference between the groups may be its doing."
    if alone:
        has = f"{' and '.join(alone)} {'has' if len(alone) == 1 else 'have'} one value of {row['variable']} only"
        return f"{has}, so that the adjustment for it rests on the other group alone: repeat the comparison among people with that value."
    if abs(row["standardised_difference"]) > LARGE:
        return "The model has it, which helps only as far as the form of its term is right: match the groups, or report both results."
    return "The model has it among its terms."
