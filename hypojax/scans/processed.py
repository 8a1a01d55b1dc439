"""Folders that FreeSurfer, FastSurfer and CAT12 made: which image in them is the scan, and which are not.

A subject's folder of FreeSurfer (Fischl 2012) or FastSurfer (Henschel 2020) holds one person's head many times: as it was given
(``mri/rawavg.mgz``, ``mri/orig/001.mgz``), resampled (``mri/orig.mgz``), corrected (``mri/T1.mgz``), stripped and labelled.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from hypojax.storage import Location, names

T1: Final = ("mri/rawavg.mgz", "mri/orig/001.mgz", "mri/orig.mgz", "mri/T1.mgz")
"""The images of a subject's folder that are a whole head, the least changed first."""

TEMPLATES: Final = re.compile(r"fsaverage.*|cvs_avg.*|[lr]h\.EC_average|V1_average")
"""Heads that come with FreeSurfer, linked into every folder of subjects: nobody's."""

BASE: Final = "base-tps"
"""A file in the folder of a template that the longitudinal stream made of a person's visits."""

LONG: Final = ".long."
"""What stands in the name of a visit that was done again with such a template, between those of the visit and the template."""

CAT12: Final = re.compile(r"(m0)?m?wp[0-3].+|p0.+")
"""Names of images that only CAT12 gives."""


@dataclass(frozen=True)
class Subjects:
    """The folders of subjects in one folder.

    Parameters
    ----------
    scans
        Name of a subject's folder → the one image of it that is taken.
    aside
        Names of folders that hold no scan of their own: templates, and visits done again with one.
    """

    scans: dict[str, Location]
    aside: tuple[str, ...]


def subject_image(folder: Location) -> Location | None:
    """The scan in a subject's folder of FreeSurfer or FastSurfer: the first that is there of `T1`; None where it is no such folder.

    >>> from pathlib import Path
    >>> subject_image(Path("/nowhere"))
    """
    if not (folder / "mri").is_dir():
        return None
    return next((path for name in T1 if (path := folder / name).is_file()), None)


def subjects_in(folder: Location, inner: Collection[str]) -> Subjects:
    """Those folders among ``inner`` that FreeSurfer or FastSurfer made of a subject.

    One that the longitudinal stream did again counts where the visit itself is not there.
    """
    found = {name: image for name in sorted(inner) if (image := subject_image(folder / name))}
    aside = tuple(name for name in found if _is_no_scan(folder / name, found))
    return Subjects({name: image for name, image in found.items() if name not in aside}, aside)


def made_by_cat12(folder: Location) -> bool:
    """Whether a folder is the ``mri`` of CAT12, whatever it was made from."""
    return folder.name == "mri" and any(CAT12.fullmatch(name) for name in names(folder)[1])


def _is_no_scan(folder: Location, found: Collection[str]) -> bool:
    """Whether a subject's folder is a template, or a visit that is there by itself too."""
    visit, again, _ = folder.name.partition(LONG)
    return bool(TEMPLATES.fullmatch(folder.name)) or (folder / BASE).is_file() or (bool(again) and visit in found)
