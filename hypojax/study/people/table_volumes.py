"""Volumes and people of a table that any tool wrote, wide or long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from hypojax.reason import Reason, RunError, visible
from hypojax.schema import REGIONS
from hypojax.study.formulas.terms import VOLUME
from hypojax.study.people.columns import USUAL
from hypojax.study.people.long_table import long_columns, widened
from hypojax.study.people.measurements import SERVICE, Measurements, with_ids
from hypojax.study.people.numbers_read import is_of_numbers, read_numbers
from hypojax.study.people.region_columns import (
    asked_names,
    asked_regions,
    region_columns,
    region_of,
    uncertainty_columns,
    unit_of,
    with_wholes,
)
from hypojax.study.people.scan_ids import scan_ids
from hypojax.study.people.table_file import TableFile
from hypojax.study.study_settings import StudySettings
from hypojax.tables import SESSION_NAMES, SUBJECT_NAMES, plain
from hypojax.tables.cells import counted

PEOPLE_NAMES: Final = frozenset(name for names in (*USUAL.values(), SUBJECT_NAMES, SESSION_NAMES) for name in names)
"""Usual names of columns that are about people."""

NO_UNIT: Final = "the table does not say the unit of its volumes: they have none here; name it with --unit mm3, cm3 or mL"


HEADS_ML: Final = (300.0, 4000.0)
"""Between these is the median intracranial volume of any people in mL; in mm3 it is a thousand times as much."""


@dataclass(frozen=True)
class _Regions:
    """Numbers of all regions of a table, those that are analysed, and the columns that they come from."""

    numbers: pd.DataFrame
    chosen: tuple[str, ...]
    columns: Mapping[str, str]
    notes: tuple[str, ...]


def table_volumes(table: TableFile, settings: StudySettings, *, outcome: str | None = None) -> Measurements:
    """Volumes and people of a table.

    Parameters
    ----------
    table
        Wide, with a column a region in our spelling, in that of other tools, or under the name that the settings ask for; or long, with the
        columns scan (or subject), region and volume_mm3.
    settings
        Regions, unit, and the column of subjects.
    outcome
        Of the formula, where it names one region.

    Raises
    ------
    RunError
        ``USAGE``: it has no rows, an id twice, or no volumes.
    """
    frame, why, units = _one_row_a_scan(table, settings)
    ids = scan_ids(frame, settings, place=table.place)
    indexed = frame.set_axis(pd.Index(ids.scans, dtype=object), axis=0)
    found = _regions(indexed, settings, outcome)
    said = {name: unit_of(found.columns[name]) for name in found.chosen if name in found.columns and unit_of(found.columns[name])}
    told = {unit for name, unit in said.items() if name != "icv" or len(said) == 1}
    units = settings.unit or units or (told.pop() if len(told) == 1 else "")
    factor, rescaled = _head_size_factor(found, units)
    if factor != 1:
        found = replace(found, numbers=found.numbers.assign(icv=found.numbers["icv"] * factor))
        indexed = indexed.assign(**{found.columns["icv"]: found.numbers["icv"]})
    uncertain = uncertainty_columns(indexed.columns, found.numbers.columns)
    used = {name for region, name in found.columns.items() if region in REGIONS and region != "icv"} | set(uncertain.values())
    others = [name for name in indexed.columns if name not in used]
    return Measurements(
        volumes=found.numbers,
        uncertainty=_numbers(indexed, uncertain)[0],
        people=with_ids(indexed[others], ids.subjects, ids.sessions),
        regions=found.chosen,
        why_missing=why.set_axis(indexed.index, axis=0) if len(why) else pd.DataFrame(index=indexed.index),
        units=units,
        meanings=table.meanings,
        took=ids.took,
        notes=(*table.notes, *ids.notes, *found.notes, *rescaled, *([] if units else [NO_UNIT])),
    )


def _head_size_factor(found: _Regions, units: str) -> tuple[float, list[str]]:
    """What the intracranial volumes must be multiplied by to be in the unit of the other volumes, and a note.

    Tables often have them in mL beside regions in mm3. The name of the column says the unit, else the size of the numbers does.
    """
    median = float(found.numbers["icv"].median()) if "icv" in found.columns else float("nan")
    if not units or not np.isfinite(median):
        return 1.0, []
    own = unit_of(found.columns["icv"])
    low, high = HEADS_ML
    is_ml = own in ("mL", "cm3") if own else low <= median <= high
    is_mm3 = own == "mm3" if own else 1000 * low <= median <= 1000 * high
    factor = 1000.0 if units == "mm3" and is_ml else 0.001 if units != "mm3" and is_mm3 else 1.0
    if factor == 1:
        return factor, []
    what = (
        f"the unit in its name is {own}" if own else f"its median, {median:,.0f}, is an intracranial volume in {'mL' if is_ml else 'mm3'}"
    )
    return factor, [f"column {visible(found.columns['icv'])!r}: {what}, so it is taken times {factor:g}, in {units} as the other volumes"]


def _one_row_a_scan(table: TableFile, settings: StudySettings) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The table with one row a scan, why volumes are missing, and their unit where the table says them."""
    frame = table.frame.set_axis([str(name) for name in table.frame.columns], axis=1)
    if frame.empty:
        raise RunError(Reason.USAGE, f"{table.place} has no rows; give a table with one row a scan")
    if frame.columns.has_duplicates:
        twice = visible(str(frame.columns[frame.columns.duplicated()][0]))
        raise RunError(Reason.USAGE, f"{table.place} has several columns {twice!r}; name each once")
    if long_columns(frame) is not None:
        return widened(frame, settings, place=table.place)
    return frame, pd.DataFrame(), ""


