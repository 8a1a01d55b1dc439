"""One scan in memory: voxels as stored, and the scaled volume that everything else works on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Num

from hypojax.grid import Affine
from hypojax.reason import HypojaxError, Reason


@dataclass(frozen=True, eq=False)
class Image:
    """One scan as stored.

    Parameters
    ----------
    voxels
        As stored, in the stored orientation and type; byte order is the machine's. Read-only.
    affine
        Voxel-to-world, mm, RAS+.
    slope, intercept
        Scaled value = stored value × slope + intercept.
    header
        The fixed part of the file's header, as stored.
    format
        ``nifti1``, ``nifti2``, ``mgh``; ``dicom`` for a converted series, whose header is NIfTI-1.
    nonfinite
        Voxels that are NaN, infinite, or beyond float32 once scaled.
    flags
        What the header gives reason to look at: see `hypojax.scans.header.Header`.
    notes
        The same in sentences, with the values found, where a name does not say enough.
    """

    voxels: Num[np.ndarray, "i j k"]
    affine: Affine
    slope: float
    intercept: float
    header: bytes
    format: str
    nonfinite: int
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def scaled(self) -> Float32[np.ndarray, "i j k"]:
        """Stored values × slope + intercept, computed in float64, rounded once; non-finite voxels take the lowest finite value.

        Examples
        --------
        >>> image = Image(np.full((1, 1, 2), [1, 3], np.int16), np.eye(4), 0.5, 10.0, b"", "nifti1", 0)
        >>> image.scaled().tolist()
        [[[10.5, 11.5]]]
        """
        volume = np.empty_like(self.voxels, dtype=np.float32)
        for stored, target in zip(_slabs(self.voxels), _slabs(volume), strict=True):
            _scale(stored, target, self.slope, self.intercept)
        if self.nonfinite:
            finite = np.isfinite(volume)
            np.copyto(volume, volume.min(where=finite, initial=np.inf), where=~finite)
        return volume


def survey(voxels: Num[np.ndarray, "i j k"], *, slope: float, intercept: float) -> int:
    """Count the voxels that are not finite once scaled, and refuse an image without contrast.

    Raises
    ------
    HypojaxError
        ``NO_FINITE_VOXELS`` or ``CONSTANT_IMAGE``.

    Examples
    --------
    >>> survey(np.array([[[1.0, np.nan, 2.0]]]), slope=1.0, intercept=0.0)
    1
    """
    low, high, nonfinite = _finite_range(voxels, slope, intercept)
    if low > high:
        raise HypojaxError(Reason.NO_FINITE_VOXELS, "no voxel of it is a finite number; export it again or exclude the scan")
    if low == high:
        raise HypojaxError(Reason.CONSTANT_IMAGE, f"all its voxels are {low:g}; export it again or exclude the scan")
    return nonfinite


def _finite_range(voxels: Num[np.ndarray, "i j k"], slope: float, intercept: float) -> tuple[float, float, int]:
    """Lowest and highest finite scaled value, and how many are not finite; low > high where none is."""
    if voxels.dtype.kind in "iu":
        ends = np.array([voxels.min(), voxels.max()]) * slope + intercept
        if abs(ends).max() <= np.finfo(np.float32).max:
            low, high = sorted(ends.astype(np.float32).tolist())
            return low, high, 0
    low, high, nonfinite = np.inf, -np.inf, 0
    for stored in _slabs(voxels):
        target = np.empty_like(stored, dtype=np.float32)
        _scale(stored, target, slope, intercept)
        # One NaN makes both ends NaN, so that sound slabs need no mask.
        if not np.isfinite([target.min(), target.max()]).all():
            finite = target[np.isfinite(target)]
            nonfinite += target.size - finite.size
            target = finite
        low = min(low, float(target.min(initial=np.inf)))
        high = max(high, float(target.max(initial=-np.inf)))
    return low, high, nonfinite


def _slabs(volume: Num[np.ndarray, "i j k"]) -> Iterator[Num[np.ndarray, "p q"]]:
    """Views of neighbouring memory: slices along the axis that varies slowest."""
    slowest = int(np.argmax(np.abs(volume.strides)))
    return iter(np.moveaxis(volume, slowest, 0))


def _scale(stored: Num[np.ndarray, "p q"], target: Float32[np.ndarray, "p q"], slope: float, intercept: float) -> None:
    """Write the scaled values of one slab; slabs fit the cache, so that memory is passed once."""
    with np.errstate(over="ignore", invalid="ignore"):
        target[...] = stored if (slope, intercept) == (1.0, 0.0) else stored.astype(np.float64) * slope + intercept
