"""Files and objects alike: read, written whole or not at all, written where unchanged, listed and deleted, on a disk or in a bucket.

On a disk a file is written beside its place first, flushed, and renamed; the name beside is fixed, so that whoever writes again after a
kill leaves nothing behind, and a lock that ends with the process keeps apart two that write the same file at once. A bucket takes an
object whole or not at all, and whoever asks next sees it.
"""

import errno
import fcntl
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from hypojax.reason import HypojaxError, Reason, RunError
from hypojax.storage.bucket import ObjectPath
from hypojax.storage.fence import FencedPath
from hypojax.storage.location import Location
from hypojax.storage.refusal import ConflictError
from hypojax.storage.request import THREADS, Version

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Item = TypeVar("Item")
Result = TypeVar("Result")

Objects = Mapping[str, bytes]
"""Key (path below some folder, with ``/``) → the bytes stored there."""

PARTIAL: Final = ".partial"
"""Ending of a file on a disk that is being written."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

UNLOCKABLE: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""How file systems without locks say so; they do without."""

UNFLUSHABLE: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
"""How some network file systems say that they cannot flush a folder; they order renames themselves."""


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal.

    >>> digest(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def digests(objects: Objects) -> dict[str, str]:
    """SHA-256 of every object, ordered by key."""
    return {key: hashlib.sha256(objects[key]).hexdigest() for key in sorted(objects)}


def file_digest(path: Location) -> str:
    """SHA-256 of a file in hexadecimal, read in blocks.

    Raises
    ------
    OSError
        The file is missing or unreadable.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def each(location: Location, step: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results of one step for every item, in order: of things in a bucket many at once, of things on a disk one by one, as asked for.

    Examples
    --------
    >>> from pathlib import Path
    >>> list(each(Path("folder"), len, ["a", "bc"]))
    [1, 2]
    """
    if not isinstance(location, ObjectPath):
        yield from map(step, items)
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="hypojax-bucket") as pool:
        yield from pool.map(step, items)


@contextmanager
def reading(path: Location) -> Iterator[tuple[io.RawIOBase, int]]:
    """A file opened to be read from front to back, unbuffered, and its size in bytes.

    Raises
    ------
    OSError
        It is missing or unreadable.
    HypojaxError
        ``UNREADABLE``: it is a link to nothing, or a device or another file that is not read from front to back.
    ConflictError
        While reading: the object was replaced meanwhile.
    """
    if isinstance(path, ObjectPath):
        with path.open() as stream:
            yield stream, stream.size
        return
    if path.is_symlink() and not path.exists():
        raise HypojaxError(Reason.UNREADABLE, "the file is a link to nothing here; fetch its content (datalad get) or exclude the scan")
    status = path.stat()
    if not S_ISREG(status.st_mode):  # opening a named pipe would wait for ever
        raise HypojaxError(Reason.UNREADABLE, "it is not a regular file; name an image file or a DICOM series folder")
    with path.open("rb", buffering=0) as file:
        yield file, status.st_size


def fetch(folder: Location, keys: Iterable[str]) -> Objects:
    """Objects below a folder by their keys, in a bucket many at once.

    Raises
    ------
    OSError
        One is missing or unreadable.
    """
    wanted = tuple(keys)
    return dict(zip(wanted, each(folder, lambda key: (folder / key).read_bytes(), wanted), strict=True))


def read_version(path: Location) -> tuple[bytes, Version]:
    """All bytes of a file, and the version they are, for `swap`.

    Raises
    ------
    OSError
        The file is missing or unreadable.
    """
    if isinstance(path, ObjectPath):
        return path.read_version()
    data = path.read_bytes()
    return data, {"sha256": hashlib.sha256(data).hexdigest()}


def swap(path: Location, data: bytes, *, seen: Version | None, through: bool = False) -> Version | None:
    """Write a file only where it still is the version that was ``seen`` (None: not there, or unreadable); the new version, else None.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "entry"
    >>> first = swap(path, b"mine", seen=None)
    >>> first is not None, swap(path, b"yours", seen=None)
    (True, None)
    """
    with writing(path, len(data)):
        if isinstance(path, ObjectPath):
            return path.swap(data, seen=seen)
        with suppress(ConflictError), replacing(path, through=through) as file:
            found: Version | None = None
            with suppress(OSError):
                found = read_version(path)[1]
            if found != seen:
                raise ConflictError(f"{path} was written by somebody else")
            file.write(data)
            return {"sha256": hashlib.sha256(data).hexdigest()}
        return None


def place(path: Location, data: bytes, *, through: bool = True) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    path
        Its place; folders are made.
    data
        Its bytes.
    through
        Whether they are on the disk before the renaming, so that not even a power cut leaves half a file there.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``; what stood at ``path`` before stays.
    """
    with writing(path, len(data)), replacing(path, through=through) as file:
        file.write(data)


def place_all(folder: Location, objects: Objects, *, through: bool = False) -> None:
    """Place several objects in the order given, in a bucket many at once; where nothing vouches for them yet, nothing waits for the disk.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    if isinstance(folder, FencedPath):
        with writing(folder, sum(map(len, objects.values()))):
            folder.write_all(objects)
        return
    if isinstance(folder, ObjectPath):
        for _ in each(folder, lambda key: place(folder / key, objects[key]), objects):
            pass
        return
    for key, data in objects.items():
        place(folder / key, data, through=through)


