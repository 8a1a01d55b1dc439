"""Arrays of a store as Zarr v3 objects, and back. A key is the path of an object below the store.

``native/<scan>`` (voxels exactly as in the file) and ``labels/<scan>`` (label maps on the same voxels) are arrays of their own, each one
shard of chunks of at most 128 voxels an axis, in which the first axis varies fastest, as in the files. What has one shape for all scans
lies in arrays over all scans, ``posterior``, ``image`` and ``head``, a chunk a scan: the template of such an array is a pure function of
its declaration in `hypojax.schema` and of the number of scans, and a chunk is encoded alone, so that nobody who writes a scan touches
what another writes. Every chunk has its own checksum, so that any Zarr reader refuses a flipped bit.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float32, Num, Shaped, UInt8
from zarr.abc.buffer import Buffer
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec
from zarr.storage import MemoryStore, ObjectStore

from hypojax.grid import Affine, Grid
from hypojax.schema import (
    AFFINE,
    HEAD,
    HEAD_IMAGE_RANGE,
    HYPOTHALAMUS,
    IMAGE,
    IMAGE_SCALE,
    INTRACRANIAL,
    LABEL_MAPS,
    LABELS,
    POSTERIOR,
    VOXELS,
    Variable,
)
from hypojax.storage import Location, Objects, connection
from hypojax.store.chunks import LABEL_ARRAYS, NATIVE, chunk_key, decoded_chunk, encoded_chunk, open_array
from hypojax.store.sealed import NAME, scan_key

CHUNK: Final = 128
"""Most voxels of a chunk along an axis; axes are divided evenly, so that no chunk is mostly padding."""

CODECS: Final = (BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec())
"""Fastest of the codecs that notice every flipped bit, and smaller than most: see ``benchmarks/store.py``."""

GEOMETRY: Final = "world (mm, RAS+) = affine @ (index along each axis, 1); indices count voxel centres from 0"


@runtime_checkable
class NativeImage(Protocol):
    """A scan as it is in its file: `hypojax.scans.Image` is one, `Native` another."""

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
        byte order of the file is in its header).
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
    head_image, box_image
        What the networks saw on these grids: z-scored intensities.
    mean, std
        Statistics of the z-score of the head, in scaled intensities of the scan.
    """

    affine: Affine
    hypothalamus: UInt8[np.ndarray, "i j k"]
    intracranial: UInt8[np.ndarray, "i j k"]
    head: Posterior
    box: Posterior
    head_image: Float32[np.ndarray, "a s r"]
    box_image: Float32[np.ndarray, "x y z"]
    mean: float
    std: float


def native_objects(scan: str, image: NativeImage) -> Objects:
    """The array of a scan in the group ``native``, its document last."""
    attributes = {
        "affine": image.affine.tolist(),
        "slope": float(image.slope),
        "intercept": float(image.intercept),
        "format": image.format,
        "nonfinite_voxels": int(image.nonfinite),
        "header": base64.b64encode(image.header).decode(),
        "comment": f"{GEOMETRY}; intensity = voxels * slope + intercept; header is the file's own, base64",
    }
    return _scan_objects(f"{NATIVE}/{scan_key(scan)}", VOXELS, image.voxels, attributes)


def segmented_objects(scan: str, slot: int, segmented: StoredSegmentation) -> Objects:
    """The array of a scan in the group ``labels``, and its chunks of the arrays over all scans."""
    attributes = {
        "affine": segmented.affine.tolist(),
        "map": [HYPOTHALAMUS.name, INTRACRANIAL.name],
        "labels": {str(value): name for value, name in LABELS.items()},
        "box_affine": segmented.box.grid.affine.tolist(),
        "head_affine": segmented.head.grid.affine.tolist(),
        "intensity_mean": float(segmented.mean),
        "intensity_std": float(segmented.std),
        "comment": GEOMETRY,
    }
    maps = np.stack([segmented.hypothalamus.T, segmented.intracranial.T]).transpose(0, 3, 2, 1)
    low, high = HEAD_IMAGE_RANGE
    head_image = np.round((np.clip(segmented.head_image, low, high) - low) * (255 / (high - low))).astype(np.uint8)
    box_image = np.round(np.clip(segmented.box_image / IMAGE_SCALE, 1 - 2**15, 2**15 - 1)).astype(np.int16)
    chunks = {POSTERIOR: segmented.box.values, IMAGE: box_image, HEAD: np.stack([head_image, segmented.head.values])}
    return {
        **{chunk_key(array, slot): encoded_chunk(array, values) for array, values in chunks.items()},
        **_scan_objects(f"{LABEL_ARRAYS}/{scan_key(scan)}", LABEL_MAPS, maps, attributes),
    }


def read_native(root: Location, scan: str) -> Native:
    """The native image of a scan in the store at ``root``.

    Raises
    ------
    Exception
        Whatever Zarr and its codecs raise on damaged objects; the caller names the scan.
    """
    folder = root / NATIVE / scan_key(scan)
    attributes = _attributes(folder)
    return Native(
        voxels=_array(folder, VOXELS),
        affine=np.array(attributes["affine"], np.float64),
        slope=attributes["slope"],
        intercept=attributes["intercept"],
        header=base64.b64decode(attributes["header"], validate=True),
        format=attributes["format"],
        nonfinite=attributes["nonfinite_voxels"],
    )


