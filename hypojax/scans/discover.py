"""Finding scans: BIDS datasets, folders, files, DICOM series and tables, in any mixture, each under one name."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
import hypojax.scans.table as table  # noqa: PLR0402
from hypojax.location import Location, ObjectPath, beside, listed, locate
from hypojax.reason import Reason, RunError
from hypojax.scans.dicom import is_dicom
from hypojax.scans.found import Discovery, Find, Scan
from hypojax.scans.identity import in_datasets, settle
from hypojax.scans.tree import folders

OTHER_FORMATS: Final = (".img", ".nrrd", ".nhdr", ".mnc", ".mha", ".mhd", ".par", ".hdf5")
"""Images that are not read; counted, so that nobody wonders where they are."""

OWN_COLUMNS: Final = ("scan", "dataset")
"""Columns of a table of scans that are no column of the cohort's participants, besides that of paths."""

NO_T1W: Final = re.compile(
    "FLAIR|MT[RS]|PD|PDT2|PDw|[RT][12]map|T2star|T2starw|T2w|UNIT1|angio|asl|bold|boldref|cbv|defacemask|dseg|dwi|dwiref|epi|fieldmap|"
    "inplaneT[12]|m0scan|magnitude[12]?|mask|phase[12]|phasediff|probseg|sbref|xfm"
)
"""Suffixes of BIDS names that say that an image is something else, also outside of a dataset."""


def discover(inputs: Sequence[Location | str], *, dataset: str = "") -> Discovery:
    """Find all scans of the inputs: BIDS datasets, folders, images, DICOM series folders, tables with a column ``path``.

    In a dataset only ``T1w`` images are scans. Where two inputs know the same id, those of datasets are preceded by
    the name of the dataset (``ds000011_sub-01``).

    Parameters
    ----------
    inputs
        Each a path or a URL (``s3://bucket/bids``).
    dataset
        Name of the dataset of all scans; when left out, the name of the folder of each BIDS dataset, and that of the input for
        scans that are in none.

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` with what was seen, ``DUPLICATE_SCAN`` with both files, ``USAGE`` for an input that is none.

    Examples
    --------
    >>> discover(["/nowhere"])
    Traceback (most recent call last):
    hypojax.reason.RunError: input /nowhere does not exist; name a BIDS dataset, a folder, an image or a table
    """
    try:
        datasets = bids.Datasets()
        finds = [find for place in inputs for find in search(locate(place), datasets)]
    except OSError as error:
        raise RunError(Reason.USAGE, f"{error.filename} cannot be looked at ({error.strerror}); allow it or name other inputs") from error
    finds, homes = in_datasets(finds, named=dataset)
    scans = settle(finds)
    ignored = sum((Counter(find.ignored) for find in finds), Counter[str]())
    if not scans:
        seen = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items())) or "no images at all"
        places = ", ".join(str(place) for place in inputs) or "no input"
        raise RunError(
            Reason.NOTHING_FOUND, f"no T1w scan was found in {places} (seen: {seen}); name a BIDS dataset, a folder, an image or a table"
        )
    notes = tuple(dict.fromkeys(note for find in finds for note in find.notes))
    return Discovery(tuple(sorted(map(_unlisted, scans), key=lambda scan: scan.id)), dict(sorted(ignored.items())), notes, homes)


def _unlisted(scan: Scan) -> Scan:
    """The scan without the listing that an object of a bucket was found by."""
    return dataclasses.replace(scan, path=scan.path.resolve()) if isinstance(scan.path, ObjectPath) else scan


def search(place: Location, datasets: bids.Datasets) -> list[Find]:
    """Scans at one input."""
    if place.is_dir():
        return search_folder(listed(place) if isinstance(place, ObjectPath) else place, datasets)
    if place.suffix.lower() in table.SUFFIXES and place.is_file():
        return search_table(place)
    if bids.is_image(place) and _is_there(place):
        root = bids.dataset_of(place.parent)
        return [Find((_file_scan(place, root, datasets),), dataset=root and root.resolve(), folder=place.parent.resolve())]
    problem = "is neither a readable image (.nii, .nii.gz, .mgz) nor a table (.tsv, .csv, .parquet)" if place.exists() else "does not exist"
    raise RunError(Reason.USAGE, f"input {place} {problem}; name a BIDS dataset, a folder, an image or a table")


