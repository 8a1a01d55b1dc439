"""A DICOM series folder to one NIfTI file, by dcm2niix (Li et al. 2016), which the extra ``dicom`` brings along.

Each file of the series is looked at before: the converter leaves out in silence what it cannot read.
"""

import errno
import importlib
import math
import re
import shutil
import subprocess
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from hypojax.reason import HypojaxError, Reason
from hypojax.storage import Location, remote
from hypojax.tables.cells import counted

OPTIONS: Final = ("-g", "i", "-z", "n", "-b", "n", "-d", "0", "-f", "series_%s", "-w", "1")
"""No settings of the user's own, no compression, no sidecar, no subfolders, named by series number."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says where a disk, or a user's share of it, is full."""

TIME_LIMIT: Final = 600
"""Seconds after which a conversion is given up."""


VARYING: Final = "Interslice distance varies"
"""What dcm2niix says of a series with slices missing."""


def is_dicom(path: Location) -> bool:
    """Whether a file is one image of a DICOM series: by its name (.dcm, .ima) or by the mark behind its preamble.

    In a bucket its name alone says so.

    >>> is_dicom(Path("IM_0001.dcm"))
    True
    """
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    if remote(path) or path.name.upper() == "DICOMDIR" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def convert(folder: Path, *, into: Path) -> Path:
    """Convert the one series in ``folder`` to a NIfTI file in ``into``; every file of it must have become a slice.

    Raises
    ------
    HypojaxError
        ``UNREADABLE`` without the converter, ``NOT_AN_IMAGE`` where there is no series or more than one, ``TRUNCATED`` or ``CORRUPTED``
        where a file is damaged or a slice is missing.
    """
    program = _converter()
    slices = read_slices(folder, [path for path in folder.iterdir() if is_dicom(path)])
    check_series(slices)
    made = _converted(program, folder, into=into)
    with made.open("rb") as file:
        sizes = np.frombuffer(file.read(56)[40:], "<i2")
    check_count(slices, made=math.prod(int(size) for size in sizes[3 : 1 + sizes[0]]))
    return made


