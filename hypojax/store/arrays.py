"""Arrays of one scan as Zarr v3 objects, and back: one group for each grid.

A scan's folder holds up to four groups, each a complete Dataset for `xarray.open_zarr`:
``native`` (voxels exactly as in the file), ``labels`` (label maps on the same voxels), ``head`` and ``box`` (posteriors
on the two model grids). Every array is one shard of chunks of at most 64 voxels an axis, each chunk with its own
checksum, so that any Zarr reader refuses a flipped bit.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Num, Shaped, UInt8
from zarr.abc.buffer import Buffer
from zarr.buffer.cpu import Buffer as HostBuffer
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec
from zarr.storage import MemoryStore, ObjectStore

from hypojax.grid import Affine, Grid
from hypojax.schema import AFFINE, HYPOTHALAMUS, INTRACRANIAL, LABELS, POSTERIOR_HYPOTHALAMUS, POSTERIOR_INTRACRANIAL, VOXELS, Variable
from hypojax.storage import Location, Objects, connection, fetch
from hypojax.store.sealed import NAME, encode, group_document, refuse_other_versions

CHUNK: Final = 64
"""Most voxels of a chunk along an axis; axes are divided evenly, so that no chunk is mostly padding."""

CODECS: Final = (BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.bitshuffle), Crc32cCodec())
"""Fastest of the codecs that notice every flipped bit, and smaller than most: see ``benchmarks/store.py``."""

GEOMETRY: Final = "world (mm, RAS+) = affine @ (index along each axis, 1); indices count voxel centres from 0"
GROUPS: Final = ("native", "labels", "head", "box")


@runtime_checkable
class NativeImage(Protocol):
    """A scan as it stands in its file: `hypojax.scans.Image` is one, `Native` another."""

    @property
    def voxels(self) -> Num[np.ndarray, "i j k"]:
        """Voxels as stored."""

    @property
    def affine(self) -> Affine:
        """Voxel-to-world matrix, mm, RAS+."""

    @property
    def slope(self) -> float:
        """Intensity = voxels * slope + intercept."""

    @property
    def intercept(self) -> float:
        """Intensity = voxels * slope + intercept."""

    @property
    def header(self) -> bytes:
        """Raw header of the file."""

    @property
    def format(self) -> str:
        """Format of the file."""

    @property
    def nonfinite(self) -> int:
        """Voxels that are NaN or infinite."""


@dataclass(frozen=True, eq=False)
class Native:
    """A scan read back from the store.

    Parameters
    ----------
    voxels
        Voxels in stored orientation; the values of the file bit for bit, in the machine's little-endian order (the
        byte order of the file stands in its header).
    affine
        Voxel-to-world matrix, mm, RAS+, bit for bit.
    slope, intercept
        Intensity = voxels * slope + intercept.
    header
        Raw header of the file.
    format
        Format of the file.
    nonfinite
        Voxels of the file that were NaN or infinite.
    """

    voxels: Num[np.ndarray, "i j k"]
    affine: Affine
    slope: float
    intercept: float
    header: bytes
    format: str
    nonfinite: int


@dataclass(frozen=True, eq=False)
class Posterior:
    """Posteriors times 255 on a model grid.

    Parameters
    ----------
    grid
        Where the voxels lie.
    values
        One volume, or one a label.
    """

    grid: Grid
    values: UInt8[np.ndarray, "*label a s r"]


@dataclass(frozen=True, eq=False)
class StoredSegmentation:
    """All that is stored of a segmentation.

    Parameters
    ----------
    affine
        Voxel-to-world matrix of the scan's own grid, mm, RAS+.
    hypothalamus, intracranial
        Label map and mask on the scan's own grid, stored orientation.
    head
        Posterior of the intracranial volume on the head grid (2 mm).
    box
        Posteriors of the ten subunits on the box grid (1 mm).
    mean, std
        Statistics of the z-score, in scaled intensities of the scan.
    """

    affine: Affine
    hypothalamus: UInt8[np.ndarray, "i j k"]
    intracranial: UInt8[np.ndarray, "i j k"]
    head: Posterior
    box: Posterior
    mean: float
    std: float


def native_objects(image: NativeImage) -> Objects:
    """Objects of the ``native`` group, by key below the scan's folder."""
    attributes = {
        "affine": image.affine.tolist(),
        "slope": float(image.slope),
        "intercept": float(image.intercept),
        "format": image.format,
        "nonfinite_voxels": int(image.nonfinite),
        "header": base64.b64encode(image.header).decode(),
        "comment": f"{GEOMETRY}; intensity = voxels * slope + intercept; header is the file's own, base64",
    }
    return _group("native", {VOXELS: image.voxels}, attributes)


