"""Reading one scan safely: header first, then exactly the voxels it declares, then the stream's end with its checksum.

nibabel stops at the last voxel and so never looks at the checksum that follows it: 16 of 20 flipped bits gave wrong
voxels in silence. Here the stream is read to its very end. The decoder is ISA-L (15 ms for 12 MB; zlib-ng 23 ms,
nibabel's 60 ms on the same cores; `benchmarks/decode.py`).
"""

import dataclasses
import errno
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from isal import igzip_lib
from jaxtyping import Num

from hypojax.reason import HypojaxError, Reason, RunError, ScanError
from hypojax.scans.dicom import FULL, convert
from hypojax.scans.disguise import LOOKED_AT, no_image
from hypojax.scans.formats import SIZES, header_size, parse_mgh, parse_nifti
from hypojax.scans.header import Header, check_size
from hypojax.scans.voxels import Image, survey
from hypojax.storage import ConflictError, Location, reading
from hypojax.tables.cells import counted

GZIP_MAGIC: Final = b"\x1f\x8b"

PIECE: Final = 1 << 18
"""Compressed bytes read at a time."""

LEAST_FREE: Final = 1 << 20
"""Bytes; a folder with less free is full: a volume does not fit."""

PADDING: Final = 1 << 16
"""Zero bytes that may follow the voxels of a NIfTI file; anything else there contradicts its header."""

MGH_TAGS: Final = 1 << 24
"""Bytes of any kind that may follow the voxels of an MGH file: repetition time, history and other tags."""

MOST_INFLATED: Final = 1 << 22
"""Decoded bytes held at a time, whatever the compressed bytes would give."""

DEFLATE_RATIO: Final = 1032
"""No deflate stream decodes to more than this many times its size (one 258-byte match in two bits)."""


class GzipStream(io.RawIOBase):
    """The decoded bytes of a gzip file of one or more members.

    The end of the stream is only reported once every member's checksum and length were found right, and nothing but
    zero padding follows.

    Parameters
    ----------
    file
        The compressed bytes.

    Raises
    ------
    HypojaxError
        While reading: ``TRUNCATED`` or ``CORRUPTED``.

    Examples
    --------
    >>> import gzip
    >>> GzipStream(io.BytesIO(gzip.compress(b"voxels"))).read(3)
    b'vox'
    """

    def __init__(self, file: io.RawIOBase | io.BytesIO) -> None:
        self._file = file
        self.front = b""  # decoded bytes that were looked at and are read all the same
        self._member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
        self._pending = b""
        self._ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill the front of ``buffer``; 0 says that the stream is over and was found intact."""
        view = memoryview(buffer).cast("B")
        if self.front:
            front, self.front = self.front[: len(view)], self.front[len(view) :]
            view[: len(front)] = front
            return len(front)
        while view and not self._ended:
            piece = self._inflate(min(len(view), MOST_INFLATED))
            if piece:
                view[: len(piece)] = piece
                return len(piece)
        return 0

    def _inflate(self, most: int) -> bytes:
        """Up to ``most`` decoded bytes; none where only a member or a piece of input came to its end."""
        if self._member.eof:
            self._next_member()
            return b""
        data = b""
        if self._member.needs_input:
            data, self._pending = self._pending or self._file.read(PIECE) or b"", b""
            if not data:
                raise HypojaxError(Reason.TRUNCATED, "its compressed bytes end too early; fetch the file again or exclude the scan")
        try:
            return self._member.decompress(data, most)
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # the stub declares an instance
            raise HypojaxError(
                Reason.CORRUPTED, f"its compressed bytes are damaged ({error}); fetch the file again or exclude the scan"
            ) from error

    def _next_member(self) -> None:
        """Go on to the next member, or find that the file is over."""
        rest = self._member.unused_data
        while len(rest := rest.lstrip(b"\0")) < len(GZIP_MAGIC):
            more = self._file.read(PIECE)
            if not more:
                break
            rest += more
        self._ended = not rest
        if self._ended:
            return
        if not rest.startswith(GZIP_MAGIC):
            raise HypojaxError(
                Reason.CORRUPTED,
                "unexpected data after its compressed image; fetch the file again, or compress it anew, or exclude the scan",
            )
        self._member, self._pending = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP), rest


@dataclass(frozen=True)
class Source:
    """An opened file.

    Parameters
    ----------
    stream
        Its decoded bytes.
    most
        More decoded bytes than this it cannot hold; known without decoding.
    file_bytes
        Of the file as it lies there.
    """

    stream: io.RawIOBase
    most: int
    file_bytes: int


@contextmanager
def open_source(path: Location) -> Iterator[Source]:
    """Open a file by what it holds, not by its name: gzip, once or twice, or plain.

    Raises
    ------
    HypojaxError
        ``UNREADABLE`` or ``EMPTY_FILE``; errors of the disk while reading become ``UNREADABLE`` too.
    """
    try:
        if "\0" in str(path):  # the system would raise a bare ValueError
            raise HypojaxError(Reason.UNREADABLE, "its path holds a NUL byte, which no path can; correct it, or exclude the scan")
        with reading(path) as (file, size):
            if size == 0:
                raise HypojaxError(Reason.EMPTY_FILE, "the file is empty (0 bytes); fetch it again or exclude the scan")
            source = Source(file, size, size)
            zipped = take(file, len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            if zipped:
                source = Source(stream := GzipStream(file), size * DEFLATE_RATIO, size)
                stream.front = take(stream, len(GZIP_MAGIC))
                if stream.front == GZIP_MAGIC:  # some converters compress twice
                    source = Source(GzipStream(stream), size * DEFLATE_RATIO**2, size)
            yield source
    except ConflictError as error:
        raise HypojaxError(Reason.UNREADABLE, f"{error} while it was being read; run the same command again") from error
    except OSError as error:
        problem = error.strerror or str(error)
        raise HypojaxError(
            Reason.UNREADABLE, f"the file cannot be read ({problem}); check that it is there and may be read, or exclude the scan"
        ) from error


def fill(stream: io.RawIOBase, view: memoryview) -> int:
    """Read into the whole of ``view``; fewer bytes than it has mean that the stream is over."""
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            break
        done += count
    return done


def take(stream: io.RawIOBase, count: int) -> bytes:
    """The next ``count`` bytes, or fewer at the end of the stream.

    >>> import gzip
    >>> take(GzipStream(io.BytesIO(gzip.compress(b"head"))), 8)
    b'head'
    """
    buffer = bytearray(count)
    return bytes(buffer[: fill(stream, memoryview(buffer))])


def read(scan_id: str, path: Location, *, budget: int | None = None) -> Image:
    """Read one scan: NIfTI or MGH, gzipped or not (its content decides, not its name), or a folder with a DICOM series.

    Parameters
    ----------
    scan_id
        Name of the scan in errors.
    path
        The file or folder, or an object of a bucket.
    budget
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
        ``DISK_FULL`` where the folder for temporary files is too full for a DICOM series, ``UNREACHABLE`` or ``NO_ACCESS`` where a bucket
        is; not the scan's fault.

    Examples
    --------
    >>> read("sub-017", Path("/nowhere.nii.gz"))
    Traceback (most recent call last):
    hypojax.reason.ScanError: scan 'sub-017': the file cannot be read (No such file or directory); check that it is there
    and may be read, or exclude the scan (/nowhere.nii.gz)
    """
    try:
        if isinstance(path, Path) and path.is_dir():
            return read_series(path, budget=budget)
        return read_file(path, budget=budget)
    except RunError:
        raise
    except HypojaxError as error:
        if isinstance(error.__cause__, FileNotFoundError) and path.is_dir():
            message = "a DICOM series in a bucket cannot be read; copy the series to a disk, or convert it to NIfTI, or exclude the scan"
            raise ScanError(Reason.UNREADABLE, scan_id, f"{message} ({path})") from error
        raise ScanError(error.reason, scan_id, f"{error} ({path})") from error
    except OSError as error:
        raise ScanError(
            Reason.UNREADABLE, scan_id, f"it cannot be read ({error}); check that it is there and may be read, or exclude the scan"
        ) from error
    except MemoryError as error:
        raise ScanError(Reason.TOO_LARGE, scan_id, f"its voxels do not fit into memory; free some or exclude the scan ({path})") from error


def read_series(folder: Path, *, budget: int | None = None) -> Image:
    """Read the one DICOM series of a folder; errors are those of `read`, without the scan's name."""
    try:
        with tempfile.TemporaryDirectory(prefix="hypojax-") as temporary:
            try:
                image = read_file(convert(folder, into=Path(temporary)), budget=budget)
            except HypojaxError as error:
                if shutil.disk_usage(temporary).free < LEAST_FREE:  # which the converter does not always say
                    raise OSError(errno.ENOSPC, "no space left") from error
                raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f"no space left in {tempfile.gettempdir()}, where DICOM series are converted"
        step = "free some or set TMPDIR to a folder on a larger disk, then run the same command again: finished scans are kept"
        raise RunError(Reason.DISK_FULL, f"{where}; {step}") from error
    return dataclasses.replace(image, format="dicom")


