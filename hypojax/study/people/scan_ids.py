"""Ids of the rows of a table: scan, subject and session, in whatever columns they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from hypojax.reason import Reason, RunError, visible
from hypojax.study.people.columns import close_names, usual_columns
from hypojax.study.people.numbers_read import cell_texts
from hypojax.study.study_settings import StudySettings
from hypojax.tables import SESSION_NAMES, SUBJECT_NAMES, find_column, plain
from hypojax.tables.cells import counted

SCAN_NAMES: Final = ("scan", "scanid", "imageid", "image")

DATASET: Final = "dataset"

MEASURE: Final = re.compile(r"measure:.*", re.IGNORECASE)
"""Name of the column of subjects in FreeSurfer's tables."""

BIDS: Final = re.compile(r"(?:^|.*?[/_ ])(sub-[a-zA-Z0-9+]+)(?:[_/ ]ses-([a-zA-Z0-9+]+))?.*", re.DOTALL)

RESCAN: Final = re.compile(r"(.+?)[_-]((?:mr|ses|scan|visit|v|run|tp|t|wave|bl|m|y|fu)[-_]?[0-9]{1,3})", re.IGNORECASE)
"""An id with the number of a scan behind it, such as OAS1_0061_MR2."""

SHOWN: Final = 3


@dataclass(frozen=True)
class ScanIds:
    """Ids of rows.

    Parameters
    ----------
    scans
        One id a row, none twice.
    subjects
        Subject of each row.
    sessions
        Session of each; None where there are none.
    took
        ``subject`` and ``session`` → the column, where one was taken.
    notes
        How they were found, one sentence each.
    """

    scans: list[str]
    subjects: list[str]
    sessions: list[str] | None
    took: Mapping[str, str]
    notes: tuple[str, ...] = ()


def scan_ids(frame: pd.DataFrame, settings: StudySettings, *, place: str) -> ScanIds:
    """Ids of the rows of a table.

    Raises
    ------
    RunError
        ``USAGE``: two rows have one id, and nothing says that they are scans of one person.
    """
    scans = _scans(frame)
    column = subject_column(frame, settings)
    visit = session_column(frame, column)
    subjects, notes = _subjects(frame, column, scans, place=place)
    sessions = cell_texts(frame[visit]) if visit else None
    subjects, found, said = _split(subjects)
    sessions, notes = sessions or found, [*notes, *said]
    subjects, said = _with_dataset(frame, subjects)
    took = {name: column for name, column in (("subject", column), ("session", visit)) if column}
    return ScanIds(scans or _unique(subjects, sessions, frame, settings, place=place), subjects, sessions, took, (*notes, *said))


def subject_column(frame: pd.DataFrame, settings: StudySettings) -> str | None:
    """The column of subjects, as it was named or by its usual names.

    Raises
    ------
    RunError
        ``USAGE``: there is no column of the name that was given.
    """
    if settings.subject is not None and settings.subject in frame:
        return settings.subject
    if settings.subject is not None and settings.pheno is None:  # else it may be that of the table to join
        close = close_names(settings.subject, frame.columns)
        raise RunError(Reason.USAGE, f"--subject {visible(settings.subject)}: no such column; {close}")
    first = str(frame.columns[0]) if frame.shape[1] else ""
    return find_column(frame.columns, SUBJECT_NAMES) or (first if MEASURE.fullmatch(first) else None)


def session_column(frame: pd.DataFrame, subject: str | None) -> str | None:
    """The column of sessions, by its usual names; one named SES only where it tells scans of one subject apart.

    It is the socioeconomic status in tables such as that of OASIS.
    """
    column = find_column(frame.columns, SESSION_NAMES)
    cells = cell_texts(frame[column]) if column else []
    if column is None or not any(cells):
        return None
    if plain(column) == "ses" and not (all(cells) and subject and frame[subject].duplicated().any()):
        return None
    return column


def _scans(frame: pd.DataFrame) -> list[str] | None:
    """Ids of scans, where a column has one for each row and none twice."""
    column = find_column(frame.columns, SCAN_NAMES)
    found = cell_texts(frame[column]) if column else []
    return found if found and all(found) and len(set(found)) == len(found) else None


