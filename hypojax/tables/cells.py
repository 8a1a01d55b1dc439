r"""Cells and columns of a table: a cell's spelling in a file and the value it stands for, and what a column's name says of it.

A table that hypojax writes has one line per row and nothing that a terminal or a spreadsheet would obey. Text that cannot be a cell
as it is (control characters, blanks at its ends, a quotation mark or ``=``, ``+``, ``-``, ``@`` at its beginning) is written behind an
apostrophe with escapes as in Python: a scan named ``a``, tab, ``b`` is ``'a\tb``, one named ``=1+1`` is ``'=1+1``. Reading gives the text
back. Numbers stay numbers.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
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

IDS: Final = re.compile(
    r"((participant|subject|subj|sub|patient|person|case|scan|image|session|ses)(id|number|nr|label))|id|mrid|rid|participant|subject|subj|sub|scan|session|ses"
)

AGES: Final = re.compile(r"(scan|mri|visit)?age(at\w+|scan|mri|visit|entry)?(in)?(years?|yrs?|yr|y|months?|mos?|weeks?|wks?|days?)?")

UNITS: Final = {"month": 12.0, "mo": 12.0, "week": 52.1775, "wk": 52.1775, "day": 365.25}
"""Beginning of a unit's name at the end of that of a column → so many of it are a year."""

CATEGORIES: Final = frozenset({"agegroup", "ageband", "agerange", "agecategory", "ageclass"})


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


def counted(number: int, what: str, *, many: str = "") -> str:
    """How many of something, for messages.

    >>> counted(1, "age"), counted(2, "age"), counted(2, "scan is", many="scans are")
    ('1 age', '2 ages', '2 scans are')
    """
    return f"{number} {what if number == 1 else many or f'{what}s'}"


def encoded(text: str) -> str:
    r"""Text as a cell of a table that hypojax writes.

    >>> [encoded(text) for text in ("sub-01", "-5", "=1+1", "a\tb", "it's", r"C:\new")]
    ['sub-01', '-5', "'=1+1", "'a\\tb", "it's", 'C:\\new']
    """
    if not _needs_mark(text):
        return text
    last = len(text) - 1
    spelled = (_spelled(character, at_end=number in (0, last)) for number, character in enumerate(text))
    return MARK + "".join(spelled)


def decoded(cell: str) -> str:
    r"""The text that a cell written by hypojax encodes; cells of other tables stay as they are.

    >>> [decoded(cell) for cell in (r"'a\tb", "'=1+1", "'s-Hertogenbosch", r"C:\new")]
    ['a\tb', '=1+1', "'s-Hertogenbosch", 'C:\\new']
    """
    return ESCAPE.sub(_character, cell[1:]) if _is_marked(cell) else cell


def plain(name: str) -> str:
    """A column's name in small letters without punctuation.

    >>> plain("Age at scan")
    'ageatscan'
    """
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def is_id_name(name: str) -> bool:
    """Whether a column of this name holds ids, which are text also where they look like numbers.

    >>> [is_id_name(name) for name in ("participant_id", "Subject", "session_id", "sessions", "age")]
    [True, True, True, False, False]
    """
    return IDS.fullmatch(plain(name)) is not None


def is_age_name(name: str) -> bool:
    """Whether a column of this name holds ages.

    >>> [is_age_name(name) for name in ("age", "Age (years)", "age_at_scan", "age_months", "age_group", "stage")]
    [True, True, True, True, False, False]
    """
    found = plain(name)
    return found not in CATEGORIES and AGES.fullmatch(found) is not None


def per_year(name: str) -> float:
    """How many of the units that a column of ages is in make a year.

    >>> per_year("age"), per_year("age_months"), per_year("Age (days)")
    (1.0, 12.0, 365.25)
    """
    match = AGES.fullmatch(plain(name))
    unit = (match[4] or "").removesuffix("s") if match else ""
    return UNITS.get(unit, 1.0)


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
    elif all(is_number(cell) for cell in present):
        kind = float
    return [None if cell in MISSING else kind(cell) for cell in cells]


def _needs_mark(text: str) -> bool:
    """Whether text cannot be a cell as it is, or would be read as another."""
    if not text or is_number(text):
        return False
    if (not text.isprintable() and any(map(_is_control, text))) or text != text.strip():
        return True
    return _is_marked(text) if text.startswith(MARK) else text[0] in OBEYED


def _is_marked(cell: str) -> bool:
    """Whether a cell is one that `encoded` marked."""
    return len(cell) > 1 and cell[0] == MARK and (cell[1] in OBEYED or ESCAPE.search(cell) is not None)


def _is_control(character: str) -> bool:
    """Whether a character moves a cursor, breaks a line, turns the direction of writing, or is half of one."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _spelled(character: str, *, at_end: bool) -> str:
    if character in NAMED:
        return NAMED[character]
    if not _is_control(character) and not (at_end and character.isspace()):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _character(escape: re.Match[str]) -> str:
    return UNNAMED.get(escape[0]) or chr(int(escape[1] or escape[2] or escape[3], 16))
