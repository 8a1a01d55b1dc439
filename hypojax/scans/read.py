"""Reading one scan safely: header first, then exactly the voxels it declares, then the stream's end with its checksum."""

import dataclasses
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Num

from hypojax.reason import HypojaxError, Reason, RunError, ScanError
from hypojax.scans.dicom import FULL, convert
from hypojax.scans.disguise import LOOKED_AT, no_image
from hypojax.scans.header import Header, check_bytes, check_memory
from hypojax.scans.image import Image, survey
from hypojax.scans.mgh import SIZE as MGH_SIZE
from hypojax.scans.mgh import is_mgh, parse_mgh
from hypojax.scans.nifti import byte_order, header_size, parse_nifti
from hypojax.scans.stream import Source, fill, open_source, take
from hypojax.storage import Location, ObjectPath

ROOM: Final = 1 << 20
"""Bytes; a folder with less left has no room for a volume."""

PADDING: Final = 1 << 16
"""Zero bytes that may follow the voxels of a NIfTI file; anything else there belies its header."""

MGH_TAGS: Final = 1 << 24
"""Bytes of any kind that may follow the voxels of an MGH file: repetition time, history and other tags."""


def read(scan_id: str, path: Location, *, room: int | None = None) -> Image:
    """Read one scan: NIfTI or MGH, gzipped or not (its content decides, not its name), or a folder with a DICOM series.

    Parameters
    ----------
    scan_id
        Name of the scan in errors.
    path
        The file or folder, or an object of a bucket.
    room
        Bytes that its voxels may take while they are worked on (`hypojax.scans.header.work_bytes`); a scan that needs more is refused
        from its header. Any number when left out.

    Returns
    -------
    The image; its voxels are as stored, and every checksum of the file was found right.

    Raises
    ------
    ScanError
        With a typed reason and a sentence that says what to do.
    RunError
        ``DISK_FULL`` where the folder for temporary files has no room for a DICOM series, ``UNREACHABLE`` or ``NO_ACCESS`` where a bucket
        is; not the scan's fault.

    Examples
    --------
    >>> read("sub-017", Path("/nowhere.nii.gz"))
    Traceback (most recent call last):
    hypojax.reason.ScanError: scan 'sub-017': the file cannot be read (No such file or directory); check that it is there
    and may be read, or exclude the scan (/nowhere.nii.gz)
    """
    try:
        refuse_nul(path)
        if isinstance(path, ObjectPath):
            return read_object(path, room=room)
        return read_series(path, room=room) if path.is_dir() else read_file(path, room=room)
    except RunError:
        raise
    except HypojaxError as error:
        raise ScanError(error.reason, scan_id, f"{error} ({path})") from error
    except OSError as error:
        raise ScanError(
            Reason.UNREADABLE, scan_id, f"it cannot be read ({error}); check that it is there and may be read, or exclude the scan"
        ) from error
    except MemoryError as error:
        raise ScanError(Reason.TOO_LARGE, scan_id, f"its voxels do not fit into memory; free some or exclude the scan ({path})") from error


def refuse_nul(path: Location) -> None:
    """Refuse a path that no file can have; the system would raise a bare ValueError."""
    if "\0" in str(path):
        raise HypojaxError(Reason.UNREADABLE, "its path holds a NUL byte, which no path can; correct it, or exclude the scan")


def read_series(folder: Path, *, room: int | None = None) -> Image:
    """Read the one DICOM series of a folder."""
    try:
        with tempfile.TemporaryDirectory(prefix="hypojax-") as temporary:
            image = read_converted(folder, into=Path(temporary), room=room)
    except OSError as error:
        if error.errno in FULL:
            raise no_room(Path(tempfile.gettempdir())) from error
        raise
    return dataclasses.replace(image, format="dicom")


