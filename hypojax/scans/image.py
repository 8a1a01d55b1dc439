"""One scan in memory: voxels as stored, and the scaled volume that everything else works on."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from isal import isal_zlib
from jaxtyping import Float32, Num

from hypojax.grid import Affine
from hypojax.reason import HypojaxError, Reason
from hypojax.scaling import Range, find_range, intensities, scale, slabs

LEAST_STEPS: Final = 64
"""Numbers between lowest and highest value below which an image in a floating type has lost its contrast."""

DIGITS: Final = 32
"""Hexadecimal digits of a checksum of voxels."""


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
        Voxels that hold no intensity: NaN, infinite, or so far from all others that they mark a missing value.
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
        for stored, target in zip(slabs(self.voxels), slabs(volume), strict=True):
            scale(stored, target, self.slope, self.intercept)
        if self.nonfinite:
            finite = np.isfinite(volume)
            np.copyto(volume, volume.min(where=finite, initial=np.inf), where=~finite)
        return volume

    def intensities(self) -> Float32[np.ndarray, "i j k"]:
        """What a network is to see: as `scaled`, without marks of missing values, and in a range that float32 holds (`hypojax.scaling`)."""
        return intensities(self.voxels, slope=self.slope, intercept=self.intercept)

    def checksum(self) -> str:
        """A checksum of shape and scaled voxels, whatever format, type or header of the file they are from: equal where the voxels are.

        CRC-32 of each slice along the last axis, and the first half of SHA-256 of those: fast, and no two scans share it by chance.

        Examples
        --------
        >>> stored = [Image(np.full((2, 2, 2), 3, dtype), np.eye(4), 2.0, 0.0, b"", "nifti1", 0) for dtype in (np.int16, np.float32)]
        >>> stored[0].checksum() == stored[1].checksum()
        True
        """
        parts = [np.array(self.voxels.shape, "<i8").tobytes()]
        for stored in np.moveaxis(self.voxels, -1, 0):
            plane = np.empty(stored.shape, "<f4", order="F")
            scale(stored, plane, self.slope, self.intercept)
            parts.append(isal_zlib.crc32(plane.T.data).to_bytes(4, "little"))
        return hashlib.sha256(b"".join(parts)).hexdigest()[:DIGITS]


def survey(voxels: Num[np.ndarray, "i j k"], *, slope: float, intercept: float) -> int:
    """Count the voxels that hold no intensity (not finite once scaled, or marks), and refuse an image without contrast.

    Raises
    ------
    HypojaxError
        ``NO_FINITE_VOXELS`` or ``CONSTANT_IMAGE``.

    Examples
    --------
    >>> survey(np.array([[[1.0, np.nan, 2.0]]]), slope=1.0, intercept=0.0)
    1
    """
    found = find_range(voxels, slope=slope, intercept=intercept)
    if found.low > found.high:
        raise HypojaxError(Reason.NO_FINITE_VOXELS, "no voxel of it is a finite number; export it again or exclude the scan")
    if found.low == found.high:
        scaling = "" if (slope, intercept) == (1.0, 0.0) else f" (slope {slope:g}, intercept {intercept:g})"
        raise HypojaxError(Reason.CONSTANT_IMAGE, f"all its voxels are {found.low:g}{scaling}; export it again or exclude the scan")
    if (count := steps(voxels.dtype, found, slope=slope, intercept=intercept)) < LEAST_STEPS:
        stored = f"{voxels.dtype.name}, slope {slope:g}, intercept {intercept:g}"
        values = f"its voxels lie between {found.low:g} and {found.high:g} with {count:.0f} steps between ({stored})"
        raise HypojaxError(Reason.CONSTANT_IMAGE, f"{values}, so that contrast is lost; export it again or exclude the scan")
    return found.left_out


def steps(dtype: np.dtype[Any], found: Range, *, slope: float, intercept: float) -> float:
    """How many numbers lie between lowest and highest value: of the stored type, where it is a floating one, and of float64 once scaled.

    >>> round(steps(np.dtype(np.float32), Range(0.0, 1.4e-45, 0), slope=1.0, intercept=0.0))
    1
    >>> steps(np.dtype(np.int16), Range(1e17, 1e17 + 128, 0), slope=1.0, intercept=1e17)
    8.0
    """
    with np.errstate(all="ignore"):
        stored = (np.array([found.low, found.high]) - intercept) / slope if dtype.kind == "f" else np.array([found.low, found.high])
        kind = dtype.type if dtype.kind == "f" else np.float64
        counts = [
            float(np.abs(ends[1] / 2 - ends[0] / 2) / np.spacing(of(np.abs(ends).max())) * 2)
            for of, ends in ((kind, stored), (np.float64, np.array([found.low, found.high])))
        ]
    return min((count for count in counts if np.isfinite(count)), default=np.inf)