def read_segmented(root: Location, scan: str, slot: int) -> StoredSegmentation:
    """The segmentation of a scan; errors as `read_native`."""
    folder = root / LABEL_ARRAYS / scan_key(scan)
    attributes, maps = _attributes(folder), _array(folder, LABEL_MAPS)
    posterior, image, head = (decoded_chunk(array, (root / chunk_key(array, slot)).read_bytes()) for array in (POSTERIOR, IMAGE, HEAD))
    low, high = HEAD_IMAGE_RANGE
    return StoredSegmentation(
        affine=np.array(attributes["affine"], np.float64),
        hypothalamus=maps[0],
        intracranial=maps[1],
        head=_posterior(head[1], attributes["head_affine"]),
        box=_posterior(posterior, attributes["box_affine"]),
        head_image=head[0].astype(np.float32) * np.float32((high - low) / 255) + np.float32(low),
        box_image=image.astype(np.float32) * np.float32(IMAGE_SCALE),
        mean=attributes["intensity_mean"],
        std=attributes["intensity_std"],
    )


def open_scan_array(root: Location, group: str, scan: str) -> xr.Dataset:
    """The array of a scan in a group as a lazy Dataset, one Dask chunk, fit for NetCDF; errors as `read_native`.

    ``affine`` becomes a coordinate; label maps become variables, their labels CF's ``flag_values`` and ``flag_meanings``.
    """
    import dask.array as da  # here: it takes a quarter of a second, which a run spends when it waits (`hypojax.execute.pipeline`)

    folder = root / group / scan_key(scan)
    variable = VOXELS if group == NATIVE else LABEL_MAPS
    document = json.loads((folder / NAME).read_bytes())
    if document.get("zarr_format") != 3:  # in version 2 an array may name a codec that unpickles
        raise ValueError(f"{folder} is an array of another version of Zarr")
    remote = connection(folder)
    place = str(folder) if remote is None else ObjectStore(remote, read_only=True)
    # Left alone, Dask takes the chunks inside the shard, and every one of them opens the shard again: hence -1.
    values = da.from_array(  # type: ignore[no-untyped-call]
        zarr.open_array(place, mode="r", zarr_format=3), chunks=-1
    )
    attributes = dict(document["attributes"])
    affine = np.array(attributes.pop(AFFINE.name), np.float64)
    found = {variable.name: (variable.dims, values, variable.attributes)}
    if group == LABEL_ARRAYS:
        names = attributes.pop("labels")
        flags = {"flag_values": np.array(list(map(int, names)), np.uint8), "flag_meanings": " ".join(names.values())}
        found = {
            HYPOTHALAMUS.name: (HYPOTHALAMUS.dims, values[0], {**HYPOTHALAMUS.attributes, **flags}),
            INTRACRANIAL.name: (INTRACRANIAL.dims, values[1], INTRACRANIAL.attributes),
        }
    plain = {name: value for name, value in attributes.items() if name != "long_name" and not isinstance(value, list)}
    return xr.Dataset(found, coords={AFFINE.name: (AFFINE.dims, affine, AFFINE.attributes)}, attrs=plain)


def chunk_length(length: int) -> int:
    """Voxels of a chunk along an axis: at most `CHUNK`, chunks as equal as can be.

    >>> [chunk_length(length) for length in (1, 128, 181, 288)]
    [1, 128, 91, 96]
    """
    return ceil(length / ceil(length / CHUNK))


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


def _scan_objects(folder: str, variable: Variable, values: Num[np.ndarray, "..."], attributes: Mapping[str, Any]) -> Objects:
    """Objects of an array of one scan: one shard, every chunk written (one that is all zero too), the document last."""
    memory: dict[str, Buffer] = {}
    more = values.ndim - 3
    chunks = (*[1] * more, *(chunk_length(length) for length in values.shape[-3:]))
    # Chunks in the order of a file's voxels are cut out of these line by line, where any other order takes them one by one.
    as_in_files = TransposeCodec(order=(*range(more), more + 2, more + 1, more))
    array = zarr.create_array(
        MemoryStore(memory),
        shape=values.shape,
        dtype=values.dtype.newbyteorder("<"),
        chunks=chunks,
        shards=tuple(ceil(length / chunk) * chunk for length, chunk in zip(values.shape, chunks, strict=True)),
        filters=[as_in_files],
        compressors=CODECS,
        dimension_names=variable.dims,
        attributes={**variable.attributes, **attributes},
        config={"write_empty_chunks": True, "order": "F"},
    )
    array[...] = values
    return {f"{folder}/{key}": memory[key].to_bytes() for key in sorted(memory, key=lambda key: (key == NAME, key))}


def _attributes(folder: Location) -> dict[str, Any]:
    """Attributes of an array."""
    document = json.loads((folder / NAME).read_bytes())
    attributes: dict[str, Any] = document["attributes"]
    return attributes


def _array(folder: Location, variable: Variable) -> Shaped[np.ndarray, "..."]:
    """One array, whole. Zarr reads an object that is not there as zeros, so its absence is asked for first."""
    shard = "/".join(["c", *["0"] * len(variable.dims)])
    return np.asarray(open_array(folder, (NAME, shard))[...])


def _posterior(values: UInt8[np.ndarray, "*label a s r"], affine: Any) -> Posterior:  # noqa: ANN401 - nested lists of JSON
    """Posteriors and the grid they lie on."""
    return Posterior(Grid((values.shape[-3], values.shape[-2], values.shape[-1]), np.array(affine, np.float64)), values)
