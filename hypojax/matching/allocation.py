"""Dealing subjects into sets that are alike.

Of the ways to do it this one is taken: **stratified draws, of which the most balanced is kept** (rerandomisation, Morgan
and Rubin 2012). Each draw goes through the subjects sorted by strata and gives every set its share of each stretch
(systematic sampling, Madow 1949), so that each stratum is split in proportion, also where strata are smaller than sets.
Of many draws the one whose worst standardized mean difference is smallest is kept; of those that tie, the one whose
differences together are smallest, then the first. Against the others:

- one random draw is balanced on average only; at 40 subjects half of all draws differ by 0.2 SD in age or more;
- minimisation (Pocock and Simon 1975) goes subject by subject and sees marginal counts only; it is for trials that do not
  know who comes next;
- matching each test subject to a training subject (Mahalanobis distance) fixes who is in the test set, so that nothing
  random is left, and there are two lists to match only where there are two groups: see `hypojax.matching.matched_pairs`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from hypojax.grid import MARGIN, comparable
from hypojax.reason import Reason, RunError
from hypojax.tables import is_age_name, text_of
from hypojax.tables.cells import counted

BANDS: Final = 5
"""Quantile bands that a number is cut into (fifths remove nine tenths of a linear confounder's bias: Cochran 1968)."""

MISSING: Final = "missing"
"""Level of a category, or band of a number, that is not known."""

DRAWS: Final = 300
"""Draws that are compared; the best of 300 is beaten by one further draw in 300."""


def by_subject(table: pd.DataFrame, *, subject: str, columns: Sequence[str]) -> pd.DataFrame:
    """One row per subject, ordered by id: the median of a number over its rows, the most common value of a category.

    Parameters
    ----------
    table
        One row or more a subject.
    subject
        Column of subject ids; compared as text.
    columns
        Columns to keep.

    Raises
    ------
    RunError
        ``USAGE``: a column is not there, or a row has no subject.

    Examples
    --------
    >>> visits = pd.DataFrame({"id": list("bbcdefga"), "age": [30, 32, 40, 45, 50, 55, 60, 65], "sex": list("FFMMFFMM")})
    >>> by_subject(visits, subject="id", columns=["age", "sex"]).head(2).to_dict("index")
    {'a': {'age': 65.0, 'sex': 'M'}, 'b': {'age': 31.0, 'sex': 'F'}}
    """
    if absent := [name for name in (subject, *columns) if name not in table]:
        raise RunError(Reason.USAGE, f"the table has no column {absent[0]!r}; it has: {', '.join(map(str, table.columns))}")
    if (nameless := table[subject].isna()).any():
        rows = ", ".join(map(str, table.index[nameless][:5]))
        raise RunError(
            Reason.USAGE,
            f"{counted(int(nameless.sum()), 'row')} without {subject!r} (first: {rows}); name the subject or leave the row out",
        )
    ids = table[subject].astype(str)
    kept = {name: table[name].groupby(ids).median() if is_number(table[name]) else _commonest(table[name], ids) for name in columns}
    return pd.DataFrame(kept, index=pd.Index(sorted(ids.unique()), name=subject))


def is_number(column: pd.Series) -> bool:
    """Whether a column is measured rather than coded: numbers other than a few small whole ones; ages always.

    >>> is_number(pd.Series([0, 1, 1, 0])), is_number(pd.Series([71, 24, 35])), is_number(pd.Series([7, 8, 8], name="age"))
    (False, True, True)
    """
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    codes = column.dropna().isin(range(10)).all() and column.nunique() <= BANDS
    return not codes or is_age_name(str(column.name))


def bands(values: pd.Series) -> pd.Series:
    """Quantile band of each value, 0 the lowest; not known is -1. A value on a cut belongs below it.

    >>> bands(pd.Series([20.0, 70, 30, 60, 40, np.nan])).tolist()
    [0, 4, 1, 3, 2, -1]
    """
    cuts = values.quantile(np.arange(1, BANDS) / BANDS).to_numpy(dtype=float)
    reach = MARGIN * np.abs(cuts).max(initial=0.0)
    found = np.searchsorted(cuts + reach, values.to_numpy(dtype=float, na_value=np.nan), side="left")
    return pd.Series(np.where(values.isna(), -1, found), index=values.index)


def levels(column: pd.Series) -> pd.Series:
    """Level of each value of a category, as text; 1.0 and 1 are one level.

    >>> levels(pd.Series(["F", None, "M"])).tolist(), levels(pd.Series([1.0, 0.5])).tolist()
    (['F', 'missing', 'M'], ['1', '0.5'])
    """
    return column.astype("object").map(text_of, na_action="ignore").astype("object").fillna(MISSING)


def strata(subjects: pd.DataFrame) -> pd.DataFrame:
    """Columns to sort subjects by, so that neighbours are alike: categories as given, then bands of numbers.

    >>> list(strata(pd.DataFrame({"age": [20, 70, 30, 60, 40, 50], "sex": list("FMFMFM")})))
    ['sex', 'age']
    """
    categories = [name for name in subjects if not is_number(subjects[name])]
    numbers = [name for name in subjects if is_number(subjects[name])]
    return pd.DataFrame(
        {**{name: levels(subjects[name]) for name in categories}, **{name: bands(subjects[name]) for name in numbers}},
        index=subjects.index,
    )


def design(subjects: pd.DataFrame) -> Float64[np.ndarray, "subject feature"]:
    """Columns whose means sets are compared by, each with mean 0 and standard deviation 1 over all subjects.

    A number gives itself and its square, so that spreads are compared with means; a category one column a level; what is
    not known takes the mean and has a column of its own. Columns that do not vary are left out.

    >>> design(pd.DataFrame({"sex": ["F", "M"]}))
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    features = [feature for name in subjects for feature in _features(subjects[name])]
    whole = np.array(features, dtype=np.float64).reshape(len(features), len(subjects)).T
    spread = whole.std(axis=0)
    varies = spread > 1e-12 * (1 + np.abs(whole).max(axis=0, initial=0.0))
    return (whole[:, varies] - whole[:, varies].mean(axis=0)) / spread[varies]


def deal(subjects: pd.DataFrame, *, sizes: Sequence[int], seed: int, draws: int = DRAWS) -> Int64[np.ndarray, "subject"]:
    """Set of each subject, 0 the first: sets of the sizes asked for, as alike in all columns as draws can make them.

    Parameters
    ----------
    subjects
        One row per subject, ordered by id; columns are those in which the sets should be alike.
    sizes
        Subjects of each set; their sum is all subjects.
    seed
        Same seed and same table, same sets.
    draws
        Stratified draws of which the best is kept.

    Examples
    --------
    >>> people = pd.DataFrame({"sex": list("FFFFMMMM")}, index=list("abcdefgh"))
    >>> deal(people, sizes=[6, 2], seed=0).reshape(2, 4).sum(axis=1)  # of the set of two, one is a woman and one a man
    array([1, 1])
    """
    random = np.random.default_rng(seed)
    features = design(subjects)
    order = _sort_keys(strata(subjects))
    dealt = [_draw(order, sizes, random) for _ in range(draws)]
    return min(dealt, key=lambda sets: imbalance(features, sets, count=len(sizes)))


def imbalance(features: Float64[np.ndarray, "subject feature"], sets: Int64[np.ndarray, "subject"], *, count: int) -> tuple[float, float]:
    """How unlike sets are: the largest difference of means between one set and all others together, and the sum of all squares.

    Both are in standard deviations of all subjects, and rounded: which of two draws is better does not depend on the processor.

    >>> imbalance(np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.array([0, 1, 0, 1]), count=2)
    (2.0, 8.0)
    """
    size = np.bincount(sets, minlength=count)[:, None]
    inside = np.array([features[sets == number].sum(axis=0) for number in range(count)])
    outside = (features.sum(axis=0) - inside) / np.maximum(1, len(sets) - size)
    differences = np.abs(inside / np.maximum(1, size) - outside)
    worst, squares = comparable(np.array([differences.max(initial=0.0), (differences**2).sum()])).tolist()
    return worst, squares


def _features(column: pd.Series) -> list[Float64[np.ndarray, "subject"]]:
    """Columns of a design that one column of a table gives."""
    if not is_number(column):
        named = levels(column)
        return [(named == level).to_numpy(dtype=float) for level in sorted(named.unique())]
    values = column.to_numpy(dtype=float, na_value=np.nan)
    known = np.isfinite(values)
    centred = np.where(known, values - values[known].mean() if known.any() else 0.0, 0.0)
    return [centred, centred**2, known.astype(float)]


def _commonest(values: pd.Series, ids: pd.Series) -> pd.Series:
    """The most frequent value of each id, the first in order of those that tie; missing where none is known."""
    known = values.dropna()
    names = known.map(str)
    counts = pd.DataFrame({"id": ids[known.index], "name": names}).value_counts().rename("count").reset_index()
    first = counts.sort_values(["id", "count", "name"], ascending=[True, False, True]).drop_duplicates("id").set_index("id")["name"]
    return first.map(dict(zip(names, known, strict=True))).reindex(sorted(ids.unique()))


def _sort_keys(sorted_by: pd.DataFrame) -> list[Int64[np.ndarray, "subject"]]:
    """Ranks of the strata's columns, the least important first, as `numpy.lexsort` takes them."""
    return [np.unique(sorted_by[name].to_numpy(), return_inverse=True)[1].astype(np.int64) for name in reversed(list(sorted_by))]


def _draw(keys: Sequence[Int64[np.ndarray, "subject"]], sizes: Sequence[int], random: np.random.Generator) -> Int64[np.ndarray, "subject"]:
    """One stratified draw: a set of n holds n tickets, one somewhere in each n-th of the way through the sorted subjects."""
    tickets = np.concatenate([(np.arange(size) + random.random(size)) / max(1, size) for size in sizes])
    owners = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort([random.random(len(tickets)), *keys])
    sets = np.empty(len(tickets), np.int64)
    sets[order] = owners[np.argsort(tickets)]
    return sets
