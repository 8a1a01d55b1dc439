"""Tables of volumes or people in whatever file they come: text, Parquet, Excel, SPSS, Stata, SAS; as pandas tables."""

import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Final

import pandas as pd

from hypojax.reason import Reason, RunError, visible
from hypojax.storage import Location
from hypojax.tables import MISSING, SUFFIXES, is_id_name, read_table, refuse, text_of

EXCEL: Final = (".xlsx", ".xlsm", ".xls", ".ods")

STATISTICS: Final = {".sav": "SPSS", ".zsav": "SPSS", ".por": "SPSS", ".dta": "Stata", ".sas7bdat": "SAS", ".xpt": "SAS"}

TABLE_SUFFIXES: Final = (*SUFFIXES, ".txt", *EXCEL, *STATISTICS)
"""Ends of names of files that are read as tables."""

Meanings = Mapping[str, Mapping[str, str]]
"""Column → code → what the description beside the table says of it."""


@dataclass(frozen=True)
class TableFile:
    """A table as it was read.

    Parameters
    ----------
    frame
        Its rows; ids are text, missing cells are NaN or None.
    place
        The word ``table`` and its path, for messages.
    meanings
        What codes mean, by the description beside it (``participants.json``).
    notes
        Faults and what was interpreted, one sentence each.
    """

    frame: pd.DataFrame
    place: str
    meanings: Meanings
    notes: tuple[str, ...] = ()


def is_table(path: Location) -> bool:
    """Whether a place is a table by the end of its name."""
    return path.suffix.lower() in TABLE_SUFFIXES


def read_frame(path: Location, *, strict: bool = False) -> TableFile:
    """A table of any kind in `TABLE_SUFFIXES`.

    Raises
    ------
    RunError
        ``USAGE``: it cannot be read, or it has a fault and ``strict``.
    """
    suffix, place = path.suffix.lower(), f"table {visible(str(path))}"
    if suffix in (*SUFFIXES, ".txt"):
        table = read_table(path)
        refuse(table.faults, strict=strict)
        columns = {name: _series([row[name] for row in table.rows]) for name in table.names}
        return TableFile(pd.DataFrame(columns), place, described(path), (*table.faults, *table.notes))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(Reason.USAGE, f"{place} cannot be read ({error.strerror}); check that it is there and may be read") from error
    kind = STATISTICS.get(suffix, "Excel")
    try:
        frame, notes = _excel(data) if suffix in EXCEL else (_statistics(data, suffix), [])
    except ImportError as error:
        raise RunError(Reason.USAGE, f"{place}: {kind} needs more packages: python -m pip install 'hypojax[study]'") from error
    except Exception as error:  # these readers raise whatever the bytes lead to
        why = " ".join(str(error).split())[:80]
        raise RunError(Reason.USAGE, f"{place} cannot be read as {kind} ({visible(why)}); save it as .csv or .tsv") from error
    frame, ids = _plain(frame)
    return TableFile(frame, place, {}, tuple(f"{place} {note}" for note in (*notes, *ids)))


def described(path: Location) -> dict[str, dict[str, str]]:
    """What the JSON file beside a table says that its codes mean: column → code in small letters → words; nothing where there is none."""
    try:
        found = json.loads((path.parent / f"{path.name.removesuffix(path.suffix)}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    columns = found.items() if isinstance(found, dict) else ()
    levels = {str(name): column.get("Levels") for name, column in columns if isinstance(column, dict)}
    return {
        name: {str(code).casefold(): _words(said) for code, said in codes.items()}
        for name, codes in levels.items()
        if isinstance(codes, dict)
    }


def _words(said: object) -> str:
    """The words of a level; some descriptions have a mapping for each."""
    return str(said.get("Description", "")) if isinstance(said, dict) else str(said)


def _excel(data: bytes) -> tuple[pd.DataFrame, list[str]]:
    """The first sheet."""
    sheets = pd.read_excel(io.BytesIO(data), sheet_name=None, keep_default_na=False, na_values=sorted(MISSING))
    name, frame = next(iter(sheets.items()))
    others = ", ".join(visible(str(other)) for other in list(sheets)[1:])
    notes = [f"has several sheets: only the first, {visible(str(name))}, was read (others: {others})"] if others else []
    return frame.loc[:, [not str(column).startswith("Unnamed:") for column in frame.columns]], notes


def _statistics(data: bytes, suffix: str) -> pd.DataFrame:
    """A file of SPSS, Stata or SAS, codes with labels as these labels."""
    if suffix == ".dta":
        try:
            return pd.read_stata(io.BytesIO(data))
        except ValueError:  # labels that are not one to one
            return pd.read_stata(io.BytesIO(data), convert_categoricals=False)
    import pyreadstat

    readers = {".por": pyreadstat.read_por, ".xpt": pyreadstat.read_xport, ".sas7bdat": pyreadstat.read_sas7bdat}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"table{suffix}"
        place.write_bytes(data)
        labels = {} if suffix in (".xpt", ".sas7bdat") else {"apply_value_formats": True}  # those of SAS are in another file
        read: Any = readers.get(suffix, pyreadstat.read_sav)  # of code without types
        try:
            return pd.DataFrame(read(str(place), **labels)[0])
        except UnicodeDecodeError:  # older files do not say how their letters are written
            return pd.DataFrame(read(str(place), encoding="latin1", **labels)[0])


def _plain(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table with text where it has categories, and ids as text; a note where ids were numbers."""
    columns: dict[str, pd.Series] = {}
    notes = []
    for name, column in zip(map(str, frame.columns), (frame.iloc[:, number] for number in range(frame.shape[1])), strict=True):
        if is_id_name(name) and pd.api.types.is_numeric_dtype(column):
            notes.append(f"has numbers as ids in column {visible(name)!r}: zeros before them are lost, and ids are matched without")
            columns[name] = _series([None if pd.isna(value) else text_of(value) for value in column])
        elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            columns[name] = column.reset_index(drop=True)
        else:
            columns[name] = _series([None if _is_missing(value) else value for value in column])
    return pd.DataFrame(columns), notes


def _is_missing(value: object) -> bool:
    return (
        (isinstance(value, str) and value.strip() in MISSING)
        or value is None
        or value is pd.NaT
        or (isinstance(value, float) and isnan(value))
    )


def _series(values: list[Any]) -> pd.Series:
    """A column: numbers where all are, else objects."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pd.Series(
            values, dtype="int64" if len(known) == len(values) and all(isinstance(value, int) for value in known) else "float64"
        )
    return pd.Series(values, dtype=object)
