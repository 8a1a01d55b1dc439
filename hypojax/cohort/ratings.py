"""What people said of scans after looking at them: the table ``qc.tsv`` beside a cohort.

A row a rating, never changed: whoever rates a scan again adds a row, and the latest of each rater counts. Two raters, and people with a
spreadsheet, may write into one table: a row is added by writing the table whole beside its place and renaming it, one writer at a time.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from math import isnan, nan
from pathlib import Path
from typing import Final

import pandas as pd

from hypojax.reason import Reason, RunError, visible
from hypojax.storage import Location, replacing, writing
from hypojax.tables import MISSING, Table, listed_lines, plain, read_table
from hypojax.tables.cells import counted
from hypojax.tables.row_edits import with_row

RATINGS: Final = "qc.tsv"

ACCEPT, DOUBT, REJECT = "accept", "doubt", "reject"

LEVELS: Final = (ACCEPT, DOUBT, REJECT)
"""Ratings, the best first."""

WORDS: Final = {"accept": ACCEPT, "pass": ACCEPT, "ok": ACCEPT, "good": ACCEPT, "doubt": DOUBT, "reject": REJECT, "fail": REJECT}
"""Words of raters → what they stand for."""

RATING_COLUMNS: Final = ("scan", "rating", "comment", "rater", "time")

SHOWN: Final = 3

LONGEST: Final = 2000
"""Characters of a comment or a name."""


@dataclass(frozen=True)
class Rating:
    r"""What one person said of one scan.

    Parameters
    ----------
    scan
        Its id.
    rating
        One of `LEVELS`.
    comment
        Any text; line breaks become blanks.
    rater
        Who.
    time
        When, ISO 8601 with the zone; now, when left out.

    Raises
    ------
    RunError
        ``USAGE``: one of them is not as said here.

    Examples
    --------
    >>> Rating("sub-01", "doubt", "blurred,\nor moved?", "anna", "2026-01-02T10:00:00+01:00").comment
    'blurred, or moved?'
    """

    scan: str
    rating: str
    comment: str = ""
    rater: str = ""
    time: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be a row; write text on one line."""
        if not self.scan or self.rating not in LEVELS:
            raise RunError(Reason.USAGE, f"rating {self.rating!r} of scan {self.scan!r}: a rating is one of {', '.join(LEVELS)}")
        if (longest := max(map(len, astuple(self)))) > LONGEST:
            raise RunError(Reason.USAGE, f"rating of scan {self.scan!r}: {longest} characters; write at most {LONGEST}")
        object.__setattr__(self, "comment", " ".join(self.comment.split()))
        object.__setattr__(self, "rater", " ".join(self.rater.split()))
        object.__setattr__(self, "time", self.time or datetime.now().astimezone().isoformat(timespec="seconds"))
        if isnan(_seconds(self.time)) or datetime.fromisoformat(self.time).tzinfo is None:
            message = f"rating of scan {self.scan!r}: {self.time!r} is no time with its zone"
            raise RunError(Reason.USAGE, f"{message}; for example: 2026-01-02T10:00:00+01:00")


def read_ratings(folder: Location | None) -> tuple[pd.DataFrame, list[str]]:
    """Ratings in a folder, a row each in the order of the file; empty where there is no table.

    Hand edits are read: columns in another order, further columns, other line ends, encodings and separators.

    Parameters
    ----------
    folder
        Where ``qc.tsv`` lies; none has no ratings.

    Returns
    -------
    ratings
        Columns `RATING_COLUMNS`, all text, ``rating`` one of `LEVELS`; what is missing is empty.
    notes
        One sentence each, on what was used and on rows that were not.
    """
    empty = pd.DataFrame(columns=list(RATING_COLUMNS), dtype=object)
    if folder is None:
        return empty, []
    place = folder / RATINGS
    try:
        if not place.is_file():
            return empty, []
        table = read_table(place, all_text=True)
    except (OSError, RunError) as error:
        return empty, [f"ratings {visible(str(place))} cannot be read: {error}"]
    named = {plain(name): name for name in reversed(table.names)}
    said = f"ratings of {visible(str(place))}"
    if gone := [name for name in ("scan", "rating") if name not in named]:
        return empty, [f"{said} have no column {' and no column '.join(gone)}: none was used; name the columns in the first line"]
    frame = pd.DataFrame([*_rows(table)], columns=list(RATING_COLUMNS), dtype=object).assign(line=list(table.lines))
    found, notes = _known(frame, said)
    return found, [f"{said} were used", *table.faults, *notes]


