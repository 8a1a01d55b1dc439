"""Tables of people and scans: reading them in whatever form they come, ids, sessions, ages and dates, joining, and writing.

| file | what it has |
|---|---|
| `content` | bytes as lines of cells, in whatever encoding, separator and quotation they come |
| `cells`, `dates` | what a cell stands for: missing, a number, text, an age, a date |
| `reader` | `read_table`: rows, and a list of faults, each with its line |
| `row_edits` | one row more, or some less, in a table that people edit too |
| `people` | rows by person and session, and which rows belong to a scan |
| `writer` | tab-separated text and Markdown |

`hypojax.tables.writer`, which needs pandas, is imported where something is written.
"""

from hypojax.tables.cells import MISSING, NOT_AVAILABLE, Row, Value, is_age_name, is_id_name, plain, text_of, typed_column
from hypojax.tables.content import listed_lines
from hypojax.tables.dates import units_per_year
from hypojax.tables.people import (
    AGE_NAMES,
    SESSION_NAMES,
    SEX_NAMES,
    SEXES,
    SUBJECT_NAMES,
    People,
    find_column,
    merged,
    refuse,
)
from hypojax.tables.reader import SUFFIXES, Table, read_table

__all__ = [
    "AGE_NAMES",
    "MISSING",
    "NOT_AVAILABLE",
    "SESSION_NAMES",
    "SEXES",
    "SEX_NAMES",
    "SUBJECT_NAMES",
    "SUFFIXES",
    "People",
    "Row",
    "Table",
    "Value",
    "find_column",
    "is_age_name",
    "is_id_name",
    "listed_lines",
    "merged",
    "plain",
    "read_table",
    "refuse",
    "text_of",
    "typed_column",
    "units_per_year",
]
