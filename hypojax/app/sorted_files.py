"""Which of many files are scans: images one by one, DICOM files by the series that they say they belong to."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from hypojax.app.zip_contents import UnpackedFile
from hypojax.reason import HypojaxError, Reason, visible
from hypojax.scans.bids import is_image
from hypojax.scans.dicom import SeriesOf, is_dicom, pattern, series_of
from hypojax.scans.kind import what_name_says, what_words_say

SHOWN: Final = 3
"""Files that a refusal names."""


@dataclass(frozen=True)
class FoundScan:
    """One scan among files.

    Parameters
    ----------
    name
        As it is shown; neutral for DICOM.
    path
        Its file, or the folder of its series.
    reason, message
        Why it is not to be measured; empty where it is.
    """

    name: str
    path: Path
    reason: str = ""
    message: str = ""


def sort_files(files: Sequence[UnpackedFile], into: Path, *, most: int) -> list[FoundScan]:
    """The scans among files; those of a DICOM series are moved into a folder of its own, under neutral names.

    Parameters
    ----------
    files
        Files, with the names that they had.
    into
        Folder for series.
    most
        Scans that there may be.

    Raises
    ------
    HypojaxError
        ``NOTHING_FOUND``: none of them is a scan; ``TOO_LARGE``: there are too many.
    """
    slices = _dicom_files(files)
    moved = {file.path for file in slices}
    images = [_image(file) for file in files if file.path not in moved and is_image(Path(PurePosixPath(file.name).name))]
    scans = [*images, *_series(slices, into)]
    if not scans:
        seen = ", ".join(visible(PurePosixPath(file.name).name) for file in files[:SHOWN])
        raise HypojaxError(Reason.NOTHING_FOUND, f"no NIfTI, MGZ or DICOM image is in it{f' (it holds {seen})' if seen else ''}")
    if len(scans) > most:
        raise HypojaxError(Reason.TOO_LARGE, f"it holds {len(scans):,} scans, and {most:,} are allowed at once; send them in parts")
    return scans


def _image(file: UnpackedFile) -> FoundScan:
    """An image; one whose name says that it is no T1w scan is not measured."""
    name = Path(PurePosixPath(file.name).name)
    if kind := what_name_says(name):
        return FoundScan(
            name.name, file.path, Reason.NOT_AN_IMAGE, f"its name says that it is no T1-weighted scan ({kind}); rename it if it is"
        )
    return FoundScan(name.name, file.path)


def _dicom_files(files: Sequence[UnpackedFile]) -> list[UnpackedFile]:
    """Files that are DICOM, and those named like them in the same folder, which must have been damaged."""
    known = [file for file in files if _is_slice(file)]
    usual = {place for place, count in Counter(map(_place, known)).items() if count > 1}
    found = {file.path: file for file in known}
    found |= {file.path: file for file in files if _place(file) in usual and PurePosixPath(file.name).name.upper() != "DICOMDIR"}
    return list(found.values())


def _is_slice(file: UnpackedFile) -> bool:
    name = PurePosixPath(file.name)
    if name.name.upper() == "DICOMDIR" or name.name.startswith(".") or is_image(Path(name.name)):
        return False
    return name.suffix.lower() in (".dcm", ".ima") or is_dicom(file.path)


def _place(file: UnpackedFile) -> tuple[str, str]:
    """The folder of a file, and its name without numbers."""
    name = PurePosixPath(file.name)
    return str(name.parent), pattern(name.name)


def _series(files: Sequence[UnpackedFile], into: Path) -> list[FoundScan]:
    """Scans of DICOM files, in the order of the scanner."""
    said = {file.path: series_of(file.path) for file in files}
    groups: dict[str, list[UnpackedFile]] = defaultdict(list)
    damaged = []
    for file in files:
        found = said[file.path]
        if found is not None and found.uid:
            groups[found.uid].append(file)
        elif found is not None:
            damaged.append(file)
    for file in damaged:  # it costs the series that it lies among, which is then refused with its name
        groups[_likely(file, groups)].append(file)
    order = sorted(groups, key=lambda uid: (_first(groups[uid], said).number, uid))
    return [_moved(groups[uid], _first(groups[uid], said), into, number) for number, uid in enumerate(order, 1)]


def _likely(file: UnpackedFile, groups: dict[str, list[UnpackedFile]]) -> str:
    """The series of most files of the same folder and kind of name; else the largest."""
    near = Counter({uid: sum(_place(other) == _place(file) for other in group) for uid, group in groups.items()})
    sizes = Counter({uid: len(group) for uid, group in groups.items()})
    best = near.most_common(1) or [("", 0)]
    return best[0][0] if best[0][1] else next((uid for uid, _ in sizes.most_common(1)), "")


def _first(group: Iterable[UnpackedFile], said: dict[Path, SeriesOf | None]) -> SeriesOf:
    """What the first readable file of a series says."""
    return next((found for file in group if (found := said[file.path]) is not None and found.uid), SeriesOf(""))


def _moved(group: Sequence[UnpackedFile], series: SeriesOf, into: Path, number: int) -> FoundScan:
    """The files of a series in a folder of its own: names of files often are names of patients."""
    folder, name = into / f"series-{number:03d}", f"DICOM series {number}"
    folder.mkdir()
    for place, file in enumerate(group, 1):
        os.replace(file.path, folder / f"slice_{place:05d}.dcm")  # noqa: PTH105 - of one disk, and a name may be there
    if kind := what_words_say(series.description):
        return FoundScan(name, folder, Reason.NOT_AN_IMAGE, f"the series says that it is no T1-weighted scan ({kind})")
    return FoundScan(name, folder)
