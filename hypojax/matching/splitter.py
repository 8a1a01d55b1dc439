"""A table split: its rows with the set of each, how balanced the sets are, and the files that hold both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from hypojax.grid import comparable
from hypojax.matching.allocation import by_subject, levels
from hypojax.matching.balance import UNBALANCED, balance_table
from hypojax.matching.sets import TEST, folds, hold_out, matched_pairs
from hypojax.matching.split_plan import SplitPlan
from hypojax.matching.subjects import SUBJECT, read_participants
from hypojax.pages import Bullets, Page, Paragraph, TextTable, markdown
from hypojax.reason import Reason, RunError
from hypojax.storage import Disk, on_disk, place
from hypojax.tables import typed_column
from hypojax.tables.cells import counted
from hypojax.tables.writer import tsv

NOTE: Final = "split_note"

TESTS: Final = "Numbers are means ± SD, their p is of Kruskal–Wallis; levels are counts and shares, their p is of chi-squared."

CASE, CONTROL = "case", "control"

LISTED: Final = 20
"""Values of a column shown in a message."""


@dataclass(frozen=True)
class SplitResult:
    """A table and its sets.

    Parameters
    ----------
    table
        The table as it was, all text, with the columns ``set`` (or ``fold``), for pairs ``pair``, and ``split_note``: why a
        row is in no set, or can be in no test set.
    balance
        How alike the sets are: `balance_table`.
    compared
        What the balance table compares, in words.
    notes
        What was noticed and how it was interpreted, one sentence each.
    counts
        Subjects in each set.
    """

    table: pd.DataFrame
    balance: pd.DataFrame
    compared: str
    notes: tuple[str, ...]
    counts: dict[str, int]


def split_table(path: Disk, *, plan: SplitPlan | None = None, strict_tables: bool = False) -> SplitResult:
    """Split a table of participants (tsv, csv, parquet) by subject.

    Raises
    ------
    RunError
        ``USAGE``: the table cannot be read or split so; the message says what to change.
    """
    plan, path = plan or SplitPlan(), on_disk(path)
    read = read_participants(path, plan=plan, strict=strict_tables)
    known = read.people[read.people[SUBJECT].notna()]
    if known.empty:
        raise RunError(Reason.USAGE, f"no row of table {path} names a subject; name their column with --subject")
    sets = make_sets(known, match=read.match, plan=plan)
    if taken := [name for name in (*sets.columns, NOTE) if name in read.rows]:
        raise RunError(Reason.USAGE, f"table {path} already has a column {taken[0]!r}; rename it, or split the table it was made from")
    notes = sets.notes.reindex(read.rows.index).mask(read.people[SUBJECT].isna(), "no subject named")
    table = read.rows.join(sets.columns).assign(**{NOTE: notes})
    people = sets.columns.iloc[:, 0].groupby(known[SUBJECT]).first()
    counts = {set_name(name): int(count) for name, count in people.value_counts().sort_index().items()}
    return SplitResult(table, sets.balance, sets.compared, (*read.notes, *_summed(sets.notes, known[SUBJECT])), counts)


def write_split(split: SplitResult, out: Disk) -> tuple[Path, Path, Path]:
    """Write ``split.tsv``, ``balance.tsv`` and ``balance.md`` into a folder.

    Returns
    -------
    The three paths.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    folder = on_disk(out)
    table, balance, page = folder / "split.tsv", folder / "balance.tsv", folder / "balance.md"
    place(table, tsv(split.table))
    place(balance, tsv(split.balance))
    place(page, markdown(balance_page(split)).encode())
    return table, balance, page


def balance_lines(split: SplitResult) -> tuple[list[str], list[list[str]]]:
    """The balance table as text: header and rows; counts and shares, means ± SDs."""
    names = [name.removesuffix("_mean") for name in map(str, split.balance) if name.endswith("_mean")]
    rows = []
    for _, line in split.balance.iterrows():
        label = f"{line['variable']} {line['level']}".strip()
        cells = [_cell(line, name) for name in names]
        p = f"{line['p']:.2g}" if line["test"] else ""
        rows.append([label, *cells, f"{line['smd_before']:.2f}", f"{line['smd_after']:.2f}", p])
    return ["", *names, "SMD before", "SMD after", "p"], rows


