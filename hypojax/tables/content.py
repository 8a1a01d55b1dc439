"""The content of a table of text: bytes as lines of cells, in whatever encoding, line ends, quotation and separator they come.

What a table should not contain (bytes that are not UTF-8, other separators) is read as most likely meant, and noted.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from hypojax.tables.cells import decoded

BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Marks at the beginning of a file → its encoding; those of 32 bits begin like those of 16."""

LINE_END: Final = re.compile(r"\r\n|\r|\n")

SEPARATORS: Final = {"\t": "tabs", ",": "commas", ";": "semicolons", "": "blanks"}

MOST_LINES: Final = 50
"""Lines that one quoted cell may go over."""

MOST_TRIES: Final = 3
"""Lines with a quotation mark in which the end of a quoted cell is looked for."""

POINTERS: Final = {
    b"/annex/objects/": "datalad get",
    b"version https://git-lfs.": "git lfs pull --include",
}
"""First bytes of a pointer to content kept elsewhere → the command that fetches it."""

OTHERS: Final = {
    b"PK\x03\x04": "a spreadsheet or an archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"\x1f\x8b": "compressed",
}
"""First bytes of files other than text → what they are."""


@dataclass(frozen=True)
class Content:
    """Cells of a table.

    Parameters
    ----------
    records
        Cells of each line that has any, stripped, the header first; bytes that are not UTF-8 are surrogates, as in names of files.
    lines
        Number of the line that each begins on, from 1.
    faults
        Faults, one sentence each without the name of the table.
    separator
        What separates cells; empty for blanks.
    """

    records: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    faults: tuple[str, ...]
    separator: str = ""


def content_of(data: bytes, *, tabs: bool) -> Content:
    """Cells of a table of text.

    Parameters
    ----------
    data
        The bytes of its file.
    tabs
        Whether its cells should be separated by tabs (.tsv), else by commas or semicolons (.csv).
    """
    text, faults = _text(data)
    lines = LINE_END.split(text)
    first = re.fullmatch(r"sep=(.)", lines[0].strip())  # how a spreadsheet records the separator
    if first:
        lines[0] = ""
    separator = first[1] if first else _separator([line for line in lines if line.strip()], tabs=tabs)
    faults += _separated(separator, tabs=tabs)
    found = [(number, cells) for number, cells in _records(lines, separator) if any(cells)]
    if zeros := [number for number, cells in found if not "".join(cells).strip("\0")]:
        faults.append(f"holds nothing but NUL in {listed_lines(zeros)}; write it again")
        found = [(number, cells) for number, cells in found if number not in zeros]
    return Content(tuple(cells for _, cells in found), tuple(number for number, _ in found), tuple(faults), separator)


def pointer_command(data: bytes) -> str | None:
    """The command that fetches the content of a pointer file; None where the file is the content itself.

    >>> pointer_command(b"/annex/objects/MD5E-s100--0.tsv")
    'datalad get'
    """
    return next((command for start, command in POINTERS.items() if data.startswith(start)), None)


def other_kind(data: bytes) -> str | None:
    r"""What a file other than text is; None for text.

    >>> other_kind(b"PK\x03\x04...")
    'a spreadsheet or an archive'
    """
    return next((kind for start, kind in OTHERS.items() if data.startswith(start)), None)


def listed_lines(lines: Sequence[int], *, word: str = "line", most: int = 5) -> str:
    """Numbers of lines for a message.

    >>> listed_lines([3]), listed_lines([3, 7])
    ('line 3', 'lines 3, 7')
    """
    shown = ", ".join(map(str, lines[:most])) + (f" and {len(lines) - most} more" if len(lines) > most else "")
    return f"{word}{'s' if len(lines) > 1 else ''} {shown}"


def decoded_text(data: bytes) -> str:
    """Bytes of a table as text, without a mark of their encoding; those that are not UTF-8 are surrogates, as in names of files."""
    return _text(data)[0]