def _subjects(frame: pd.DataFrame, column: str | None, scans: list[str] | None, *, place: str) -> tuple[list[str], list[str]]:
    """Subject of each row; a row without one is a person by itself."""
    alone = scans or [f"row {number + 1}" for number in range(len(frame))]
    if column is None:
        said = f"{place} has no column of ids: each row counts as one person; name their column with --subject"
        return alone, [] if scans else [said]
    named = cell_texts(frame[column])
    empty = sum(not name for name in named)
    notes = [f"column {visible(column)!r} is empty in {counted(empty, 'row')}: each counts as one person"] if empty else []
    return [name or own for name, own in zip(named, alone, strict=True)], notes


def _split(subjects: list[str]) -> tuple[list[str], list[str] | None, list[str]]:
    """Subjects and sessions of ids that hold both, where a subject has several."""
    for pattern in (BIDS, RESCAN):
        matches = [pattern.fullmatch(name) for name in subjects]
        stems = [match[1] if match else name for match, name in zip(matches, subjects, strict=True)]
        ends = [(match[2] or "") if match else "" for match in matches]
        if pattern is BIDS and all(matches) and any(ends):
            return stems, ends, []
        if len(set(subjects)) == len(subjects) > len(set(stems)):
            twice = next(stem for stem in stems if stems.count(stem) > 1)
            alike = [visible(name) for name, stem in zip(subjects, stems, strict=True) if stem == twice]
            said = f"ids {' and '.join(alike[:SHOWN])} are taken as scans of one subject, {visible(twice)}"
            return stems, ends, [f"{said}; where they are different people, give them ids without such an end"]
    return subjects, None, []


def _with_dataset(frame: pd.DataFrame, subjects: list[str]) -> tuple[list[str], list[str]]:
    """Subjects by dataset, where there are several: a label is one person within one dataset only."""
    datasets = cell_texts(frame[DATASET]) if DATASET in frame else []
    if len(set(filter(None, datasets))) < 2:
        return subjects, []
    said = "the same id in several datasets counts as different people"
    return [f"{dataset}/{name}" if dataset else name for dataset, name in zip(datasets, subjects, strict=True)], [said]


def _unique(subjects: list[str], sessions: list[str] | None, frame: pd.DataFrame, settings: StudySettings, *, place: str) -> list[str]:
    """Ids of scans from those of subjects and sessions; scans of one subject without sessions are numbered, where they may be several.

    They may be where the column of subjects was named, or where there is a column of time; and where no two of their rows are the same.
    """
    ids = subjects if sessions is None else [_joined(name, visit) for name, visit in zip(subjects, sessions, strict=True)]
    twice = pd.Series(ids).duplicated(keep=False).to_numpy(dtype=bool)
    if not twice.any():
        return list(ids)
    is_asked = settings.subject is not None or settings.change is not None or bool(usual_columns(frame.columns, "time"))
    is_same = pd.concat([frame.reset_index(drop=True).astype(str), pd.Series(ids, name="id")], axis=1)[twice].duplicated().any()
    if sessions is None and is_asked and not is_same:
        numbers = pd.Series(ids).groupby(ids).cumcount() + 1
        return [f"{name}_{number}" if double else name for name, number, double in zip(ids, numbers, twice, strict=True)]
    first = ids[int(twice.argmax())]
    rows = ", ".join(str(number + 1) for number, name in enumerate(ids) if name == first)
    count = len({name for name, double in zip(ids, twice, strict=True) if double})
    step = "" if sessions is not None or is_same else ", or say that they are scans of one subject: --subject with the name of the column"
    raise RunError(
        Reason.USAGE,
        f"{place} has {visible(first)!r} in rows {rows} ({counted(count, 'id')} more than once): keep one row for each scan{step}",
    )


def _joined(subject: str, session: str) -> str:
    """One id of both.

    >>> _joined("sub-01", "ses-2"), _joined("01", "2"), _joined("OAS1_0061", "MR2")
    ('sub-01_ses-2', '01_2', 'OAS1_0061_MR2')
    """
    bids = subject.startswith("sub-") and not plain(session).startswith("ses")
    return f"{subject}_{'ses-' if bids else ''}{session}" if session else subject
