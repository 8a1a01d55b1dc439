"""Stored objects as a Zarr store in memory: what was fetched from a bucket is decoded from there."""

from collections.abc import Iterable
from typing import Any

import zarr
from zarr.abc.buffer import Buffer
from zarr.buffer.cpu import Buffer as HostBuffer
from zarr.storage import MemoryStore

from hypojax.storage import Location, ObjectPath
from hypojax.store.objects import Objects, fetch


def memory_store(objects: Objects) -> MemoryStore:
    """A Zarr store, for reading, that holds these objects.

    >>> memory_store({"zarr.json": b"{}"}).read_only
    True
    """
    buffers: dict[str, Buffer] = {key: HostBuffer.from_bytes(data) for key, data in objects.items()}
    return MemoryStore(buffers, read_only=True)


def open_array(folder: Location, keys: Iterable[str]) -> "zarr.Array[Any]":
    """The array in a folder; from a bucket its objects, which have these keys, are fetched at once.

    Only version 3 of Zarr is read: in version 2 an array may name a codec that unpickles, so that a store from elsewhere could run code.

    Raises
    ------
    Exception
        Whatever Zarr raises on damaged documents; `OSError` where an object in a bucket is missing.
    """
    if isinstance(folder, ObjectPath):
        return zarr.open_array(memory_store(fetch(folder, keys)), mode="r", zarr_format=3)
    return zarr.open_array(str(folder), mode="r", zarr_format=3)
