"""What the tables of a BIDS dataset say of each scan: participants, sessions, and scans with the time they were acquired at."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
from hypojax.location import Location, names
from hypojax.reason import Reason, RunError
from hypojax.tables import People, Table, Value, is_id_name, merged, plain, read_table
from hypojax.visible import visible

MOST_FAULTS: Final = 3
"""Faults named of the tables of single subjects, which may all have the same."""

SESSION_NAMES: Final = ("sessionid", "session", "ses")


class Participants:
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
        self._scans = 0
        self._without: list[str] = []
        self._people = self._participants()
        self._folders = [name.removeprefix("sub-") for name in names(root)[0] if name.startswith("sub-")] if self._people else []
        self._notes += self._people.match(self._folders) if self._people else ()

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
        return merged(person, self._session(subject, session), self._scan(path, subject, session))

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
            self._refuse(missing)
        more = len(self._inner_notes) - MOST_FAULTS
        inner = self._inner_notes[:MOST_FAULTS] + ([f"{more} more of the tables of single subjects have faults"] if more > 0 else [])
        return (*self._notes, *missing, *inner)

    def _participants(self) -> People | None:
        """The table of participants; None where there is none that can be used."""
        table = self._read(self._root / "participants.tsv", self._notes)
        if table is None:
            return None
        column = _column(table, "participant_id")
        if column is None:
            columns = ", ".join(map(visible, table.names)) or "none"
            self._told([f"table {table.place} has no column participant_id (columns: {columns}): left out; add it"], self._notes)
            return None
        session = next((name for name in table.names if plain(name) in SESSION_NAMES), None)
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
        return people.row(session)

    def _scan(self, path: Location, subject: str, session: str) -> dict[str, Value]:
        """What the tables of a subject's scans say of one."""
        folder = self._root / f"sub-{subject}"
        places = [folder / f"sub-{subject}_scans.tsv"]
        places += [folder / f"ses-{session}" / f"sub-{subject}_ses-{session}_scans.tsv"] if session else []
        tables = [self._inner(place, "filename", prefix="", key=_stem) for place in places]
        return merged(*(people.row(bids.stem(path)) for people in tables if people))

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
            table = read_table(path, text=("filename", "acq_time"))
        except RunError as error:
            if self._strict or error.reason is not Reason.USAGE:
                raise
            notes.append(f"{error}; its columns are missing")
            return None
        self._told(list(table.faults), notes)
        notes += table.notes
        return table

    def _told(self, faults: list[str], notes: list[str]) -> None:
        """Note faults, or refuse them."""
        self._refuse(faults)
        notes += faults

    def _refuse(self, faults: list[str]) -> None:
        """Refuse faults where that was asked for."""
        if self._strict and faults:
            raise RunError(Reason.USAGE, f"{faults[0]} (refused because of --strict-tables)")


class Datasets:
    """The tables of the datasets that files named one by one belong to, each read once.

    Parameters
    ----------
    strict
        Whether to refuse a table that is not as it should be.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self._tables: dict[Location, Participants] = {}

    def columns(self, path: Location, *, root: Location | None) -> dict[str, Value]:
        """What the tables of the dataset at ``root`` say of a file in it; nothing where it is in none."""
        if root is None:
            return {}
        if root not in self._tables:
            self._tables[root] = Participants(root, strict=self.strict)
        return self._tables[root].columns(path)

    def notes(self) -> tuple[str, ...]:
        """What is to be known of these tables, a sentence each."""
        return tuple(note for table in self._tables.values() for note in table.notes())


def _column(table: Table, wanted: str) -> str | None:
    """The column of ids: of the name that BIDS gives it, in whatever spelling, else another one of ids of people."""
    others = ("participantid", "participant", "subjectid", "subject", "sub")
    spelled = {plain(name): name for name in reversed(table.names) if is_id_name(name)}
    return wanted if wanted in table.names else next((spelled[name] for name in others if name in spelled), None)


def _stem(cell: str) -> str:
    """Name of a scan in a table of scans, without folders and suffix."""
    return bids.stem(PurePosixPath(cell.strip().replace("\\", "/")))
