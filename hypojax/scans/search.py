"""The scans of a folder: of a BIDS dataset, or the datasets, subjects of FreeSurfer, images and DICOM series in it, at any depth."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
from hypojax.scans.bids import LIKE_T1W, SHOWN, counted, like_sessions, like_subjects
from hypojax.scans.bids_tables import BidsTables, Datasets
from hypojax.scans.dicom import is_dicom
from hypojax.scans.found import Find, Scan
from hypojax.scans.kind import Subjects, made_by_cat12, made_from, other_format, subject_image, subjects_in, what_name_says, what_words_say
from hypojax.scans.tree import EXCLUDED, folders, left_out
from hypojax.storage import Location, names, real

DERIVATIVES: Final = "derivatives"
PIPELINES: Final = re.compile(r"\w*prep|free ?surfer|fast ?surfer|mriqc|xcp.*|cat12|hypojax", re.IGNORECASE)
"""Programs that make a dataset from another, where it does not say of itself that it was made."""

OWN: Final = "cohort.zarr"
"""Beside derivatives of hypojax itself, which need no note."""

NO_IMAGES: Final = ("code", "stimuli", "phenotype", "figures", "logs")
"""Folders of a dataset that nobody looks for scans in."""

PARTS_OF_ONE: Final = ("echo", "inv", "part", "inversion", "rec", "desc")
"""Entities in which the images of one scan differ: recorded together, or reconstructed or made from the same data."""

AGAIN: Final = re.compile(r"_e\d+$|_orig(inal)?$| ?\(\d+\)$|( - |_|-)?copy( ?\(?\d+\)?)?$|_(bak|backup|old)$", re.IGNORECASE)
"""Endings of the names of several images of one scan: echoes by dcm2niix, copies by people and their desktops."""

MADE: Final = "made from another image"


@dataclass
class _Seen:
    """What was seen in the folders of subjects."""

    scans: list[Scan] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    excluded: list[Location] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)


def search_dataset(root: Location, *, strict: bool = False) -> Find:
    """T1w scans of a BIDS dataset with what its tables say of them."""
    participants = BidsTables(root, strict=strict)
    inner, files = names(root)
    subjects, seen = [name for name in inner if name.startswith("sub-")], _Seen()
    ignore = bids.ignored_by(root)
    for subject in subjects:
        before = len(seen.scans) + len(seen.unwanted)
        _search_subject(root / subject, participants, seen, ignore)
        if len(seen.scans) + len(seen.unwanted) == before:
            seen.without.append(subject)
    likely = like_subjects(inner)
    skipped = {*subjects, *likely, *NO_IMAGES}
    excluded = [root / name for name in inner if name not in skipped and not name.startswith(".") and not name.endswith(".zarr")]
    absent = sorted(participants.ids - {name.removeprefix("sub-") for name in subjects})
    notes = (
        *participants.notes(),
        *_dataset_notes(root, files, seen, likely=likely, absent=absent),
        *several_of_one(seen.scans),
    )
    return Find(tuple(seen.scans), seen.ignored, root.resolve(), (*notes, *left_out([*excluded, *seen.excluded], root=root)))


def _search_subject(folder: Location, participants: BidsTables, seen: _Seen, ignore: Callable[[str], bool]) -> None:
    """Look through the folder of one subject; one that FreeSurfer made holds one scan."""
    if image := subject_image(folder):
        named = bids.entities(folder)
        seen.scans.append(Scan(folder.name, image, named, participants.columns(folder)))
        return
    for place, inner, files in folders(folder):
        seen.excluded += [place / name for name in inner if name.lower() in EXCLUDED]
        inner[:] = [name for name in inner if name.lower() not in EXCLUDED]
        seen.sessions += [f"{folder.name}/{name}" for name in like_sessions(inner)] if place == folder else []
        seen.ignored.update(kind for name in files if (kind := other_format(name)))
        for path, made in with_origin(place, files):
            reason = MADE if made else bids.why_ignored(path)
            if reason is not None:
                seen.ignored[reason] += 1
                seen.suffixes += [path.name] if LIKE_T1W.fullmatch(reason) else []
                continue
            if ignore("/".join(path.parts[len(folder.parent.parts) :])):
                seen.ignored[bids.IGNORE_FILE] += 1
                seen.unwanted.append(path.name)
                continue
            named = bids.entities(path)
            seen.misplaced += [path.name] if _is_misplaced(path, folder, named) else []
            seen.scans.append(Scan(bids.scan_id(path), path, named, participants.columns(path)))


def _is_misplaced(path: Location, subject: Location, named: Mapping[str, str]) -> bool:
    """Whether an image is named after another subject, or another session, than the folders that it lies in."""
    session = next((part for part in path.parts[len(subject.parts) : -1] if bids.SESSION.fullmatch(part)), "")
    return f"sub-{named.get('subject', '')}" != subject.name or (bool(session) and f"ses-{named.get('session', '')}" != session)


def with_origin(place: Location, files: Iterable[str]) -> Iterator[tuple[Location, bool]]:
    """The images directly in a folder, and whether each was made from another one there (or above it, where CAT12 puts its own)."""
    images = [path for path in (place / name for name in files) if bids.is_image(path)]
    stems = {bids.stem(path) for path in images}
    cat12 = made_by_cat12(place)
    for path in images:
        yield path, cat12 or made_from(bids.stem(path), stems) is not None


def several_of_one(scans: Sequence[Scan]) -> tuple[str, ...]:
    """A sentence where several images are of one scan, as echoes are; none otherwise."""
    groups: dict[tuple[Location, str], list[Scan]] = {}
    for scan in scans:
        if bids.is_image(scan.path):
            groups.setdefault((scan.path.parent, _common(scan)), []).append(scan)
    many = [(name, group) for (_, name), group in groups.items() if len(group) > 1]
    if not many:
        return ()
    first = ", ".join(f"{name} has {len(group)} T1w images of one scan" for name, group in many[:SHOWN])
    more = f", and so have {len(many) - SHOWN} more" if len(many) > SHOWN else ""
    example = ", ".join(scan.path.name for scan in many[0][1][:SHOWN])
    return (f"{first}{more} ({example}, …): each has a row of its own; keep one of each before you count people",)


def _common(scan: Scan) -> str:
    """What the images of one scan have in common: the name without echo, inversion and part."""
    if scan.entities:
        parts = [part for part in bids.scan_id(scan.path).split("_") if part.partition("-")[0] not in PARTS_OF_ONE]
        return "_".join(parts)
    return AGAIN.sub("", bids.scan_id(scan.path))


def _dataset_notes(root: Location, files: Sequence[str], seen: _Seen, *, likely: Sequence[str], absent: Sequence[str]) -> Iterator[str]:
    """What is no scan though it looks like one, and people of whom the row, the folder or the scan is missing."""
    outside = [name for name in files if not name.startswith(".") and (bids.is_image(root / name) or other_format(name))]
    if likely:
        verb = "looks like a subject folder but is" if len(likely) == 1 else "look like subject folders but are"
        message = f"{counted(likely, 'folder')} of {root} {verb} not BIDS, and left out"
        yield f"{message}: rename {'it' if len(likely) == 1 else 'them'} (sub-01) or name {'it' if len(likely) == 1 else 'each'} as INPUT"
    if seen.sessions:
        yield f"{counted(seen.sessions, 'folder')} of {root} like a session's but not BIDS: taken without a session; rename (ses-1)"
    if seen.suffixes:
        yield f"{counted(seen.suffixes, 'image')} of {root} not named as in BIDS, and left out: rename (…_T1w) or name as INPUT"
    if seen.misplaced:
        strange = f"{counted(seen.misplaced, 'T1w image')} of {root} not named after the folder of subject or session"
        yield f"{strange}: tables are matched by names; rename"
    if seen.unwanted:
        yield f"{counted(seen.unwanted, 'T1w image')} of {root} named by its {bids.IGNORE_FILE}, and left out: name as INPUT to include one"
    if outside:
        yield f"{counted(outside, 'image')} of {root} outside of the folders of subjects, and left out: move into one or name as INPUT"
    if absent:
        people = counted([f"sub-{name}" for name in absent], "row")
        yield f"{people} of {root / 'participants.tsv'} without a folder: no scan of them was found; look for misspelt folders"
    if seen.without:
        yield f"{counted(seen.without, 'subject folder')} of {root} without a T1w image: no scan of them was found"


def search_folder(root: Location, known: Datasets) -> list[Find]:
    """Scans of a folder: itself a dataset or a subject of FreeSurfer, or with datasets, images and DICOM series at any depth."""
    if bids.is_dataset(root):
        return [search_dataset(root, strict=known.strict)]
    place = real(root)
    subject = place.parent if place.name == "mri" else place
    if image := subject_image(subject):
        return [of_subjects(subject.parent, Subjects({subject.name: image}, ()), known)]
    return _Search(root, known).finds()


def file_scan(path: Location, root: Location | None, known: Datasets) -> Scan:
    """The scan in a file, with what the tables of its dataset at ``root`` say of it."""
    return Scan(bids.scan_id(path), path, bids.entities(path), known.columns(path, root=root))


def of_subjects(folder: Location, subjects: Subjects, known: Datasets) -> Find:
    """One scan for each subject of FreeSurfer or FastSurfer in a folder, named after the subject's folder."""
    table = folder if bids.is_there(folder / "participants.tsv") else None
    scans = [
        Scan(name, path, bids.entities(folder / name), known.columns(folder / name, root=table)) for name, path in subjects.scans.items()
    ]
    taken = Counter("/".join(path.parts[len((folder / name).parts) :]) for name, path in subjects.scans.items())
    kinds = ", ".join(f"{name} of {count}" for name, count in taken.items())
    message = f"{counted(list(subjects.scans), 'subject')} of FreeSurfer or FastSurfer in {folder}: one T1 each is taken ({kinds})"
    notes = [message] * bool(scans)
    notes += [f"{counted(subjects.excluded, 'folder')} of templates, or of visits processed with one, left out"] * bool(subjects.excluded)
    return Find(tuple(scans), dataset=real(folder), notes=tuple(notes))


