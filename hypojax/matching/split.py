"""A table split: its rows with the set of each, how balanced the sets are, and the files that hold both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from hypojax.matching.balance import UNBALANCED
from hypojax.matching.participants import SUBJECT, read_participants
from hypojax.matching.plan import SplitPlan
from hypojax.matching.sets import make_sets, set_name
from hypojax.reason import Reason, RunError
from hypojax.storage import Disk, on_disk
from hypojax.store.objects import place
from hypojax.tables.write import markdown_table, tsv
from hypojax.ties import comparable

NOTE: Final = "split_note"

TESTS: Final = "Numbers are means ± SD, their p is of Kruskal–Wallis; levels are counts and shares, their p is of chi-squared."


@dataclass(frozen=True)
class Split:
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
        What was noticed and how it was taken, a sentence each.
    counts
        Subjects in each set.
    """

    table: pd.DataFrame
    balance: pd.DataFrame
    compared: str
    notes: tuple[str, ...]
    counts: dict[str, int]


def split_table(path: Disk, *, plan: SplitPlan | None = None) -> Split:
    """Split a table of participants (tsv, csv, parquet) by subject.

    Raises
    ------
    RunError
        ``USAGE``: the table cannot be read or split so; the message says what to change.
    """
    plan, path = plan or SplitPlan(), on_disk(path)
    read = read_participants(path, plan=plan)
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
    return Split(table, sets.balance, sets.compared, (*read.notes, *_summed(sets.notes, known[SUBJECT])), counts)


def write_split(split: Split, out: Disk) -> tuple[Path, Path, Path]:
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
    table, balance, markdown = folder / "split.tsv", folder / "balance.tsv", folder / "balance.md"
    place(table, tsv(split.table))
    place(balance, tsv(split.balance))
    place(markdown, balance_markdown(split).encode())
    return table, balance, markdown


def balance_lines(split: Split) -> tuple[list[str], list[list[str]]]:
    """The balance table for the eye: header, and a row a line; counts and shares, means ± SDs."""
    names = [name.removesuffix("_mean") for name in map(str, split.balance) if name.endswith("_mean")]
    rows = []
    for _, line in split.balance.iterrows():
        label = f"{line['variable']} {line['level']}".strip()
        cells = [_cell(line, name) for name in names]
        p = f"{line['p']:.2g}" if line["test"] else ""
        rows.append([label, *cells, f"{line['smd_before']:.2f}", f"{line['smd_after']:.2f}", p])
    return ["", *names, "SMD before", "SMD after", "p"], rows


def balance_markdown(split: Split) -> str:
    """The balance table and what is to be said of it, as Markdown."""
    header, rows = balance_lines(split)
    lines = markdown_table([header, *rows])
    subjects = ", ".join(f"{count} in {name}" for name, count in split.counts.items())
    return "\n".join(
        [
            "# Balance",
            "",
            f"Subjects: {subjects}.",
            "",
            *lines,
            "",
            verdict(split),
            "",
            TESTS,
            "",
            *(f"- {note}" for note in split.notes),
            "",
        ]
    )


def verdict(split: Split) -> str:
    """The balance in a sentence.

    Standardized mean differences (SMD) of levels and numbers; the largest counts.
    """
    differences = comparable(split.balance["smd_after"].fillna(0).to_numpy())
    worst = split.balance.iloc[int(differences.argmax())]
    name = f"{worst['variable']} {worst['level']}".strip()
    found = "balanced" if differences.max() <= UNBALANCED else "NOT balanced"
    limit = f"up to {UNBALANCED} is usually called balanced"
    return f"{split.compared}: {found}; the largest standardized mean difference (SMD) is {worst['smd_after']:.2f} ({name}), {limit}."


def _summed(notes: pd.Series, subjects: pd.Series) -> list[str]:
    """Each note of rows once, with how many subjects it is about."""
    return [f"{subjects[notes == note].nunique()} subjects are in no test set: {note}" for note in sorted(set(notes.dropna()))]


def _cell(line: pd.Series, name: str) -> str:
    """Mean ± SD of a number, count and share of a level."""
    count, mean, spread = (float(str(line[f"{name}_{what}"])) for what in ("n", "mean", "sd"))
    if line["level"]:
        return f"{count * mean:.0f} ({mean:.0%})" if count else "–"
    return f"{mean:.1f} ± {spread:.1f}" if count else "–"
