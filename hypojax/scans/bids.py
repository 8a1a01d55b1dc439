"""The parts of BIDS that finding T1w scans needs: names made of entities, where datasets begin, and names that only look like BIDS.

Brain Imaging Data Structure (Gorgolewski et al. 2016): ``sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w.nii.gz``.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import PurePath
from typing import Final

from hypojax.storage import Location, absolute, link_target, real

IMAGE_SUFFIXES: Final = (".nii.gz", ".nii", ".mgz", ".mgh")

ENTITIES: Final = {
    "sub": "subject",
    "ses": "session",
    "acq": "acquisition",
    "ce": "ceagent",
    "rec": "reconstruction",
    "run": "run",
    "echo": "echo",
    "part": "part",
    "space": "space",
    "desc": "description",
}
"""Short names of entities → the words they stand for; others keep their short name."""

ROOT_FILES: Final = ("dataset_description.json", "participants.tsv")
"""Files that mark the root of a dataset."""

LEVELS: Final = 4
"""Folders between the root of a dataset and a file, that of the file included: root, subject, session, ``anat``."""

IGNORE_FILE: Final = ".bidsignore"
"""File at the root of a dataset with the patterns of files that do not belong to it, written as in ``.gitignore``."""

SHOWN: Final = 2
"""Examples in a sentence."""

SUBJECT: Final = re.compile(r"sub-[a-zA-Z0-9+]+")
LIKE_SUBJECT: Final = re.compile(r"(sub|subj|subject)[-_ .]?[a-z0-9].*", re.IGNORECASE)
SESSION: Final = re.compile(r"ses-[a-zA-Z0-9+]+")
LIKE_SESSION: Final = re.compile(r"(ses|sess|session)[-_ .]?[a-z0-9].*", re.IGNORECASE)
LIKE_T1W: Final = re.compile(r"t1w?\d*(_?mprage)?|mprage|anat", re.IGNORECASE)
"""Last parts of names that somebody may have meant as ``T1w``."""


def stem(path: Location | PurePath) -> str:
    """Name of an image file without its suffixes, or of anything else as it is.

    >>> from pathlib import Path
    >>> stem(Path("sub-01_T1w.nii.gz"))
    'sub-01_T1w'
    """
    name = path.name
    suffix = next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def is_image(path: Location) -> bool:
    """Whether a file's name is that of an image that can be read."""
    return stem(path) != path.name


def modality(path: Location) -> str:
    """What follows the last underscore of an image's name (``T1w``, ``bold``).

    >>> from pathlib import Path
    >>> modality(Path("sub-01_task-rest_bold.nii.gz"))
    'bold'
    """
    return stem(path).rpartition("_")[2]


def scan_id(path: Location) -> str:
    """Name of the scan in a file: the file's name without suffixes and without a trailing ``_T1w``.

    >>> from pathlib import Path
    >>> scan_id(Path("sub-01_ses-2_run-1_T1w.nii.gz"))
    'sub-01_ses-2_run-1'
    """
    return stem(path).removesuffix("_T1w")


def entities(path: Location) -> dict[str, str]:
    """Entities of a BIDS name; none where the name does not begin with a subject.

    >>> from pathlib import Path
    >>> entities(Path("sub-01_ses-2_acq-x_T1w.nii.gz"))
    {'subject': '01', 'session': '2', 'acquisition': 'x'}
    """
    pairs = [part.partition("-") for part in stem(path).split("_")]
    if pairs[0][0] != "sub" or not pairs[0][2]:
        return {}
    return {ENTITIES.get(key, key): value for key, dash, value in pairs if dash}


def is_dataset(folder: Location) -> bool:
    """Whether a folder is the root of a BIDS dataset: it says so, or is laid out like one."""
    patterns = ("sub-*/anat/*_T1w.nii*", "sub-*/ses-*/anat/*_T1w.nii*")
    return (folder / "dataset_description.json").is_file() or any(next(folder.glob(pattern), None) for pattern in patterns)


def is_there(path: Location) -> bool:
    """Whether there is a file, or a link to one whose content was not fetched."""
    return path.is_file() or bool(link_target(path))


