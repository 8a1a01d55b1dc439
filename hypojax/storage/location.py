"""`Location`: a path of a disk or a place in a bucket, what users may write for one, and what its name and its folder say."""

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeGuard
from urllib.parse import quote

from hypojax.reason import Reason, RunError, WrongTypeError
from hypojax.storage.bucket import ListedPath, ObjectPath
from hypojax.storage.request import SCHEMES

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Location = Path | ObjectPath

Place = Location | str | os.PathLike[str]
"""What a user may name a location by."""

Disk = str | os.PathLike[str]
"""What a user may name a path on a disk by."""

URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//?)([^/]*)(?:/(.*))?", re.DOTALL)


def locate(place: Place) -> Location:
    """The location that a user named: a URL, or a path.

    Raises
    ------
    RunError
        ``USAGE``: a URL of another kind, or one without a bucket; or the extra ``cloud`` is not installed.
    WrongTypeError
        It is neither text nor a path.

    Examples
    --------
    >>> locate("out"), str(locate("s3://bucket/out/"))
    (PosixPath('out'), 's3://bucket/out')
    >>> locate("ftp://host/out")
    Traceback (most recent call last):
    hypojax.reason.RunError: ftp://host/out is neither a path nor in a bucket that can be used; name a folder, or s3://, gs:// or az://BUCKET/KEY
    """
    if isinstance(place, ObjectPath):
        return place
    named: object = os.fspath(place) if hasattr(place, "__fspath__") else place
    if not isinstance(named, str):
        raise WrongTypeError("a place is a path (text or pathlib.Path) or a URL (s3://bucket/key)", place)
    found = URL.fullmatch(named)
    # pathlib folds the two slashes of a URL into one; a folder "s3:" is not what was meant.
    if found is None or (found[2] == "/" and found[1] not in SCHEMES):
        return Path(named)
    scheme, _, bucket, key = found.groups()
    if scheme not in SCHEMES or not bucket:
        message = f"{place} is neither a path nor in a bucket that can be used"
        raise RunError(Reason.USAGE, f"{message}; name a folder, or s3://, gs:// or az://BUCKET/KEY")
    if "obstore" not in sys.modules and find_spec("obstore") is None:
        raise RunError(Reason.USAGE, f"{place} needs a package that is not installed; run: python -m pip install 'hypojax[cloud]'")
    return ObjectPath(f"{scheme}://{bucket}") / (key or "")


def locate_all(places: Place | Iterable[Place]) -> list[Location]:
    """The locations that a user named: one, or several in any iterable.

    Raises
    ------
    RunError
        As `locate`; a text of no characters names nothing.

    Examples
    --------
    >>> locate_all("/data/bids"), locate_all(["a", Path("b")])
    ([PosixPath('/data/bids')], [PosixPath('a'), PosixPath('b')])
    """
    if is_place(places):
        return [*locate_all([places])]
    if isinstance(places, (bytes, Mapping)) or not isinstance(places, Iterable):
        raise WrongTypeError("inputs are one path or URL, or several in a list", places)
    named = list(places)
    if "" in [place for place in named if isinstance(place, str)]:
        raise RunError(Reason.USAGE, "an input is an empty text, which names no place; give a folder, an image or a table")
    return [locate(place) for place in named]


def is_place(named: object) -> TypeGuard[Place]:
    """Whether this is one path or URL.

    >>> is_place("scan.nii.gz"), is_place(["scan.nii.gz"])
    (True, False)
    """
    return isinstance(named, (str, os.PathLike, ObjectPath))


def on_disk(place: Disk) -> Path:
    """The path that a user named, where a bucket will not do.

    Raises
    ------
    RunError
        ``USAGE``: it is a URL.
    WrongTypeError
        It is neither text nor a path.

    Examples
    --------
    >>> on_disk("checkpoints")
    PosixPath('checkpoints')
    """
    found = locate(place)
    if isinstance(found, ObjectPath):
        raise RunError(Reason.USAGE, f"{found} lies in a bucket, and a path on a disk is wanted; copy it and name the copy")
    return found


def beside(folder: Location, named: str) -> Location:
    """What a table in ``folder`` names: a URL, an absolute path, or a place seen from the folder.

    >>> str(beside(locate("s3://bucket/tables"), "../sub-01.nii.gz")), str(beside(Path("/data"), "sub-01.nii.gz"))
    ('s3://bucket/sub-01.nii.gz', '/data/sub-01.nii.gz')
    """
    if isinstance(there := locate(named), ObjectPath):
        return there
    with suppress(RuntimeError):  # no such user, and so the name of a folder, as for a shell
        there = there.expanduser()
    if isinstance(folder, ObjectPath):
        return there if there.is_absolute() else folder / named
    return folder / there