def segmented_objects(segmented: StoredSegmentation) -> Objects:
    """Objects of the groups ``labels``, ``head`` and ``box``, by key below the scan's folder."""
    maps = {HYPOTHALAMUS: segmented.hypothalamus, INTRACRANIAL: segmented.intracranial}
    labels = {"affine": segmented.affine.tolist(), "labels": {str(value): name for value, name in LABELS.items()}, "comment": GEOMETRY}
    head = {"affine": segmented.head.grid.affine.tolist(), "comment": GEOMETRY}
    statistics = {"intensity_mean": float(segmented.mean), "intensity_std": float(segmented.std)}
    box = {"affine": segmented.box.grid.affine.tolist(), "labels": list(LABELS.values()), **statistics, "comment": GEOMETRY}
    return {
        **_group("labels", maps, labels),
        **_group("head", {POSTERIOR_INTRACRANIAL: segmented.head.values}, head),
        **_group("box", {POSTERIOR_HYPOTHALAMUS: segmented.box.values}, box),
    }


def read_native(folder: Location) -> Native:
    """The native image in a scan's folder.

    Raises
    ------
    Exception
        Whatever Zarr and its codecs raise on damaged objects; the caller names the scan.
    """
    attributes = _attributes(folder / "native")
    return Native(
        voxels=_array(folder / "native", VOXELS),
        affine=np.array(attributes["affine"], np.float64),
        slope=attributes["slope"],
        intercept=attributes["intercept"],
        header=base64.b64decode(attributes["header"], validate=True),
        format=attributes["format"],
        nonfinite=attributes["nonfinite_voxels"],
    )


def read_segmented(folder: Location) -> StoredSegmentation:
    """The segmentation in a scan's folder; errors as `read_native`."""
    box = _attributes(folder / "box")
    return StoredSegmentation(
        affine=np.array(_attributes(folder / "labels")["affine"], np.float64),
        hypothalamus=_array(folder / "labels", HYPOTHALAMUS),
        intracranial=_array(folder / "labels", INTRACRANIAL),
        head=_posterior(folder / "head", POSTERIOR_INTRACRANIAL),
        box=_posterior(folder / "box", POSTERIOR_HYPOTHALAMUS),
        mean=box["intensity_mean"],
        std=box["intensity_std"],
    )


def open_group(folder: Location, group: str) -> xr.Dataset:
    """One group of a scan as a lazy Dataset, one Dask chunk an array, fit for NetCDF; errors as `read_native`."""
    # Left alone, xarray takes the chunks inside the shard, and every one of them opens the shard again: hence -1.
    dataset: xr.Dataset
    refuse_other_versions(json.loads((folder / group / NAME).read_bytes()))
    remote = connection(folder / group)
    dataset = xr.open_zarr(folder / group if remote is None else ObjectStore(remote, read_only=True), chunks=-1, zarr_format=3)
    return _described(dataset)