def read_object(path: ObjectPath, *, room: int | None = None) -> Image:
    """Read one NIfTI or MGH object of a bucket as it streams in; a DICOM series is refused, since its converter needs a folder."""
    try:
        return read_file(path, room=room)
    except HypojaxError as error:
        if isinstance(error.__cause__, FileNotFoundError) and path.is_dir():
            message = "a DICOM series in a bucket cannot be read; copy the series to a disk, or convert it to NIfTI, or exclude the scan"
            raise HypojaxError(Reason.UNREADABLE, message) from error
        raise


def read_converted(folder: Path, *, into: Path, room: int | None = None) -> Image:
    """Convert a series and read what came of it. The converter does not always say that the disk is full, hence the look at it."""
    try:
        return read_file(convert(folder, into=into), room=room)
    except HypojaxError as error:
        if shutil.disk_usage(into).free < ROOM:
            raise no_room(into.parent) from error
        raise


def no_room(folder: Path) -> RunError:
    """The refusal to go on with a full disk."""
    return RunError(
        Reason.DISK_FULL,
        f"no space left in {folder}, where DICOM series are converted; free some or set TMPDIR to a folder with room, "
        "then run the same command again: finished scans are kept",
    )


def read_file(path: Location, *, room: int | None = None) -> Image:
    """Read one NIfTI or MGH file; errors are those of `read`, without the scan's name."""
    with open_source(path) as source:
        header = read_header(source, room=room)
        take(source.stream, header.offset - len(header.raw))
        voxels = _read_voxels(source.stream, header)
        _check_end(source.stream, tags=header.format == "mgh")
    return Image(
        voxels=voxels,
        affine=header.affine,
        slope=header.slope,
        intercept=header.intercept,
        header=header.raw,
        format=header.format,
        nonfinite=survey(voxels, slope=header.slope, intercept=header.intercept),
        flags=header.flags,
        notes=header.notes,
    )


def read_header(source: Source, *, room: int | None = None) -> Header:
    """Read and check the header at the front of a source; nothing behind its fixed part is touched.

    Raises
    ------
    HypojaxError
        With the reason why it was refused.
    """
    start = take(source.stream, 4)
    size = header_size(start) if byte_order(start) else MGH_SIZE
    if not byte_order(start) and not is_mgh(start):
        raise no_image(start + take(source.stream, LOOKED_AT - len(start)))
    raw = start + take(source.stream, size - len(start))
    if len(raw) < size:
        raise HypojaxError(Reason.TRUNCATED, f"it ends after {len(raw)} bytes, inside its header; fetch the file again or exclude the scan")
    header = parse_nifti(raw) if byte_order(start) else parse_mgh(raw)
    check_bytes(header, most=source.most)
    if room is not None:
        check_memory(header, room=room)
    return header


def _read_voxels(stream: io.RawIOBase, header: Header) -> Num[np.ndarray, "i j k"]:
    """Exactly the declared voxels, first axis fastest, turned to the machine's byte order in place."""
    voxels: np.ndarray[Any, Any] = np.empty(header.shape, header.dtype, order="F")
    count = fill(stream, voxels.T.reshape(-1).view(np.uint8).data)
    if count < header.voxel_bytes:
        raise HypojaxError(
            Reason.TRUNCATED,
            f"its voxels end after {count} of the {header.voxel_bytes} bytes its header declares; fetch the file again or exclude it",
        )
    if not header.dtype.isnative:
        voxels = voxels.byteswap(inplace=True).view(header.dtype.newbyteorder("="))
    voxels.setflags(write=False)
    return voxels


def _check_end(stream: io.RawIOBase, *, tags: bool) -> None:
    """Read to the end of the stream, which is where its checksum is held against what was decoded."""
    limit = MGH_TAGS if tags else PADDING
    rest = take(stream, limit + 1)
    if len(rest) > limit or (not tags and rest.strip(b"\0")):
        raise HypojaxError(
            Reason.CORRUPTED,
            "more follows the voxels that its header declares, so that one of the two is wrong; fetch the file again or exclude the scan",
        )
