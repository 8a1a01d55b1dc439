"""A table of participants for `split`: the subject of each row, and the columns to match, cleaned."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from hypojax.matching.split_plan import SplitPlan
from hypojax.reason import Reason, RunError
from hypojax.tables import (
    AGE_NAMES,
    MISSING,
    SEX_NAMES,
    SEXES,
    SUBJECT_NAMES,
    find_column,
    plain,
    read_table,
    refuse,
    text_of,
    typed_column,
)
from hypojax.tables.cells import counted
from hypojax.tables.dates import ages_of

DATASET_NAMES: Final = ("dataset",)
CATEGORY_NAMES: Final = (*SEX_NAMES, "site", "center", "centre", "scanner", "dataset", "study", "session", "group", "diagnosis")
"""Columns that are categories also where their values are numbers; names are compared in small letters without punctuation."""

BIDS_SUBJECT: Final = r"^.*?sub-[^_/]+"
"""The part of a BIDS name that is the subject, with what comes before it (the dataset)."""

SUBJECT, SCAN, ROWS_NAMED = "subject", "scan", 5


@dataclass(frozen=True)
class SplitSubjects:
    """A table of participants.

    Parameters
    ----------
    rows
        The table as it is written, all text; missing where a cell is empty.
    people
        The same rows: ``subject`` (missing where there is none), and the columns to match by, cleaned.
    match
        Names of these columns.
    notes
        What was noticed and how it was interpreted, one sentence each.
    """

    rows: pd.DataFrame
    people: pd.DataFrame
    match: tuple[str, ...]
    notes: tuple[str, ...]


def read_participants(path: Path, *, plan: SplitPlan, strict: bool = False) -> SplitSubjects:
    """Read a table of participants (tsv, csv, parquet).

    Raises
    ------
    RunError
        ``USAGE``: it cannot be read, has no rows, or lacks the columns that are needed; with ``strict``, it has a fault.
    """
    rows, read = _text_table(path)
    refuse(read, strict=strict)
    names = plan.subject or (*_datasets(rows), _find(rows, (*SUBJECT_NAMES, "scan"), what="subject", option="--subject"))
    match = plan.match or tuple(name for name in (find_column(rows.columns, AGE_NAMES), find_column(rows.columns, SEX_NAMES)) if name)
    if not match:
        raise RunError(Reason.USAGE, f"table {path} has no column of age or sex; name columns to match with --match ({_columns(rows)})")
    if absent := [name for name in (*names, *match, *filter(None, [plan.group])) if name not in rows]:
        raise RunError(Reason.USAGE, f"table {path} has no column {absent[0]!r} ({_columns(rows)})")
    subject, notes = _subjects(rows, names=names, pattern=plan.subject_from)
    notes = [*read, *notes]
    if names[:-1] and not plan.subject:
        several = f"the same id in several datasets counts as different people ({' and '.join(names)})"
        notes.insert(0, f"{several}; if it is one person: --subject {names[-1]}")
    people = pd.DataFrame({SUBJECT: subject})
    for name in dict.fromkeys([*match, *filter(None, [plan.group])]):
        people[_own(name)], faults, read_so = _clean(rows[name], name)
        refuse([f"table {path}: {fault}" for fault in faults], strict=strict)
        notes += [*faults, *read_so]
    notes += _contradictions(people)
    return SplitSubjects(rows, people, tuple(map(_own, match)), tuple(notes))


def _own(name: str) -> str:
    """Name of a column among people, where ``subject`` is taken."""
    return name if name != SUBJECT else f"{name}_column"


def _text_table(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Every cell as it is written, and what is wrong with the table."""
    table = read_table(path, all_text=True)
    if not table.rows:
        raise RunError(Reason.USAGE, f"table {path} has no rows below its header; name a table of participants")
    return pd.DataFrame(list(table.rows), columns=list(table.names), dtype=object), table.faults


def _columns(rows: pd.DataFrame) -> str:
    return f"its columns: {', '.join(map(str, rows.columns[:30]))}"


def _find(rows: pd.DataFrame, names: Sequence[str], *, what: str, option: str) -> str:
    """The same; an error where there is none."""
    if (found := find_column(rows.columns, names)) is None:
        raise RunError(Reason.USAGE, f"no column of {what}s was found; name it with {option} ({_columns(rows)})")
    # A cohort's own table names subjects without their dataset; its scans have both.
    return SCAN if found == SUBJECT and SCAN in rows and rows[SCAN].str.contains("sub-", regex=False).all() else found


def _datasets(rows: pd.DataFrame) -> tuple[str, ...]:
    """The column of datasets, where every row names one and there are several: within one only is an id a person."""
    name = find_column(rows.columns, DATASET_NAMES)
    known = rows[name].map(lambda cell: cell is not None and cell not in MISSING) if name else None
    return (name,) if name and known is not None and known.all() and rows[name].nunique() > 1 else ()


