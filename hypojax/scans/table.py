"""Tables of text: participants, sessions, and a user's own list of scans, with numbers read as numbers."""

import csv
import io
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from hypojax.location import Location, ObjectPath
from hypojax.reason import Reason, RunError

Value = str | int | float | None
Row = Mapping[str, Value]

SUFFIXES: Final = (".tsv", ".csv", ".parquet")

MISSING: Final = frozenset({"", "n/a", "N/A", "NA", "NaN", "nan"})
"""Spellings of a missing value; BIDS writes ``n/a``."""

# A leading zero is kept as text: 007 is a name.
INTEGER: Final = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
NUMBER: Final = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?")


def read_table(path: Location, *, text: Collection[str] = ()) -> list[Row]:
    """Rows of a .tsv, .csv or .parquet file.

    Parameters
    ----------
    path
        The table; its first line names the columns.
    text
        Columns that stay text, as names of scans and files are.

    Returns
    -------
    One mapping a row. A column is of integers or floats where all its values are, else of text; None is missing.

    Raises
    ------
    RunError
        ``USAGE`` with the file and the line that cannot be understood.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path, text)
        cells = _cells(path.read_text(encoding="utf-8-sig"), tabs=path.suffix.lower() == ".tsv")
    except UnicodeDecodeError as error:
        raise RunError(Reason.USAGE, f"table {path} is not UTF-8 text ({error}); save it as UTF-8") from error
    except csv.Error as error:
        raise RunError(Reason.USAGE, f"table {path} is not a table of text ({error}); save it as .csv or .tsv") from error
    except OSError as error:
        raise RunError(Reason.USAGE, f"table {path} cannot be read ({error.strerror}); check that it is there and may be read") from error
    return _typed(_named(path, cells), text)


def _cells(content: str, *, tabs: bool) -> list[list[str]]:
    """Stripped cells of each line that has any; BIDS tables know no quotes."""
    first = content.partition("\n")[0]
    delimiter = "\t" if tabs else max(",;", key=first.count)
    rows = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL)
    stripped = [[cell.strip() for cell in row] for row in rows]
    return [row for row in stripped if any(row)]


def _named(path: Location, cells: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Cells of each row under the names of the first."""
    names = cells[0] if cells else []
    named = [name for name in names if name]
    if not named or len(set(named)) < len(named):
        raise RunError(
            Reason.USAGE, f"table {path} must name each of its columns once in its first line (found: {', '.join(names) or 'nothing'})"
        )
    for number, row in enumerate(cells[1:], start=1):
        if len(row) != len(names):
            raise RunError(
                Reason.USAGE, f"table {path}, row {number} below the header: {len(row)} cells for {len(names)} columns; correct it"
            )
    return [{name: cell for name, cell in zip(names, row, strict=True) if name} for row in cells[1:]]


def _typed(rows: Sequence[Mapping[str, str]], text: Collection[str]) -> list[Row]:
    """The same rows, each column of the narrowest type that holds all its values."""
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    values = {name: [cell or None for cell in cells] if name in text else typed_column(cells) for name, cells in columns.items()}
    return [{name: values[name][number] for name in values} for number in range(len(rows))]


def typed_column(cells: Sequence[str]) -> Sequence[Value]:
    """Cells of one column as integers, floats or text, the narrowest that holds them all; missing ones as None.

    Examples
    --------
    >>> typed_column(["39", "n/a", "41.5"])
    [39.0, None, 41.5]
    >>> typed_column(["007", "8"])
    ['007', '8']
    """
    present = [cell for cell in cells if cell not in MISSING]
    kind: type[int | float | str] = str
    if all(INTEGER.fullmatch(cell) for cell in present):
        kind = int
    elif all(_is_number(cell) for cell in present):
        kind = float
    return [None if cell in MISSING else kind(cell) for cell in cells]


def _is_number(cell: str) -> bool:
    """Whether a cell is a finite decimal number with a digit in it."""
    return bool(NUMBER.fullmatch(cell)) and any(digit.isdigit() for digit in re.split("[eE]", cell)[0]) and math.isfinite(float(cell))


def _read_parquet(path: Location, text: Collection[str]) -> list[Row]:
    """Rows of a Parquet file; types other than numbers and text become text."""
    from pyarrow import ArrowException, parquet  # takes a quarter of a second to import

    try:
        rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(path.read_bytes()) if isinstance(path, ObjectPath) else path).to_pylist()
    except ArrowException as error:
        raise RunError(Reason.USAGE, f"table {path} is not a Parquet file ({error}); write it again") from error
    kept = [{name: cell for name, cell in row.items() if not name.startswith("__index_level_")} for row in rows]
    return [{name: _plain(cell, as_text=name in text) for name, cell in row.items()} for row in kept]


def _plain(cell: object, *, as_text: bool) -> Value:
    """One Parquet cell as text, integer, float or None."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)) or (isinstance(cell, str) and cell in MISSING):
        return None
    if as_text or not isinstance(cell, int | float):
        return str(cell)
    return int(cell) if isinstance(cell, bool) else cell