def _text(data: bytes) -> tuple[str, list[str]]:
    """Bytes as text, those that are not UTF-8 kept as surrogates; and what was noticed."""
    mark, encoding = next(((mark, name) for mark, name in BOMS if data.startswith(mark)), (b"", _unmarked(data)))
    if encoding == "utf-8":
        return data[len(mark) :].decode("utf-8", "surrogateescape"), []
    wide = encoding.upper().removesuffix("-LE").removesuffix("-BE")
    return data[len(mark) :].decode(encoding, "replace"), [f"is {wide} text and was read as such; save it as UTF-8"]


def _unmarked(data: bytes) -> str:
    """Encoding of bytes without a mark: every other byte of UTF-16 is zero in most tables."""
    start = data[:1000]
    halves = (start[0::2], start[1::2])
    zeros = [half.count(0) / max(1, len(half)) for half in halves]
    if len(start) > 3 and max(zeros) > 0.5 > min(zeros):
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    return "utf-8"


def _separator(lines: Sequence[str], *, tabs: bool) -> str:
    """What separates cells: as the file's name promises where the header has it, else whatever all lines have; empty for blanks."""
    header = lines[0] if lines else ""
    others = max(",;", key=header.count)
    promised, instead = ("\t", others) if tabs else (others, "\t")
    if promised in header or not header:
        return promised
    if all(instead in line for line in lines):
        return instead
    words = {len(line.split()) for line in lines}
    return "" if tabs and len(words) == 1 and words != {1} else promised


def _separated(separator: str, *, tabs: bool) -> list[str]:
    """A note on cells separated by something else than the file's name promises."""
    if separator in ("\t" if tabs else ",;") and separator:
        return []
    promised = "a .tsv has tabs" if tabs else "a .csv has commas or semicolons"
    return [f"has its cells separated by {SEPARATORS.get(separator, repr(separator))} and was read that way; {promised}"]


def _records(lines: Sequence[str], separator: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Number of the first line, and cells, of each record."""
    at, width = 0, None
    while at < len(lines):
        cells, end = _record(lines, at, separator, width)
        if any(cells) and width is None:
            width = len(cells)
        yield at + 1, tuple(cells)
        at = end


def _record(lines: Sequence[str], start: int, separator: str, width: int | None) -> tuple[list[str], int]:
    """Cells of the record that begins at a line, and the line after it.

    A quoted cell may hold line breaks. A lone quotation mark may stand for inches: lines belong together only where that gives as many
    cells as the header has, and they do not do so alone.
    """
    cells, is_open = _cells(lines[start], separator)
    tries = 0
    odd = width is None or len(cells) != width
    for end in range(start + 2, min(len(lines), start + MOST_LINES) + 1) if is_open and separator else ():
        line = lines[end - 1]
        odd = odd or len(_cells(line, separator)[0]) != width
        if '"' not in line or not odd:
            continue
        whole, still_open = _cells("\n".join(lines[start:end]), separator)
        if not still_open:
            return (whole, end) if len(whole) == (width or len(whole)) else (cells, start + 1)
        tries += 1
        if tries == MOST_TRIES:
            break
    return cells, start + 1


@cache
def _patterns(separator: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """A quoted cell, one that nothing closes, and a plain one."""
    stop = re.escape(separator)
    return re.compile(rf' *"((?:[^"]|"")*+)" *(?={stop}|\Z)'), re.compile(r' *"(?:[^"]|"")*+\Z'), re.compile(rf"[^{stop}]*")


def _cells(line: str, separator: str) -> tuple[list[str], bool]:
    """Cells of a line, and whether one of them begins with a quotation mark that nothing closes."""
    if '"' not in line or not separator:
        cells = line.split(separator) if separator else line.split()
        return [decoded(cell.strip()) for cell in cells], False
    quoted, opened, plain = _patterns(separator)
    found: list[str] = []
    at, is_open = 0, False
    while at <= len(line):
        if match := quoted.match(line, at):
            found.append(match[1].replace('""', '"').strip())
        else:
            is_open = is_open or opened.match(line, at) is not None
            match = plain.match(line, at)
            found.append(decoded(match[0].strip()) if match else "")
        at = (match.end() if match else len(line)) + 1
    return found, is_open
