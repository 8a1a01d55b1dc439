"""Arrays over all scans: their templates, the chunk of one scan, and their coordinates. A key is the path of an object below the store.

The template of such an array is a pure function of its declaration in `hypojax.schema` and of the number of scans, and a chunk is
encoded alone, so that nobody who writes a scan touches what another writes.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Num
from zarr.abc.buffer import Buffer
from zarr.buffer.cpu import Buffer as HostBuffer
from zarr.storage import MemoryStore

from hypojax.schema import (
    BOX_SPACING,
    COHORT_ARRAYS,
    HEAD,
    HEAD_DIMS,
    HEAD_MAPS,
    HEAD_SPACING,
    IMAGE,
    LABELS,
    MODEL_DIMS,
    CohortArray,
)
from hypojax.storage import Location, Objects, fetch
from hypojax.store.sealed import NAME, encode, scan_key

NATIVE, LABEL_ARRAYS = "native", "labels"
SCAN_GROUPS: Final = (NATIVE, LABEL_ARRAYS)
"""Groups that hold an array of its own for each scan."""


@cache
def template(array: CohortArray, count: int) -> bytes:
    """Document of an array over so many scans: spelled here, so that the same declaration gives the same bytes with every Zarr library.

    >>> import json
    >>> from hypojax.schema import POSTERIOR
    >>> json.loads(template(POSTERIOR, 3))["shape"]
    [3, 10, 40, 40, 40]
    """
    kind = np.dtype(array.dtype)
    document = {
        "shape": [count, *array.shape],
        "data_type": array.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, *array.shape]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": array.fill,
        "codecs": [
            {"name": "bytes", **({"configuration": {"endian": "little"}} if kind.itemsize > 1 else {})},
            {
                "name": "blosc",
                "configuration": {"typesize": kind.itemsize, "cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "blocksize": 0},
            },
            {"name": "crc32c"},
        ],
        "attributes": array.attributes,
        "dimension_names": list(array.dims),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    return encode(document)


def templates(count: int) -> Objects:
    """Documents of all arrays over so many scans, by key."""
    return {f"{array.name}/{NAME}": template(array, count) for array in COHORT_ARRAYS}


def chunk_key(array: CohortArray, slot: int) -> str:
    """Key of the chunk of one scan.

    >>> from hypojax.schema import POSTERIOR
    >>> chunk_key(POSTERIOR, 17)
    'posterior/c/17/0/0/0/0'
    """
    return "/".join([array.name, "c", str(slot), *["0"] * len(array.shape)])


def scan_folders(scan: str, slot: int) -> list[str]:
    """Keys of the folders that hold all that is stored of a scan.

    >>> scan_folders("sub-01", 17)
    ['native/sub-01', 'labels/sub-01', 'posterior/c/17', 'image/c/17', 'head/c/17']
    """
    return [*(f"{group}/{scan_key(scan)}" for group in SCAN_GROUPS), *(f"{array.name}/c/{slot}" for array in COHORT_ARRAYS)]


def encoded_chunk(array: CohortArray, values: Num[np.ndarray, "..."]) -> bytes:
    """One scan's chunk of an array, encoded as Zarr encodes it, with the array itself left alone."""
    memory: dict[str, Buffer] = {NAME: HostBuffer.from_bytes(template(array, 1))}
    zarr.open_array(MemoryStore(memory), mode="r+", zarr_format=3, config={"write_empty_chunks": True})[0] = values
    return memory[chunk_key(array, 0).partition("/")[2]].to_bytes()


def decoded_chunk(array: CohortArray, data: bytes) -> Num[np.ndarray, "..."]:
    """The values in one scan's chunk; errors as `read_native`."""
    objects = {NAME: template(array, 1), chunk_key(array, 0).partition("/")[2]: data}
    return np.asarray(zarr.open_array(memory_store(objects), mode="r", zarr_format=3)[0])


@cache
def model_coordinates() -> Mapping[str, xr.Variable]:
    """Coordinates of the arrays over all scans: mm from the middle of box or head along their axes, names of labels and of maps."""
    axes = dict(zip(MODEL_DIMS, ("posterior to anterior", "inferior to superior", "left to right"), strict=True))
    found: dict[str, xr.Variable] = {"label": xr.Variable("label", np.array(list(LABELS.values()), object), {"long_name": "Subunit"})}
    for dims, shape, spacing, what in (
        (MODEL_DIMS, IMAGE.shape, BOX_SPACING, "box"),
        (HEAD_DIMS, HEAD.shape[1:], HEAD_SPACING, "head grid"),
    ):
        for dim, length, axis in zip(dims, shape, axes.values(), strict=True):
            text = f"Distance from the middle of the {what}, {axis}"
            found[dim] = xr.Variable(dim, (np.arange(length) - (length - 1) / 2) * spacing, {"long_name": text, "units": "mm"})
    found["map"] = xr.Variable("map", np.array(HEAD_MAPS, object), {"long_name": "What lies in head"})
    return found


def memory_store(objects: Objects) -> MemoryStore:
    """A Zarr store, for reading, that holds these objects.

    >>> memory_store({"zarr.json": b"{}"}).read_only
    True
    """
    buffers: dict[str, Buffer] = {key: HostBuffer.from_bytes(data) for key, data in objects.items()}
    return MemoryStore(buffers, read_only=True)


def open_array(folder: Location, keys: Iterable[str]) -> "zarr.Array[Any]":
    """The array in a folder, whose objects have these keys; they are fetched at once.

    Only version 3 of Zarr is read: in version 2 an array may name a codec that unpickles, so that a store from elsewhere could run code.

    Raises
    ------
    Exception
        Whatever Zarr raises on damaged documents; `OSError` where an object is missing.
    """
    return zarr.open_array(memory_store(fetch(folder, keys)), mode="r", zarr_format=3)
