"""A file on its way: written beside its place, then renamed over it, so that it is there whole or not at all.

Its name is fixed, so that whoever writes again after a kill leaves nothing behind; a lock that ends with the process keeps apart two that
write the same file at once.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

PARTIAL: Final = ".partial"
"""Ending of a file that is being written."""

UNLOCKABLE: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""How file systems without locks say so; they do without."""


def partial_path(path: Path) -> Path:
    """Where a file stands while it is being written.

    >>> partial_path(Path("out/volumes.tsv")).name
    'volumes.tsv.partial'
    """
    return path.with_name(path.name + PARTIAL)


def lock(file: IO[Any], mode: int) -> None:
    """Lock an open file until it is closed.

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


@contextmanager
def replacing(path: Path, *, through: bool = True) -> Iterator[IO[bytes]]:
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
    >>> place = Path(tempfile.mkdtemp()) / "new" / "file"
    >>> with replacing(place) as file:
    ...     _ = file.write(b"whole")
    >>> place.read_bytes()
    b'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    with _held(partial) as file:
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


@contextmanager
def _held(partial: Path) -> Iterator[IO[bytes]]:
    """The file under this name, locked; whoever waited for another finds it renamed, and opens the next."""
    while True:
        with partial.open("ab") as file:
            lock(file, fcntl.LOCK_EX)
            if _stands(file, partial):
                yield file
                return


def _stands(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is the one under a name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
