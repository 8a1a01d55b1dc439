"""Columns of a further table of people, joined by subject and session."""

import re
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from hypojax.reason import Reason, RunError, visible
from hypojax.storage import locate
from hypojax.study.people.columns import close_names
from hypojax.study.people.measurements import service_columns
from hypojax.study.people.numbers_read import cell_texts
from hypojax.study.people.scan_ids import session_column
from hypojax.study.people.table_file import Meanings, TableFile, read_frame
from hypojax.study.study_settings import StudySettings
from hypojax.tables import SUBJECT_NAMES, People, Table, Value, find_column, refuse
from hypojax.tables.cells import counted

PREFIX: Final = "sub-"

HEAD: Final = "icv"
"""Column of the head size, which stays the one that was measured with the regions."""

WHOLE: Final = re.compile(r"[0-9]{1,15}(\.0+)?")
"""A whole number, as some programs write ids."""

SHOWN: Final = 3


def with_pheno(people: pd.DataFrame, settings: StudySettings) -> tuple[pd.DataFrame, Meanings, list[str]]:
    """People with the columns of the table that ``settings.pheno`` names; where both have a value, that of the table counts.

    Returns
    -------
    The people, what codes of the table mean, and notes: ids that are spelled differently or match nothing, and columns that differ.

    Raises
    ------
    RunError
        ``USAGE``: it cannot be read, has no column of ids, or none of them is one of these people.
    """
    if settings.pheno is None:
        return people, {}, []
    return joined(people, read_frame(locate(settings.pheno), strict=settings.strict_tables), settings)


def joined(people: pd.DataFrame, pheno: TableFile, settings: StudySettings) -> tuple[pd.DataFrame, Meanings, list[str]]:
    """The same with a table that was read."""
    column = _id_column(pheno, settings, is_known=settings.subject in people)
    pheno = _padded(pheno, column, people)
    session = session_column(pheno.frame, column) if "session" in people else None
    rows = tuple(_row(row) for row in pheno.frame.astype(object).to_dict("records"))
    table = Table(pheno.place.removeprefix("table "), tuple(pheno.frame.columns), rows, tuple(range(2, len(rows) + 2)))
    found = People(table, column, prefix=PREFIX, session=session)
    refuse(found.faults, strict=settings.strict_tables)
    subjects = [str(name) for name in people["subject"]]
    bare = [_bare(name) for name in subjects]
    notes = [*pheno.notes, *found.faults, *found.match(set(bare))]
    sessions = [str(visit) for visit in people["session"]] if "session" in people else [""] * len(people)
    sessions = [visit.removeprefix("ses-") for visit in sessions]
    known = [found.knows(name) for name in bare]
    if not any(known):
        there = ", ".join(repr(visible(name)) for name in sorted(found.ids)[:SHOWN])
        here = ", ".join(repr(visible(name)) for name in subjects[:SHOWN])
        why = f"none of its ids ({there}) is one of the scans' ({here}); use the same ids in both"
        raise RunError(Reason.USAGE, f"{pheno.place}: {why}")
    without = [name for name, is_known in zip(bare, known, strict=True) if not is_known]
    spare = len(found.ids) > len(set(bare) - set(without))
    if without or spare:
        notes.append(found.unmatched(without, asked=bare, total=len(people)) if without else _spare(found, bare, pheno.place))
    extra = pd.DataFrame([found.row(who, visit) for who, visit in zip(bare, sessions, strict=True)], index=people.index).infer_objects()
    extra = extra[[name for name in extra.columns if name not in (session, "subject", "session", "scan")]]
    taken = {
        str(name): f"{name}_participant"
        for name in extra.columns
        if name in service_columns(people) or (name == HEAD and HEAD in people and people[HEAD].notna().any())
    }
    notes += [f"column {name!r} of {pheno.place} is here {other!r}" for name, other in taken.items()]
    merged, said = _merged(people, extra.rename(columns=taken), pheno.place)
    return merged, pheno.meanings, [*notes, *said]


def _padded(pheno: TableFile, column: str, people: pd.DataFrame) -> TableFile:
    """The table with zeros before ids that are whole numbers, where those of the scans have them: some files keep ids as numbers."""
    ours = {_bare(str(name)) for name in people["subject"]}
    widths = {len(name) for name in ours}
    cells = cell_texts(pheno.frame[column])
    known = {cell for cell in cells if cell}
    if len(widths) != 1 or not all(name.isdecimal() for name in ours) or not all(WHOLE.fullmatch(cell) for cell in known) or known & ours:
        return pheno
    padded = [str(int(float(cell))).zfill(*widths) if cell else None for cell in cells]
    if len(set(padded) - {None}) < len(known):
        return pheno
    first = next(iter(sorted(known)))
    said = f"{pheno.place}: its ids are numbers and were matched with zeros before them ({first} as {padded[cells.index(first)]})"
    return replace(
        pheno, frame=pheno.frame.assign(**{column: pd.Series(padded, index=pheno.frame.index, dtype=object)}), notes=(*pheno.notes, said)
    )


def _bare(name: str) -> str:
    """An id without its dataset and the prefix of BIDS."""
    own = name.rsplit("/", 1)[-1].strip()
    return own[len(PREFIX) :] if own[: len(PREFIX)].casefold() == PREFIX else own


def _id_column(pheno: TableFile, settings: StudySettings, *, is_known: bool) -> str:
    """The column of subjects."""
    names = pheno.frame.columns
    named = settings.subject if settings.subject in names else None
    if settings.subject is not None and named is None and not is_known:
        raise RunError(
            Reason.USAGE, f"--subject {visible(settings.subject)}: no table has such a column; {close_names(settings.subject, names)}"
        )
    if column := named or find_column(names, SUBJECT_NAMES):
        return column
    raise RunError(Reason.USAGE, f"{pheno.place} has no column of ids; name it with --subject ({close_names('id', names)})")


def _row(row: Mapping[Hashable, Any]) -> dict[str, Value]:
    """A row without missing values."""
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}


def _spare(found: People, asked: list[str], place: str) -> str:
    """A sentence on rows without a scan, where every scan has one."""
    spare = sorted(found.ids - set(asked))
    shown = ", ".join(repr(visible(name)) for name in spare[:SHOWN])
    return f"{place}: every scan has a row; {counted(len(spare), 'row')} of {len(found.ids)} match no scan ({shown})"


def _merged(people: pd.DataFrame, extra: pd.DataFrame, place: str) -> tuple[pd.DataFrame, list[str]]:
    """Both tables' columns."""
    notes = []
    columns = {str(name): people[name] for name in people.columns}
    for name in map(str, extra.columns):
        if name not in columns:
            columns[name] = extra[name]
            continue
        own, new = columns[name], extra[name]
        both = own.notna() & new.notna() & (own.astype(str) != "")
        differing = int((own[both].map(_spelled) != new[both].map(_spelled)).sum())
        columns[name] = new.astype(object).where(new.notna(), own.astype(object)).infer_objects()
        if differing:
            notes.append(f"column {visible(name)!r} differs in {counted(differing, 'scan')} from {place}, whose values count")
    return pd.DataFrame(columns, index=people.index), notes


def _spelled(value: object) -> str:
    return str(float(value)) if isinstance(value, int | float) else str(value).strip().casefold()
