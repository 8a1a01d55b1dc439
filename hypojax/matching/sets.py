"""Sets of whole subjects: folds, an independent test set, and matched pairs.

Pairs are matched optimally, not greedily: the assignment has as many pairs as the caliper allows and, among those, the smallest
sum of Mahalanobis distances (Rosenbaum 1989; Rubin 1980). Distances are rounded to whole billionths, whose sums are exact, so that
every processor takes the same of several assignments that are as good. Categories must be equal. That 0.2 standard deviations are a good
caliper is known for propensity scores (Austin 2011); of age in a population study it is about four years.
"""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from scipy.optimize import linear_sum_assignment

from hypojax.grid import MARGIN
from hypojax.matching.allocation import by_subject, deal, is_number, levels
from hypojax.matching.split_plan import Size, count_of
from hypojax.reason import Reason, RunError
from hypojax.tables.cells import counted

TRAIN, TEST = "train", "test"

Cases = Float64[np.ndarray, "case number"]

Controls = Float64[np.ndarray, "control number"]

CALIPER: Final = 0.2
"""Largest difference within a pair, in standard deviations within groups."""


def folds(table: pd.DataFrame, *, subject: str, stratify: Sequence[str], count: int = 5, seed: int = 0) -> pd.Series:
    """Fold of every row: by subject, of equal sizes (within one), alike in the columns named.

    Numbers (age) are stratified by quantile bands, anything else by its values; what is missing is a level of its own. How
    subjects are dealt is described in `hypojax.matching.allocation`.

    Parameters
    ----------
    table
        One row or more a subject; scans and sessions of one subject share its fold.
    subject
        Column of subject ids; compared as text.
    stratify
        Columns in which the folds should be alike, such as dataset, sex and age.
    count
        Folds.
    seed
        Same seed and same table, in whatever order of rows: same folds.

    Returns
    -------
    Series ``fold`` on the index of ``table``, integers from 0.

    Raises
    ------
    RunError
        ``USAGE``: a column is not there, a row has no subject, fewer than two folds, or fewer subjects than folds.

    Examples
    --------
    >>> scans = pd.DataFrame({"id": list("aabbccdd"), "sex": list("FFMMFFMM")})
    >>> found = folds(scans, subject="id", stratify=["sex"], count=2)
    >>> scans.groupby([found, "sex"]).id.nunique().tolist()  # one woman and one man in each
    [1, 1, 1, 1]
    """
    people = by_subject(table, subject=subject, columns=list(stratify))
    if not 2 <= count <= len(people):
        raise RunError(
            Reason.USAGE,
            f"{counted(count, 'fold')} of {counted(len(people), 'subject')}: there must be at least 2 folds, and a subject for each",
        )
    sizes = [len(people) // count + (number < len(people) % count) for number in range(count)]
    dealt = pd.Series(deal(people, sizes=sizes, seed=seed), index=people.index)
    return table[subject].astype(str).map(dealt).astype("int64").rename("fold")


def hold_out(table: pd.DataFrame, *, subject: str, match: Sequence[str], size: Size = 0.2, seed: int = 0) -> pd.Series:
    """Set of every row, ``train`` or ``test``: by subject, the two alike in the columns named.

    A subject of whom one of these columns is not known cannot be matched and is left for training. How subjects are dealt
    is described in `hypojax.matching.allocation`.

    Parameters
    ----------
    table
        One row or more a subject; scans and sessions of one subject share its set.
    subject
        Column of subject ids; compared as text.
    match
        Columns in which the sets should be alike, such as age, sex and site.
    size
        Size of the test set: a share of the subjects that can be matched, or a number of them (``all`` leaves none for training).
    seed
        Same seed and same table, in whatever order of rows: same sets.

    Returns
    -------
    Series ``set`` on the index of ``table``.

    Raises
    ------
    RunError
        ``USAGE``: a column is not there, a row has no subject, or there are too few subjects.

    Examples
    --------
    >>> scans = pd.DataFrame({"id": list("aabbccddeeffgghh"), "sex": list("FFFFFFFFMMMMMMMM")})
    >>> found = hold_out(scans, subject="id", match=["sex"], size=2)
    >>> scans[found == "test"].drop_duplicates("id").sex.tolist()
    ['F', 'M']
    """
    people = by_subject(table, subject=subject, columns=match)
    known = people[people.notna().all(axis=1)]
    count = count_of(size, among=len(known))
    if count >= len(known):
        without = f", {len(people) - len(known)} more lack one of {', '.join(match)}" if len(known) < len(people) else ""
        raise RunError(
            Reason.USAGE, f"a test set of {count} leaves none of {counted(len(known), 'subject')} for training{without}; ask for fewer"
        )
    sets = pd.Series(TRAIN, index=people.index)
    sets[known.index[deal(known, sizes=[len(known) - count, count], seed=seed) == 1]] = TEST
    return table[subject].astype(str).map(sets).rename("set")


def matched_pairs(
    table: pd.DataFrame,
    *,
    subject: str,
    group: str,
    cases: Collection[str],
    match: Sequence[str],
    caliper: float = CALIPER,
    size: Size = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """A test set of pairs, each a case and a control alike in the columns named; everybody else is left for training.

    Parameters
    ----------
    table
        One row or more a subject.
    subject, group
        Columns of subject ids and of diagnosis.
    cases
        Values of ``group`` that are cases; all other values are controls, and subjects without one are in no pair.
    match
        Columns to match: numbers within the caliper, anything else exactly.
    caliper
        Largest difference within a pair in each number, in standard deviations of that number within groups.
    size
        Share of the subjects that have all these columns, a number of subjects (half as many pairs), or ``all`` pairs. Of
        more pairs than asked for, those are taken whose cases are most like all cases that have a pair.
    seed
        Of that choice.

    Returns
    -------
    Columns ``set`` and ``pair`` (from 1; missing for subjects in none) on the index of ``table``.

    Raises
    ------
    RunError
        ``USAGE``: a column or a group is not there, or fewer pairs can be made than asked for.

    Examples
    --------
    >>> people = pd.DataFrame({"id": list("abcde"), "dx": ["ill", "ill", "well", "well", "well"], "age": [60, 70, 71, 40, 60]})
    >>> matched_pairs(people, subject="id", group="dx", cases=["ill"], match=["age"], size="all").pair.tolist()
    [1, 2, 2, <NA>, 1]
    """
    people = by_subject(table, subject=subject, columns=list(dict.fromkeys([group, *match])))
    known = people[people.notna().all(axis=1)]
    is_case = levels(known[group]).isin(cases)
    if is_case.all() or not is_case.any():
        have = ", ".join(sorted(levels(known[group]).unique())) or "none"
        raise RunError(Reason.USAGE, f"pairs need cases and controls, but column {group!r} has only one of them (values: {have})")
    found = assign(known.loc[is_case, list(match)], known.loc[~is_case, list(match)], caliper=caliper)
    chosen = _choose(found, known[list(match)], count=_pair_count(size, subjects=len(known), pairs=len(found)), seed=seed)
    numbers = pd.Series(np.arange(1, len(chosen) + 1).repeat(2), index=chosen.to_numpy().ravel())
    pair = table[subject].astype(str).map(numbers).astype("Int64")
    return pd.DataFrame({"set": pair.notna().map({True: TEST, False: TRAIN}), "pair": pair})


def assign(cases: pd.DataFrame, controls: pd.DataFrame, *, caliper: float = CALIPER) -> pd.DataFrame:
    """Ids of the pairs of an optimal assignment, columns ``case`` and ``control``, ordered by case.

    Parameters
    ----------
    cases, controls
        One row per subject, ordered by id; the same columns, nothing missing.
    caliper
        Largest difference in each number, in standard deviations within groups.
    """
    both = pd.concat([cases, controls])
    numbers = [name for name in both if is_number(both[name])]
    cells = pd.Series("", both.index)
    for name in both.columns.difference(numbers):
        cells = cells + "\t" + levels(both[name])
    first, second = cases[numbers].to_numpy(dtype=float), controls[numbers].to_numpy(dtype=float)
    spread, whiten = _within(first, second)
    case_cell, control_cell = cells[: len(cases)].to_numpy(), cells[len(cases) :].to_numpy()
    pairs = []
    for cell in np.unique(case_cell):
        rows, columns = np.flatnonzero(case_cell == cell), np.flatnonzero(control_cell == cell)
        allowed = _near(first[rows], second[columns], reach=caliper * spread)
        distance = np.round(np.linalg.norm((first[rows][:, None] - second[columns][None]) @ whiten, axis=2) / MARGIN)
        taken = _optimal(distance, allowed)
        pairs += [(cases.index[rows[i]], controls.index[columns[j]]) for i, j in taken]
    return pd.DataFrame(sorted(pairs), columns=["case", "control"])


def _within(first: Cases, second: Controls) -> tuple[Float64[np.ndarray, "number"], Float64[np.ndarray, "number number"]]:
    """Standard deviations within groups, and the matrix after which Euclidean distances are Mahalanobis'."""
    centred = np.concatenate([first - first.mean(axis=0), second - second.mean(axis=0)])
    covariance = centred.T @ centred / max(1, len(centred) - 2)
    values, vectors = np.linalg.eigh(covariance)
    small = 1e-12 * max(1.0, float(values.max(initial=0.0)))
    inverse = np.where(values > small, 1 / np.sqrt(np.maximum(values, small)), 0.0)
    return np.sqrt(np.diag(covariance)), vectors * inverse


def _near(first: Cases, second: Controls, *, reach: Float64[np.ndarray, "number"]) -> Bool[np.ndarray, "case control"]:
    """Which pairs lie within the caliper in every number."""
    difference = np.abs(first[:, None] - second[None])
    return (difference <= reach + 1e-9 * (1 + np.abs(reach))).all(axis=2)


def _optimal(distance: Float64[np.ndarray, "case control"], allowed: Bool[np.ndarray, "case control"]) -> list[tuple[int, int]]:
    """As many allowed pairs as there can be, and of those the nearest in sum.

    >>> _optimal(np.array([[0.0, 1.0], [1.0, 5.0]]), np.array([[True, True], [True, False]]))
    [(0, 1), (1, 0)]
    """
    forbidden = 1.0 + min(distance.shape) * float(distance[allowed].max(initial=0.0))
    rows, columns = linear_sum_assignment(np.where(allowed, distance, forbidden))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]


def _pair_count(size: Size, *, subjects: int, pairs: int) -> int:
    asked = pairs if size == "all" else max(1, count_of(size, among=subjects) // 2)
    if asked > pairs or not pairs:
        advice = "ask for fewer, or allow a larger --caliper" if pairs else "allow a larger --caliper, or match fewer columns"
        wanted = "" if size == "all" else f"{counted(asked, 'pair')} asked for, "
        raise RunError(Reason.USAGE, f"{wanted}{counted(pairs, 'pair')} can be matched within the caliper; {advice}")
    return asked


def _choose(pairs: pd.DataFrame, people: pd.DataFrame, *, count: int, seed: int) -> pd.DataFrame:
    """So many of the pairs, their cases like all cases that have a pair."""
    if count == len(pairs):
        return pairs
    return pairs[deal(people.loc[pairs["case"]], sizes=[len(pairs) - count, count], seed=seed) == 1]