def _is_there(place: Location) -> bool:
    """Whether there is a file; a link to nothing is said to be one when it is read."""
    return place.is_file() or (not isinstance(place, ObjectPath) and place.is_symlink())


def search_dataset(root: Location) -> Find:
    """T1w scans of a BIDS dataset with what its tables say of them."""
    participants = bids.Participants(root)
    ignored: Counter[str] = Counter()
    scans = []
    for path in bids.subject_images(root):
        reason = bids.why_ignored(path)
        if reason is None:
            named = bids.entities(path)
            scans.append(Scan(bids.scan_id(path), path, named, participants.columns(named)))
        else:
            ignored[reason] += 1
    return Find(tuple(scans), ignored, root.resolve())


def search_folder(root: Location, known: bids.Datasets) -> list[Find]:
    """Scans of a folder: itself a dataset, or with datasets, images and DICOM series at any depth."""
    if bids.is_dataset(root):
        return [search_dataset(root)]
    finds: list[Find] = []
    for place, inner, files in folders(root):
        finds.append(_loose(root, place, [place / name for name in files], known))
        datasets = [name for name in inner if bids.is_dataset(place / name)]
        # Derivatives lie beside data as often as inside it; they are searched only where they are named themselves.
        finds += [search_dataset(place / name) for name in datasets if name != "derivatives"]
        inner[:] = [name for name in inner if name not in datasets]
    return finds


def _loose(root: Location, place: Location, files: Iterable[Location], known: bids.Datasets) -> Find:
    """Scans directly in one folder that is not searched as part of a dataset."""
    dataset = bids.dataset_of(place)
    ignored: Counter[str] = Counter()
    scans = []
    series = False
    for path in files:
        if not bids.is_image(path):
            ignored.update([path.suffix.lower()] if path.suffix.lower() in OTHER_FORMATS else [])
            series = series or is_dicom(path)
        elif NO_T1W.fullmatch(bids.modality(path)):
            ignored[bids.modality(path)] += 1
        else:
            scans.append(_file_scan(path, dataset, known))
    if series:
        parts = place.parts[len(root.parts) :]
        scans.append(Scan("_".join(parts) or place.resolve().name, place))
    return Find(tuple(scans), ignored, dataset and dataset.resolve(), folder=root.resolve())


def search_table(path: Location) -> list[Find]:
    """Scans listed in a table: column ``path`` (a URL, or relative to the table), perhaps ``scan``, ``dataset``, and others that are kept.

    A scan is of the dataset that the table says, else of the BIDS dataset that its path names, else of the table.
    """
    rows = table.read_table(path, text=("path", *OWN_COLUMNS))
    finds = []
    for number, row in enumerate(rows, start=1):
        named = row.get("path")
        if named is None:
            raise RunError(
                Reason.USAGE,
                f"table {path}, row {number} below the header: no value in a column 'path' (columns: {', '.join(row)}); add it",
            )
        file = beside(path.parent, str(named))
        columns = {name: value for name, value in row.items() if name not in ("path", *OWN_COLUMNS)}
        scan_id, dataset = ("" if (value := row.get(name)) is None or value in table.MISSING else str(value) for name in OWN_COLUMNS)
        scan = Scan(scan_id or bids.scan_id(file), file, bids.entities(file), columns, dataset)
        finds.append(Find((scan,), folder=bids.root_named(file.parent) or path.parent.resolve() / path.name.removesuffix(path.suffix)))
    return finds


def _file_scan(path: Location, root: Location | None, datasets: bids.Datasets) -> Scan:
    """The scan in a file named by itself, with what the tables of its dataset at ``root`` say of it."""
    return Scan(bids.scan_id(path), path, bids.entities(path), datasets.columns(path, root=root))
