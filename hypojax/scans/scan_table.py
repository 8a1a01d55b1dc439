"""Tables of scans: a row a scan, with the place of its file, and what else the user says of it."""

from collections.abc import Mapping
from typing import Final

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
from hypojax.reason import Reason, RunError
from hypojax.scans.found import Find, Scan
from hypojax.storage import Location, beside, real
from hypojax.tables import Table, Value, listed_lines, read_table
from hypojax.tables.people import agreed
from hypojax.visible import visible

OWN_COLUMNS: Final = ("scan", "dataset")
"""Columns of a table of scans that are no column of the cohort's participants, besides that of paths."""

PATHS: Final = ("path", "Path", "PATH")
"""Spellings of the name of that column."""

MOST_SAID: Final = 3
"""Rows of which a sentence of their own is given."""


def search_table(path: Location, *, strict: bool = False) -> list[Find]:
    """Scans listed in a table: column ``path`` (a URL, or relative to the table), perhaps ``scan``, ``dataset``, and others that are kept.

    A scan is of the dataset that the table says, else of the BIDS dataset that its path names, else of the table. A row without a path
    is left out, and one with a path that cannot be is a scan that will fail: both are said, and refused where ``strict``.

    Raises
    ------
    RunError
        ``USAGE``: no column or no row names a path; with ``strict``, the table has a fault.
    """
    table = read_table(path, text=OWN_COLUMNS, raw=PATHS)
    column = next((name for name in PATHS if name in table.names), None)
    if column is None:
        named = ", ".join(map(visible, table.names))
        raise RunError(Reason.USAGE, "; ".join([f"table {path} has no column 'path' (columns: {named})", *table.faults, "add it"]))
    faults = [*table.faults, *_pathless(table, column)]
    rows = [(line, row) for line, row in zip(table.lines, table.rows, strict=True) if row[column] is not None]
    if table.rows and not rows:
        raise RunError(Reason.USAGE, "; ".join(faults))
    finds: dict[tuple[str, Location], Find] = {}
    claims: dict[tuple[str, Location], list[tuple[int, Mapping[str, Value]]]] = {}
    strange = []
    for line, row in rows:
        file, problem = _file(path, str(row[column]))
        strange += [f"table {path}, line {line}: {problem}"] if problem else []
        columns = {name: value for name, value in row.items() if name not in (column, *OWN_COLUMNS)}
        scan_id, dataset = (str(row.get(name) or "") for name in OWN_COLUMNS)
        scan = Scan(scan_id or bids.scan_id(file), file, bids.entities(file), columns, dataset, f"line {line} of table {path}")
        home = bids.root_named(file.parent) or real(path.parent) / path.name.removesuffix(path.suffix)
        claims.setdefault((scan.id, file), []).append((line, columns))
        finds.setdefault((scan.id, file), Find((scan,), folder=home, named=bool(scan_id)))
    faults += [*_first(strange), *_first([fault for (scan, _), said in claims.items() if (fault := _differing(path, scan, said))])]
    if strict and faults:
        raise RunError(Reason.USAGE, f"{faults[0]} (refused because of --strict-tables)")
    return [Find((), notes=(*faults, *table.notes)), *(_agreeing(find, claims[key]) for key, find in finds.items())]


def _pathless(table: Table, column: str) -> list[str]:
    """A sentence on rows that name no file."""
    lines = [line for line, row in zip(table.lines, table.rows, strict=True) if row[column] is None]
    return [f"table {visible(table.place)} has no value in column {column!r} in {listed_lines(lines)}: left out; add it"] if lines else []


def _file(table: Location, named: str) -> tuple[Location, str]:
    """The file that a row names, and what is wrong where that is no place."""
    try:
        return beside(table.parent, named), ""
    except RunError as error:
        return table.parent / named, str(error)


def _differing(path: Location, scan: str, rows: list[tuple[int, Mapping[str, Value]]]) -> str:
    """A sentence on rows of one scan that contradict each other; none where they agree."""
    differing = agreed([row for _, row in rows])[1]
    if not differing:
        return ""
    columns, lines = ", ".join(map(visible, differing)), listed_lines([line for line, _ in rows])
    return f"table {path} names {visible(scan)} {len(rows)} times ({lines}): they differ in {columns}, which is left missing; keep one row"


def _agreeing(find: Find, rows: list[tuple[int, Mapping[str, Value]]]) -> Find:
    """The scan of several rows with what all of them say."""
    if len(rows) == 1:
        return find
    scan = find.scans[0]
    columns = agreed([row for _, row in rows])[0]
    return Find((Scan(scan.id, scan.path, scan.entities, columns, scan.dataset, scan.listed),), folder=find.folder, named=find.named)


def _first(faults: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(faults) - MOST_SAID
    return faults[:MOST_SAID] + ([f"{more} more rows of the table have such faults"] if more > 0 else [])
