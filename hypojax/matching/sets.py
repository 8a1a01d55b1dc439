"""The sets that a plan asks for, how alike they are, and who can be in none of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from hypojax.matching.balance import balance_table
from hypojax.matching.crossing import folds
from hypojax.matching.design import by_subject, levels
from hypojax.matching.holdout import TEST, hold_out
from hypojax.matching.pairing import matched_pairs
from hypojax.matching.participants import SUBJECT
from hypojax.matching.plan import SplitPlan
from hypojax.reason import Reason, RunError
from hypojax.tables import typed_column

CASE, CONTROL = "case", "control"

LISTED: Final = 20
"""Values of a column shown in a message."""


@dataclass(frozen=True)
class Sets:
    """Sets of the rows of a table.

    Parameters
    ----------
    columns
        ``fold``, or ``set``, or ``set`` and ``pair``, of every row.
    balance
        How alike the sets are: `balance_table`.
    compared
        What the balance table compares, in words.
    notes
        Why a row can be in no test set; missing for all others.
    """

    columns: pd.DataFrame
    balance: pd.DataFrame
    compared: str
    notes: pd.Series


def make_sets(rows: pd.DataFrame, *, match: Sequence[str], plan: SplitPlan) -> Sets:
    """Sets as planned.

    Parameters
    ----------
    rows
        ``subject``, the columns to match, and the group where there is one; nobody without a subject.
    match
        The columns to match.
    plan
        What is asked for.

    Raises
    ------
    RunError
        ``USAGE``: they cannot be made.
    """
    if plan.folds is not None:
        return _folds(rows, plan)
    return _pairs(rows, match, plan) if plan.group else _test_set(rows, match, plan)


def set_name(value: object) -> str:
    """Name of a set in a balance table: folds are numbers.

    >>> set_name("test"), set_name(0)
    ('test', 'fold_0')
    """
    return value if isinstance(value, str) else f"fold_{value}"


def _folds(rows: pd.DataFrame, plan: SplitPlan) -> Sets:
    """Folds, stratified by the columns to match, and by the group where there is one."""
    columns = list(rows.columns.drop(SUBJECT))
    found = folds(rows, subject=SUBJECT, stratify=columns, count=plan.folds or 0, seed=plan.seed)
    people = by_subject(rows, subject=SUBJECT, columns=columns)
    balance = balance_table(people, _first(found, rows).map(set_name))
    compared = "Each fold against all others; before: folds drawn blindly, median of 100 draws"
    return Sets(pd.DataFrame({"fold": found}).astype("Int64"), balance, compared, pd.Series(None, index=rows.index, dtype=object))


def _test_set(rows: pd.DataFrame, match: Sequence[str], plan: SplitPlan) -> Sets:
    """A training and a test set."""
    found = hold_out(rows, subject=SUBJECT, match=match, size=plan.size, seed=plan.seed)
    people = by_subject(rows, subject=SUBJECT, columns=match)
    balance = balance_table(people, _first(found, rows))
    compared = "Test set against training set; before: test sets of this size drawn blindly, median of 100 draws"
    return Sets(pd.DataFrame({"set": found}), balance, compared, _lacking(rows, people))


def _pairs(rows: pd.DataFrame, match: Sequence[str], plan: SplitPlan) -> Sets:
    """A test set of matched pairs."""
    group = next(str(name) for name in rows if name in (plan.group, f"{plan.group}_column"))
    cases, match = _cases(levels(rows[group].dropna()), plan), [name for name in match if name != group]
    found = matched_pairs(
        rows, subject=SUBJECT, group=group, cases=cases, match=match, caliper=plan.caliper, size=plan.size, seed=plan.seed
    )
    people = by_subject(rows, subject=SUBJECT, columns=[group, *match])
    kind = levels(people[group]).isin(cases).map({True: CASE, False: CONTROL}).where(people[group].notna())
    in_test = _first(found["set"] == TEST, rows)
    notes = _lacking(rows, people)
    if plan.size == "all":
        alone = rows[SUBJECT].isin(people.index[(kind == CASE) & ~in_test])
        notes = notes.mask(alone & notes.isna(), "no control within the caliper")
    compared = f"Cases ({group} {', '.join(cases)}) against controls of the test set; before: all cases against all controls"
    return Sets(found, balance_table(people[match], kind.where(in_test), before=kind), compared, notes)


def _first(found: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """What all rows of a subject have in common, by subject."""
    return found.groupby(rows[SUBJECT]).first()


def _cases(values: pd.Series, plan: SplitPlan) -> tuple[str, ...]:
    """Values of the group that are cases: as named, or the rarer of two."""
    counts = values.value_counts()
    have = ", ".join(sorted(counts.index)[:LISTED]) or "none"
    named = tuple(levels(pd.Series(list(typed_column(plan.cases)), dtype=object)))
    if absent := [case for case in named if case not in counts.index]:
        raise RunError(Reason.USAGE, f"no row has {plan.group!r} {absent[0]!r} (values: {have})")
    if not named and len(counts) != 2:
        raise RunError(Reason.USAGE, f"column {plan.group!r} has {len(counts)} values ({have}); name those that are cases with --cases")
    return named or (min(counts.index, key=lambda value: (counts[value], value)),)


def _lacking(rows: pd.DataFrame, people: pd.DataFrame) -> pd.Series:
    """What is not known of the subject of each row; missing where all is."""
    unknown = people.isna()
    text = unknown.apply(lambda lacks: f"{' and '.join(map(str, people.columns[lacks]))} not known", axis=1)
    return rows[SUBJECT].map(text[unknown.any(axis=1)]).astype(object)
