"""Reading a table: rows with numbers read as numbers, and a list of its faults.

A fault costs only the columns or rows concerned and is reported with its line; only a table without any cannot be read.
"""

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from hypojax.reason import Reason, RunError, visible
from hypojax.storage import Location, link_target
from hypojax.tables.cells import MISSING, Row, Value, counted, is_age_name, is_id_name, is_number, text_of, typed_column
from hypojax.tables.content import Content, content_of, listed_lines, other_kind, pointer_command
from hypojax.tables.dates import ages_of, other_unit

SUFFIXES: Final = (".tsv", ".csv", ".parquet")

EXAMPLES: Final = 3
"""Cells shown in a message."""

Columns = dict[str, list[str]]

Kind = Literal["as written", "text", "age", "any"]

Kinds = Callable[[str], Kind]
"""What a column of some name holds."""

DECIMAL: Final = re.compile(r"[+-]?[0-9]+(,[0-9]+)?([eE][+-]?[0-9]+)?")
"""A number as it is written where a comma is the point."""

Units = Mapping[str, float]

NO_UNITS: Final[Units] = {}


@dataclass(frozen=True)
class Table:
    """A table of people or scans.

    Parameters
    ----------
    place
        Where it lies, for messages.
    names
        Its columns.
    rows
        One mapping per row. A column is of integers or floats where all its values are, else of text; None is missing. Ids are always text.
    lines
        Line of the file that each row begins on; in Parquet, the number of the row.
    faults
        Faults and what was left out because of them, one sentence each.
    notes
        What was interpreted, one sentence each.
    """

    place: str
    names: tuple[str, ...]
    rows: tuple[Row, ...]
    lines: tuple[int, ...]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_table(
    path: Location, *, text: Collection[str] = (), raw: Collection[str] = (), all_text: bool = False, units: Units = NO_UNITS
) -> Table:
    """A .tsv, .csv or .parquet file.

    Parameters
    ----------
    path
        The table; its first line names the columns.
    text
        Columns that stay text, besides ids.
    raw
        Columns of text whose bytes stay what they are, as names of files do, whatever they spell.
    all_text
        Whether all columns stay text as it is written, also where that is a spelling of a missing value.
    units
        Column of ages → how many of the unit that its numbers are in make a year.

    Raises
    ------
    RunError
        ``USAGE``: the file is missing, is a pointer to content kept elsewhere, or is not a table.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(Reason.USAGE, f"table {visible(str(path))} {_unreadable(path, error)}") from error
    if command := pointer_command(data):
        raise RunError(Reason.USAGE, f"table {visible(str(path))} is a pointer to content that was not fetched; run: {command} {path.name}")

    def kind(name: str) -> Kind:
        if all_text or name in raw:
            return "as written"
        return "text" if name in text or is_id_name(name) else "age" if is_age_name(name) else "any"

    if path.suffix.lower() == ".parquet":
        return _read_parquet(path, data, kind)
    return _read_text(path, data, kind, units)


def age_column(
    name: str, cells: Sequence[str], who: Sequence[str], *, unit: float | None = None
) -> tuple[Sequence[Value], list[str], list[str]]:
    """Ages of a column, what is not an age, and what was read although it is not written as a number.

    Parameters
    ----------
    name
        Of the column.
    cells
        Its cells.
    who
        Label of each row, for messages.
    unit
        As `ages_of` takes it.
    """
    found = ages_of(cells, name, unit=unit)
    if len(found.unread) == sum(cell not in MISSING for cell in cells):
        said = [f"has no ages in column {visible(name)!r} (found: {_examples(cells, found.unread)}): it stays text"] if found.unread else []
        return typed_column(cells), [], said
    faults, notes = [], []
    if found.unread:
        people = "; ".join(who[row] for row in found.unread[:EXAMPLES])
        more = f" and {len(found.unread) - EXAMPLES} more" if len(found.unread) > EXAMPLES else ""
        what = f"{_examples(cells, found.unread)} is not an age: missing in {counted(len(found.unread), 'row')} ({people}{more})"
        faults.append(f"column {visible(name)!r}: {what}")
    if found.impossible:
        faults.append(f"column {visible(name)!r}: {other_unit(visible(cells[found.impossible[0]]))}")
    changed = [
        row for row, value in enumerate(found.values) if unit not in (None, 1.0) and value is not None and cells[row] != f"{value:g}"
    ]
    if changed:
        row = changed[0]
        notes.append(
            f"column {visible(name)!r}: in the unit that its description names, read as years ({cells[row]!r} as {found.values[row]:g})"
        )
    elif found.respelled:
        row = found.respelled[0]
        example = f"{cells[row]!r} as {found.values[row]:g}; {who[row]}"
        how = f"{counted(len(found.respelled), 'age')} not written as a plain number, but read ({example})"
        notes.append(f"column {visible(name)!r}: {how}")
    return found.values, faults, notes


def _unreadable(path: Location, error: OSError) -> str:
    """Why a file cannot be read, and what to do."""
    if target := link_target(path):
        return f"is a link to content that is not here ({visible(target)}); fetch it: datalad get {visible(path.name)}"
    return f"cannot be read ({error.strerror}); check that it is there and may be read"


def _read_text(path: Location, data: bytes, kinds: Kinds, units: Units) -> Table:
    if kind := other_kind(data):
        raise RunError(Reason.USAGE, f"table {visible(str(path))} is {kind} and no text; save it as text (.tsv, .csv)")
    content = content_of(data, tabs=path.suffix.lower() == ".tsv")
    content, comments = _without_comments(content)
    names = _trimmed(content.records) if content.records else ()
    if not any(names):
        why = "names no columns in its first line; write their names there" if data.strip() else "is empty; give one with a row a scan"
        raise RunError(Reason.USAGE, f"table {visible(str(path))} {why}")
    lines = content.lines[1:]
    rows, ragged = _squared(content.records[1:], names, lines)
    columns, repeated = _named(rows, names, content.lines[0])
    found, unreadable = _readable(columns, lines, kinds)
    commas = _with_points(found, kinds) if content.separator == ";" else []
    table = f"table {visible(str(path))}"
    values, faults, notes = _typed(found, lines, kinds, units)
    return Table(
        str(path),
        tuple(found),
        tuple({name: values[name][number] for name in found} for number in range(len(rows))),
        tuple(lines),
        tuple(f"{table} {fault}" for fault in (*content.faults, *comments, *ragged, *repeated, *unreadable, *faults)),
        tuple(f"{table} {note}" for note in (*commas, *notes)),
    )


def _with_points(columns: Columns, kinds: Kinds) -> list[str]:
    """Write numbers with a point in columns where all have a comma or none, as in tables that have semicolons for that; a note on them."""
    named = []
    for name, cells in columns.items():
        present = [cell for cell in cells if cell not in MISSING]
        if kinds(name) == "any" and any("," in cell for cell in present) and all(map(DECIMAL.fullmatch, present)):
            columns[name] = [cell if cell in MISSING else cell.replace(",", ".") for cell in cells]
            named.append(visible(name))
    return [f"columns with decimal commas, read as points: {', '.join(named)}"] if named else []


def _without_comments(content: Content) -> tuple[Content, list[str]]:
    """The content without comments before its header, which have other cells than the line after them; and a note on them."""
    records, count = content.records, 0
    while len(records) > count + 1 and records[count][0].startswith("#") and len(records[count]) != len(records[count + 1]):
        count += 1
    if not count:
        return content, []
    said = f"begins with {counted(count, 'comment')} ({listed_lines(content.lines[:count])}), which BIDS tables do not have: left out"
    return replace(content, records=records[count:], lines=content.lines[count:]), [said]


def _trimmed(records: Sequence[Sequence[str]]) -> Sequence[str]:
    """Names of columns, without those behind the last that neither have a name nor a value."""
    names = records[0]
    last = max((number for number, cell in enumerate(names) if cell), default=-1)
    filled = max((number for record in records[1:] if len(record) == len(names) for number, cell in enumerate(record) if cell), default=-1)
    return names[: max(last, filled) + 1] if last >= 0 else ()


def _squared(records: Sequence[Sequence[str]], names: Sequence[str], lines: Sequence[int]) -> tuple[list[Sequence[str]], list[str]]:
    """Records with as many cells as there are names; and a note on those that had others.

    It is unknown which cell is missing or extra: of such a row only a leading id is used.
    """
    rows: list[Sequence[str]] = []
    odd = []
    if records and _numbered(records, names):
        return [record[1:] for record in records], ["has one column without a name in front, of row numbers: left out"]
    for record, line in zip(records, lines, strict=True):
        if len(record) > len(names) and not any(record[len(names) :]):  # tabs behind the last cell
            record = record[: len(names)]  # noqa: PLW2901
        if len(record) != len(names):
            odd.append((line, len(record)))
            record = [record[0] if is_id_name(names[0]) else "", *[""] * (len(names) - 1)]  # noqa: PLW2901
        rows.append(record)
    if not odd:
        return rows, []
    cells = ", ".join(dict.fromkeys(str(count) for _, count in odd[:EXAMPLES]))
    where = listed_lines([line for line, _ in odd])
    return rows, [f"has {cells} cells for {counted(len(names), 'column')} in {where}: its values there are left out; correct it"]


def _numbered(records: Sequence[Sequence[str]], names: Sequence[str]) -> bool:
    """Whether each row has its number in front, which the header does not name, as R writes it."""
    return all(len(record) == len(names) + 1 for record in records) and _counts([record[0] for record in records])


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are the numbers of their rows, from 0 or 1."""
    return any(list(cells) == [str(number + start) for number in range(len(cells))] for start in (0, 1))