def balance_page(split: SplitResult) -> Page:
    """The balance table with the verdict and notes, as a page."""
    header, rows = balance_lines(split)
    subjects = ", ".join(f"{count} in {name}" for name, count in split.counts.items())
    table, notes = TextTable(header, rows), Bullets(split.notes)
    return Page("Balance", [Paragraph(f"Subjects: {subjects}."), table, Paragraph(verdict(split)), Paragraph(TESTS), notes])


def verdict(split: SplitResult) -> str:
    """The balance in a sentence.

    Standardized mean differences (SMD) of levels and numbers; the largest counts.
    """
    differences = comparable(split.balance["smd_after"].fillna(0).to_numpy())
    worst = split.balance.iloc[int(differences.argmax())]
    name = f"{worst['variable']} {worst['level']}".strip()
    found = "balanced" if differences.max() <= UNBALANCED else "NOT balanced"
    limit = f"up to {UNBALANCED} is usually called balanced"
    return f"{split.compared}: {found}; the largest standardized mean difference (SMD) is {worst['smd_after']:.2f} ({name}), {limit}."


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
        ``subject``, the columns to match, and the group where there is one; every row with a subject.
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


def _summed(notes: pd.Series, subjects: pd.Series) -> list[str]:
    """Each note of rows once, with how many subjects it is about."""
    known = {note: subjects[notes == note].nunique() for note in sorted(set(notes.dropna()))}
    return [f"{counted(count, 'subject is', many='subjects are')} in no test set: {note}" for note, count in known.items()]


def _cell(line: pd.Series, name: str) -> str:
    """Mean ± SD of a number, count and share of a level."""
    count, mean, spread = (float(str(line[f"{name}_{what}"])) for what in ("n", "mean", "sd"))
    if line["level"]:
        return f"{count * mean:.0f} ({mean:.0%})" if count else "–"
    return f"{mean:.1f} ± {spread:.1f}" if count else "–"


def _folds(rows: pd.DataFrame, plan: SplitPlan) -> Sets:
    """Folds, stratified by the columns to match, and by the group where there is one."""
    columns = list(rows.columns.drop(SUBJECT))
    found = folds(rows, subject=SUBJECT, stratify=columns, count=plan.folds or 0, seed=plan.seed)
    people = by_subject(rows, subject=SUBJECT, columns=columns)
    balance = balance_table(people, _first(found, rows).map(set_name))
    compared = "Each fold against all others; before: median of 100 random splits into folds"
    return Sets(pd.DataFrame({"fold": found}).astype("Int64"), balance, compared, pd.Series(None, index=rows.index, dtype=object))


def _test_set(rows: pd.DataFrame, match: Sequence[str], plan: SplitPlan) -> Sets:
    found = hold_out(rows, subject=SUBJECT, match=match, size=plan.size, seed=plan.seed)
    people = by_subject(rows, subject=SUBJECT, columns=match)
    balance = balance_table(people, _first(found, rows))
    compared = "Test set against training set; before: median of 100 random test sets of this size"
    return Sets(pd.DataFrame({"set": found}), balance, compared, _lacking(rows, people))


def _pairs(rows: pd.DataFrame, match: Sequence[str], plan: SplitPlan) -> Sets:
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
        raise RunError(
            Reason.USAGE, f"column {plan.group!r} has {counted(len(counts), 'value')} ({have}); name those that are cases with --cases"
        )
    return named or (min(counts.index, key=lambda value: (counts[value], value)),)


def _lacking(rows: pd.DataFrame, people: pd.DataFrame) -> pd.Series:
    """What is not known of the subject of each row; missing where all is."""
    unknown = people.isna()
    text = unknown.apply(lambda lacks: f"{' and '.join(map(str, people.columns[lacks]))} not known", axis=1)
    return rows[SUBJECT].map(text[unknown.any(axis=1)]).astype(object)
