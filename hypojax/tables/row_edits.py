"""Single rows of a table of text that people edit too: one is added, or some are taken out, and all other bytes stay as they are."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final

from hypojax.reason import Reason, RunError
from hypojax.tables.cells import NOT_AVAILABLE, encoded, plain
from hypojax.tables.content import LINE_END, Content, content_of, decoded_text, other_kind, pointer_command

BOM: Final = b"\xef\xbb\xbf"


def with_row(data: bytes, row: Mapping[str, str], *, key: str, columns: Sequence[str] = ()) -> bytes:
    r"""A table of text with one more row at its end, in the order of columns that it has.

    A table without some of the columns, or with other separators, or whose last cell is left open, is written again with all its cells,
    as UTF-8 with tabs.

    Parameters
    ----------
    data
        The bytes of its file; none for a new table.
    row
        Column → cell; cells that are not named are missing.
    key
        A column that the table has, unless it is another table.
    columns
        All columns of a new table; those of the row when left out.

    Raises
    ------
    RunError
        ``USAGE``: this is no such table.

    Examples
    --------
    >>> with_row(b"", {"scan": "a", "rating": "doubt"}, key="scan")
    b'scan\trating\na\tdoubt\n'
    >>> with_row(b"rating\tnote\tscan\r\ndoubt\t\ta", {"scan": "b", "rating": "accept"}, key="scan")
    b'rating\tnote\tscan\r\ndoubt\t\ta\r\naccept\tn/a\tb\r\n'
    """
    names = list(columns or row)
    if not data.strip(b"\0\r\n\t " + BOM):
        return _written([names, [row.get(name, "") for name in names]])
    content = _content(data, key)
    known = [_name(name) for name in content.records[0]]
    if content.separator == "\t" and set(row) <= set(known) and not _is_wide(data):
        cells = [row.get(name, "") for name in known]
        added = _appended(data, cells)
        if _is_added(cells, content, added):
            return added
    names = [*content.records[0], *(name for name in row if name not in known)]
    width = max(len(names), *map(len, content.records))
    names += [f"column_{number + 1}" for number in range(len(names), width)]
    last = [row.get(_name(name), "") for name in names]
    return _written([names, *([*cells, *[""] * (width - len(cells))] for cells in content.records[1:]), last])


def without_rows(data: bytes, *, key: str, values: Collection[str]) -> bytes:
    r"""A table of text without the rows that have one of some values in a column; in any column where there is none of that name.

    Examples
    --------
    >>> without_rows(b"rating\tscan\r\ndoubt\ta\r\naccept\tb\r\n", key="scan", values={"a"})
    b'rating\tscan\r\naccept\tb\r\n'
    """
    content = content_of(data, tabs=True)
    header = [_name(name) for name in content.records[0]] if content.records else []
    own = slice(header.index(key), header.index(key) + 1) if key in header else slice(None)
    gone = [number for number, cells in enumerate(content.records) if not set(values).isdisjoint(cells[own])]
    if not gone:
        return data
    lines = _lines(decoded_text(data))
    starts = [*content.lines, len(lines) + 1]
    left = {line for number in gone for line in range(starts[number], starts[number + 1])}
    kept = "".join(line for number, line in enumerate(lines, start=1) if number not in left)
    return (BOM if data.startswith(BOM) else b"") + kept.encode("utf-8", "surrogateescape")


def _name(name: str) -> str:
    return plain(name) or name


def _content(data: bytes, key: str) -> Content:
    """Cells of a table with a column of that name."""
    kind = other_kind(data) or ("a pointer to content kept elsewhere" if pointer_command(data) else "")
    content = content_of(data, tabs=True)
    if kind or not content.records or key not in map(_name, content.records[0]):
        what = f"is {kind}" if kind else f"has no column {key!r} in its first line"
        raise RunError(Reason.USAGE, f"{what}; correct it, or move it elsewhere, and nothing will be lost")
    return content


def _is_wide(data: bytes) -> bool:
    return b"\0" in data[:1000] or data.startswith((b"\xff\xfe", b"\xfe\xff"))


def _appended(data: bytes, cells: Sequence[str]) -> bytes:
    """The bytes with one more line, which ends as the first one does."""
    first = LINE_END.search(data[:100_000].decode("latin-1"))
    end = (first[0] if first else "\n").encode()
    gap = b"" if data.endswith((b"\n", b"\r")) else end
    return data + gap + _line(cells) + end


def _is_added(cells: Sequence[str], before: Content, data: bytes) -> bool:
    """Whether the table is read as before, and one row more."""
    return content_of(data, tabs=True).records == (*before.records, tuple(cell or NOT_AVAILABLE for cell in cells))


def _lines(text: str) -> list[str]:
    """Lines with their ends."""
    ends = [found.end() for found in LINE_END.finditer(text)]
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)])]


def _line(cells: Sequence[str]) -> bytes:
    return "\t".join(encoded(cell) or NOT_AVAILABLE for cell in cells).encode("utf-8", "surrogateescape")


def _written(rows: Sequence[Sequence[str]]) -> bytes:
    return b"".join(_line(row) + b"\n" for row in rows)