def _regions(frame: pd.DataFrame, settings: StudySettings, outcome: str | None) -> _Regions:
    """Regions of a wide table; wholes that it has not are the sums of their parts; a column ``volume`` is one where there is no other."""
    asked = asked_names(settings.region, outcome)
    columns, notes = region_columns(frame.columns, _own_columns(frame, asked, settings))
    if settings.icv in frame and region_of(str(settings.icv)) == "icv":
        columns["icv"] = str(settings.icv)
    if VOLUME in frame and not set(columns) - {"icv"}:
        columns, asked = {**columns, VOLUME: VOLUME}, (VOLUME,)
    numbers, said = _numbers(frame, columns)
    for whole, parts in with_wholes(columns).items():
        numbers = numbers.assign(**{whole: numbers[list(parts)].sum(axis=1, skipna=False)})
        said.append(f"{whole} is the sum of {', '.join(parts)}")
    numbers = numbers[[*(name for name in REGIONS if name in numbers), *(name for name in numbers if name not in REGIONS)]]
    is_default = asked == StudySettings().region
    chosen, left = asked_regions(asked, list(numbers.columns), is_one=outcome not in (None, VOLUME), is_default=is_default)
    return _Regions(numbers, tuple(chosen), columns, (*notes, *said, *left))


def _own_columns(frame: pd.DataFrame, asked: Sequence[str], settings: StudySettings) -> list[str]:
    """Columns that are asked for by their own names; with ``all``, every column of numbers where none is known as a region."""
    own = [name for name in asked if name in frame.columns and name not in REGIONS]
    if "all" not in asked or any(region_of(str(name)) not in (None, "icv") for name in frame.columns):
        return own
    named = {settings.age, settings.sex, settings.icv, settings.group, settings.site, settings.subject, settings.change, *SERVICE}
    numeric = set(frame.select_dtypes("number").columns)
    others = [str(name) for name in frame.columns if name not in named and name not in own and plain(str(name)) not in PEOPLE_NAMES]
    return [*own, *(name for name in others if name in numeric or is_of_numbers(frame[name]))]


def _numbers(frame: pd.DataFrame, columns: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """Numbers of columns by region; volumes of known regions that are 0 or less are missing, as tools write failures."""
    numeric = set(frame.select_dtypes("number").columns)
    plainly = [region for region, name in columns.items() if name in numeric]
    values = frame[[columns[region] for region in plainly]].to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = np.isinf(values)
    found = pd.DataFrame(np.where(infinite, np.nan, values), index=frame.index, columns=plainly)
    notes = [f"{counted(int(infinite.sum()), 'infinite volume')} counted as missing"] if infinite.any() else []
    for region, name in columns.items():
        if name not in numeric:
            found[region], said = read_numbers(frame[name], name)
            notes += said
        if region in REGIONS and (count := int((found[region] <= 0).sum())):
            notes.append(f"column {visible(name)!r}: {counted(count, 'volume')} of 0 or less counted as missing")
            found[region] = found[region].where(~(found[region] <= 0))
    return found[list(columns)], notes
