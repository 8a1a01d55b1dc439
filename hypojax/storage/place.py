"""`Location`: a path or a place in a bucket, and the few questions that both answer."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hypojax.reason import Reason, RunError, WrongTypeError
from hypojax.storage.bucket import SCHEMES
from hypojax.storage.object_path import ObjectPath

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
    if isinstance(places, (str, os.PathLike, ObjectPath)):
        return locate_all([places])
    if isinstance(places, (bytes, Mapping)) or not isinstance(places, Iterable):
        raise WrongTypeError("inputs are one path or URL, or several in a list", places)
    named = list(places)
    if "" in [place for place in named if isinstance(place, str)]:
        raise RunError(Reason.USAGE, "an input is an empty text, which names no place; give a folder, an image or a table")
    return [locate(place) for place in named]


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
        return place if isinstance(place, ObjectPath) else Path(os.path.abspath(place))  # noqa: PTH100 - resolving has failed


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