def _subjects(rows: pd.DataFrame, *, names: Sequence[str], pattern: str | None) -> tuple[pd.Series, list[str]]:
    ids = rows[list(names)].map(lambda cell: None if cell is None or cell in MISSING else str(cell).strip())
    if SUBJECT in names and SCAN in rows:
        ids[SUBJECT] = ids[SUBJECT].fillna(rows[SCAN])  # an image without a subject in its name is one by itself
    known = ids.notna().all(axis=1)
    whole = ids[known].agg(" ".join, axis=1) if known.any() else pd.Series(dtype=object)
    if pattern is not None:
        found = _parts(whole, pattern)
    else:
        found = whole.str.extract(f"({BIDS_SUBJECT})", expand=False).fillna(whole) if len(whole) else whole
    notes = [f"{_listed(rows.index[~known] + 1, 'row')} without {' and '.join(names)}: in no set"] if not known.all() else []
    return found.reindex(rows.index), [*notes, *([] if pattern else _look_alike(found))]


def _parts(ids: pd.Series, pattern: str) -> pd.Series:
    """The part of each id that a regular expression finds."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RunError(Reason.USAGE, f"--subject-from {pattern!r} is no regular expression ({error}); correct it") from error
    matches = ids.map(compiled.search)
    if (without := ids[matches.isna()]).size:
        raise RunError(Reason.USAGE, f"--subject-from {pattern!r} finds nothing in id {without.iloc[0]!r}; correct it")
    return matches.map(lambda match: match.group(1) if compiled.groups else match.group())


def _look_alike(ids: pd.Series) -> list[str]:
    """A warning where ids of different subjects look like sessions of one: few endings on more stems."""
    parts = pd.Series(ids.unique(), dtype=object).str.extract(r"^(.+)[_-]([^_-]+)$").dropna()
    stems, endings = parts[0].nunique(), parts[1].nunique()
    if not endings < stems < len(parts):
        return []
    twice = parts[0][parts[0].duplicated()].iloc[0]
    alike = ", ".join(f"{twice}_{end}" for end in parts[1][parts[0] == twice])
    return [f"ids {alike} count as different people; if they are one person: --subject-from '(.+)[_-]'"]


def _clean(cells: pd.Series, name: str) -> tuple[pd.Series, list[str], list[str]]:
    """Values of a column: numbers, or text; what is wrong with them, and what was interpreted."""
    given = cells.map(lambda cell: "" if cell is None or cell in MISSING else str(cell).strip())
    if plain(name) in AGE_NAMES:
        return _ages(given, name)
    if plain(name) in SEX_NAMES:
        return _sexes(given, name), [], []
    values = pd.Series(list(typed_column(given.tolist())), index=cells.index, dtype=object)
    is_text = values.map(lambda value: isinstance(value, str)).any()
    if is_text or plain(name) in CATEGORY_NAMES:
        return values.map(text_of, na_action="ignore"), [], []
    return values.astype(float), [], []


def _ages(given: pd.Series, name: str) -> tuple[pd.Series, list[str], list[str]]:
    """Ages; 90+ is 90, and what is not an age is missing and named."""
    found = ages_of(given.tolist(), name)
    values = pd.Series(found.values, index=given.index, dtype=float)
    odd, read = given.iloc[list(found.unread)], given.iloc[list(found.respelled)]
    if values.isna().all():
        raise RunError(Reason.USAGE, f"column {name!r} holds no age (found: {', '.join(given.unique()[:ROWS_NAMED]) or 'nothing'})")
    faults = [f"{name} {_quoted(odd)} is not an age: missing in {_listed(odd.index + 1, 'row')}"] if odd.size else []
    notes = [f"{name}: {counted(len(read), 'age')} not written as a plain number, but read (such as {_quoted(read)})"] if read.size else []
    return values, faults, notes


def _quoted(cells: pd.Series) -> str:
    return ", ".join(map(repr, cells.unique()[:ROWS_NAMED]))


def _sexes(given: pd.Series, name: str) -> pd.Series:
    """Sex as M and F where it is written in words, as the table's own codes otherwise."""
    known = given[given != ""]
    words = known.str.casefold().isin(SEXES)
    codes = pd.to_numeric(known, errors="coerce")
    if words.any() and codes.notna().any():
        raise RunError(
            Reason.USAGE,
            f"column {name!r} has both words ({known[words].iloc[0]}) and codes ({known[codes.notna()].iloc[0]}); use one kind",
        )
    plainly = known.str.casefold().map(SEXES).fillna(known).where(codes.isna(), codes.map(text_of))
    return plainly.reindex(given.index).astype(object).replace({np.nan: None})


def _contradictions(people: pd.DataFrame) -> list[str]:
    """Subjects whose rows say different things where only one can be."""
    texts = [name for name in people.columns.drop(SUBJECT) if people[name].dtype == object]
    found = {name: _several(people, name) for name in texts}
    return [f"{_listed(many, 'subject')} with more than one {name}: the most common is used" for name, many in found.items() if len(many)]


def _several(people: pd.DataFrame, name: str) -> pd.Index:
    """Subjects with more than one value of a category."""
    counts = people.groupby(SUBJECT)[name].nunique()
    return counts.index[counts > 1]


def _listed(items: Sequence[object] | pd.Index, what: str) -> str:
    """How many, and the first few by name.

    >>> _listed([3, 7], "row"), _listed([3], "row")
    ('2 rows (3, 7)', '1 row (3)')
    """
    shown = ", ".join(map(str, items[:ROWS_NAMED])) + (", …" if len(items) > ROWS_NAMED else "")
    return f"{len(items)} {what}{'s' if len(items) > 1 else ''} ({shown})"