def real(place: Location) -> Location:
    r"""The place without links and dots; as it is written where there can be none such (links in a circle, a NUL byte).

    >>> real(Path("/a/../b")), real(Path("/a\0"))
    (PosixPath('/b'), PosixPath('/a\x00'))
    """
    try:
        return place.resolve()
    except (OSError, ValueError, RuntimeError):
        return absolute(place)


def absolute(place: Location) -> Location:
    """The place from the root, without dots; links stay, and so does the fence of a place in a bucket.

    >>> absolute(Path("/a/../b"))
    PosixPath('/b')
    """
    return place if isinstance(place, ObjectPath) else Path(os.path.abspath(place))  # noqa: PTH100 - resolving follows links


def uri(place: Location) -> str:
    """The address of a place.

    >>> uri(Path("/data/first visit")), uri(locate("s3://bucket/first visit"))
    ('file:///data/first%20visit', 's3://bucket/first%20visit')
    """
    return quote(str(place), safe=":/", errors="surrogateescape") if isinstance(place, ObjectPath) else place.absolute().as_uri()


def remote(place: Location) -> "TypeIs[ObjectPath]":
    """Whether each question about a place is a request over a network, so that few should be asked.

    >>> remote(Path("out")), remote(locate("s3://bucket/out"))
    (False, True)
    """
    return isinstance(place, ObjectPath)


def inside(place: Location, folder: Location) -> bool:
    """Whether a place lies at or below a folder, by their names alone.

    >>> inside(Path("/data/a"), Path("/data")), inside(locate("s3://data/a"), Path("/data"))
    (True, False)
    """
    if isinstance(place, ObjectPath):
        return isinstance(folder, ObjectPath) and place.is_relative_to(folder)
    return not isinstance(folder, ObjectPath) and place.is_relative_to(folder)


def names(folder: Location) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files directly in a folder, each in order; none where there is no folder."""
    if isinstance(folder, ObjectPath):
        return folder.names()
    if not folder.is_dir():
        return [], []
    inner = sorted(folder.iterdir())
    folders = {path.name for path in inner if path.is_dir()}
    return [path.name for path in inner if path.name in folders], [path.name for path in inner if path.name not in folders]


def walk_folders(root: Location, *, onerror: Callable[[OSError], None]) -> Iterator[tuple[Location, list[str], list[str]]]:
    """Each folder at or below ``root`` with the names of its folders and of its files, in order.

    Links to folders are followed, each folder once. Who receives the names of folders may remove some, which are then not entered.

    Parameters
    ----------
    root
        Where to begin.
    onerror
        Called where a folder may not be listed.
    """
    if isinstance(root, ObjectPath):
        inner, files = root.names()
        yield root, inner, files
        for name in inner:
            yield from walk_folders(root / name, onerror=onerror)
        return
    seen = {str(parent) for parent in Path(os.path.realpath(root)).parents}  # a link to one of these leads in a circle
    for folder, inner, files in os.walk(root, onerror=onerror, followlinks=True):
        if (target := os.path.realpath(folder)) in seen:
            inner.clear()
            continue
        seen.add(target)
        inner.sort()
        yield Path(folder), inner, sorted(files)


def listed(folder: Location) -> Location:
    """A folder of a bucket with all that lies below it, listed once: asking folder by folder takes an hour for thousands."""
    return ListedPath.of(folder) if isinstance(folder, ObjectPath) else folder


def unlisted(place: Location) -> Location:
    """The place without the listing that it was found by."""
    return ObjectPath(place.bucket, place.key) if isinstance(place, ListedPath) else place


def may_list(folder: Location) -> bool:
    """Whether the names in a folder may be read; buckets say so only when asked for them."""
    return isinstance(folder, ObjectPath) or os.access(folder, os.R_OK | os.X_OK)


def link_target(path: Location) -> str:
    """Where a link leads whose target is not there, as to content that was not fetched; empty for all else.

    >>> link_target(Path("/nowhere"))
    ''
    """
    return str(path.readlink()) if not isinstance(path, ObjectPath) and path.is_symlink() and not path.exists() else ""


def size_and_time(place: Location) -> tuple[int, float]:
    """Bytes and latest modification (seconds since 1970) of a file, or of the files in a folder.

    Of an object of a bucket a listing has them (`listed`); elsewhere it is a request.

    Raises
    ------
    OSError, ValueError
        It is not there, may not be asked for, or has a NUL byte in its name.
    """
    if isinstance(place, ObjectPath):
        return place.size_and_time()
    status = [place.stat()]
    if stat.S_ISDIR(status[0].st_mode):
        with os.scandir(place) as entries:
            status = [entry.stat() for entry in entries if entry.is_file()]
    return sum(each.st_size for each in status), max((each.st_mtime for each in status), default=0.0)
