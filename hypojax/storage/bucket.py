"""The place of an object in a bucket, or of all objects below a key, with the part of `pathlib.Path` that makes sense there."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import hypojax.storage.request as requests
from hypojax.storage.refusal import ConflictError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Names = tuple[list[str], list[str]]

PIECE: Final = 1 << 23
"""Bytes asked for at once: a request costs some 30 ms, a scan is one to three of them, and memory stays bounded."""


class ObjectFile(io.RawIOBase):
    """The bytes of one object, all of the same version.

    Parameters
    ----------
    bucket, key
        The object.

    Raises
    ------
    FileNotFoundError, PermissionError, RunError
        As `hypojax.storage.refusal` has them, at once or while reading; `ConflictError` where it is replaced meanwhile.
    """

    def __init__(self, bucket: str, key: str) -> None:
        self._bucket, self._key = bucket, key
        self._start, self._position = 0, 0
        self._piece = requests.read_piece(bucket, key, start=0, count=PIECE)

    @property
    def size(self) -> int:
        """Bytes of the whole object."""
        return self._piece.size

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The next byte's place."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill the front of ``buffer``; 0 at the end."""
        if self._position >= self.size:
            return 0
        if not self._start <= self._position < self._start + len(self._piece.data):
            self._start, tag = self._position, self._piece.tag
            self._piece = requests.read_piece(self._bucket, self._key, start=self._start, count=PIECE, tag=tag)
        target, first = memoryview(buffer).cast("B"), self._position - self._start
        found = memoryview(self._piece.data)[first : first + len(target)]
        target[: len(found)] = found
        self._position += len(found)
        return len(found)


