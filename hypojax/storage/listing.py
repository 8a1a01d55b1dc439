"""A folder of a bucket as one listing has it, for whoever looks into every corner: asking folder by folder takes an hour for thousands."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypojax.storage.object_path import ObjectPath

Names = tuple[list[str], list[str]]


@dataclass(frozen=True)
class Listing:
    """What lies below a folder of a bucket.

    Parameters
    ----------
    top
        The folder.
    names
        Key of each folder at or below it → names of the folders and of the objects in it, each in order.
    """

    top: ObjectPath
    names: Mapping[str, Names]


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

    def _covers(self, folder: ObjectPath) -> bool:
        """Whether the listing says what lies in a folder."""
        return self.listing is not None and folder.is_relative_to(self.listing.top)

    def _at(self, key: str) -> Names:
        """What the listing has directly below a key."""
        return self.listing.names.get(key, ([], [])) if self.listing else ([], [])


def listed(top: ObjectPath) -> ListedPath:
    """A folder with all that lies below it, listed once."""
    inner: dict[str, set[str]] = {}
    objects: dict[str, set[str]] = {}
    for key in top.below():
        folder, _, name = key.rpartition("/")
        objects.setdefault((top / folder).key, set()).add(name)
        while folder:
            above, _, name = folder.rpartition("/")
            inner.setdefault((top / above).key, set()).add(name)
            folder = above
    names = {key: (sorted(inner.get(key, ())), sorted(objects.get(key, ()))) for key in {*inner, *objects}}
    return ListedPath(top.bucket, top.key, Listing(top, names))
