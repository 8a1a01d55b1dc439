"""What a table says of each scan of an evaluation: age, sex, site, whatever stands in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hypojax.evaluate.pairs import Pair
from hypojax.reason import Reason, RunError
from hypojax.scans.table import Row, Value, read_table

IDS: Final = ("scan", "scan_id", "participant_id", "subject", "subject_id", "id")
"""Columns that may say whose a row is, first choice first; compared without case."""

SESSIONS: Final = ("session_id", "session")


class ParticipantsTable:
    """A table of participants or scans.

    Parameters
    ----------
    path
        The table (tsv, csv, parquet): a column of scan ids or participants, perhaps one of sessions, and any others.

    Raises
    ------
    RunError
        ``USAGE``: no column says whose a row is, or one is named twice.
    """

    def __init__(self, path: Path) -> None:
        names = list(next(iter(read_table(path)), {}))
        self._id, self._session = _first(names, IDS), _first(names, SESSIONS)
        if self._id is None:
            message = f"table {path} has no column {', '.join(IDS[:-1])} or {IDS[-1]} (columns: {', '.join(names) or 'none'})"
            raise RunError(Reason.USAGE, f"{message}; name the one that says whose a row is so")
        self._rows: dict[tuple[str, str], Row] = {}
        for row in read_table(path, text=tuple(name for name in (self._id, self._session) if name)):
            key = _plain(row[self._id], "sub-"), _plain(row[self._session], "ses-") if self._session else ""
            if key in self._rows:
                raise RunError(Reason.USAGE, f"table {path} names {' '.join(key).strip()} twice; keep one row for each")
            self._rows[key] = row

    def columns(self, pair: Pair) -> Mapping[str, Value]:
        """What the table says of a scan; nothing where it does not know it."""
        named = pair.reference.entities
        for name in (pair.scan, pair.reference.scan, named.get("subject", "")):
            for session in (named.get("session", ""), ""):
                row = self._rows.get((_plain(name, "sub-"), session))
                if name and row is not None:
                    return {column: value for column, value in row.items() if column not in (self._id, self._session)}
        return {}


def columns_of(pairs: Sequence[Pair], table: ParticipantsTable | None) -> dict[str, Value]:
    """All that is known of one scan, the given table last, so that it wins; its dataset too, where nothing else says it."""
    known: dict[str, Value] = {}
    for pair in pairs:
        dataset = pair.reference.dataset or (pair.predicted.dataset if pair.predicted else "")
        known |= {"dataset": dataset} if dataset else {}
        known |= {**(pair.predicted.columns if pair.predicted else {}), **pair.reference.columns}
        known |= table.columns(pair) if table else {}
    return known


def _first(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first wanted name that is there, as it is spelled there."""
    spelled = {name.casefold(): name for name in reversed(names)}
    return next((spelled[name] for name in wanted if name in spelled), None)


def _plain(value: Value, prefix: str) -> str:
    """An id without the prefix that BIDS gives it."""
    return "" if value is None else str(value).removeprefix(prefix)