@dataclass(frozen=True, order=True)
class ObjectPath:
    """A place in a bucket. What is there is asked for each time, nothing is remembered.

    An object is written whole or not at all, and read as it was written by whoever asks next: buckets need no renaming and no flushing. A
    folder is there while an object lies below it.

    Parameters
    ----------
    bucket
        ``s3://name``, ``gs://name`` or ``az://container``.
    key
        Key below it, without slashes at its ends; empty for the bucket itself.

    Examples
    --------
    >>> scan = ObjectPath("s3://bucket", "bids") / "sub-01" / "../sub-02_T1w.nii.gz"
    >>> str(scan), scan.name, str(scan.parent)
    ('s3://bucket/bids/sub-02_T1w.nii.gz', 'sub-02_T1w.nii.gz', 's3://bucket/bids')
    """

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        """The URL."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def __truediv__(self, below: str) -> "ObjectPath":
        """The place of ``below``, seen from here."""
        parts = self.key.split("/") if self.key else []
        for part in below.split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part not in ("", "."):
                parts.append(part)
        return replace(self, key="/".join(parts))

    @property
    def name(self) -> str:
        """Last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The last dot of the name and what follows it."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "ObjectPath":
        """The folder; the bucket is its own."""
        return replace(self, key=self.key.rpartition("/")[0])

    @property
    def parents(self) -> Sequence["ObjectPath"]:
        """The folder, the folder of that, and so on to the bucket."""
        parts = self.parts[1:]
        return [replace(self, key="/".join(parts[:count])) for count in reversed(range(len(parts)))]

    @property
    def anchor(self) -> str:
        """The bucket."""
        return self.bucket

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket, and the parts of the key."""
        return (self.bucket, *(self.key.split("/") if self.key else ()))

    def with_name(self, name: str) -> "ObjectPath":
        """Another object of the same folder."""
        return self.parent / name

    def resolve(self) -> "ObjectPath":
        """Itself: buckets have no links."""
        return ObjectPath(self.bucket, self.key)

    def is_relative_to(self, other: "ObjectPath") -> bool:
        """Whether it lies at or below another place."""
        return self.parts[: len(other.parts)] == other.parts

    def relative_to(self, other: "ObjectPath") -> PurePosixPath:
        """The way from another place to here.

        Raises
        ------
        ValueError
            It does not lie below it.
        """
        if not self.is_relative_to(other):
            raise ValueError(f"{self} does not lie below {other}")
        return PurePosixPath(*self.parts[len(other.parts) :])

    def is_file(self) -> bool:
        """Whether there is an object of this key."""
        return bool(self.key) and requests.is_object(self.bucket, self.key)

    def is_dir(self) -> bool:
        """Whether there is an object below."""
        return bool(requests.keys_below(self.bucket, self.key, most=1))

    def exists(self) -> bool:
        """Whether there is an object here or below."""
        return self.is_file() or self.is_dir()

    def size_and_time(self) -> tuple[int, float]:
        """Bytes of the object and when it was last changed (seconds since 1970)."""
        return requests.size_and_time(self.bucket, self.key)

    def names(self) -> tuple[list[str], list[str]]:
        """Names of the folders and of the objects directly below, each in order."""
        return requests.names_in(self.bucket, self.key)

    def below(self) -> list[str]:
        """Keys of all objects below, relative to here, in order."""
        return requests.keys_below(self.bucket, self.key)

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Places below whose parts match those of the pattern one by one, in order, found as they are asked for."""
        first, _, rest = pattern.partition("/")
        folders, objects = self.names()
        for name in sorted({*folders, *objects}):
            if fnmatchcase(name, first):
                if not rest:
                    yield self / name
                elif name in folders:
                    yield from (self / name).glob(rest)

    def open(self, mode: str = "rb", *, buffering: int = 0) -> ObjectFile:
        """The object as an unbuffered file to read bytes from."""
        if (mode, buffering) != ("rb", 0):
            raise ValueError(f"{self} can be opened with mode 'rb' and buffering 0 only")
        return ObjectFile(self.bucket, self.key)

    def read_bytes(self) -> bytes:
        """All bytes of the object."""
        return requests.read(self.bucket, self.key)[0]

    def read_text(self, encoding: str = "utf-8") -> str:
        """The object as text, with one kind of line break."""
        return self.read_bytes().decode(encoding).replace("\r\n", "\n").replace("\r", "\n")

    def write_bytes(self, data: bytes) -> None:
        """Put the object, whole or not at all."""
        requests.write(self.bucket, self.key, data)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete the object; buckets do not say whether it was there."""
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(2, "No such file or directory", str(self))
        requests.delete(self.bucket, [self.key])

    def delete_below(self, keys: Sequence[str]) -> None:
        """Delete objects by their keys relative to here."""
        requests.delete(self.bucket, [(self / key).key for key in keys])

    def connection(self) -> "ObjectStore":
        """A connection that begins here, for readers that ask by themselves (Zarr)."""
        return requests.connection_below(self.bucket, self.key)

    def read_version(self) -> tuple[bytes, requests.Version]:
        """All bytes of the object, and the version they are."""
        return requests.read(self.bucket, self.key)

    def swap(self, data: bytes, *, seen: requests.Version | None) -> requests.Version | None:
        """Put the object only where it still is the version that was seen (None: not there), and give the new one; None where it is not.

        A put whose answer was lost is tried again, and then finds itself: that counts as done.
        """
        try:
            return requests.exchange(self.bucket, self.key, data, seen=seen)
        except ConflictError:
            try:
                found, version = self.read_version()
            except FileNotFoundError:
                return None
            return version if found == data else None


@dataclass(frozen=True)
class Listing:
    """What lies below a folder of a bucket.

    Parameters
    ----------
    top
        The folder.
    names
        Key of each folder at or below it → names of the folders and of the objects in it, each in order.
    sizes
        Key of each object, relative to the folder → its bytes, and when it was last changed (seconds since 1970).
    """

    top: ObjectPath
    names: Mapping[str, Names]
    sizes: Mapping[str, tuple[int, float]]


@dataclass(frozen=True, order=True)
class ListedPath(ObjectPath):
    """A place in a bucket that answers from a listing what lies where; outside of it, and for the bytes, it asks the bucket."""

    listing: Listing | None = field(default=None, compare=False, repr=False)

    def is_file(self) -> bool:
        """Whether the listing has an object of this key."""
        return self.name in self._at(self.parent.key)[1] if self._covers(self.parent) else super().is_file()

    def is_dir(self) -> bool:
        """Whether the listing has an object below."""
        return any(self._at(self.key)) if self._covers(self) else super().is_dir()

    def names(self) -> Names:
        """Names of the folders and of the objects directly below, each in order."""
        return self._at(self.key) if self._covers(self) else super().names()

    def size_and_time(self) -> tuple[int, float]:
        """Bytes of the object and when it was last changed (seconds since 1970), as the listing has them, where it has the object."""
        below = str(self.relative_to(self.listing.top)) if self.listing and self._covers(self) else ""
        found = self.listing.sizes.get(below) if self.listing else None
        return super().size_and_time() if found is None else found

    def _covers(self, folder: ObjectPath) -> bool:
        """Whether the listing says what lies in a folder."""
        return self.listing is not None and folder.is_relative_to(self.listing.top)

    def _at(self, key: str) -> Names:
        """What the listing has directly below a key."""
        return self.listing.names.get(key, ([], [])) if self.listing else ([], [])

    @staticmethod
    def of(top: ObjectPath) -> "ListedPath":
        """A folder with all that lies below it, listed once."""
        inner: dict[str, set[str]] = {}
        objects: dict[str, set[str]] = {}
        sizes = requests.sizes_below(top.bucket, top.key)
        for key in sizes:
            folder, _, name = key.rpartition("/")
            objects.setdefault((top / folder).key, set()).add(name)
            while folder:
                above, _, name = folder.rpartition("/")
                inner.setdefault((top / above).key, set()).add(name)
                folder = above
        names = {key: (sorted(inner.get(key, ())), sorted(objects.get(key, ()))) for key in {*inner, *objects}}
        return ListedPath(top.bucket, top.key, Listing(top, names, sizes))
