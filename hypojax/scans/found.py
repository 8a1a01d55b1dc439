"""What a search finds: scans, each with an id of its own and the dataset within which a label of a subject stands for one person."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypojax.reason import Reason, RunError
from hypojax.scans.bids import counted
from hypojax.storage import Location, absolute, each, real, remote, size_and_time
from hypojax.tables import merged


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
    dataset
        Name of its dataset: within one, a label of a subject stands for one person.
    listed
        Where a table lists it, in words; empty where none does.
    size
        Bytes of the file, or of all files of the series; 0 where it could not be asked.
    modified
        When the file, or the newest of the series, was last modified, seconds since 1970; 0 where it could not be asked. A file that was
        replaced or changed differs in one of the two.
    """

    id: str
    path: Location
    entities: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str | int | float | None] = field(default_factory=dict)
    dataset: str = ""
    listed: str = ""
    size: int = field(default=0, compare=False)
    modified: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Discovery:
    """What a search found.

    Parameters
    ----------
    scans
        Sorted by id.
    ignored
        How many images of which kind were left out (``{"bold": 3}``).
    notes
        What the user should know of how they were found, a sentence each, with the next step.
    datasets
        Name of a dataset → the folder that has it; none for a name that the user chose.
    """

    scans: tuple[Scan, ...]
    ignored: Mapping[str, int]
    notes: tuple[str, ...] = ()
    datasets: Mapping[str, Location] = field(default_factory=dict)