def _described(dataset: xr.Dataset) -> xr.Dataset:
    """The same group with what is more than a line of its attributes as variables: NetCDF has no nested attributes.

    ``affine`` becomes a coordinate, names of labels the coordinate of their dim or CF's ``flag_values`` and ``flag_meanings``.
    """
    attributes = dict(dataset.attrs)
    made = dataset.assign_coords({AFFINE.name: (AFFINE.dims, np.array(attributes.pop(AFFINE.name), np.float64), AFFINE.attributes)})
    names = attributes.pop("labels", None)
    if isinstance(names, Mapping):
        flags = {"flag_values": np.array(list(map(int, names)), np.uint8), "flag_meanings": " ".join(names.values())}
        made[HYPOTHALAMUS.name] = made[HYPOTHALAMUS.name].assign_attrs(flags)
    elif names is not None:
        made = made.assign_coords(label=("label", np.array(names, object), {"long_name": "Subunit"}))
    made.attrs = attributes
    return made


def chunk_length(length: int) -> int:
    """Voxels of a chunk along an axis: at most `CHUNK`, chunks as equal as can be.

    >>> [chunk_length(length) for length in (1, 64, 181, 288)]
    [1, 64, 61, 58]
    """
    return ceil(length / ceil(length / CHUNK))


def _group(name: str, arrays: Mapping[Variable, Num[np.ndarray, "..."]], attributes: Mapping[str, Any]) -> Objects:
    """Objects of one group, its document last."""
    memory: dict[str, Buffer] = {}
    for variable, values in arrays.items():
        _encode(MemoryStore(memory), variable, values)
    objects = {key: memory[key].to_bytes() for key in sorted(memory) if key != NAME}
    document = encode(group_document(attributes, arrays=objects))
    return {f"{name}/{key}": data for key, data in {**objects, NAME: document}.items()}


def _encode(store: MemoryStore, variable: Variable, values: Num[np.ndarray, "..."]) -> None:
    """Encode one array into memory: one shard, every chunk written (one that is all zero too)."""
    spatial = [chunk_length(length) for length in values.shape[-3:]]
    chunks = (*values.shape[:-3], *spatial)
    array = zarr.create_array(
        store,
        name=variable.name,
        shape=values.shape,
        dtype=values.dtype.newbyteorder("<"),
        chunks=chunks,
        shards=tuple(ceil(length / chunk) * chunk for length, chunk in zip(values.shape, chunks, strict=True)),
        compressors=CODECS,
        dimension_names=variable.dims,
        attributes={**variable.attributes},
        config={"write_empty_chunks": True},
    )
    array[...] = values


def _attributes(folder: Location) -> dict[str, Any]:
    """Attributes of a group."""
    document = json.loads((folder / NAME).read_bytes())
    attributes: dict[str, Any] = document["attributes"]
    return attributes


def _array(folder: Location, variable: Variable) -> Shaped[np.ndarray, "..."]:
    """One array, whole. Zarr reads an object that is not there as zeros, so its absence is asked for first."""
    path, shard = folder / variable.name, "/".join(["c", *["0"] * len(variable.dims)])
    return np.asarray(open_array(path, (NAME, shard))[...])


def _posterior(folder: Location, variable: Variable) -> Posterior:
    """Posteriors and the grid they lie on."""
    values = _array(folder, variable)
    return Posterior(
        Grid((values.shape[-3], values.shape[-2], values.shape[-1]), np.array(_attributes(folder)["affine"], np.float64)), values
    )


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


def limit_threads(count: int) -> None:
    """Let Zarr encode and decode at most ``count`` chunks at once, in this process, from now on.

    Zarr's own limits (ten at once, four threads more than cores) multiply with those of a run that reads ahead or of
    Dask. Only a program sets this, never a library function: the setting is global. It must come before the first
    array is read or written, since Zarr makes its threads once.

    Parameters
    ----------
    count
        Threads, at least one.

    Examples
    --------
    >>> limit_threads(2)
    >>> zarr.config.get("async.concurrency")
    2
    """
    zarr.config.set({"async.concurrency": count, "threading.max_workers": count})