def _named(rows: Sequence[Sequence[str]], names: Sequence[str], line: int) -> tuple[Columns, list[str]]:
    """Cells of each column that has a name; one named several times where all say the same, and a note on it."""
    columns: Columns = {}
    differing = []
    for name, cells in zip(names, zip(*rows, strict=True) if rows else ((),) * len(names), strict=True):
        if name and columns.setdefault(name, list(cells)) != list(cells):
            differing.append(name)
    columns = {name: cells for name, cells in columns.items() if name not in differing}
    nameless = [
        number
        for number, name in enumerate(names)
        if not name and any(row[number] not in MISSING for row in rows) and not _counts([row[number] for row in rows])
    ]
    faults = [f"has {counted(len(nameless), 'column')} without a name in line {line}: left out; name each"] if nameless else []
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if not twice:
        return columns, faults
    said = ", ".join(f"{visible(name)!r}" + (" (left out: they differ)" if name in differing else "") for name in twice)
    return columns, [*faults, f"names columns more than once in line {line}: {said}; name each once"]


def _readable(columns: Columns, lines: Sequence[int], kinds: Kinds) -> tuple[Columns, list[str]]:
    """Columns without bytes that are not UTF-8 (read as Latin-1) and without cells that hold NUL; and a note on each."""
    foreign = [cells for name, cells in columns.items() if kinds(name) != "as written"]
    strange = {line for cells in foreign for line, cell in zip(lines, cells, strict=True) if _has_bytes(cell)}
    empty = {line for cells in foreign for line, cell in zip(lines, cells, strict=True) if "\0" in cell}
    names = {name for name in columns if _has_bytes(name)}
    found = {
        _windows(name): cells if kinds(name) == "as written" else ["" if "\0" in cell else _windows(cell) for cell in cells]
        for name, cells in columns.items()
    }
    faults = []
    if strange or names:
        where = listed_lines(sorted(strange)) if strange else "its first line"
        faults.append(f"is not UTF-8 ({where}); such cells were read as Latin-1: save it as UTF-8")
    if empty:
        faults.append(f"has cells that hold NUL ({listed_lines(sorted(empty))}): they count as missing; write it again")
    return found, faults


