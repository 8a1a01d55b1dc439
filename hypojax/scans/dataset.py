"""The T1w scans of one BIDS dataset, and what of it is no scan, or not as BIDS has it: said, since people go missing that way."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import hypojax.scans.bids as bids  # noqa: PLR0402 - asking the package for its own module would be a cycle
from hypojax.scans.found import Find, Scan
from hypojax.scans.kind import made_from, other_format
from hypojax.scans.left_out import ASIDE, left_out
from hypojax.scans.near_miss import LIKE_T1W, SHOWN, counted, like_sessions, like_subjects
from hypojax.scans.participants import Participants
from hypojax.scans.processed import made_by_cat12, subject_image
from hypojax.scans.tree import folders
from hypojax.storage import Location, names

NO_IMAGES: Final = ("code", "stimuli", "phenotype", "figures", "logs")
"""Folders of a dataset that nobody looks for scans in."""

PARTS_OF_ONE: Final = ("echo", "inv", "part", "inversion")
"""Entities in which the images of one scan differ."""

AGAIN: Final = re.compile(r"_e\d+$|_orig(inal)?$| ?\(\d+\)$|( - |_|-)?copy( ?\(?\d+\)?)?$|_(bak|backup|old)$", re.IGNORECASE)
"""What is put behind the names of several images of one scan: echoes by dcm2niix, copies by people and their desktops."""

MADE: Final = "made from another image"


@dataclass
class _Seen:
    """What was seen in the folders of subjects."""

    scans: list[Scan] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    aside: list[Location] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)


def search_dataset(root: Location, *, strict: bool = False) -> Find:
    """T1w scans of a BIDS dataset with what its tables say of them."""
    participants = Participants(root, strict=strict)
    inner, files = names(root)
    subjects, seen = [name for name in inner if name.startswith("sub-")], _Seen()
    for subject in subjects:
        before = len(seen.scans)
        _search_subject(root / subject, participants, seen)
        if len(seen.scans) == before:
            seen.without.append(subject)
    likely = like_subjects(inner)
    skipped = {*subjects, *likely, *NO_IMAGES}
    aside = [root / name for name in inner if name not in skipped and not name.startswith(".") and not name.endswith(".zarr")]
    absent = sorted(participants.ids - {name.removeprefix("sub-") for name in subjects})
    notes = (
        *participants.notes(),
        *_near_misses(root, likely, seen),
        *_outside(root, files),
        *_people(root, absent, seen),
        *several_of_one(seen.scans),
    )
    return Find(tuple(seen.scans), seen.ignored, root.resolve(), (*notes, *left_out([*aside, *seen.aside], root=root)))


def _search_subject(folder: Location, participants: Participants, seen: _Seen) -> None:
    """Look through the folder of one subject; one that FreeSurfer made holds one scan."""
    if image := subject_image(folder):
        named = bids.entities(folder)
        seen.scans.append(Scan(folder.name, image, named, participants.columns(folder)))
        return
    for place, inner, files in folders(folder):
        seen.aside += [place / name for name in inner if name in ASIDE]
        inner[:] = [name for name in inner if name not in ASIDE]
        seen.sessions += [f"{folder.name}/{name}" for name in like_sessions(inner)] if place == folder else []
        seen.ignored.update(kind for name in files if (kind := other_format(name)))
        for path, made in with_origin(place, files):
            reason = MADE if made else bids.why_ignored(path)
            if reason is not None:
                seen.ignored[reason] += 1
                seen.suffixes += [path.name] if LIKE_T1W.fullmatch(reason) else []
                continue
            named = bids.entities(path)
            seen.misplaced += [path.name] if f"sub-{named.get('subject', '')}" != folder.name else []
            seen.scans.append(Scan(bids.scan_id(path), path, named, participants.columns(path)))


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


def _near_misses(root: Location, likely: Sequence[str], seen: _Seen) -> Iterator[str]:
    """What looks like BIDS and is not."""
    if likely:
        verb = ("looks like a subject folder but is", "it") if len(likely) == 1 else ("look like subject folders but are", "them")
        message = f"{counted(likely, 'folder')} of {root} {verb[0]} not BIDS, and left out"
        yield f"{message}: rename {verb[1]} (sub-01) or pass {verb[1]} by {'itself' if len(likely) == 1 else 'themselves'}"
    if seen.sessions:
        yield f"{counted(seen.sessions, 'folder')} of {root} like a session's but not BIDS: taken without a session; rename (ses-1)"
    if seen.suffixes:
        yield f"{counted(seen.suffixes, 'image')} of {root} not named as BIDS has it, and left out: rename (…_T1w) or pass by itself"
    if seen.misplaced:
        yield f"{counted(seen.misplaced, 'T1w image')} of {root} not named after the subject's folder: tables are matched by names; rename"


def _outside(root: Location, files: Sequence[str]) -> Iterator[str]:
    """A sentence on images that lie in the root itself."""
    if images := [name for name in files if not name.startswith(".") and (bids.is_image(root / name) or other_format(name))]:
        yield f"{counted(images, 'image')} of {root} outside of the folders of subjects, and left out: move into one or pass by itself"


def _people(root: Location, absent: Sequence[str], seen: _Seen) -> Iterator[str]:
    """People of whom one of table, folder and scan is missing."""
    if absent:
        people = counted([f"sub-{name}" for name in absent], "row")
        yield f"{people} of {root / 'participants.tsv'} without a folder: no scan of them was found; look for misspelt folders"
    if seen.without:
        yield f"{counted(seen.without, 'subject folder')} of {root} without a T1w image: no scan of them was found"
