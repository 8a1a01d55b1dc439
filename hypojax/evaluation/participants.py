"""What a table says of each scan of an evaluation: age, sex, site, whatever stands in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hypojax.evaluation.pairs import Pair
from hypojax.reason import Reason, RunError
from hypojax.tables import People, Value, merged, read_table

IDS: Final = ("scan", "scan_id", "participant_id", "subject", "subject_id", "id")
"""Columns that may say whose a row is, first choice first; compared without case."""

SESSIONS: Final = ("session_id", "session")


class ParticipantsTable:
    """A table of participants or scans.

    Parameters
    ----------
    path
        The table (tsv, csv, parquet): a column of scan ids or participants, perhaps one of sessions, and any others.
    pairs
        The scans that will be asked for.

    Attributes
    ----------
    notes
        What is to be known of the table, a sentence each.

    Raises
    ------
    RunError
        ``USAGE``: no column says whose a row is.
    """

    def __init__(self, path: Path, pairs: Sequence[Pair] = ()) -> None:
        table = read_table(path)
        column, session = _first(table.names, IDS), _first(table.names, SESSIONS)
        if column is None:
            message = f"table {path} has no column {', '.join(IDS[:-1])} or {IDS[-1]} (columns: {', '.join(table.names) or 'none'})"
            raise RunError(Reason.USAGE, f"{message}; name the one that says whose a row is so")
        self._session = session
        self._people = People(table, column, prefix="sub-", session=session)
        wanted = [self._name(pair) for pair in pairs]
        self.notes = (*table.faults, *table.notes, *self._people.faults, *self._people.match(wanted))
        if without := [name for name in wanted if not self._people.knows(name)]:
            self.notes += (self._people.unmatched(without, asked=wanted, total=len(wanted)),)

    def columns(self, pair: Pair) -> Mapping[str, Value]:
        """What the table says of a scan; nothing where it does not know it."""
        row = self._people.row(self._name(pair), pair.reference.entities.get("session", ""))
        return {column: value for column, value in row.items() if column != self._session}

    def _name(self, pair: Pair) -> str:
        """The name by which the table may know a scan."""
        subject = pair.reference.entities.get("subject", "")
        return next((name for name in (pair.scan, pair.reference.scan, subject) if name and self._people.knows(name)), subject or pair.scan)


def columns_of(pairs: Sequence[Pair], table: ParticipantsTable | None) -> dict[str, Value]:
    """All that is known of one scan, the given table last, so that it wins; its dataset too, where nothing else says it."""
    known: dict[str, Value] = {}
    for pair in pairs:
        dataset = pair.reference.dataset or (pair.predicted.dataset if pair.predicted else "")
        own = {"dataset": dataset} if dataset else {}
        known = merged(known, own, pair.predicted.columns if pair.predicted else {}, pair.reference.columns)
        known = merged(known, table.columns(pair) if table else {})
    return known


def _first(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first wanted name that is there, as it is spelled there."""
    spelled = {name.casefold(): name for name in reversed(names)}
    return next((spelled[name] for name in wanted if name in spelled), None)
