"""Where things lie: a path of the file system, or an object of a bucket under ``s3://``, ``gs://`` or ``az://``.

The other rooms take a `Location` and ask it for the few things that both can do; what only a disk has (renaming,
flushing, links) stays with `pathlib.Path`. The only room with obstore.
"""

from hypojax.location.bucket import Version
from hypojax.location.crowd import each
from hypojax.location.fault import ConflictError
from hypojax.location.listing import listed
from hypojax.location.object_file import ObjectFile
from hypojax.location.object_path import ObjectPath
from hypojax.location.patience import wait_at_most
from hypojax.location.place import Location, beside, inside, locate, names

__all__ = [
    "ConflictError",
    "Location",
    "ObjectFile",
    "ObjectPath",
    "Version",
    "beside",
    "each",
    "inside",
    "listed",
    "locate",
    "names",
    "wait_at_most",
]
