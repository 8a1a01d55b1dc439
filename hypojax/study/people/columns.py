"""Which columns of a table are group, age, sex, head size, site and time; and their values, as studies need them."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from hypojax.reason import Reason, RunError, visible
from hypojax.study.people.numbers_read import cell_texts, is_of_numbers, read_names, read_numbers
from hypojax.study.people.table_file import Meanings
from hypojax.study.study_settings import StudySettings
from hypojax.tables import AGE_NAMES, SEX_NAMES, SEXES, plain
from hypojax.tables.cells import counted, per_year
from hypojax.tables.dates import OLDEST, ages_of, other_unit

GROUP_NAMES: Final = (
    *("group", "groups", "diagnosis", "dx", "diag", "diagnosticgroup", "dxgroup", "studygroup", "patientgroup", "clinicalgroup"),
    *("casecontrol", "casecontrolstatus", "condition", "disease", "cohortgroup"),
)

ICV_NAMES: Final = (
    *("icv", "etiv", "tiv", "eicv", "icvmm3", "icvml", "icvcm3", "estimatedtotalintracranialvol", "estimatedtotalintracranialvolume"),
    *("totalintracranialvolume", "totalintracranialvol", "intracranialvolume", "intracranialvol", "intracranial", "headsize"),
)

SITE_NAMES: Final = (
    *("site", "siteid", "sitename", "scanner", "scannerid", "center", "centre", "centerid", "centreid", "scansite", "acquisitionsite"),
    *("imagingsite", "scanningsite", "hospital"),
)

TIME_NAMES: Final = (
    *("years", "timeyears", "timeinyears", "yearsfrombaseline", "yearssincebaseline", "yearsfrombl", "yearsbl", "followupyears", "time"),
)

USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "group": GROUP_NAMES,
    "age": (*AGE_NAMES, "ageatbaseline", "agebaseline", "baselineage"),
    "sex": SEX_NAMES,
    "icv": ICV_NAMES,
    "site": SITE_NAMES,
    "time": TIME_NAMES,
}
"""Canonical name → usual names of its column, first choice first, as `hypojax.tables.plain` spells them."""

UNKNOWN_SEX: Final = frozenset({"u", "unknown", "unk", "missing", "not known", "not reported", "?", "-"})

SHOWN: Final = 3


@dataclass
class Taken:
    """Columns of people under canonical names.

    Parameters
    ----------
    people
        The table; what was taken has its canonical name, and its own.
    took
        Canonical name → column.
    notes
        What was taken or interpreted, one sentence each.
    """

    people: pd.DataFrame
    took: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def take_columns(people: pd.DataFrame, settings: StudySettings, *, meanings: Meanings) -> Taken:
    """Canonical columns ``group``, ``age`` (years), ``sex``, ``icv``, ``site`` and ``time`` (years) of those that exist.

    Parameters
    ----------
    people
        One row a scan.
    settings
        Columns that were named; others are found by their usual names.
    meanings
        What codes mean, by the description beside the table.

    Raises
    ------
    RunError
        ``USAGE``: a column that was named does not exist, or its values cannot be what they are named as.
    """
    taken = Taken(people)
    asked = {name: getattr(settings, name) for name in ("group", "age", "sex", "icv", "site")} | {"time": _time(settings)}
    others = people.drop(columns=[name for name in asked.values() if name in people])
    found: dict[str, pd.Series] = {}
    empty: list[str] = []
    for canonical, named in asked.items():
        column = _named(people, named, canonical) if named else _usual(others, canonical, taken.notes)
        if column is None or (canonical == "time" and not is_of_numbers(people[column])):  # dates stay what they are
            continue
        values = _values(canonical, people[column], column, meanings, taken.notes)
        if values.isna().all():
            if named:
                example = ", ".join(repr(visible(cell)) for cell in sorted(set(cell_texts(people[column])) - {""})[:SHOWN]) or "nothing"
                raise RunError(Reason.USAGE, f"--{canonical} {visible(column)}: the column has no value of that kind (found: {example})")
            taken.notes.append(f"column {visible(column)!r} ({canonical}) has no values: it is not used")
            empty += [column] if column == canonical else []
            continue
        found[canonical] = values
        taken.took[canonical] = column
    own = {column: found[name] for name, column in taken.took.items() if name in ("group", "sex", "site")}
    shadowed = {f"{name}_column": people[name] for name, column in taken.took.items() if name in people and column != name}
    taken.notes += [f"column {name.removesuffix('_column')!r} of the table is here {name!r}" for name in shadowed]
    rest = people.drop(columns=[name for name in (*found, *own, *empty) if name in people])
    front = pd.DataFrame({**found, **own, **shadowed}, index=people.index)
    taken.people = pd.concat([front, rest], axis=1)
    return taken


def close_names(name: str, known: Iterable[object]) -> str:
    """The beginning of a sentence that says which columns were meant.

    >>> close_names("gruop", ["group", "age"]), close_names("zz", ["group", "age"])
    ("is it 'group'?", "it has 'group', 'age'")
    """
    folded = {str(one).casefold(): str(one) for one in known}
    close = [folded[one] for one in difflib.get_close_matches(name.casefold(), list(folded), n=2)]
    if close:
        return f"is it {' or '.join(repr(visible(one)) for one in close)}?"
    shown = [repr(visible(one)) for one in list(folded.values())[:12]]
    return f"it has {', '.join(shown)}{' …' if len(folded) > 12 else ''}" if shown else "it has no columns"


def usual_columns(names: Iterable[object], canonical: str) -> list[str]:
    """Columns with a usual name of what is asked for, the first choice first.

    >>> usual_columns(["gender", "Sex", "age"], "sex")
    ['Sex', 'gender']
    """
    order = {name: number for number, name in enumerate(USUAL[canonical])}
    found = [str(name) for name in names if plain(str(name)) in order]
    return sorted(found, key=lambda name: (order[plain(name)], name != canonical))


def _time(settings: StudySettings) -> str | None:
    """The column of time that was named; ``time`` asks for one to be found or made."""
    return None if settings.change in (None, "time") else settings.change


def _named(people: pd.DataFrame, name: str, canonical: str) -> str:
    """A column that the user named."""
    if name not in people:
        raise RunError(
            Reason.USAGE,
            f"--{'change' if canonical == 'time' else canonical} {visible(name)}: no such column; {close_names(name, people.columns)}",
        )
    return name


def _usual(people: pd.DataFrame, canonical: str, notes: list[str]) -> str | None:
    """A column by its usual names."""
    found = usual_columns(people.columns, canonical)
    if len(found) > 1:
        others = ", ".join(repr(visible(name)) for name in found[1 : 1 + SHOWN])
        notes.append(f"{canonical}: column {visible(found[0])!r} was taken, not {others}; another is taken with --{canonical}")
    return found[0] if found else None


def _values(canonical: str, column: pd.Series, name: str, meanings: Meanings, notes: list[str]) -> pd.Series:
    """Values of a canonical column: numbers of age, head size and time, else text."""
    if canonical == "age":
        values, said = read_ages(column, name)
    elif canonical == "sex":
        values, said = read_sexes(column, name, meanings.get(name, {}))
    elif canonical in ("group", "site"):
        texts, said = read_names(column, name)
        if gone := texts.count(None):
            hint = f"a {canonical} of that name needs another"
            said = [*said, f"column {visible(name)!r}: {counted(gone, 'row')} empty or NA, so in no {canonical}; {hint}"]
        values = pd.Series(texts, index=column.index, dtype=object)
    else:
        numbers, said = read_numbers(column, name)
        values = pd.Series(numbers, index=column.index)
        if canonical == "icv" and (empty := int((numbers <= 0).sum())):
            said = [*said, f"column {visible(name)!r}: {counted(empty, 'head size')} of 0 or less counted as missing"]
            values = values.where(~(values <= 0))
    notes += said
    return values


def read_ages(column: pd.Series, name: str) -> tuple[pd.Series, list[str]]:
    """Ages in years: ``89+`` is 89, decimal commas are points, codes such as 999 are missing.

    >>> read_ages(pd.Series(["89+", "31,5", "999", None]), "age")[0].tolist()
    [89.0, 31.5, nan, nan]
    """
    unit = per_year(name)
    if pd.api.types.is_numeric_dtype(column) and column.dropna().between(0, OLDEST * unit).all():
        return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan) / unit, index=column.index), _in_years(name, unit)
    found = ages_of(cell_texts(column), name)
    values = pd.Series([np.nan if value is None else value / unit for value in found.values], index=column.index, dtype=np.float64)
    cells = cell_texts(column)
    notes = []
    if found.unread:
        shown = ", ".join(repr(visible(cell)) for cell in sorted({cells[row] for row in found.unread})[:SHOWN])
        notes.append(f"column {visible(name)!r}: {shown} is not an age: missing in {counted(len(found.unread), 'row')}")
    if found.impossible:
        notes.append(f"column {visible(name)!r}: {other_unit(visible(cells[found.impossible[0]]))}")
    if found.respelled:
        row = found.respelled[0]
        example = f"{cells[row]!r} as {found.values[row]:g}"
        many = counted(len(found.respelled), "age")
        notes.append(f"column {visible(name)!r}: {many} not written as a plain number, but read ({example})")
    return values, [*notes, *_in_years(name, unit)]


def _in_years(name: str, unit: float) -> list[str]:
    """A note on ages in another unit."""
    return [f"column {visible(name)!r}: divided by {unit:g}, so that ages are in years"] if unit != 1.0 else []


def read_sexes(column: pd.Series, name: str, meaning: Mapping[str, str]) -> tuple[pd.Series, list[str]]:
    """Sex as M and F where words or the description of the table say which is which; else as the codes of the table, which are categories.

    Raises
    ------
    RunError
        ``USAGE``: words and codes in one column.

    Examples
    --------
    >>> read_sexes(pd.Series(["male", "f", None]), "gender", {})[0].tolist()
    ['M', 'F', None]
    >>> read_sexes(pd.Series([1, 2]), "sex", {"1": "Male", "2": "Female"})[0].tolist()
    ['M', 'F']
    """
    cells = [cell.casefold() for cell in cell_texts(column)]
    known = [cell for cell in cells if cell and cell not in UNKNOWN_SEX]
    told = {cell: SEXES[meaning[cell].strip().casefold()] for cell in set(known) if meaning.get(cell, "").strip().casefold() in SEXES}
    codes = sorted({cell for cell in known if cell not in told and cell not in SEXES and is_of_numbers(pd.Series([cell]))})
    words = sorted({cell for cell in known if cell in SEXES and cell not in told})
    if codes and (words or told):
        raise RunError(
            Reason.USAGE, f"column {visible(name)!r} has both words ({(words or sorted(told))[0]}) and codes ({codes[0]}); use one kind"
        )
    spelled: list[str | None] = [None if cell not in known else told.get(cell) or SEXES.get(cell) or cell for cell in cells]
    notes = []
    if told:
        pairs = ", ".join(f"{code} is {sex}" for code, sex in sorted(told.items()) if code.upper() != sex)
        notes += [f"column {visible(name)!r}: {pairs}, as the description beside the table says"] if pairs else []
    if codes:
        which = "nothing says which is male: they are compared as they are, as categories; write M and F to have them named"
        notes.append(f"column {visible(name)!r} has the codes {' and '.join(codes[:SHOWN])}, and {which}")
    unknown = sum(cell in UNKNOWN_SEX for cell in cells)
    notes += [f"column {visible(name)!r}: {counted(unknown, 'unknown sex')} counted as missing"] if unknown else []
    return pd.Series(spelled, index=column.index, dtype=object), notes