@dataclass(frozen=True)
class Find:
    """Scans of one input, before each has its id.

    Parameters
    ----------
    scans
        In the order of the search.
    ignored
        As in `Discovery`.
    dataset
        Resolved root of the dataset they are from, whose name goes before ids that clash; None where they are from none.
    notes
        What the user should know of them, a sentence each.
    folder
        Where there is no dataset: the folder, or table, that was named, and that names the dataset in its place.
    named
        Whether the user gave the scans their ids, which then stay as they are.
    """

    scans: tuple[Scan, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    dataset: Location | None = None
    notes: tuple[str, ...] = ()
    folder: Location | None = None
    named: bool = False

    @property
    def home(self) -> Location | None:
        """The folder whose name tells these people from others with the same labels."""
        return self.dataset or self.folder


def with_ids(finds: Sequence[Find]) -> tuple[list[Scan], tuple[str, ...]]:
    """Give every scan an id of its own, and say where that is not the name of its file alone.

    Datasets put their name before ids where those of several inputs clash; what clashes still is told apart by folders.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN`` naming both files, where a table gives one id to both.
    """
    roots = {find.dataset for find in finds if find.dataset}
    if _clash(finds):
        names = dataset_names(roots)
        finds = [_named(find, [f"{names[find.dataset]}_{scan.id}" for scan in find.scans]) if find.dataset else find for find in finds]
    finds, notes = _told_apart(finds)
    scans = unique(scan for find in finds for scan in find.scans)
    asked = next((scan.path for scan in scans if remote(scan.path)), Path())  # those of a bucket many at once
    return list(each(asked, with_file, scans)), notes


def with_file(scan: Scan) -> Scan:
    """The scan with size and modification time of its file, or of the files of its series; as it was where they cannot be asked.

    >>> from pathlib import Path
    >>> with_file(Scan("sub-01", Path("/nowhere/sub-01_T1w.nii.gz"))).size
    0
    """
    try:
        size, modified = size_and_time(scan.path)
    except (OSError, ValueError):  # a link to nothing, or a NUL byte: said when the scan is read
        return scan
    return dataclasses.replace(scan, size=size, modified=modified)


def names_apart(scan: str, files: Collection[Location]) -> list[str]:
    """Ids for files that would have one: the folders in which their paths differ go before it, or the name of the file takes its place.

    >>> from pathlib import Path
    >>> names_apart("T1", [Path("/study/A/s1/anat/T1.nii"), Path("/study/B/s1/anat/T1.nii")])
    ['A_T1', 'B_T1']
    >>> names_apart("T1", [Path("/study/T1.nii"), Path("/study/T1.nii.gz")])
    ['T1.nii', 'T1.nii.gz']
    """
    folders = [absolute(file).parts[:-1] for file in files]
    differing = [number for number, level in enumerate(zip(*folders, strict=False)) if len(set(level)) > 1]
    if len(set(map(len, folders))) == 1:
        ways = [tuple(parts[number] for number in differing) for parts in folders]
    else:
        ways = [parts[min([*differing, *map(len, folders)]) :] for parts in folders]
    one_each = len(set(ways)) == len(ways)
    return [
        "_".join((*(part.strip("/:") for part in way if part != "/"), scan if one_each else file.name))
        for way, file in zip(ways, files, strict=True)
    ]


def in_datasets(finds: Sequence[Find], *, named: str = "") -> tuple[list[Find], dict[str, Location]]:
    """The same with the dataset of every scan, and the folder of each dataset by its name.

    Parameters
    ----------
    finds
        What was found. A scan that has a dataset already, from a table of scans, keeps it.
    named
        The name that the user chose for all of them; no folder stands for it.
    """
    homes = [home for find in finds if find.scans and (home := find.home)]
    names = dict.fromkeys(homes, named) if named else folder_names(homes)
    placed = []
    for find in finds:
        name = names.get(find.home, named) if find.home else named
        scans = (dataclasses.replace(scan, dataset=scan.dataset or name) for scan in find.scans)
        placed.append(dataclasses.replace(find, scans=tuple(scans)))
    return placed, {} if named else {name: home for home, name in names.items()}


def folder_names(folders: Iterable[Location], *, taken: Collection[str] = ()) -> dict[Location, str]:
    """A name for each folder: its own, with a number behind it where another has it.

    >>> from pathlib import Path
    >>> list(folder_names(map(Path, ("/b/bids", "/a/bids", "/b/other"))).values())
    ['bids', 'bids-2', 'other']
    """
    names: dict[Location, str] = {}
    for folder in sorted(set(folders), key=lambda folder: folder.parts):
        names[folder] = free_name(folder.name or folder.anchor.rstrip("/") or "root", {*taken, *names.values()})
    return names


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with the first number behind it that makes it one that nobody has.

    >>> free_name("bids", {"bids", "bids-2"})
    'bids-3'
    """
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def dataset_names(roots: Iterable[Location]) -> dict[Location, str]:
    """What goes before ids that clash: the last part of a dataset's path, or as many as tell it from the others.

    >>> from hypojax.storage import locate
    >>> list(dataset_names(locate(place) for place in ("/a/bids", "/b/bids", "/b/other")).values())
    ['a_bids', 'b_bids', 'other']
    """
    places = sorted(set(roots), key=lambda place: place.parts)

    def alone(place: Location, depth: int) -> bool:
        return sum(other.parts[-depth:] == place.parts[-depth:] for other in places) == 1

    depths = {place: next((depth for depth in range(1, len(place.parts)) if alone(place, depth)), len(place.parts)) for place in places}
    return {place: "_".join(part for part in place.parts[-depth:] if part != place.anchor) for place, depth in depths.items()}


def unique(scans: Iterable[Scan]) -> list[Scan]:
    """The scans; a file named twice is taken once, with the columns of both.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN`` where two files have one id.
    """
    kept: dict[str, Scan] = {}
    for scan in scans:
        first = kept.setdefault(scan.id, scan)
        if real(first.path) != real(scan.path):
            places = " and ".join(f"{one.path}{f' ({one.listed})' if one.listed else ''}" for one in (first, scan))
            listed = first.listed and scan.listed
            step = (
                "give each its own id in column 'scan'" if listed else "rename one, or list both in a table with columns 'scan' and 'path'"
            )
            raise RunError(Reason.DUPLICATE_SCAN, f"two files have the scan id {scan.id!r}: {places}; {step}")
        kept[scan.id] = dataclasses.replace(first, columns=merged(first.columns, scan.columns))
    return list(kept.values())


def _clash(finds: Sequence[Find]) -> bool:
    """Whether an id stands for different files in a dataset and in another input."""
    owners: dict[str, set[tuple[Location | None, Location]]] = {}
    for find in finds:
        for scan in find.scans:
            owners.setdefault(scan.id, set()).add((find.dataset, real(scan.path)))
    return any(len({home for home, _ in pairs}) > 1 and len({path for _, path in pairs}) > 1 for pairs in owners.values())


def _told_apart(finds: Sequence[Find]) -> tuple[list[Find], tuple[str, ...]]:
    """The same with an id for each of several files whose names give the same one, and a sentence on them."""
    files_of: dict[str, dict[Location, Location]] = {}
    for find in finds:
        for scan in find.scans:
            files_of.setdefault(scan.id, {}).setdefault(_spot(scan.path), scan.path)
    several = {scan: files for scan, files in files_of.items() if len(files) > 1}
    if not several:
        return list(finds), ()
    names: dict[tuple[str, Location], str] = {}
    taken = set(files_of) - set(several)
    for shared, files in sorted(several.items()):
        ordered = sorted(files, key=lambda place: absolute(files[place]).parts)
        for place, name in zip(ordered, names_apart(shared, [files[place] for place in ordered]), strict=True):
            names[shared, place] = free_name(name, taken)
            taken.add(names[shared, place])
    new = [find if find.named else _named(find, [names.get((scan.id, _spot(scan.path)), scan.id) for scan in find.scans]) for find in finds]
    said = counted(sorted(several), "name"), counted(list(names.values()), "scan")
    return new, (f"{said[0]} of files stood for several scans: told apart by folders or suffixes, which gives {said[1]}",)


def _spot(file: Location) -> Location:
    """Where the name of a file lies: links of several names to one content, as git-annex makes them, are several scans."""
    return real(file.parent) / file.name if file.name else real(file)


def _named(find: Find, ids: Iterable[str]) -> Find:
    """The same scans under other ids."""
    scans = (dataclasses.replace(scan, id=name) for scan, name in zip(find.scans, ids, strict=True))
    return dataclasses.replace(find, scans=tuple(scans))
