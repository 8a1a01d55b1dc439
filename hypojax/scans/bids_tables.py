"""What the tables of a BIDS dataset say of each scan: participants, sessions, and scans with the time they were acquired at."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Final

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
from hypojax.reason import Reason, RunError, visible
from hypojax.storage import Location, names
from hypojax.tables import (
    SESSION_NAMES,
    SUBJECT_NAMES,
    People,
    Table,
    Value,
    find_column,
    is_age_name,
    is_id_name,
    merged,
    read_table,
    refuse,
    units_per_year,
)

MOST_FAULTS: Final = 3
"""Faults named of the tables of single subjects, which may all have the same."""

PARTICIPANTS: Final = "participants.tsv"
LIKE_PARTICIPANTS: Final = re.compile(r"participants?\.(tsv|csv|txt|xlsx?|ods|parquet)", re.IGNORECASE)
"""Names that somebody may have meant as that."""


class BidsTables:
    """What a dataset's tables say of each scan.

    Parameters
    ----------
    root
        Root of the dataset.
    strict
        Whether to refuse a table that is not as it should be; else that costs the columns or rows concerned, and is said.

    Raises
    ------
    RunError
        ``USAGE``: with ``strict``, a table has a fault.
    """

    def __init__(self, root: Location, *, strict: bool = False) -> None:
        self._root = root
        self._strict = strict
        self._notes: list[str] = []
        self._inner_notes: list[str] = []
        self._visits: dict[Location, People | None] = {}
        self._units_of: dict[str, dict[str, float]] = {}
        self._scans = 0
        self._without: list[str] = []
        inner, files = names(root)
        self._people = self._table_of_people(self._found(inner, files))
        self._all_sessions = self._table_of_people(root / "sessions.tsv") if "sessions.tsv" in files else None
        self._folders = [name.removeprefix("sub-") for name in inner if name.startswith("sub-")]
        for people in (self._people, self._all_sessions):
            self._notes += people.match(self._folders) if people else ()

    @property
    def ids(self) -> frozenset[str]:
        """Labels of the people that the table of participants names, as the folders spell them."""
        return self._people.ids if self._people else frozenset()

    def columns(self, path: Location) -> dict[str, Value]:
        """Columns for the scan in a file, or in a folder named after its subject.

        Those of the scan win over those of its session, and these over those of its participant; a missing value hides nothing.
        """
        named = bids.entities(path)
        if not (subject := named.get("subject")):
            return {}
        session = named.get("session", "")
        person: dict[str, Value] = {}
        if self._people:
            person = self._people.row(subject, session)
            self._scans += 1
            self._without += [] if self._people.knows(subject) else [subject]
        visit = self._all_sessions.row(subject, session) if self._all_sessions else {}
        return merged(person, visit, self._session(subject, session), self._scan(path, subject, session))

    def notes(self) -> tuple[str, ...]:
        """What is to be known of the tables after all scans were asked for, a sentence each.

        Raises
        ------
        RunError
            ``USAGE``: with ``strict``, scans found no row.
        """
        missing = []
        if self._people and self._without:
            missing = [self._people.unmatched(self._without, asked=self._folders, total=self._scans)]
            refuse(missing, strict=self._strict)
        more = len(self._inner_notes) - MOST_FAULTS
        inner = self._inner_notes[:MOST_FAULTS] + ([f"{more} more of the tables of single subjects have faults"] if more > 0 else [])
        return (*self._notes, *missing, *inner)

    def _found(self, folders: Sequence[str], files: Sequence[str]) -> Location:
        """The table of participants, also where its name is not quite what BIDS has, which is said."""
        wanted = self._root / PARTICIPANTS
        like = [name for name in (*folders, *files) if name != PARTICIPANTS and LIKE_PARTICIPANTS.fullmatch(name)]
        if PARTICIPANTS in folders:
            self._told([f"{wanted} is a folder, and no table: its columns are missing; put the table in its place"], self._notes)
        if bids.is_there(wanted) or not like:
            return wanted
        readable = next((name for name in like if name.lower().endswith((".tsv", ".csv")) and name in files), None)
        how = "was read in its place" if readable else "was not read"
        self._told([f"{self._root / (readable or like[0])} {how}: save it as {PARTICIPANTS}, which is the name in BIDS"], self._notes)
        return self._root / readable if readable else wanted

    def _table_of_people(self, path: Location) -> People | None:
        """A table of participants; None where there is none that can be used."""
        table = self._read(path, self._notes)
        if table is None:
            return None
        ids = [name for name in table.names if is_id_name(name)]
        column = "participant_id" if "participant_id" in ids else find_column(ids, SUBJECT_NAMES)
        if column is None:
            columns = ", ".join(map(visible, table.names)) or "none"
            self._told([f"table {table.place} has no column participant_id (columns: {columns}): left out; add it"], self._notes)
            return None
        session = find_column(table.names, SESSION_NAMES)
        people = People(table, column, prefix="sub-", session=session)
        self._told(list(people.faults), self._notes)
        return people

    def _session(self, subject: str, session: str) -> dict[str, Value]:
        """What the table of a subject's sessions says of one."""
        path = self._root / f"sub-{subject}" / f"sub-{subject}_sessions.tsv"
        people = self._inner(path, "session_id", prefix="ses-") if session else None
        if people is None:
            return {}
        if not people.knows(session):
            people.match([session])
        self._unknown([path] if not people.knows(session) else [], f"ses-{session}")
        return people.row(session)

    def _scan(self, path: Location, subject: str, session: str) -> dict[str, Value]:
        """What the tables of a subject's scans say of one."""
        folder = self._root / f"sub-{subject}"
        places = [folder / f"sub-{subject}_scans.tsv"]
        places += [folder / f"ses-{session}" / f"sub-{subject}_ses-{session}_scans.tsv"] if session else []
        tables = [self._inner(place, "filename", prefix="", key=_stem) for place in places]
        known = {place: people for place, people in zip(places, tables, strict=True) if people}
        silent = not any(people.knows(bids.stem(path)) for people in known.values())
        self._unknown(list(known) if silent else [], path.name)
        return merged(*(people.row(bids.stem(path)) for people in known.values()))

    def _unknown(self, tables: Sequence[Location], what: str) -> None:
        """Note that none of the tables of a subject tells of something that is there."""
        if tables:
            self._inner_notes.append(f"table {visible(str(tables[-1]))} has no row for {visible(what)}: use the same name in both")

    def _inner(self, path: Location, column: str, *, prefix: str, key: Callable[[str], str] | None = None) -> People | None:
        """A table of one subject, read once."""
        if path not in self._visits:
            table = self._read(path, self._inner_notes)
            self._visits[path] = None
            if table is not None and column in table.names:
                people = self._visits[path] = People(table, column, prefix=prefix, key=key)
                self._told(list(people.faults), self._inner_notes)
            elif table is not None:
                self._told([f"table {table.place} has no column {column}: left out; add it"], self._inner_notes)
        return self._visits[path]

    def _read(self, path: Location, notes: list[str]) -> Table | None:
        """A table; None where there is none or it cannot be read."""
        if not bids.is_there(path):
            return None
        try:
            table = read_table(path, text=("filename", "acq_time"), units=self._units(path))
        except RunError as error:
            if self._strict or error.reason is not Reason.USAGE:
                raise
            notes.append(f"{error}; its columns are missing")
            return None
        self._told(list(table.faults), notes)
        notes += table.notes
        return table

    def _units(self, path: Location) -> dict[str, float]:
        """Units of columns of ages, as the description at the root has them of tables of this kind (``participants.json``)."""
        kind = path.name.removesuffix(path.suffix).rpartition("_")[2]
        if kind not in self._units_of:
            said = {
                name: column.get("Units") for name, column in _description(self._root / f"{kind}.json").items() if isinstance(column, dict)
            }
            units = {name: units_per_year(unit) for name, unit in said.items() if isinstance(unit, str) and is_age_name(name)}
            self._units_of[kind] = {name: number for name, number in units.items() if number}
        return self._units_of[kind]

    def _told(self, faults: list[str], notes: list[str]) -> None:
        """Note faults, or refuse them."""
        refuse(faults, strict=self._strict)
        notes += faults


class Datasets:
    """The tables of the datasets that files named one by one belong to, each read once.

    Parameters
    ----------
    strict
        Whether to refuse a table that is not as it should be.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self._tables: dict[Location, BidsTables] = {}

    def columns(self, path: Location, *, root: Location | None) -> dict[str, Value]:
        """What the tables of the dataset at ``root`` say of a file in it; nothing where it is in none."""
        if root is None:
            return {}
        if root not in self._tables:
            self._tables[root] = BidsTables(root, strict=self.strict)
        return self._tables[root].columns(path)

    def notes(self) -> tuple[str, ...]:
        """What is to be known of these tables, a sentence each."""
        return tuple(note for table in self._tables.values() for note in table.notes())


def _description(place: Location) -> dict[str, object]:
    """What a JSON file beside a table says of its columns; nothing where there is none that can be read."""
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _stem(cell: str) -> str:
    """Name of a scan in a table of scans, without folders and suffix."""
    return bids.stem(PurePosixPath(cell.strip().replace("\\", "/")))