def of_subjects_beside(folder: Location, subjects: Subjects) -> Find:
    """No scan of such subjects where datasets lie beside them, which hold the scans that they were made from."""
    there = counted([*subjects.scans, *subjects.excluded], "folder")
    message = f"left out {there} of FreeSurfer or FastSurfer in {folder}, beside datasets"
    return Find((), notes=(f"{message}; to include them, name {folder} as an INPUT of its own",))


class _Search:
    """One search of a folder, with the tables of datasets that are known already."""

    def __init__(self, root: Location, known: Datasets) -> None:
        self._root, self._known = root, known
        self._inside_derivatives = DERIVATIVES in real(root).parts
        self._excluded: list[Location] = []
        self._excluded_by_name: dict[str, list[str]] = {}
        self._datasets: list[Find] = []
        self._subjects: list[tuple[Location, Subjects]] = []
        self._loose: list[Find] = []

    def finds(self) -> list[Find]:
        """All that is there. What FreeSurfer made is left out where there are datasets, which hold the scans that it began with."""
        for place, inner, files in folders(self._root):
            inner[:] = self._entered(place, inner)
            self._loose.append(self._images(place, files))
        made = [
            of_subjects_beside(folder, subjects) if self._datasets else of_subjects(folder, subjects, self._known)
            for folder, subjects in self._subjects
        ]
        notes = (*left_out(self._excluded, root=self._root), *self._notes())
        return [*self._loose, *self._datasets, *made, Find((), notes=notes)]

    def _entered(self, place: Location, inner: list[str]) -> list[str]:
        """The folders among ``inner`` that are searched further; datasets, what is excluded, and subjects are noted."""
        excluded = [name for name in inner if name.lower() in EXCLUDED]
        rest = [name for name in inner if name not in excluded]
        datasets = [name for name in rest if bids.is_dataset(place / name)]
        derived = [name for name in datasets if not self._inside_derivatives and is_derived(place / name)]
        own = DERIVATIVES if (place / OWN).is_dir() else ""
        self._excluded += [place / name for name in (*excluded, *derived) if name != own]
        self._datasets += [search_dataset(place / name, strict=self._known.strict) for name in datasets if name not in derived]
        subjects = subjects_in(place, [name for name in rest if name not in datasets])
        if subjects.scans or subjects.excluded:
            self._subjects.append((place, subjects))
        gone = {*datasets, *subjects.scans, *subjects.excluded}
        return [name for name in rest if name not in gone]

    def _images(self, place: Location, files: Iterable[str]) -> Find:
        """Scans directly in one folder that is not searched as part of a dataset."""
        dataset, files = bids.dataset_of(place), list(files)
        ignored: Counter[str] = Counter()
        scans = []
        for path, made in with_origin(place, files):
            kind = MADE if made else what_name_says(path)
            if kind is None:
                scans.append(file_scan(path, dataset, self._known))
            else:
                ignored[kind] += 1
                self._excluded_by_name.setdefault(kind, []).append(path.name)
        others = [path for path in (place / name for name in files) if not bids.is_image(path)]
        ignored.update(kind for path in others if (kind := other_format(path.name)))
        scans += self._series(place, others, ignored)
        return Find(tuple(scans), ignored, dataset and real(dataset), several_of_one(scans), real(self._root))

    def _series(self, place: Location, files: Iterable[Location], ignored: Counter[str]) -> Iterator[Scan]:
        """The DICOM series directly in a folder, unless the folder's name says that it is something else."""
        if not any(map(is_dicom, files)):
            return
        parts = place.parts[len(self._root.parts) :]
        if parts and (kind := what_words_say(parts[-1])):
            ignored[kind] += 1
            self._excluded_by_name.setdefault(kind, []).append(parts[-1])
        else:
            yield Scan("_".join(parts) or real(place).name, place)

    def _notes(self) -> Iterator[str]:
        """Images taken or left out that the user may not expect, and a table of participants beside what is not named as in BIDS."""
        loose = [scan for find in self._loose for scan in find.scans]
        if self._datasets and loose:
            roots = counted([find.dataset for find in self._datasets], "dataset")
            scans = counted([scan.path for scan in loose], "scan")
            yield f"besides {roots}, {scans} outside of them were taken; to leave these out, name only the datasets as INPUT"
        if self._excluded_by_name:
            kinds = ", ".join(f"{len(found)} {kind} ({', '.join(found[:SHOWN])})" for kind, found in sorted(self._excluded_by_name.items()))
            total = sum(map(len, self._excluded_by_name.values()))
            one = "1 image was" if total == 1 else f"{total} images were"
            yield f"{one} left out because of the name: {kinds}; to include one, name it as INPUT"
        table = self._root / "participants.tsv"
        if not table.is_file():
            return
        if likely := like_subjects(names(self._root)[0]):
            message = f"{counted(likely, 'folder')} of {self._root} like a subject's, but not named as in BIDS"
            yield f"{message}: their images are taken, and nothing that participants.tsv says of them; rename (sub-01)"
        elif not any(scan.columns for scan in loose):
            message = f"{table} says nothing of the scans, since they are not laid out as in BIDS"
            yield f"{message} (sub-01/anat/sub-01_T1w.nii.gz): rename, or list them in a table with columns 'path', 'age', …"


def is_derived(root: Location) -> bool:
    """Whether a dataset says of itself that it was made from another."""
    try:
        description = json.loads((root / "dataset_description.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(description, dict) or description.get("DatasetType") == "raw":
        return False
    makers = description.get("GeneratedBy")
    named = [str(maker.get("Name")) for maker in makers if isinstance(maker, dict)] if isinstance(makers, list) else []
    return (
        description.get("DatasetType") == "derivative"
        or "PipelineDescription" in description  # before BIDS 1.4
        or any(map(PIPELINES.fullmatch, named))
    )
