"""Where things lie: a path of the file system, or an object of a bucket under ``s3://``, ``gs://`` or ``az://``.

The other rooms take a `Location` and ask it for the few things that both can do; what only a disk has (renaming,
flushing, links) stays with `pathlib.Path`. The only room with obstore.
"""

from hypojax.storage.bucket import Version
from hypojax.storage.crowd import each
from hypojax.storage.fault import ConflictError
from hypojax.storage.fence import Fence, FencedPath, fence_of, fenced
from hypojax.storage.listing import listed
from hypojax.storage.object_file import ObjectFile
from hypojax.storage.object_path import ObjectPath
from hypojax.storage.patience import wait_at_most
from hypojax.storage.place import Disk, Location, Place, beside, inside, locate, locate_all, names, on_disk, real

__all__ = [
    "ConflictError",
    "Disk",
    "Fence",
    "FencedPath",
    "Location",
    "ObjectFile",
    "ObjectPath",
    "Place",
    "Version",
    "beside",
    "each",
    "fence_of",
    "fenced",
    "inside",
    "listed",
    "locate",
    "locate_all",
    "names",
    "on_disk",
    "real",
    "wait_at_most",
]