def dataset_of(folder: Location) -> Location | None:
    """Root of the dataset that a folder of a subject belongs to: at most four levels above a file in it; None where there is none.

    The way to the folder counts, not where links lead: data under version control is often links into a store elsewhere.

    >>> from pathlib import Path
    >>> dataset_of(Path("/nowhere/sub-01/anat"))
    """
    place = absolute(folder)
    way: list[Location] = [place, *place.parents]
    for inner, root in pairwise(way[:LEVELS]):
        if inner.name.startswith("sub-") and any(is_there(root / name) for name in ROOT_FILES):
            return root
    return None


@cache
def root_named(folder: Location) -> Location | None:
    """Resolved root of the dataset that the way to a folder of a subject names, even where nothing lies there; None without a subject.

    >>> from pathlib import Path
    >>> root_named(Path("/data/bids/sub-01/anat"))
    PosixPath('/data/bids')
    """
    way = [folder, *folder.parents][: LEVELS - 1]
    return next((real(place.parent) for place in reversed(way) if place.name.startswith("sub-")), None)


def why_ignored(path: Location) -> str | None:
    """What an image of a dataset is when it is not a T1w scan in its own space; None when it is one.

    >>> from pathlib import Path
    >>> why_ignored(Path("sub-01_space-MNI152NLin6Asym_T1w.nii.gz"))
    'T1w (space-MNI152NLin6Asym)'
    """
    if modality(path) != "T1w":
        return modality(path)
    named = entities(path)
    if named.get("space", "orig") not in ("orig", "T1w", "individual"):
        return f"T1w (space-{named['space']})"
    return None if named.get("part", "mag") == "mag" else f"T1w (part-{named['part']})"


def like_subjects(names: Iterable[str]) -> list[str]:
    """Folders that look like those of subjects, and are not as BIDS has them.

    >>> like_subjects(["sub-01", "Sub-02", "sub_03", "SUB04", "subjects", "code"])
    ['Sub-02', 'sub_03', 'SUB04']
    """
    return [name for name in names if LIKE_SUBJECT.fullmatch(name) and not name.startswith("sub-") and _has_own_name(name)]


def like_sessions(names: Iterable[str]) -> list[str]:
    """The same of folders of sessions.

    >>> like_sessions(["ses-1", "Ses-1", "session2", "anat"])
    ['Ses-1', 'session2']
    """
    return [name for name in names if LIKE_SESSION.fullmatch(name) and not SESSION.fullmatch(name) and _has_own_name(name)]


def counted(names: Sequence[object], what: str, *, many: str = "") -> str:
    """How many, and the first two by name.

    >>> counted(["a"], "folder"), counted(["a", "b", "c"], "folder")
    ('1 folder (a)', '3 folders (a, b, …)')
    """
    shown = ", ".join(map(str, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")
    return f"{len(names)} {what if len(names) == 1 else many or f'{what}s'} ({shown})"


def _has_own_name(name: str) -> bool:
    """Whether it is more than the word itself: ``subjects`` and ``sessions`` are folders of many."""
    return name.lower() not in ("subj", "subs", "subject", "subjects", "sess", "session", "sessions")


def ignored_by(root: Location) -> Callable[[str], bool]:
    """Whether the ``.bidsignore`` of a dataset names a file, given by its path from the root; never where there is none.

    Of several patterns the last that matches counts, one with ``!`` taking back what others before it named.
    """
    try:
        lines = (root / IGNORE_FILE).read_bytes().decode(errors="replace").splitlines() if is_there(root / IGNORE_FILE) else []
    except OSError:
        lines = []
    rules = [(line.startswith("!"), ignore_pattern(line.removeprefix("!"))) for line in map(str.strip, lines) if line and line[0] != "#"]

    def ignored(path: str) -> bool:
        return next((not back for back, pattern in reversed(rules) if pattern.fullmatch(path)), False)

    return ignored


def ignore_pattern(line: str) -> re.Pattern[str]:
    """A pattern of ``.gitignore`` for paths from the root; what names a folder names all below it.

    >>> [bool(ignore_pattern("*_T1w.nii").fullmatch(path)) for path in ("sub-1/sub-1_T1w.nii", "sub-1/sub-1_T1w.nii.gz")]
    [True, False]
    >>> [bool(ignore_pattern("/sub-1/").fullmatch(path)) for path in ("sub-1/anat/x.nii", "sub-11/x.nii", "x/sub-1/x.nii")]
    [True, False, False]
    """
    parts = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    body = line.strip("/")
    translated = "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", body))
    front = "" if "/" in line.rstrip("/") else "(.*/)?"
    return re.compile(f"{front}{translated}{'/.*' if line.endswith('/') else '(/.*)?'}")
