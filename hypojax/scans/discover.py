"""Finding scans: BIDS datasets, folders, files, DICOM series and tables, in any mixture, each under one name."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
import hypojax.scans.table as table  # noqa: PLR0402
from hypojax.location import Location, ObjectPath, beside, listed, locate
from hypojax.reason import Reason, RunError
from hypojax.scans.dicom import is_dicom
from hypojax.scans.tree import folders

OTHER_FORMATS: Final = (".img", ".nrrd", ".nhdr", ".mnc", ".mha", ".mhd", ".par", ".hdf5")
"""Images that are not read; counted, so that nobody wonders where they are."""

NO_T1W: Final = re.compile(
    "FLAIR|MT[RS]|PD|PDT2|PDw|[RT][12]map|T2star|T2starw|T2w|UNIT1|angio|asl|bold|boldref|cbv|defacemask|dseg|dwi|dwiref|epi|fieldmap|"
    "inplaneT[12]|m0scan|magnitude[12]?|mask|phase[12]|phasediff|probseg|sbref|xfm"
)
"""Suffixes of BIDS names that say that an image is something else, also outside of a dataset."""


@dataclass(frozen=True)
class Scan:
    """One scan that was found.

    Parameters
    ----------
    id
        Its name in everything that follows (``sub-01_ses-2``).
    path
        The file, or the folder of a DICOM series.
    entities
        ``subject``, ``session``, ``run`` and the like, from a BIDS name.
    columns
        What the participants, sessions or input table says of it.
    """

    id: str
    path: Location
    entities: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str | int | float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Discovery:
    """What a search found.

    Parameters
    ----------
    scans
        Sorted by id.
    ignored
        How many images of which kind were left aside (``{"bold": 3}``).
    notes
        What the user should know of how they were found, a sentence each, with the next step.
    """

    scans: tuple[Scan, ...]
    ignored: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Find:
    """Scans of one input, before names are settled; ``dataset`` is the resolved root of the BIDS dataset they are from.

    ``notes`` is what the user should know of them, a sentence each.
    """

    scans: tuple[Scan, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    dataset: Location | None = None
    notes: tuple[str, ...] = ()


def discover(inputs: Sequence[Location | str]) -> Discovery:
    """Find all scans of the inputs: BIDS datasets, folders, images, DICOM series folders, tables with a column ``path``.

    Each may be a path or a URL (``s3://bucket/bids``).

    In a dataset only ``T1w`` images are scans. Where two inputs know the same id, those of datasets are preceded by
    the name of the dataset (``ds000011_sub-01``).

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
    scans = settle(finds)
    ignored = sum((Counter(find.ignored) for find in finds), Counter[str]())
    if not scans:
        seen = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items())) or "no images at all"
        places = ", ".join(str(place) for place in inputs) or "no input"
        raise RunError(
            Reason.NOTHING_FOUND, f"no T1w scan was found in {places} (seen: {seen}); name a BIDS dataset, a folder, an image or a table"
        )
    notes = tuple(dict.fromkeys(note for find in finds for note in find.notes))
    return Discovery(tuple(sorted(map(_unlisted, scans), key=lambda scan: scan.id)), dict(sorted(ignored.items())), notes)


def _unlisted(scan: Scan) -> Scan:
    """The scan without the listing that an object of a bucket was found by."""
    return dataclasses.replace(scan, path=scan.path.resolve()) if isinstance(scan.path, ObjectPath) else scan


def search(place: Location, datasets: bids.Datasets) -> list[Find]:
    """Scans at one input."""
    if place.is_dir():
        return search_folder(listed(place) if isinstance(place, ObjectPath) else place, datasets)
    if place.suffix.lower() in table.SUFFIXES and place.is_file():
        return [search_table(place)]
    if bids.is_image(place) and _is_there(place):
        root = bids.dataset_of(place.parent)
        return [Find((_file_scan(place, root, datasets),), dataset=root and root.resolve())]
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
    return Find(tuple(scans), ignored, dataset and dataset.resolve())


def search_table(path: Location) -> Find:
    """Scans listed in a table: column ``path`` (a URL, or relative to the table), optionally ``scan``, and others that are kept."""
    rows = table.read_table(path, text=("path", "scan"))
    scans = []
    for number, row in enumerate(rows, start=1):
        named = row.get("path")
        if named is None:
            raise RunError(
                Reason.USAGE,
                f"table {path}, row {number} below the header: no value in a column 'path' (columns: {', '.join(row)}); add it",
            )
        file = beside(path.parent, str(named))
        columns = {name: value for name, value in row.items() if name not in ("path", "scan")}
        scans.append(Scan(str(row.get("scan") or bids.scan_id(file)), file, bids.entities(file), columns))
    return Find(tuple(scans))


def _file_scan(path: Location, root: Location | None, datasets: bids.Datasets) -> Scan:
    """The scan in a file named by itself, with what the tables of its dataset at ``root`` say of it."""
    return Scan(bids.scan_id(path), path, bids.entities(path), datasets.columns(path, root=root))


def settle(finds: Sequence[Find]) -> list[Scan]:
    """Give every scan an id of its own: datasets put their name before it where ids of several inputs clash.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN`` naming both files.
    """
    roots = {find.dataset for find in finds if find.dataset}
    if _clash(finds):
        names = dataset_names(roots)
        finds = [_prefixed(find, names[find.dataset]) if find.dataset else find for find in finds]
    return unique(scan for find in finds for scan in find.scans)


def _clash(finds: Sequence[Find]) -> bool:
    """Whether an id stands for different files in a dataset and in another input."""
    claims: dict[str, set[tuple[Location | None, Location]]] = {}
    for find in finds:
        for scan in find.scans:
            claims.setdefault(scan.id, set()).add((find.dataset, scan.path.resolve()))
    return any(len({owner for owner, _ in claim}) > 1 and len({path for _, path in claim}) > 1 for claim in claims.values())


def dataset_names(roots: Iterable[Location]) -> dict[Location, str]:
    """A name for each dataset: the last part of its path, or as many as tell it from the others.

    >>> list(dataset_names(locate(place) for place in ("/a/bids", "/b/bids", "/b/other")).values())
    ['a_bids', 'b_bids', 'other']
    """
    places = sorted(set(roots), key=lambda place: place.parts)

    def alone(place: Location, depth: int) -> bool:
        return sum(other.parts[-depth:] == place.parts[-depth:] for other in places) == 1

    depths = {place: next((depth for depth in range(1, len(place.parts)) if alone(place, depth)), len(place.parts)) for place in places}
    return {place: "_".join(part for part in place.parts[-depth:] if part != place.anchor) for place, depth in depths.items()}


def _prefixed(find: Find, name: str) -> Find:
    """The same scans with the name of their dataset before their ids."""
    return dataclasses.replace(find, scans=tuple(dataclasses.replace(scan, id=f"{name}_{scan.id}") for scan in find.scans))


def unique(scans: Iterable[Scan]) -> list[Scan]:
    """The scans; a file named twice is taken once, with the columns of both.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN`` where two files claim one id.
    """
    kept: dict[str, Scan] = {}
    for scan in scans:
        first = kept.setdefault(scan.id, scan)
        if first.path.resolve() != scan.path.resolve():
            raise RunError(
                Reason.DUPLICATE_SCAN,
                f"two files claim the scan id {scan.id!r}: {first.path} and {scan.path}; "
                "rename one, or list both in a table with columns 'scan' and 'path'",
            )
        kept[scan.id] = dataclasses.replace(first, columns={**first.columns, **scan.columns})
    return list(kept.values())
