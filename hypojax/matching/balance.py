"""How alike sets are: means, spreads and shares of every set, standardized differences before and after, and tests.

The standardized mean difference is what to look at: beyond 0.1 a set is usually called unbalanced (Austin 2009). A test
says how likely such a difference is by chance at this size, not whether it matters (Imai, King and Stuart 2008); it is
included because reviewers ask for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from hypojax.grid import MARGIN
from hypojax.matching.allocation import MISSING, is_number, levels

RANDOM_DRAWS: Final = 100
"""Random draws that a split is compared with."""

UNBALANCED: Final = 0.1
"""Standardized mean difference beyond which sets are usually called unbalanced (Austin 2009)."""


@dataclass(frozen=True)
class Feature:
    """One line of the table: a number, or one level of a category (1 for subjects with it, 0 for others, NaN unknown)."""

    variable: str
    level: str
    values: Float64[np.ndarray, "subject"]


def balance_table(people: pd.DataFrame, sets: pd.Series, *, before: pd.Series | None = None) -> pd.DataFrame:
    """One row per number or level: known subjects, mean (share) and SD in each set, standardized differences, and a test.

    Parameters
    ----------
    people
        One row per subject; the columns to compare.
    sets
        Set of each subject; subjects without one are left out.
    before
        Sets to compare with, on as many of these subjects as have one: all cases and controls before they were matched.
        When left out, the median over 100 random draws of the same sizes.

    Returns
    -------
    Columns ``variable``, ``level``, for every set ``<set>_n``, ``<set>_mean``, ``<set>_sd``; ``smd_before`` and
    ``smd_after``, absolute, of more than two sets the largest between one and all others; ``test`` and ``p``, in the first
    row of each variable: Kruskal–Wallis (of two sets Mann–Whitney's) for a number, chi-squared for a category.

    Examples
    --------
    >>> people = pd.DataFrame({"age": [20.0, 30, 40, 20, 30, 40]})
    >>> balance_table(people, pd.Series(list("aaabbb"))).loc[0, ["a_mean", "b_mean", "smd_after"]].tolist()
    [30.0, 30.0, 0.0]
    """
    lines = features(people)
    after = _differences(lines, sets)
    earlier = _differences(lines, before) if before is not None else np.median([_differences(lines, draw) for draw in _blind(sets)], axis=0)
    rows = [_row(line, sets) for line in lines]
    tests = [test for name in people for test in _tests(people[name], sets, rows=sum(line.variable == name for line in lines))]
    return pd.DataFrame(rows).assign(smd_before=earlier, smd_after=after).join(pd.DataFrame(tests, columns=["test", "p"]))


def features(people: pd.DataFrame) -> list[Feature]:
    """Every number, and every level of every category."""
    found: list[Feature] = []
    for name in people:
        if is_number(people[name]):
            found.append(Feature(str(name), "", people[name].to_numpy(dtype=float, na_value=np.nan)))
            continue
        named = levels(people[name])
        known = sorted(set(named) - {MISSING})
        found += [Feature(str(name), level, np.where(named == MISSING, np.nan, (named == level).astype(float))) for level in known]
    return found


def standardized_difference(first: Float64[np.ndarray, "n"], second: Float64[np.ndarray, "m"]) -> float:
    """Absolute difference of means over the root of the mean variance (Austin 2009); infinite between two constants.

    >>> standardized_difference(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
    1.0
    """
    first, second = first[np.isfinite(first)], second[np.isfinite(second)]
    if not first.size or not second.size:
        return float("nan")
    difference = abs(float(first.mean() - second.mean()))
    spread = float(np.sqrt((_variance(first) + _variance(second)) / 2))
    rounding = MARGIN * max(np.abs(first).max(), np.abs(second).max())  # means of equal numbers differ in their last digits
    return 0.0 if difference <= rounding else difference / spread if spread > rounding else float("inf")


def _variance(values: Float64[np.ndarray, "n"]) -> float:
    """Sample variance; p (1 - p) of zeros and ones."""
    is_level = bool(np.isin(values, (0.0, 1.0)).all())
    return float(values.var(ddof=0 if is_level or values.size < 2 else 1))


def _differences(lines: Sequence[Feature], sets: pd.Series) -> list[float]:
    """Largest standardized difference of each line between one set and all others."""
    names = _names(sets)
    pairs = [((sets == name).to_numpy(), (sets.notna() & (sets != name)).to_numpy()) for name in (names[:1] if len(names) == 2 else names)]
    return [max(standardized_difference(line.values[own], line.values[others]) for own, others in pairs) for line in lines]


def _names(sets: pd.Series) -> list[object]:
    return sorted(sets.dropna().unique().tolist())


def _blind(sets: pd.Series) -> list[pd.Series]:
    random = np.random.default_rng(0)
    known = sets.dropna()
    return [pd.Series(random.permutation(known.to_numpy()), index=known.index).reindex(sets.index) for _ in range(RANDOM_DRAWS)]


def _row(line: Feature, sets: pd.Series) -> dict[str, object]:
    """Counts, means and SDs of one line in every set."""
    row: dict[str, object] = {"variable": line.variable, "level": line.level}
    for name in _names(sets):
        values = line.values[(sets == name).to_numpy()]
        known = values[np.isfinite(values)]
        mean = float(known.mean()) if known.size else float("nan")
        spread = float(known.std(ddof=1)) if known.size > 1 and not line.level else float("nan")
        row |= {f"{name}_n": known.size, f"{name}_mean": mean, f"{name}_sd": spread}
    return row


def _tests(values: pd.Series, sets: pd.Series, *, rows: int) -> list[tuple[str, float]]:
    """Test and p of one variable for its first row; nothing for its others."""
    test = ("Kruskal-Wallis", _kruskal(values, sets)) if is_number(values) else ("chi-squared", _chi_squared(values, sets))
    return [test, *[("", float("nan"))] * (rows - 1)] if rows else []


def _kruskal(values: pd.Series, sets: pd.Series) -> float:
    """Whether ranks differ between sets; 1 where nothing varies."""
    groups = [group.dropna().to_numpy(dtype=float) for _, group in values.groupby(sets)]
    groups = [group for group in groups if group.size]
    if len(groups) < 2 or np.ptp(np.concatenate(groups)) == 0:
        return 1.0
    return float(stats.kruskal(*groups).pvalue)


def _chi_squared(values: pd.Series, sets: pd.Series) -> float:
    """Whether shares differ between sets; 1 where there is one level."""
    counts = pd.crosstab(values.dropna().astype(str), sets[values.notna()])
    return float(stats.chi2_contingency(counts.to_numpy()).pvalue) if min(counts.shape) > 1 else 1.0
