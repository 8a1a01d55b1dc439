"""One scan in memory: voxels as stored, the scaled volume that everything else works on, and whether they are a scan or a label map.

A label map has few values, and is constant but for its borders, where it leaps from one label to any other. A scan of as few grey
values has texture, or goes from one value to the next by way of those between. The limits below were measured on 18 heads with 3 to 255
grey values and eleven label maps and masks.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from isal import isal_zlib
from jaxtyping import Bool, Float32, Num, Shaped

from hypojax.grid import Affine
from hypojax.preprocessing.scaling import Range, find_range, scale, slabs
from hypojax.reason import HypojaxError, Reason
from hypojax.tables.cells import counted

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


MOST: Final = 500
"""Values of a label map; parcellations of a whole head have about 200."""

ALWAYS: Final = 7
"""Values that are too few for any scan."""

EQUAL: Final = 0.6
"""Share of neighbours with the same value, background left out: 0.75 and more in label maps."""

LEAPS: Final = 0.45
"""Share of leaps over a value that lies between among neighbours that differ: 0.7 and more in label maps, 0.25 at most in scans with
as many equal neighbours."""

ISOLATED: Final = 0.04
"""Share of voxels without an equal neighbour in the slice: 0.013 at most in label maps. In phantoms without noise, which are as constant
and leap as much, it is 0.14 and more, since their borders hold partial volumes."""

PLANES: Final = 24
"""Slices that are looked at."""

SPARSE: Final = 0.02
"""Share of voxels that are not background below which slices may miss what there is."""

Planes = Num[np.ndarray, "_ _ _"]


def refuse_label_map(image: Image) -> None:
    """Refuse an image that holds labels and no scan; ten milliseconds.

    Raises
    ------
    HypojaxError
        ``LABEL_MAP``, with how many values it has.
    """
    if count := label_count(image.voxels):
        what = "a mask" if count == 2 else "a label map"
        message = f"it holds {counted(int(count), 'value')} and no texture, so that it is {what} and no scan"
        raise HypojaxError(Reason.LABEL_MAP, f"{message}; name the T1-weighted image that it belongs to, or exclude it")


def label_count(voxels: Num[np.ndarray, "i j k"]) -> int:
    """How many values a label map has, its background among them; 0 where the voxels are none.

    >>> blocks = np.kron(np.arange(8).reshape(2, 2, 2) * 3 % 8, np.ones((6, 6, 6), int))
    >>> label_count(blocks), label_count(np.arange(1000).reshape(10, 10, 10) % 50)
    (8, 0)
    """
    planes = _planes(voxels)
    if len(np.unique(planes[::4, ::4])) > MOST:
        return 0
    values, counts = np.unique(planes, return_counts=True)
    ground = values[counts.argmax()]
    if counts.max() > (1 - SPARSE) * planes.size:
        inside = voxels != ground
        planes = _cropped(voxels, inside)
        values = np.unique(voxels[inside])
    count = len(values) + int(ground not in values)
    if not 2 <= count <= MOST:
        return 0
    if count <= ALWAYS:
        return count
    inside = planes != ground
    if (values != np.round(values)).any() or _equal_share(planes, inside) < EQUAL:
        return 0
    leaps, isolated = _texture(np.searchsorted(values, planes), inside)
    return count if leaps >= LEAPS and isolated <= ISOLATED else 0


def _planes(voxels: Num[np.ndarray, "i j k"]) -> Planes:
    """Slices along the last axis, from all of it."""
    step = -(-voxels.shape[2] // PLANES)
    return np.ascontiguousarray(voxels[:, :, step // 2 :: step])


def _cropped(voxels: Num[np.ndarray, "i j k"], inside: Bool[np.ndarray, "i j k"]) -> Planes:
    """Slices of the smallest block with all that is inside."""
    ends = []
    for axis in range(3):
        along = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append(slice(along[0], along[-1] + 1) if along.size else slice(0, 1))
    return _planes(voxels[tuple(ends)])


def _neighbours(planes: Shaped[np.ndarray, "a b c"], axis: int) -> tuple[Shaped[np.ndarray, "p q r"], Shaped[np.ndarray, "p q r"]]:
    """Voxels of slices and the next ones along an axis."""
    along = np.moveaxis(planes, axis, 0)
    return along[:-1], along[1:]


def _equal_share(planes: Planes, inside: Bool[np.ndarray, "a b c"]) -> float:
    """Share of neighbours in a slice that are equal."""
    equal = pairs = 0
    for axis in (0, 1):
        both = np.logical_and(*_neighbours(inside, axis))
        pairs += int(np.count_nonzero(both))
        equal += int(np.count_nonzero(both & np.equal(*_neighbours(planes, axis))))
    return equal / max(pairs, 1)


def _texture(ranks: Num[np.ndarray, "a b c"], inside: Bool[np.ndarray, "a b c"]) -> tuple[float, float]:
    """Of neighbours in a slice that differ, the share that leaps over a value; share of voxels alone."""
    alone, differ, leaps = inside.copy(), 0, 0
    for axis in (0, 1):
        both, step = np.logical_and(*_neighbours(inside, axis)), np.abs(np.subtract(*_neighbours(ranks, axis)))
        different = step > 0
        for lonely in _neighbours(alone, axis):
            np.logical_and(lonely, different, out=lonely)
        differ += int(np.count_nonzero(different & both))
        leaps += int(np.count_nonzero((step > 1) & both))
    return leaps / max(differ, 1), int(np.count_nonzero(alone)) / max(int(np.count_nonzero(inside)), 1)
