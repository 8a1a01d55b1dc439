"""Folds: every subject in exactly one of several sets that are alike, for cross-validation."""

from collections.abc import Sequence

import pandas as pd

from hypojax.matching.deal import deal
from hypojax.matching.design import by_subject
from hypojax.reason import Reason, RunError


def folds(table: pd.DataFrame, *, subject: str, stratify: Sequence[str], count: int = 5, seed: int = 0) -> pd.Series:
    """Fold of every row: by subject, of equal sizes (within one), alike in the columns named.

    Numbers (age) are stratified by quantile bands, anything else by its values; what is missing is a level of its own. How
    subjects are dealt is told in `hypojax.matching.deal`.

    Parameters
    ----------
    table
        One row or more a subject; scans and sessions of one subject share its fold.
    subject
        Column of subject ids; compared as text.
    stratify
        Columns that the folds shall be alike in, such as dataset, sex and age.
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
        raise RunError(Reason.USAGE, f"{count} folds of {len(people)} subjects: there must be at least 2 folds, and a subject for each")
    sizes = [len(people) // count + (number < len(people) % count) for number in range(count)]
    dealt = pd.Series(deal(people, sizes=sizes, seed=seed), index=people.index)
    return table[subject].astype(str).map(dealt).astype("int64").rename("fold")