def _converted(program: str, folder: Path, *, into: Path) -> Path:
    """What the converter makes of a folder."""
    try:
        result = subprocess.run(  # noqa: S603  # paths are arguments of their own, no shell
            [program, *OPTIONS, "-o", str(into), str(folder.absolute())],  # a folder "-x" is none of its options
            capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise  # the disk's fault, not the series'
        raise HypojaxError(
            Reason.UNREADABLE, f"dcm2niix did not run ({error}); convert the series to NIfTI yourself or exclude the scan"
        ) from error
    said = (result.stdout + result.stderr).splitlines()
    made = sorted(into.glob("*.nii"))
    if any(VARYING in line for line in said):
        # dcm2niix goes on and writes a volume whose slices are not where its header says.
        raise HypojaxError(
            Reason.TRUNCATED, "its slices are not evenly spaced, as if some were missing; export the series again or exclude the scan"
        )
    if len(made) > 1:
        names = ", ".join(path.stem for path in made)
        raise HypojaxError(
            Reason.NOT_AN_IMAGE, f"its folder gives {len(made)} volumes ({names}); put the T1w series in a folder of its own"
        )
    if not made or result.returncode:
        problem = next((line for line in reversed(said) if line.startswith(("Error", "Warning"))), "no DICOM images found")
        raise HypojaxError(
            Reason.NOT_AN_IMAGE, f"dcm2niix made no whole volume of the folder ({problem}); name a folder with one DICOM series"
        )
    return made[0]


def _converter() -> str:
    """Path of the dcm2niix program: that of the extra, else one installed on the machine."""
    try:
        return str(importlib.import_module("dcm2niix").bin)
    except ImportError:
        found = shutil.which("dcm2niix")
    if found is None:
        raise HypojaxError(
            Reason.UNREADABLE, "it is a DICOM series, and the converter is not installed; run: python -m pip install 'hypojax[dicom]'"
        )
    return found


SAME: Final = 1e-3
"""Largest difference of pixel spacing (mm) and direction cosines between slices of one series; what writes them rounds less."""

UNEVEN: Final = 0.02
"""Share of the usual distance by which a distance between slices may differ from it."""

NO_PICTURES: Final = frozenset({"SR", "PR", "KO", "REG", "RTSTRUCT", "DOC"})
"""Modalities of DICOM files that are no images: reports, presentation states and the like lie beside a series."""

SERIES_TAGS: Final = ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality", "Rows")
"""What tells series apart."""

NAMED: Final = 3
"""Files that a refusal names."""

STEP: Final = "export the series again, or exclude the scan"


@dataclass(frozen=True)
class Slice:
    """One image file of a series.

    Parameters
    ----------
    name
        Of the file.
    identity
        What it says it is; two files that say the same are copies.
    series
        The series that it says it belongs to.
    frames
        Images in it.
    layout
        Rows, columns, bits, sign and samples of a pixel.
    geometry
        Row and column direction (six cosines) and pixel spacing (mm); empty where each frame has its own.
    place
        Position along the normal of the slices, mm; None where it does not say.
    """

    name: str
    identity: tuple[str, str]
    series: str
    frames: int
    layout: tuple[int, ...]
    geometry: tuple[float, ...]
    place: float | None


def read_slices(folder: Path, files: Sequence[Path]) -> list[Slice]:
    """The slices of a series, every file of it read to its end; copies and files that are no images left out.

    Parameters
    ----------
    folder
        The folder of the series.
    files
        Those of its files that are known to be DICOM.

    Raises
    ------
    HypojaxError
        ``TRUNCATED`` or ``CORRUPTED``, with the name of the file; ``UNREADABLE`` without pydicom.
    """
    found = [read_slice(path) for path in members(folder, files)]
    return list({(known.identity, known.place): known for known in found if known is not None}.values())


def members(folder: Path, files: Sequence[Path]) -> list[Path]:
    """All files that belong to a series: those known to be DICOM, and those named like them, which must have been damaged.

    >>> pattern("IM_0007.dcm") == pattern("IM_0012.dcm")
    True
    """
    known = [path for path in files if not path.name.startswith(".")]
    usual = {name for name, count in Counter(pattern(path.name) for path in known).items() if count > 1}
    alike = {path for path in folder.iterdir() if path.is_file() and pattern(path.name) in usual}
    return sorted(alike.union(known))


def pattern(name: str) -> str:
    """A file's name without its numbers."""
    return re.sub(r"\d+", "#", name)


def read_slice(path: Path) -> Slice | None:
    """One file, read to its end; None where it is no image and says so.

    Raises
    ------
    HypojaxError
        ``TRUNCATED`` or ``CORRUPTED``.
    """
    if path.stat().st_size == 0:
        raise HypojaxError(Reason.TRUNCATED, f"its file {path.name} is empty (0 bytes); {STEP}")
    pydicom = _pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fields = pydicom.dcmread(path, force=True)
            if "PixelData" not in fields and "Rows" not in fields and str(fields.get("Modality", "")) in NO_PICTURES:
                return None
            missing = fields_missing(fields)
            found = None if missing else _slice(path.name, fields)
    except Exception as error:  # whatever pydicom says of bytes that are no DICOM
        what = " ".join(str(error).split()) or type(error).__name__
        raise HypojaxError(Reason.CORRUPTED, f"its file {path.name} cannot be read ({what[:120]}); {STEP}") from error
    if missing:
        raise HypojaxError(Reason.TRUNCATED, f"its file {path.name} {missing}; {STEP}")
    return found


def fields_missing(fields: Any) -> str:  # noqa: ANN401 - a pydicom Dataset
    """What a file lacks of an image, in words; empty where it is whole."""
    absent = [name for name in ("Rows", "Columns", "BitsAllocated", "PixelData") if name not in fields]
    if absent:
        return f"lacks {', '.join(absent)}, as if it were cut short or damaged"
    syntax = fields.file_meta.get("TransferSyntaxUID") if hasattr(fields, "file_meta") else None
    if syntax is not None and syntax.is_compressed:
        return ""
    pixels = int(fields.Rows) * int(fields.Columns) * int(fields.get("SamplesPerPixel", 1)) * int(fields.get("NumberOfFrames", 1) or 1)
    needed, there = -(-pixels * int(fields.BitsAllocated) // 8), len(fields.PixelData)
    return f"has {there} of {needed} bytes of pixels" if there < needed else ""


class SeriesOf(NamedTuple):
    """What a DICOM file says it belongs to; ``uid`` is empty where it cannot be read."""

    uid: str
    number: int = 0
    description: str = ""


def series_of(path: Path) -> SeriesOf | None:
    """The series of a DICOM file; None where it says that it is no image."""
    pydicom = _pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fields = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(SERIES_TAGS))
            if "Rows" not in fields and str(fields.get("Modality", "")) in NO_PICTURES:
                return None
            number = str(fields.get("SeriesNumber", "") or "0")
            uid, description = str(fields.get("SeriesInstanceUID", "")), str(fields.get("SeriesDescription", ""))
    except Exception:  # noqa: BLE001 - whatever pydicom says of bytes that are no DICOM
        return SeriesOf("")
    return SeriesOf(uid, int(number) if number.lstrip("-").isdecimal() else 0, description)


def check_series(slices: Sequence[Slice]) -> None:
    """Hold the slices of each series among these against each other; raises as `check_alike` and `check_even`."""
    for name in dict.fromkeys(known.series for known in slices):
        group = [known for known in slices if known.series == name]
        check_alike(group)
        check_even(group)


def check_alike(slices: Sequence[Slice]) -> None:
    """Hold the slices of one series against each other: size and type of pixels, direction and spacing.

    Raises
    ------
    HypojaxError
        ``CORRUPTED``, with the names of those that differ from most.
    """
    single = [known for known in slices if known.frames == 1]
    if not single:
        return
    (layout, _), *_ = Counter(known.layout for known in single).most_common(1)
    usual = np.median(np.array([known.geometry for known in single if len(known.geometry) == 8] or [(np.nan,) * 8]), axis=0)
    odd = [known.name for known in single if known.layout != layout or not _near(known.geometry, usual)]
    if odd:
        names = ", ".join(odd[:NAMED]) + (f" and {len(odd) - NAMED} more" if len(odd) > NAMED else "")
        message = f"{names} differ from the other slices of its series in size, type, direction or spacing of pixels"
        raise HypojaxError(Reason.CORRUPTED, f"{message}, so that one of them is damaged or of another series; {STEP}")


def check_even(slices: Sequence[Slice]) -> None:
    """Hold the distances between slices against each other.

    Raises
    ------
    HypojaxError
        ``TRUNCATED``, with the files between which slices are missing.
    """
    named = {known.place: known.name for known in slices if known.place is not None}  # echoes lie in one place
    if len(named) < 3:
        return
    places = np.array(sorted(named))
    names = [named[place] for place in places.tolist()]
    steps = np.diff(places)
    usual = float(np.median(steps))
    worst = int(np.argmax(np.abs(steps - usual)))
    if abs(steps[worst] - usual) > UNEVEN * abs(usual):
        between = f"{names[worst]} and {names[worst + 1]} lie {steps[worst]:.4g} mm apart and most slices {usual:.4g} mm"
        raise HypojaxError(Reason.TRUNCATED, f"{between}, not evenly spaced, as if some were missing or damaged; {STEP}")


def check_count(slices: Sequence[Slice], *, made: int) -> None:
    """Hold the slices that came out against those that went in.

    Raises
    ------
    HypojaxError
        ``TRUNCATED``; ``NOT_AN_IMAGE`` where they are of several series, whose volumes replaced each other under one number.
    """
    expected = sum(known.frames for known in slices)
    if made < expected:  # a mosaic file holds more slices than it says
        there = f"{counted(expected, 'slice')} in {counted(len(slices), 'file')}"
        if (several := len({known.series for known in slices})) > 1:
            raise HypojaxError(
                Reason.NOT_AN_IMAGE, f"its folder holds {there}, of {several} series; put the T1w series in a folder of its own"
            )
        message = f"its folder holds {there}, and dcm2niix made {counted(made, 'slice')} of them"
        raise HypojaxError(Reason.TRUNCATED, f"{message}, so that some were left out; {STEP}")


def _slice(name: str, fields: Any) -> Slice:  # noqa: ANN401 - a pydicom Dataset
    """What is kept of one image file."""
    layout = tuple(int(fields.get(key, 1)) for key in ("Rows", "Columns", "BitsAllocated", "PixelRepresentation", "SamplesPerPixel"))
    turned, spacing, corner = (
        [float(value) for value in fields.get(key) or []] for key in ("ImageOrientationPatient", "PixelSpacing", "ImagePositionPatient")
    )
    placed = len(turned) == 6 and len(corner) == 3
    place = round(float(np.dot(np.cross(turned[:3], turned[3:]), corner)), 4) if placed else None
    identity = (str(fields.get("SOPInstanceUID", name)), str(fields.get("InstanceNumber", "")))
    return Slice(
        name,
        identity,
        str(fields.get("SeriesInstanceUID", "")),
        int(fields.get("NumberOfFrames", 1) or 1),
        layout,
        (*turned, *spacing),
        place,
    )


def _near(geometry: tuple[float, ...], usual: np.ndarray) -> bool:
    """Whether a slice lies as most do; one that says less than most does not."""
    if np.isnan(usual).all():
        return True
    return len(geometry) == usual.size and bool(np.abs(np.array(geometry) - usual).max() <= SAME)


def _pydicom() -> Any:  # noqa: ANN401 - a module
    """The reader of DICOM files, which the extra brings along."""
    try:
        return importlib.import_module("pydicom")
    except ImportError:
        message = "it is a DICOM series, and pydicom, which reads its headers, is not installed"
        raise HypojaxError(Reason.UNREADABLE, f"{message}; run: python -m pip install 'hypojax[dicom]'") from None
