r"""One cell of a table: its spelling in a file of text, and the value it stands for.

A table of ours has one line a row and nothing in it that a terminal or a spreadsheet would obey. Text that cannot stand in a cell
as it is (control characters, blanks at its ends, a quotation mark or ``=``, ``+``, ``-``, ``@`` at its beginning) is written behind an
apostrophe with escapes as in Python: a scan named ``a``, tab, ``b`` is ``'a\tb``, one named ``=1+1`` is ``'=1+1``. Reading gives the text
back. Numbers stay numbers.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

Value = str | int | float | None
Row = Mapping[str, Value]

NOT_AVAILABLE: Final = "n/a"
"""What BIDS writes for a missing value."""

MISSING: Final = frozenset({"", NOT_AVAILABLE, "N/A", "NA", "NaN", "nan", "<NA>", "#N/A"})
"""Spellings of a missing value."""

# A leading zero is kept as text: 007 is a name.
INTEGER: Final = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
NUMBER: Final = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?")

MARK: Final = "'"
OBEYED: Final = "=+-@＝＋－＠\"'"
"""Beginnings of text that a spreadsheet would take for a formula, or a reader for a quotation."""

ESCAPE: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U(00(?:0[0-9a-f]|10)[0-9a-f]{4})|[tnr\\])")
NAMED: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r", "\\": r"\\"}
UNNAMED: Final = {escaped: character for character, escaped in NAMED.items()}


def text_of(value: object) -> str:
    """A value as text; a whole number has neither point nor exponent, whatever type a table gave it.

    >>> text_of(1.0), text_of(10000000.0), text_of(0.5), text_of("01")
    ('1', '10000000', '0.5', '01')
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    return str(value)


def is_number(cell: str) -> bool:
    """Whether a cell is a finite decimal number with a digit in it.

    >>> [is_number(cell) for cell in ("-5", "1e3", "007", "3,5", ".")]
    [True, True, False, False, False]
    """
    return bool(NUMBER.fullmatch(cell)) and any(digit.isdigit() for digit in re.split("[eE]", cell)[0]) and math.isfinite(float(cell))


def counted(number: int, what: str) -> str:
    """How many of something, for messages.

    >>> counted(1, "age"), counted(2, "age")
    ('1 age', '2 ages')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def encoded(text: str) -> str:
    r"""Text as a cell of a table of ours.

    >>> [encoded(text) for text in ("sub-01", "-5", "=1+1", "a\tb", "it's", r"C:\new")]
    ['sub-01', '-5', "'=1+1", "'a\\tb", "it's", 'C:\\new']
    """
    if not _needs_mark(text):
        return text
    last = len(text) - 1
    spelled = (_spelled(character, at_end=number in (0, last)) for number, character in enumerate(text))
    return MARK + "".join(spelled)


def decoded(cell: str) -> str:
    r"""The text that a cell of a table of ours stands for; cells of other tables stay as they are.

    >>> [decoded(cell) for cell in (r"'a\tb", "'=1+1", "'s-Hertogenbosch", r"C:\new")]
    ['a\tb', '=1+1', "'s-Hertogenbosch", 'C:\\new']
    """
    return ESCAPE.sub(_character, cell[1:]) if _is_marked(cell) else cell


def _needs_mark(text: str) -> bool:
    """Whether text cannot be a cell as it is, or would be read as another."""
    if not text or is_number(text):
        return False
    if any(map(_is_control, text)) or text != text.strip():
        return True
    return _is_marked(text) if text.startswith(MARK) else text[0] in OBEYED


def _is_marked(cell: str) -> bool:
    """Whether a cell is one that `encoded` marked."""
    return len(cell) > 1 and cell[0] == MARK and (cell[1] in OBEYED or ESCAPE.search(cell) is not None)


def _is_control(character: str) -> bool:
    """Whether a character moves a cursor, breaks a line, turns the direction of writing, or is half of one."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _spelled(character: str, *, at_end: bool) -> str:
    """One character of a marked cell."""
    if character in NAMED:
        return NAMED[character]
    if not _is_control(character) and not (at_end and character.isspace()):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _character(escape: re.Match[str]) -> str:
    """The character that an escape stands for."""
    return UNNAMED.get(escape[0]) or chr(int(escape[1] or escape[2] or escape[3], 16))
