"""An independent test set: whole subjects held out that are like those left for training."""

from collections.abc import Sequence

import pandas as pd

from hypojax.matching.deal import deal
from hypojax.matching.design import by_subject
from hypojax.matching.plan import Size, count_of
from hypojax.reason import Reason, RunError

TRAIN, TEST = "train", "test"


def hold_out(table: pd.DataFrame, *, subject: str, match: Sequence[str], size: Size = 0.2, seed: int = 0) -> pd.Series:
    """Set of every row, ``train`` or ``test``: by subject, the two alike in the columns named.

    A subject of whom one of these columns is not known cannot be matched and is left for training. How subjects are dealt
    is told in `hypojax.matching.deal`.

    Parameters
    ----------
    table
        One row or more a subject; scans and sessions of one subject share its set.
    subject
        Column of subject ids; compared as text.
    match
        Columns that the sets shall be alike in, such as age, sex and site.
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
        raise RunError(Reason.USAGE, f"a test set of {count} leaves none of {len(known)} subjects for training{without}; ask for fewer")
    sets = pd.Series(TRAIN, index=people.index)
    sets[known.index[deal(known, sizes=[len(known) - count, count], seed=seed) == 1]] = TEST
    return table[subject].astype(str).map(sets).rename("set")
