"""Folders that a search leaves out because what lies there was made from the scans: said by name, with how much they hold."""

import os
from itertools import islice
from typing import Final

from hypojax.scans.bids import is_image
from hypojax.scans.dicom import is_dicom
from hypojax.scans.tree import walk
from hypojax.storage import Location, ObjectPath

ASIDE: Final = ("derivatives", "sourcedata", "mninonlinear")
"""Folders, in small letters, that BIDS keeps for what was made of the scans and what they were made of; and one of the Human Connectome
Project for scans that were warped to a template, where no volume is what it was."""

LOOKED_AT: Final = 2000
"""Files that are looked at in a folder that is left out: derivatives can be a million, and only the user needs the number."""


def holds(folder: Location) -> str:
    """What a folder holds, in words; empty where no image was seen in it.

    >>> from pathlib import Path
    >>> holds(Path("/nowhere"))
    ''
    """
    if not isinstance(folder, ObjectPath) and not os.access(folder, os.R_OK | os.X_OK):
        return ""
    files = list(islice(walk(folder), LOOKED_AT))
    images, slices = sum(map(is_image, files)), sum(is_dicom(path) for path in files if path.suffix.lower() in (".dcm", ".ima"))
    least = "at least " if len(files) == LOOKED_AT else ""
    kinds = ((images, "image"), (slices, "DICOM file"))
    return ", ".join(f"{least}{count} {kind}{'' if count == 1 else 's'}" for count, kind in kinds if count)


def left_out(folders: list[Location], *, root: Location) -> tuple[str, ...]:
    """A sentence on the folders below ``root`` that were left out; none where they hold no images."""
    seen = [f"{_below(folder, root)} ({what})" for folder in folders if (what := holds(folder))]
    if not seen:
        return ()
    return (f"left out below {root}: {', '.join(seen)}; name one as INPUT by itself to take what it holds",)


def _below(folder: Location, root: Location) -> str:
    """The way from the root to a folder."""
    return "/".join(folder.parts[len(root.parts) :])