@contextmanager
def replacing(path: Location, *, through: bool = True) -> Iterator[IO[bytes]]:
    """An empty file to write into, which takes the place of ``path`` when the block ends well and is gone when it does not.

    Parameters
    ----------
    path
        Its place; folders are made.
    through
        Whether the bytes are on the disk before the renaming, so that not even a power cut leaves half a file there.

    Raises
    ------
    OSError
        It cannot be written; what stood at ``path`` before stays.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "new" / "file"
    >>> with replacing(path) as file:
    ...     _ = file.write(b"whole")
    >>> path.read_bytes()
    b'whole'
    """
    if isinstance(path, ObjectPath):
        whole = io.BytesIO()
        yield whole
        path.write_bytes(whole.getvalue())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    while True:
        with partial.open("ab") as file:
            lock(file, fcntl.LOCK_EX)
            try:
                current = partial.stat()
            except FileNotFoundError:
                continue  # the writer that was waited for has renamed it: open the next
            if not os.path.samestat(os.fstat(file.fileno()), current):
                continue
            try:
                file.truncate(0)  # what a process left that died of it
                yield file
                file.flush()
                if through:
                    os.fsync(file.fileno())
                partial.replace(path)
            except BaseException:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)
                raise
            return


def lock(file: IO[Any] | int, mode: int) -> None:
    """Lock an open file (or what a file descriptor stands for) until it is closed, where its file system has locks.

    Parameters
    ----------
    file
        The file.
    mode
        Of `fcntl.flock`.

    Raises
    ------
    BlockingIOError
        ``mode`` says not to wait, and another has it.
    """
    try:
        fcntl.flock(file, mode)
    except OSError as error:
        if error.errno not in UNLOCKABLE:
            raise


def flush(root: Location, files: Iterable[str], folders: Iterable[str]) -> None:
    """Wait until the disk has these files and folders below ``root``: what comes next may vouch for them. A bucket has what it took.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    if isinstance(root, ObjectPath):
        return
    with writing(root):
        # ext4, XFS and Btrfs put a new file's entry on the disk with the file; folders between need no call of their own.
        entries = {path for folder in folders if (root / folder).is_dir() for path in (root / folder, (root / folder).parent)}
        for path in (*(root / key for key in files), *sorted(entries)):
            if os.name != "posix" and path.is_dir():
                continue
            handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
            try:
                os.fsync(handle)
            except OSError as error:
                if error.errno not in UNFLUSHABLE:
                    raise
            finally:
                os.close(handle)


def keys(folder: Location) -> list[str]:
    """Keys of every file below a folder, in order; none where there is no folder."""
    if isinstance(folder, ObjectPath):
        return folder.below()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def prune(root: Location, folders: Sequence[str], *, keep: Container[str]) -> None:
    """Delete every file in folders below ``root`` whose key below ``root`` is not in ``keep``, and folders that are empty then.

    A worker that was believed lost may be writing the same scan: what it has in hand is left to it.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    with writing(root):
        for folder, found in zip(folders, each(root, lambda folder: keys(root / folder), folders), strict=True):
            place = root / folder
            stray = [key for key in found if f"{folder}/{key.removesuffix(PARTIAL)}" not in keep]
            if isinstance(place, ObjectPath):
                place.delete_below(stray)
                continue
            for key in stray:
                (place / key).unlink(missing_ok=True)
            for path in sorted((path for path in (place, *place.rglob("*")) if path.is_dir()), reverse=True):
                with suppress(OSError):  # it holds something, or another has deleted it
                    path.rmdir()


def remove(place: Location) -> None:
    """Delete a folder and all below it, or a file and what a process that died while writing it left; nothing where there is none.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    with writing(place):
        if isinstance(place, ObjectPath):
            place.delete_below(place.below())
            place.unlink(missing_ok=True)
        elif place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
            place.with_name(place.name + PARTIAL).unlink(missing_ok=True)


def connection(folder: Location) -> "ObjectStore | None":
    """A connection that begins at a folder of a bucket, for readers that ask by themselves (Zarr); None on a disk."""
    return folder.connection() if isinstance(folder, ObjectPath) else None


@contextmanager
def writing(path: Location, size: int = 0) -> Iterator[None]:
    """Turn an `OSError` of the output folder into the `RunError` that says what to do.

    Parameters
    ----------
    path
        What is being written.
    size
        Its bytes, for the message.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            message = f"no space left on the disk while writing {path} ({size / 1e6:.1f} MB); free space, or choose another output folder"
            raise RunError(Reason.DISK_FULL, f"{message}, then run the same command again: finished scans are kept") from error
        cause, advice = error.strerror or str(error), "choose an output folder that you may write to"
        if isinstance(path, Path) and (file := next(filter(Path.is_file, path.parents), None)):
            cause, advice = f"{file} is a file", "name a folder"
        raise RunError(Reason.NOT_WRITABLE, f"cannot write {path}: {cause}; {advice}") from error