def add_rating(folder: Path, rating: Rating) -> bool:
    """Add a row to the ratings in a folder; what others wrote meanwhile stays, and a process that is killed leaves the table whole.

    Parameters
    ----------
    folder
        Where ``qc.tsv`` lies, or will lie.
    rating
        The row.

    Returns
    -------
    False where exactly this row was there already, as when an answer was lost and the rating is sent again.

    Raises
    ------
    RunError
        ``DISK_FULL``, ``NOT_WRITABLE``; ``USAGE``: the file is another table, and stays.
    """
    place = folder / RATINGS
    row = dict(zip(RATING_COLUMNS, astuple(rating), strict=True))
    with writing(place), replacing(place) as file:  # nobody else writes while this is open
        before = place.read_bytes() if place.exists() else b""
        try:
            after = with_row(before, row, key="scan", columns=RATING_COLUMNS)
        except RunError as error:
            raise RunError(error.reason, f"ratings {visible(str(place))}: the table {error}") from error
        known = bool(before) and astuple(rating) in _rows(read_table(place, all_text=True))
        file.write(before if known else after)
    return not known


def latest_ratings(ratings: pd.DataFrame, scans: Sequence[str]) -> tuple[pd.Series, list[str]]:
    """What holds of each scan: the worst of the latest ratings of all raters; empty where nobody rated.

    Parameters
    ----------
    ratings
        Columns ``scan``, ``rater``, ``rating``, ``time``, in the order in which they were given; times in ISO 8601, or missing.
    scans
        All scans.

    Examples
    --------
    >>> said = {"scan": ["a", "a", "a"], "rater": ["x", "x", "y"], "rating": ["reject", "accept", "doubt"], "time": [None] * 3}
    >>> latest_ratings(pd.DataFrame(said), ["a", "b"])[0].tolist()
    ['doubt', '']
    """
    table = pd.DataFrame(
        {name: [_text(name, cell) for cell in ratings[name]] for name in ("scan", "rater", "rating", "time")}, dtype=object
    )
    table, notes = _known(table, "ratings")
    unknown = len(set(table["scan"]) - set(scans))
    notes += [f"ratings: {counted(unknown, 'scan')} of them not among these"] if unknown else []
    last = latest_rows(table)
    found = {word: set(last["scan"][last["rating"] == word]) for word in LEVELS}
    held = [next((word for word in reversed(LEVELS) if scan in found[word]), "") for scan in scans]
    return pd.Series(held, index=list(scans), dtype=object), notes


def latest_rows(ratings: pd.DataFrame) -> pd.DataFrame:
    """The latest row of each rater on each scan.

    Times without a zone are UTC. A row without a time counts as given just after the one above it.
    """
    order = pd.Series([_seconds(time) for time in ratings["time"]], index=ratings.index, dtype=float).ffill().fillna(float("-inf"))
    rows = ratings.iloc[order.argsort(kind="stable").to_numpy()]
    return rows.drop_duplicates(["scan", "rater"], keep="last")


def _known(table: pd.DataFrame, said: str) -> tuple[pd.DataFrame, list[str]]:
    """Rows with a rating that is known, in our words, each once; and notes on the others."""
    kept = table.assign(rating=[WORDS.get(cell.casefold(), "") for cell in table["rating"]])
    known = (kept["rating"] != "") & (kept["scan"] != "")
    heading = (table["scan"].str.casefold() == "scan") & (table["rating"].str.casefold() == "rating")  # two tables were put together
    strange = table[~known & ~heading & (table["rating"] != "")]
    notes = []
    if len(strange):
        words = sorted({cell for cell in strange["rating"] if cell.casefold() not in WORDS})
        what = ", ".join(map(visible, words[:SHOWN])) or "no scan is named"
        where = f"; {listed_lines(strange['line'].tolist())}" if "line" in table else ""
        notes.append(f"{said}: {counted(len(strange), 'row')} not known and not used ({what}{where}); a rating is {', '.join(LEVELS)}")
    if odd := [cell for cell in kept["time"][known] if cell and isnan(_seconds(cell))]:
        what = f"{counted(len(odd), 'time')} not read ({visible(odd[0])}), being not as in 2026-01-31T10:00:00+01:00"
        notes.append(f"{said}: {what}; such a rating counts as given after the one above it")
    return kept[known].drop(columns="line", errors="ignore").drop_duplicates().reset_index(drop=True), notes


def _rows(table: Table) -> list[tuple[str, ...]]:
    """Cells of each row, in the order of `RATING_COLUMNS`."""
    named = {plain(name): name for name in reversed(table.names)}
    return [tuple(_text(name, row.get(named.get(name, ""))) for name in RATING_COLUMNS) for row in table.rows]


def _text(column: str, cell: object) -> str:
    """A cell without blanks at its ends; empty where it is missing. A scan may have any name."""
    text = "" if pd.isna(cell) else str(cell).strip()  # type: ignore[call-overload]
    return "" if text in MISSING and column != "scan" else text


def _seconds(time: str) -> float:
    """Seconds since 1970; NaN where the text is no time."""
    try:
        found = datetime.fromisoformat(time)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return nan
