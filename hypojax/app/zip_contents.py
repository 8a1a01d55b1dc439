"""Taking a zip from a stranger apart: every name is checked and none is used, and no more is written than was allowed."""

import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from hypojax.reason import HypojaxError, Reason, visible

RATIO: Final = 200
"""Times its packed size beyond which a file is a bomb and no scan: heads come to 2 to 20, a mask that is one value to a few hundred."""

SMALL: Final = 16 << 20
"""Bytes up to which a file may have any ratio."""

PIECE: Final = 1 << 18
METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED: Final = 0x1 | 0x40
ZIP_MARKS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
LONGEST: Final = 60
"""Characters of a name that a sentence quotes."""


@dataclass(frozen=True)
class UnpackedFile:
    """A file that was in a zip.

    Parameters
    ----------
    name
        As the zip has it, folders with ``/``; not a place on this machine.
    path
        Where its content lies.
    """

    name: str
    path: Path


def unpack(file: Path, into: Path, *, most_bytes: int, most_files: int) -> list[UnpackedFile]:
    """Write the files of a zip into a folder under names of our own.

    Parameters
    ----------
    file
        The zip.
    into
        An empty folder.
    most_bytes
        Bytes that its files may take together.
    most_files
        Files that it may have.

    Raises
    ------
    HypojaxError
        ``CORRUPTED``: it is damaged; ``TOO_LARGE``: it would become more than is allowed; ``UNREADABLE``: it is encrypted or packed in an
        unusual way; ``NOT_AN_IMAGE``: it holds what no zip of scans does (links, other zips, names that lead out of it, one name twice).
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = checked_entries(archive.infolist(), most_bytes=most_bytes, most_files=most_files)
            return list(_written(archive, entries, into, most_bytes))
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, UnicodeError) as error:
        what = visible(" ".join(str(error).split()))[:LONGEST]
        raise HypojaxError(Reason.CORRUPTED, f"the zip is damaged ({what}); make it again") from error


def checked_entries(entries: Iterable[zipfile.ZipInfo], *, most_bytes: int, most_files: int) -> list[zipfile.ZipInfo]:
    """Files of a zip that are to be written, without those that desktops leave in it; parameters and errors as `unpack`."""
    files = [entry for entry in entries if not entry.is_dir()]
    if len(files) > most_files:
        raise HypojaxError(Reason.TOO_LARGE, f"the zip has {len(files):,} files, and {most_files:,} are allowed; make several of it")
    seen: set[str] = set()
    for entry in files:
        _check_kind(entry)
        name = checked_name(entry.filename)
        if name in seen:
            raise _refused(entry.filename, "is in it twice")
        seen.add(name)
    if (declared := sum(entry.file_size for entry in files)) > most_bytes:
        raise _too_large(declared, most_bytes)
    return [entry for entry in files if not _is_litter(entry.filename)]


def checked_name(name: str) -> str:
    """A name in the form in which disks that ignore case and accents' spelling compare it.

    >>> checked_name("sub-01/Ana.nii")
    'sub-01/ana.nii'

    Raises
    ------
    HypojaxError
        ``NOT_AN_IMAGE``: it is absolute, or leads out of the zip.
    """
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ":" in parts[0] or ".." in parts or "\0" in name or not name.strip():
        raise _refused(name, "would lie outside of it")
    return unicodedata.normalize("NFC", "/".join(part for part in parts if part not in ("", "."))).casefold()


def _check_kind(entry: zipfile.ZipInfo) -> None:
    """Refuse what is no plain file."""
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _refused(entry.filename, "is a link or a device and no file")
    if entry.flag_bits & ENCRYPTED:
        raise HypojaxError(Reason.UNREADABLE, "the zip is encrypted; make one without a password")
    if entry.compress_type not in METHODS:
        raise HypojaxError(Reason.UNREADABLE, "the zip is packed in a way that is not supported; make a usual one (deflate)")
    if entry.filename.lower().endswith(".zip"):
        raise _refused(entry.filename, "is a zip itself: unpack it first")
    if entry.file_size > SMALL and entry.file_size > RATIO * max(entry.compress_size, 1):
        raise HypojaxError(
            Reason.TOO_LARGE,
            f"a file of the zip becomes {entry.file_size / max(entry.compress_size, 1):,.0f} times as large, as that of no scan does; "
            "if it is one, send it by itself",
        )


def _written(archive: zipfile.ZipFile, entries: Iterable[zipfile.ZipInfo], into: Path, most_bytes: int) -> Iterator[UnpackedFile]:
    """Write files; what they really hold is counted, whatever the zip says of them."""
    left = most_bytes
    for number, entry in enumerate(entries):
        path, size = into / f"{number:05d}", 0
        with archive.open(entry) as source, path.open("xb") as target:
            while piece := source.read(PIECE):
                if not size and piece.startswith(ZIP_MARKS):
                    raise _refused(entry.filename, "is a zip itself: unpack it first")
                size += len(piece)
                if size > min(left, max(SMALL, RATIO * max(entry.compress_size, 1))):
                    raise _too_large(size, most_bytes)
                target.write(piece)
        left -= size
        yield UnpackedFile(str(PurePosixPath(entry.filename)), path)


def _is_litter(name: str) -> bool:
    """Whether a file is one that desktops add."""
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] in (".DS_Store", "Thumbs.db", "desktop.ini")


def _refused(name: str, why: str) -> HypojaxError:
    return HypojaxError(Reason.NOT_AN_IMAGE, f"the zip was not taken: {visible(name)[:LONGEST]!r} {why}")


def _too_large(size: int, most: int) -> HypojaxError:
    return HypojaxError(Reason.TOO_LARGE, f"the files of the zip take {size / 1e6:,.0f} MB or more, and {most / 1e6:,.0f} MB are allowed")
