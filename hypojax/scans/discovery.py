"""Finding scans: BIDS datasets, folders, files, DICOM series and tables, in any mixture, each under one name."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
from hypojax.reason import Reason, RunError, visible
from hypojax.scans.bids_tables import Datasets
from hypojax.scans.found import Discovery, Find, Scan, in_datasets, with_ids
from hypojax.scans.search import file_scan, search_folder
from hypojax.storage import Location, Place, beside, listed, locate_all, real, unlisted
from hypojax.tables import SUFFIXES, Table, Value, listed_lines, read_table, refuse
from hypojax.tables.cells import counted
from hypojax.tables.people import agreed

OWN_COLUMNS: Final = ("scan", "dataset")
"""Columns of a table of scans that are no column of the cohort's participants, besides that of paths."""

PATHS: Final = ("path", "Path", "PATH")
"""Spellings of the name of that column."""

MOST_SAID: Final = 3
"""Rows of which a sentence of their own is given."""


def discover(inputs: Place | Iterable[Place], *, dataset: str = "", strict_tables: bool = False) -> Discovery:
    """Find all scans of the inputs: BIDS datasets, folders, images, DICOM series folders, tables with a column ``path``.

    In a dataset only ``T1w`` images are scans. Where two inputs know the same id, those of datasets are preceded by
    the name of the dataset (``ds000011_sub-01``); other files of one name by the folders in which they differ (``p01_T1``).

    Parameters
    ----------
    inputs
        Each a path or a URL (``s3://bucket/bids``); one alone needs no list.
    dataset
        Name of the dataset of all scans; when left out, the name of the folder of each BIDS dataset, and that of the input for
        scans that are in none.
    strict_tables
        Whether to refuse a table of people that is not as it should be; else that costs the columns or rows concerned, and is said.

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` with what was seen, ``USAGE`` for an input that is none, ``DUPLICATE_SCAN`` where a table gives two files one id.

    Examples
    --------
    >>> discover(["/nowhere"])
    Traceback (most recent call last):
    hypojax.reason.RunError: input /nowhere does not exist; name a BIDS dataset, a folder, an image or a table
    """
    if not (places := locate_all(inputs)):
        raise RunError(Reason.USAGE, "no input is named; name a BIDS dataset, a folder, an image or a table")
    try:
        datasets = Datasets(strict=strict_tables)
        finds = [find for place in places for find in search(place, datasets)]
    except OSError as error:
        raise RunError(Reason.USAGE, f"{error.filename} cannot be looked at ({error.strerror}); allow it or name other inputs") from error
    finds, homes = in_datasets(finds, named=dataset)
    scans, apart = with_ids(finds)
    notes = tuple(dict.fromkeys([*(note for find in finds for note in find.notes), *apart, *datasets.notes()]))
    ignored = sum((Counter(find.ignored) for find in finds), Counter[str]())
    if not scans:
        seen = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items())) or "no images at all"
        where = ", ".join(map(str, places))
        message = f"no T1w scan was found in {where} (seen: {seen}); name a BIDS dataset, a folder, an image or a table"
        raise RunError(Reason.NOTHING_FOUND, ". Note: ".join((message, *notes)))
    found = (dataclasses.replace(scan, path=unlisted(scan.path)) for scan in scans)
    return Discovery(tuple(sorted(found, key=lambda scan: scan.id)), dict(sorted(ignored.items())), notes, homes)


def search(place: Location, datasets: Datasets) -> list[Find]:
    """Scans at one input."""
    if place.is_dir():
        return search_folder(listed(place), datasets)
    if place.suffix.lower() in SUFFIXES and place.is_file():
        return search_table(place, strict=datasets.strict)
    if bids.is_image(place) and bids.is_there(place):  # a link to nothing is said to be one when it is read
        root = bids.dataset_of(place.parent)
        return [Find((file_scan(place, root, datasets),), dataset=root and real(root), folder=real(place.parent))]
    problem = "is neither a readable image (.nii, .nii.gz, .mgz) nor a table (.tsv, .csv, .parquet)" if place.exists() else "does not exist"
    raise RunError(Reason.USAGE, f"input {place} {problem}; name a BIDS dataset, a folder, an image or a table")


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
    rows_of: dict[tuple[str, Location], list[tuple[int, Mapping[str, Value]]]] = {}
    strange = []
    for line, row in rows:
        file, problem = _file(path, str(row[column]))
        strange += [f"table {path}, line {line}: {problem}"] if problem else []
        columns = {name: value for name, value in row.items() if name not in (column, *OWN_COLUMNS)}
        scan_id, dataset = (str(row.get(name) or "") for name in OWN_COLUMNS)
        scan = Scan(scan_id or bids.scan_id(file), file, bids.entities(file), columns, dataset, f"line {line} of table {path}")
        home = bids.root_named(file.parent) or real(path.parent) / path.name.removesuffix(path.suffix)
        rows_of.setdefault((scan.id, file), []).append((line, columns))
        finds.setdefault((scan.id, file), Find((scan,), folder=home, named=bool(scan_id)))
    faults += [*_first(strange), *_first([fault for (scan, _), said in rows_of.items() if (fault := _differing(path, scan, said))])]
    refuse(faults, strict=strict)
    return [Find((), notes=(*faults, *table.notes)), *(_agreeing(find, rows_of[key]) for key, find in finds.items())]


def _pathless(table: Table, column: str) -> list[str]:
    """A sentence on rows that name no file."""
    lines = [line for line, row in zip(table.lines, table.rows, strict=True) if row[column] is None]
    return [f"table {visible(table.place)} has no value in column {column!r} in {listed_lines(lines)}: left out; add it"] if lines else []


def _file(table: Location, named: str) -> tuple[Location, str]:
    """The file that a row names, and what is wrong where that is no place. A path written on Windows finds its file too."""
    try:
        file, other = (beside(table.parent, name) for name in (named, named.replace("\\", "/")))
    except RunError as error:
        return table.parent / named, str(error)
    return (file if other == file or bids.is_there(file) or not bids.is_there(other) else other), ""


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
    return faults[:MOST_SAID] + ([f"such faults also in {counted(more, 'row')} more of the table"] if more > 0 else [])
