"""Rows of a table by person and session: ids with and without prefix, in other case, without leading zeros; several rows of one person."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from hypojax.reason import Reason, RunError, visible
from hypojax.tables.cells import MISSING, Row, Value, counted, plain
from hypojax.tables.content import listed_lines
from hypojax.tables.reader import Table

VISIT: Final = re.compile(r"(.+?)[_ ]ses-([a-zA-Z0-9+]+)", re.IGNORECASE)
"""An id with a session behind it."""

SUBJECT_NAMES: Final = (
    *("participantid", "participant", "subjectid", "subject", "subj", "subjid", "sub"),
    *("patientid", "patient", "id", "mrid", "rid"),
)
"""Names of the column of subjects, first choice first, as `plain` spells them."""

SESSION_NAMES: Final = ("sessionid", "session", "ses", "visitid", "visit", "timepoint", "wave")
SEX_NAMES: Final = ("sex", "gender")
AGE_NAMES: Final = (
    *("age", "ageyears", "ageyrs", "ageyr", "ageinyears", "ageatscan", "agescan", "scanage", "ageatmri", "agemri", "ageatvisit"),
    *("ageatentry", "agemonths", "ageinmonths", "agemo"),
)

SEXES: Final = {"m": "M", "male": "M", "man": "M", "boy": "M", "f": "F", "female": "F", "woman": "F", "girl": "F"}
"""Spellings of sex; codes such as 0 and 1 stay as they are, because tables do not agree on which is which."""

EXAMPLES: Final = 2
"""Ids of each side shown in a message."""


class People:
    """Rows of a table by the id in one of its columns, and by session where another column names it.

    Parameters
    ----------
    table
        The table.
    column
        Its column of ids.
    prefix
        What BIDS puts before such ids (``sub-``), which may be missing.
    session
        Its column of sessions.
    key
        Takes the id from a cell, where that is not the cell without the prefix.

    Attributes
    ----------
    faults
        Faults of its ids, one sentence each.
    """

    def __init__(
        self, table: Table, column: str, *, prefix: str, session: str | None = None, key: Callable[[str], str] | None = None
    ) -> None:
        self._prefix = prefix
        self._place = visible(table.place)
        self._visits: dict[str, dict[str, Row]] = {}
        self._matches: dict[str, str] = {}
        nameless: list[int] = []
        rows: dict[tuple[str, str], list[tuple[int, Row]]] = {}
        for line, row in zip(table.lines, table.rows, strict=True):
            cell = row.get(column)
            if cell is None or str(cell).strip() in MISSING:
                nameless.append(line)
                continue
            visit = row.get(session) if session else None
            who, behind = (key(str(cell)), "") if key else self._whose(str(cell))
            named = who, behind if visit is None else _without(str(visit), "ses-")
            rows.setdefault(named, []).append((line, {name: value for name, value in row.items() if name != column}))
        self.faults: tuple[str, ...] = ()
        if nameless:
            self.faults += (f"table {self._place} has no {visible(column)} in {listed_lines(nameless)}: left out; add it",)
        for (who, visit_id), found in rows.items():
            self._visits.setdefault(who, {})[visit_id], differing = agreed([row for _, row in found])
            self.faults += self._said_twice(who, visit_id, [line for line, _ in found], differing)

    def match(self, wanted: Collection[str]) -> tuple[str, ...]:
        """Match these ids with those of the table where spellings differ, and return a note on it."""
        self._matches, how = match_ids({_without(one, self._prefix) for one in wanted}, self._visits)
        if not self._matches:
            return ()
        pairs = ", ".join(f"{visible(known)!r} is {self._prefix}{visible(one)}" for one, known in sorted(self._matches.items())[:EXAMPLES])
        return (f"table {self._place}: {counted(len(self._matches), 'id')} spelled differently from the scans ({how}): {pairs}",)

    @property
    def ids(self) -> frozenset[str]:
        """All ids, spelled as the ids that were matched with them."""
        spelled = {known: one for one, known in self._matches.items()}
        return frozenset(spelled.get(who, who) for who in self._visits)

    def knows(self, who: str) -> bool:
        """Whether there is a row for an id."""
        return self._found(who) in self._visits

    def row(self, who: str, session: str = "") -> dict[str, Value]:
        """Columns of one person, of one session where the table has sessions; empty for an unknown person.

        Where it has other sessions only, the values on which all of them agree.
        """
        visits = self._visits.get(self._found(who), {})
        own = _same(session, visits)
        if own is None and "" not in visits:
            return agreed(list(visits.values()))[0] if visits else {}
        return merged(visits.get("", {}), {} if own is None else visits[own])

    def unmatched(self, without: Sequence[str], *, asked: Collection[str], total: int) -> str:
        """A sentence on scans without a row, and on rows without a scan.

        Parameters
        ----------
        without
            Ids without a row, one a scan.
        asked
            All ids that were asked for.
        total
            Scans in all.
        """
        known = {self._found(who) for who in asked}
        spare = sorted(who for who in self._visits if who not in known)
        missing = ", ".join(f"{self._prefix}{visible(who)}" for who in sorted(set(without))[:EXAMPLES])
        left = ", ".join(repr(visible(who)) for who in spare[:EXAMPLES])
        rows = f"{counted(len(spare), 'row')} without a scan ({left})" if spare else "every row was used"
        scans = f"{len(without)} of {counted(total, 'scan')} without a row ({missing})"
        return f"table {self._place}: {scans}; {rows}: use the same ids in both"

    def _whose(self, cell: str) -> tuple[str, str]:
        """An id without its prefix, and the session that follows it in some tables (``sub-01_ses-2``)."""
        match = VISIT.fullmatch(cell.strip())
        return (self._bare(match[1]), match[2]) if match else (self._bare(cell), "")

    def _bare(self, cell: str) -> str:
        """An id without its prefix."""
        return _without(cell, self._prefix)

    def _found(self, who: str) -> str:
        """The id of the table that is meant."""
        bare = self._bare(who)
        return self._matches.get(bare, bare)

    def _said_twice(self, who: str, visit: str, lines: Sequence[int], differing: Sequence[str]) -> tuple[str, ...]:
        """A note on rows of one id."""
        if len(lines) < 2:
            return ()
        named = f"{self._prefix}{visible(who)}{f' session {visible(visit)}' if visit else ''}"
        cost = f"they differ in {', '.join(map(visible, differing))}, which is left missing" if differing else "they agree"
        return (f"table {self._place} names {named} {len(lines)} times ({listed_lines(lines)}): {cost}; keep one row for each",)


def find_column(names: Iterable[object], wanted: Sequence[str]) -> str | None:
    """The first column that has one of these names, in whatever spelling; None where there is none.

    >>> find_column(["Age (years)", "Participant ID"], SUBJECT_NAMES), find_column(["age"], SEX_NAMES)
    ('Participant ID', None)
    """
    spelled = {plain(str(name)): str(name) for name in reversed([*names])}
    return next((spelled[name] for name in wanted if name in spelled), None)


def refuse(faults: Sequence[str], *, strict: bool) -> None:
    """Refuse a table with faults where ``strict``.

    Raises
    ------
    RunError
        ``USAGE``: the first fault.
    """
    if strict and faults:
        raise RunError(Reason.USAGE, f"{faults[0]} (refused because of --strict-tables)")


def merged(*rows: Mapping[str, Value]) -> dict[str, Value]:
    """Rows about one scan, the later ones winning; a missing value hides nothing.

    >>> merged({"age": 31, "sex": "F"}, {"age": None, "dose": 2})
    {'age': 31, 'sex': 'F', 'dose': 2}
    """
    found: dict[str, Value] = {}
    for row in rows:
        found |= {name: value for name, value in row.items() if value is not None or name not in found}
    return found


def agreed(rows: Sequence[Row]) -> tuple[dict[str, Value], list[str]]:
    """Values on which all rows of one person agree, and the columns in which they differ, which are missing.

    >>> agreed([{"age": 31, "sex": "F"}, {"age": 33, "sex": None}])
    ({'age': None, 'sex': 'F'}, ['age'])
    """
    said = {name: {row[name] for row in rows if row.get(name) is not None} for name in dict.fromkeys(name for row in rows for name in row)}
    differing = [name for name, values in said.items() if len(values) > 1]
    return {name: next(iter(values)) if len(values) == 1 else None for name, values in said.items()}, differing


def match_ids(wanted: Collection[str], known: Collection[str]) -> tuple[dict[str, str], str]:
    """Which known id is meant by each wanted one that is not among them, and how they differ; nothing where that is not certain.

    Case and blanks are ignored for each id. Punctuation and leading zeros only where all ids of one side match one of the other,
    and none could match two.

    Examples
    --------
    >>> match_ids(["01", "02", "10"], ["1", "2", "10"])
    ({'01': '1', '02': '2'}, 'zeros before numbers')
    >>> match_ids(["01", "02", "03"], ["1", "2", "4"]), match_ids(["01", "001"], ["1", "2"])
    (({}, ''), ({}, ''))
    """
    left, spare = set(wanted) - set(known), set(known) - set(wanted)
    matches: dict[str, str] = {}
    differences = []
    for how, key, singly in _LADDER:
        ours, theirs = _unique(wanted, key), _unique(known, key)
        found = {one: theirs[key(one)] for one in sorted(left) if key(one) in ours and theirs.get(key(one)) in spare}
        certain = len(ours) == len(set(wanted)) and len(theirs) == len(set(known)) and len(found) in (len(left), len(spare))
        if found and (singly or certain):
            matches |= found
            differences.append(how)
            left, spare = left - set(found), spare - set(found.values())
    return matches, " and ".join(differences)


def _unique(ids: Collection[str], key: Callable[[str], str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for one in ids:
        found.setdefault(key(one), []).append(one)
    return {name: owners[0] for name, owners in found.items() if len(owners) == 1}


def _same(session: str, visits: Iterable[str]) -> str | None:
    """The session of a table that is meant by one of a scan."""
    known = [visit for visit in visits if visit]
    if session in known:
        return session
    return match_ids([session], known)[0].get(session) if session else None


def _without(cell: str, prefix: str) -> str:
    """An id without blanks and prefix, in whatever case that is written."""
    bare = cell.strip()
    return bare[len(prefix) :] if bare[: len(prefix)].casefold() == prefix else bare


def _folded(who: str) -> str:
    """An id without case and blanks; that of a number without the point that a spreadsheet gave it."""
    return re.sub(r"^([0-9]+)\.0+$", r"\1", re.sub(r"\s+", "", who).casefold())


def _letters(who: str) -> str:
    return re.sub(r"[\W_]+", "", _folded(who))


def _unpadded(who: str) -> str:
    """Letters and digits of an id, no number with zeros before it."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", _letters(who))


def _wordless(who: str) -> str:
    """The same without the word for what it is an id of, as in ``sub_01`` and ``Subject 1``."""
    return re.sub(r"^(subject|subj|sub|session|sess|ses)(?=.)", "", _unpadded(who))


_LADDER: Final = (
    ("case, or a number with .0", _folded, True),
    ("punctuation", _letters, False),
    ("zeros before numbers", _unpadded, False),
    ("a word before", _wordless, False),
)
"""How spellings may differ → what is the same in both, and whether each id is matched by itself."""
