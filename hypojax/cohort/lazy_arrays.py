"""The arrays of a cohort over all its scans as Dask arrays, one chunk a scan: nothing is read before it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from jaxtyping import Bool, Float32, Int16, Num, Shaped, UInt8

from hypojax.reason import Reason, RunError, ScanError
from hypojax.schema import (
    BOX_SHAPE,
    HEAD,
    HEAD_DIMS,
    HEAD_IMAGE_RANGE,
    HEAD_MAPS,
    HEAD_SHAPE,
    IMAGE,
    IMAGE_MISSING,
    IMAGE_SCALE,
    MODEL_DIMS,
    PARTS,
    POSTERIOR,
    REGIONS,
    CohortArray,
    Variable,
)
from hypojax.storage import Location, digest
from hypojax.store.chunks import chunk_key, decoded_chunk, model_coordinates
from hypojax.store.ledger import read_record

SCALE: Final = np.float32(1 / 255)
"""Of posteriors in uint8, as xarray decodes them."""

ICV_MISSING: Final = "the intracranial volume is not a part of the box: NaN here, see head_posterior"


@dataclass(frozen=True, eq=False)
class ScanChunks:
    """One array over all scans, in the order of the table, for Dask to slice: a row is read when it is asked for.

    Parameters
    ----------
    root
        The store.
    stored
        The array that lies there.
    scans
        Id of each row's scan.
    done
        Whether it is finished; other rows are NaN, whatever is stored of them.
    decode
        What is stored of a scan → its values.
    shape
        Lengths of all dims.
    """

    root: Location
    stored: CohortArray
    scans: Shaped[np.ndarray, "scan"]
    done: Bool[np.ndarray, "scan"]
    decode: Callable[[Num[np.ndarray, "..."]], Float32[np.ndarray, "..."]]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Type of its values."""
        return np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """Number of dims."""
        return len(self.shape)

    def __getitem__(self, key: tuple[Any, ...]) -> Float32[np.ndarray, "..."]:
        """A part of some rows, as NumPy slices them."""
        first, *rest = key
        rows = np.arange(len(self.scans))[first]
        if not rows.shape:
            return self._row(int(rows))[tuple(rest)]
        found = [self._row(row) for row in rows.tolist()]
        return np.asarray(found, np.float32).reshape(len(rows), *self.shape[1:])[(slice(None), *rest)]

    def _row(self, row: int) -> Float32[np.ndarray, "..."]:
        """The values of one scan. Damaged bytes can make Zarr and its codecs raise anything, hence the wide net."""
        if not self.done[row]:
            return np.full(self.shape[1:], np.nan, np.float32)
        scan, key = str(self.scans[row]), chunk_key(self.stored, row)
        try:
            data = (self.root / key).read_bytes()
            values = self.decode(decoded_chunk(self.stored, data))
        except (MemoryError, RunError):
            raise  # says nothing about what is stored
        except Exception as error:
            what = f"its chunk of {self.stored.name} in {self.root} cannot be read ({error})"
            message = f"{what}; open the cohort again, or do the run again with --check, which writes it anew"
            raise ScanError(Reason.STORE_DAMAGED, scan, message) from error
        # After a removal the row may be that of another scan. The ledger has no folder of an id of which something is spelled out.
        record = read_record(self.root, scan)
        if "\\" not in scan and (record is None or record["files"].get(key) != digest(data)):
            message = f"{key} in {self.root} is not, or no longer, what its ledger record has; open the cohort again"
            raise ScanError(Reason.STORE_DAMAGED, scan, f"{message}, and if that does not help, do the run again with --check")
        return values


def lazy_arrays(root: Location, table: xr.Dataset) -> dict[str, xr.Variable | xr.DataArray]:
    """``posterior``, ``image``, ``head_image`` and ``head_posterior`` of a cohort, and their coordinates, by name.

    Parameters
    ----------
    root
        The store.
    table
        Its table, whose rows are those of the arrays.
    """
    scans, done = table["scan"].values, table["status"].values == "done"
    mark = table.attrs.get("ledger_sha256", "")
    found: dict[str, xr.Variable | xr.DataArray] = {
        name: variable for name, variable in model_coordinates().items() if name in {*MODEL_DIMS, *HEAD_DIMS}
    }
    for variable, stored, decode, shape in ARRAYS:
        chunks = ScanChunks(root, stored, scans, done, decode, (len(scans), *shape))
        name = f"{variable.name}-{tokenize(str(root), variable.name, len(scans), mark)}"
        # With a name given, Dask need not hash all ids; the graph holds the object once, not once for each scan.
        values = da.from_array(chunks, chunks=(1, *shape), name=name, meta=np.empty((0,) * chunks.ndim, np.float32))  # type: ignore[no-untyped-call]
        found[variable.name] = xr.Variable(variable.dims, values, variable.attributes)
    return found


def _posteriors(stored: UInt8[np.ndarray, "10 a s r"]) -> Float32[np.ndarray, "14 a s r"]:
    """Posteriors of all regions; a whole is the sum of its parts."""
    found = np.full((len(REGIONS), *BOX_SHAPE), np.nan, np.float32)
    for number, region in enumerate(REGIONS):
        if region in PARTS:
            values = PARTS[region]
            found[number] = stored[values[0] - 1 : values[-1]].sum(axis=0, dtype=np.uint16) * SCALE
    return found


def _image(stored: Int16[np.ndarray, "a s r"]) -> Float32[np.ndarray, "a s r"]:
    """Intensities of the box."""
    return np.where(stored == IMAGE_MISSING, np.float32(np.nan), stored * np.float32(IMAGE_SCALE))


def _head_image(stored: UInt8[np.ndarray, "2 a s r"]) -> Float32[np.ndarray, "a s r"]:
    """Intensities of the head."""
    low, high = HEAD_IMAGE_RANGE
    return stored[HEAD_MAPS.index("image")] * np.float32((high - low) / 255) + np.float32(low)


def _head_posterior(stored: UInt8[np.ndarray, "2 a s r"]) -> Float32[np.ndarray, "a s r"]:
    """Posterior of the intracranial volume."""
    return stored[HEAD_MAPS.index("posterior")] * SCALE


ARRAYS: Final = (
    (
        Variable("posterior", ("scan", "region", *MODEL_DIMS), "float32", "1", f"Posterior in the 1 mm box; {ICV_MISSING}"),
        POSTERIOR,
        _posteriors,
        (len(REGIONS), *BOX_SHAPE),
    ),
    (Variable("image", ("scan", *MODEL_DIMS), "float32", "1", IMAGE.long_name), IMAGE, _image, BOX_SHAPE),
    (
        Variable("head_image", ("scan", *HEAD_DIMS), "float32", "1", "The 2 mm head as the network saw it: z-scored intensities"),
        HEAD,
        _head_image,
        HEAD_SHAPE,
    ),
    (
        Variable("head_posterior", ("scan", *HEAD_DIMS), "float32", "1", "Posterior of the intracranial volume on the 2 mm head grid"),
        HEAD,
        _head_posterior,
        HEAD_SHAPE,
    ),
)
"""What a cohort shows → the array that is stored, how that becomes the values, and their shape for one scan."""

LAZY: Final = tuple(variable.name for variable, *_ in ARRAYS)
"""Names of these arrays."""