def read_file(path: Location, *, budget: int | None = None) -> Image:
    """Read one NIfTI or MGH file; errors are those of `read`, without the scan's name."""
    with open_source(path) as source:
        header = read_header(source, budget=budget)
        take(source.stream, header.offset - len(header.raw))
        voxels = _read_voxels(source.stream, header)
        # The checksum of a gzip stream is behind its last byte.
        tags = header.format == "mgh"
        limit = MGH_TAGS if tags else PADDING
        rest = take(source.stream, limit + 1)
    if len(rest) > limit or (not tags and rest.strip(b"\0")):
        problem = "unexpected data after the voxels: header or file is corrupt"
        raise HypojaxError(Reason.CORRUPTED, f"{problem}; fetch the file again or exclude the scan")
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


def read_header(source: Source, *, budget: int | None = None) -> Header:
    """Read and check the header at the front of a source; nothing behind its fixed part is touched.

    Raises
    ------
    HypojaxError
        With the reason why it was refused.
    """
    start = take(source.stream, 4)
    if not (size := header_size(start)):
        raise no_image(start + take(source.stream, LOOKED_AT - len(start)))
    raw = start + take(source.stream, size - len(start))
    if len(raw) < size:
        raise HypojaxError(
            Reason.TRUNCATED, f"it ends after {counted(len(raw), 'byte')}, inside its header; fetch the file again or exclude the scan"
        )
    header = parse_nifti(raw) if size in SIZES else parse_mgh(raw)
    check_size(header, most=source.most, budget=budget)
    return header


def _read_voxels(stream: io.RawIOBase, header: Header) -> Num[np.ndarray, "i j k"]:
    """Exactly the declared voxels, first axis fastest, turned to the machine's byte order in place."""
    voxels: np.ndarray[Any, Any] = np.empty(header.shape, header.dtype, order="F")
    count = fill(stream, voxels.T.reshape(-1).view(np.uint8).data)
    if count < voxels.nbytes:
        raise HypojaxError(
            Reason.TRUNCATED,
            f"its voxels end after {count} of the {voxels.nbytes} bytes its header declares; fetch the file again or exclude it",
        )
    if not header.dtype.isnative:
        voxels = voxels.byteswap(inplace=True).view(header.dtype.newbyteorder("="))
    voxels.setflags(write=False)
    return voxels
