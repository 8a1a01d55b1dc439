"""Tables of people and scans: reading them as they come, ids, dates, ages, whose a row is, and writing them.

`hypojax.tables.write`, which needs pandas, is imported where something is written.
"""

from hypojax.tables.age import units_per_year
from hypojax.tables.cell import MISSING, NOT_AVAILABLE, Row, Value, text_of
from hypojax.tables.column import is_age_name, is_id_name, plain, typed_column
from hypojax.tables.content import listed_lines
from hypojax.tables.people import People, merged
from hypojax.tables.table import SUFFIXES, Table, read_table

__all__ = [
    "MISSING",
    "NOT_AVAILABLE",
    "SUFFIXES",
    "People",
    "Row",
    "Table",
    "Value",
    "is_age_name",
    "is_id_name",
    "listed_lines",
    "merged",
    "plain",
    "read_table",
    "text_of",
    "typed_column",
    "units_per_year",
]
