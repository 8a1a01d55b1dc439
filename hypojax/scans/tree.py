"""The files below a folder, in an order that does not depend on the file system, and the folders that a search leaves out."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, overload

from hypojax.reason import Reason, RunError
from hypojax.scans.bids import is_image
from hypojax.scans.dicom import is_dicom
from hypojax.storage import Location, may_list, walk_folders

NOT_OURS: Final = ("@eadir", "__macosx", "#recycle", "#snapshot", "$recycle.bin", "lost+found", "system volume information")
"""Folders that operating systems and file servers make, in small letters: thumbnails, shadows of files, and what was deleted."""

EXCLUDED: Final = ("derivatives", "sourcedata", "mninonlinear")
"""Folders, in small letters, that BIDS keeps for what was made of the scans and what they were made of; and one of the Human Connectome
Project for scans that were warped to a template, where no volume is what it was."""

LOOKED_AT: Final = 2000
"""Files that are looked at in a folder that is left out: derivatives can be a million, and only the user needs the number."""


def folders(root: Location) -> Iterator[tuple[Location, list[str], list[str]]]:
    """Each folder at or below ``root`` with the names of its folders and files, sorted.

    Links to folders are followed once. Hidden files and folders, those that systems make, and Zarr stores are left out. Who receives the
    names of folders may remove some, which are then not entered.

    Raises
    ------
    RunError
        ``USAGE`` where a folder may not be listed: scans must not go missing in silence.
    """
    for place, inner, files in walk_folders(root, onerror=_refuse):
        inner[:] = [name for name in inner if not name.startswith(".") and name.lower() not in NOT_OURS and not name.endswith(".zarr")]
        yield place, inner, [name for name in files if not name.startswith(".")]


@overload
def walk(root: Path) -> Iterator[Path]: ...
@overload
def walk(root: Location) -> Iterator[Location]: ...
def walk(root: Location) -> Iterator[Location]:
    """All files at or below ``root``, as `folders` gives them."""
    for place, _, files in folders(root):
        yield from (place / name for name in files)


def _refuse(error: OSError) -> None:
    """Raise for a folder that may not be listed."""
    raise RunError(Reason.USAGE, f"folder {error.filename} cannot be listed ({error.strerror}); allow it or name other inputs") from error


def holds(folder: Location) -> str:
    """What a folder holds, in words; empty where no image was seen in it.

    >>> from pathlib import Path
    >>> holds(Path("/nowhere"))
    ''
    """
    if not may_list(folder):
        return ""
    files = list(islice(walk(folder), LOOKED_AT))
    images, slices = sum(map(is_image, files)), sum(is_dicom(path) for path in files if path.suffix.lower() in (".dcm", ".ima"))
    least = "at least " if len(files) == LOOKED_AT else ""
    kinds = ((images, "image"), (slices, "DICOM file"))
    return ", ".join(f"{least}{count} {kind}{'' if count == 1 else 's'}" for count, kind in kinds if count)


def left_out(folders: list[Location], *, root: Location) -> tuple[str, ...]:
    """A sentence on the folders below ``root`` that were left out; none where they hold no images."""
    seen = [f"{'/'.join(folder.parts[len(root.parts) :])} ({what})" for folder in folders if (what := holds(folder))]
    return (f"left out below {root}: {', '.join(seen)}; to include one, name it as INPUT",) if seen else ()
