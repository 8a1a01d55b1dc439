"""Finding scans: BIDS datasets, folders, files, DICOM series and tables, in any mixture, each under one name."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
from hypojax.reason import Reason, RunError
from hypojax.scans.folder import file_scan, search_folder
from hypojax.scans.found import Discovery, Find, Scan
from hypojax.scans.identity import in_datasets, settle
from hypojax.scans.participants import Datasets
from hypojax.scans.scan_table import search_table
from hypojax.storage import Location, ObjectPath, Place, listed, locate_all, real
from hypojax.tables import SUFFIXES


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
    places = locate_all(inputs)
    try:
        datasets = Datasets(strict=strict_tables)
        finds = [find for place in places for find in search(place, datasets)]
    except OSError as error:
        raise RunError(Reason.USAGE, f"{error.filename} cannot be looked at ({error.strerror}); allow it or name other inputs") from error
    finds, homes = in_datasets(finds, named=dataset)
    scans, apart = settle(finds)
    notes = tuple(dict.fromkeys([*(note for find in finds for note in find.notes), *apart, *datasets.notes()]))
    ignored = sum((Counter(find.ignored) for find in finds), Counter[str]())
    if not scans:
        seen = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items())) or "no images at all"
        where = ", ".join(map(str, places)) or "no input"
        message = f"no T1w scan was found in {where} (seen: {seen}); name a BIDS dataset, a folder, an image or a table"
        raise RunError(Reason.NOTHING_FOUND, ". Note: ".join((message, *notes)))
    return Discovery(tuple(sorted(map(_unlisted, scans), key=lambda scan: scan.id)), dict(sorted(ignored.items())), notes, homes)


def _unlisted(scan: Scan) -> Scan:
    """The scan without the listing that an object of a bucket was found by."""
    return dataclasses.replace(scan, path=real(scan.path)) if isinstance(scan.path, ObjectPath) else scan


def search(place: Location, datasets: Datasets) -> list[Find]:
    """Scans at one input."""
    if place.is_dir():
        return search_folder(listed(place) if isinstance(place, ObjectPath) else place, datasets)
    if place.suffix.lower() in SUFFIXES and place.is_file():
        return search_table(place, strict=datasets.strict)
    if bids.is_image(place) and bids.is_there(place):  # a link to nothing is said to be one when it is read
        root = bids.dataset_of(place.parent)
        return [Find((file_scan(place, root, datasets),), dataset=root and real(root), folder=real(place.parent))]
    problem = "is neither a readable image (.nii, .nii.gz, .mgz) nor a table (.tsv, .csv, .parquet)" if place.exists() else "does not exist"
    raise RunError(Reason.USAGE, f"input {place} {problem}; name a BIDS dataset, a folder, an image or a table")