def _has_bytes(cell: str) -> bool:
    """Whether a cell holds bytes that are not text."""
    return any("\udc80" <= character <= "\udcff" for character in cell)


def _windows(cell: str) -> str:
    """Bytes of a cell as Windows-1252, a superset of Latin-1 but for five characters."""
    if not _has_bytes(cell):
        return cell
    data = cell.encode("utf-8", "surrogateescape")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _typed(columns: Columns, lines: Sequence[int], kinds: Kinds, units: Units) -> tuple[dict[str, Sequence[Value]], list[str], list[str]]:
    """Values of each column, what cannot be read, and what was interpreted."""
    values: dict[str, Sequence[Value]] = {}
    faults: list[str] = []
    notes: list[str] = []
    key = next((name for name in columns if is_id_name(name)), None)
    who = [f"line {line}" + (f", {visible(columns[key][row])}" if key else "") for row, line in enumerate(lines)]
    for name, cells in columns.items():
        kind = kinds(name)
        if kind in ("text", "as written"):
            values[name] = [None if cell in MISSING and (kind == "text" or not cell) else cell for cell in cells]
        elif kind == "age":
            values[name], unread, read = age_column(name, cells, who, unit=units.get(name))
            faults += unread
            notes += read
        else:
            values[name] = typed_column(cells)
            notes += _mixed(name, cells, who)
    return values, faults, notes


