"""A DICOM series folder to one NIfTI file, by dcm2niix (Li et al. 2016), which the extra ``dicom`` brings along."""

import errno
import importlib
import math
import shutil
import subprocess
from pathlib import Path
from typing import Final

import numpy as np

from hypojax.reason import HypojaxError, Reason
from hypojax.scans.series import check_count, check_series, read_slices
from hypojax.storage import Location, ObjectPath

OPTIONS: Final = ("-g", "i", "-z", "n", "-b", "n", "-d", "0", "-f", "series_%s", "-w", "1")
"""No settings of the user's own, no compression, no sidecar, no subfolders, named by series number."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says where a disk, or a user's share of it, has no room."""

TIME_LIMIT: Final = 600
"""Seconds after which a conversion is given up."""


UNEVEN: Final = "Interslice distance varies"
"""What dcm2niix says of a series with slices missing."""


def is_dicom(path: Location) -> bool:
    """Whether a file is one image of a DICOM series: by its name (.dcm, .ima) or by the mark behind its preamble.

    In a bucket its name alone says so.

    >>> is_dicom(Path("IM_0001.dcm"))
    True
    """
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    if isinstance(path, ObjectPath) or path.name.upper() == "DICOMDIR" or not path.is_file():
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
    if any(UNEVEN in line for line in said):
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