def _examples(cells: Sequence[str], rows: Sequence[int]) -> str:
    return ", ".join(dict.fromkeys(repr(visible(cells[row])) for row in rows[: 10 * EXAMPLES][:EXAMPLES]))


def _mixed(name: str, cells: Sequence[str], who: Sequence[str]) -> list[str]:
    """A note on a column that is of text because of some of its cells."""
    words = [row for row, cell in enumerate(cells) if cell not in MISSING and not is_number(cell) and not cell.isdigit()]
    numbers = sum(is_number(cell) for cell in cells)
    if not words or not numbers:
        return []
    said = f"{counted(numbers, 'number')} and {counted(len(words), 'word')} ({cells[words[0]]!r}; {who[words[0]]})"
    return [f"column {visible(name)!r} mixes {said}: it stays text"]


def _read_parquet(path: Location, data: bytes, kinds: Kinds) -> Table:
    """Rows of a Parquet file; types other than numbers and text become text."""
    from pyarrow import ArrowException, parquet  # takes a quarter of a second to import

    try:
        read = parquet.read_table(io.BytesIO(data))
        rows: list[dict[str, Any]] = read.to_pylist()
    except ArrowException as error:
        raise RunError(Reason.USAGE, f"table {visible(str(path))} is not a Parquet file ({error}); write it again") from error
    names = [name for name in read.column_names if not name.startswith("__index_level_")]
    values: dict[str, Sequence[Value]] = {name: [_plain(row[name], kinds(name)) for row in rows] for name in names}
    faults: list[str] = []
    notes: list[str] = []
    who = [f"row {number}" for number in range(1, len(rows) + 1)]
    for name in names:
        if kinds(name) == "age":
            values[name], unread, read_so = age_column(name, ["" if value is None else text_of(value) for value in values[name]], who)
            faults += unread
            notes += read_so
    table = f"table {visible(str(path))}"
    return Table(
        str(path),
        tuple(names),
        tuple({name: values[name][number] for name in names} for number in range(len(rows))),
        tuple(range(1, len(rows) + 1)),
        tuple(f"{table} {fault}" for fault in faults),
        tuple(f"{table} {note}" for note in notes),
    )


def _plain(cell: object, kind: Kind) -> Value:
    """One Parquet cell as text, integer, float or None."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)) or (isinstance(cell, str) and cell in MISSING):
        return None
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if kind in ("text", "as written") or not isinstance(cell, int | float):
        return text_of(cell)
    return int(cell) if isinstance(cell, bool) else cell
