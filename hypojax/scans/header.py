"""What a file declares about its voxels, and the bounds it must keep before any voxel is read.

nibabel opens a 64-byte file that declares 17 GB, NaN affines, and complex images (whose imaginary part it loses). What
a volume cannot be trusted with is refused here, with the value found.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from hypojax.grid import Affine, voxel_sizes
from hypojax.reason import HypojaxError, Reason

SMALLEST_VOXEL: Final = 0.2
"""mm; finer is not a T1-weighted scan of a living head but a wrong unit."""

LARGEST_VOXEL: Final = 10.0
"""mm; coarser holds no hypothalamus."""

LARGEST_BYTES: Final = 1 << 31
"""Decoded voxels; a matrix of 512 a side in float64 takes half of it."""

SCALED: Final = 4
"""Bytes of a voxel that is scaled, float32: what a network is made ready from."""

MAPS: Final = 2
"""Bytes of a voxel in the two label maps of a scan, which come when its voxels as stored are gone."""

LARGEST_OFFSET: Final = 1 << 26
"""Bytes that may lie before the first voxel (header extensions)."""

SIZE_TOLERANCE: Final = 0.01
"""Share by which two sizes of one voxel edge may differ in a header: 1 % of each edge is 3 % of a volume. Rounding stays far below."""

SIZE_CONFLICT: Final = "voxel_size_conflict"
"""Flag of a header that gives two voxel sizes."""

SMALLEST_BOX: Final = 1e-3
"""Least volume of the box spanned by unit voxel axes: 1 where they are square, 0 where they lie in a plane."""


@dataclass(frozen=True, eq=False)
class Header:
    """A header found sound.

    Parameters
    ----------
    raw
        Its fixed part as stored (348, 540 or 284 bytes), without extensions.
    format
        ``nifti1``, ``nifti2`` or ``mgh``.
    shape
        Voxels along each stored axis.
    dtype
        Of the stored voxels, in the file's byte order.
    offset
        Bytes before the first voxel in the decoded stream.
    affine
        Voxel-to-world, mm, RAS+.
    slope, intercept
        Scaled value = stored value × slope + intercept.
    flags
        What to look at: ``orientation_assumed`` where the file does not say which way its axes run and nibabel's guess
        stands in, ``orientation_conflict`` where it says so twice and differently, ``template_space`` where it names a template,
        ``voxel_size_conflict`` where it gives two voxel sizes.
    notes
        The same in sentences, where values belong to it.
    """

    raw: bytes
    format: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    affine: Affine
    slope: float
    intercept: float
    flags: tuple[str, ...]
    notes: tuple[str, ...] = ()


def work_bytes(voxels: int, *, itemsize: int) -> int:
    """Memory that so many voxels take while they are worked on: scaled, and beside that as stored, or later as label maps.

    >>> work_bytes(1270**3, itemsize=1) / 1e9
    12.290298
    """
    return voxels * (SCALED + max(itemsize, MAPS))


def checked_shape(sizes: list[int]) -> tuple[int, int, int]:
    """The three axes of a volume, trailing axes of one voxel dropped.

    Raises
    ------
    HypojaxError
        ``ZERO_DIMENSION`` or ``NOT_3D``.

    Examples
    --------
    >>> checked_shape([160, 192, 192, 1])
    (160, 192, 192)
    """
    declared = "×".join(str(size) for size in sizes)
    if any(size < 1 for size in sizes):
        raise HypojaxError(Reason.ZERO_DIMENSION, f"its header declares {declared} voxels; fetch the file again or exclude the scan")
    if len(sizes) < 3 or min(sizes[:3]) == 1:
        thin = "".join(f"axis {axis} has a single voxel: " for axis, size in enumerate(sizes[:3], start=1) if size == 1)
        raise HypojaxError(
            Reason.NOT_3D, f"it is {declared} voxels ({thin}a slice and not a volume); name the whole volume or exclude the scan"
        )
    several = [f"axis {axis} has {size} volumes" for axis, size in enumerate(sizes[3:], start=4) if size > 1]
    if several:
        found = f"it is {declared} voxels, several volumes in one file ({', '.join(several)})"
        raise HypojaxError(Reason.NOT_3D, f"{found}; write out the one to measure or exclude the scan")
    return sizes[0], sizes[1], sizes[2]


def unsupported_dtype(name: str) -> HypojaxError:
    """The refusal of voxels that are not one real number of at most eight bytes (complex, RGB, bit, 128-bit).

    >>> unsupported_dtype("complex64").reason.value
    'unsupported_dtype'
    """
    return HypojaxError(
        Reason.UNSUPPORTED_DTYPE,
        f"its voxels are of type {name}, not one real number of at most 64 bits; convert it (to float32, say) or exclude the scan",
    )


def checked_affine(matrix: Float[np.ndarray, "4 4"], *, unit: str = "mm") -> Affine:
    """A voxel-to-world matrix that is finite, can be inverted, and whose voxels are of a head scan's size.

    Parameters
    ----------
    matrix
        Voxel-to-world, mm, RAS+.
    unit
        The unit that the file names, for the sentence of a refusal.

    Raises
    ------
    HypojaxError
        ``AFFINE_NOT_FINITE``, ``AFFINE_SINGULAR`` or ``VOXEL_SIZE``.

    Examples
    --------
    >>> checked_affine(np.diag([1.0, 1.0, 12.5, 1.0]))
    Traceback (most recent call last):
    hypojax.reason.HypojaxError: its voxels are 1 × 1 × 12.5 mm, outside 0.2 to 10 mm; fix the header or exclude the scan
    """
    affine = matrix.astype(np.float64)
    if not np.isfinite(affine).all():
        raise HypojaxError(Reason.AFFINE_NOT_FINITE, "its affine holds NaN or infinity; fix the header or exclude the scan")
    sizes = voxel_sizes(affine)
    box = abs(float(np.linalg.det(affine[:3, :3] / sizes))) if sizes.all() else 0.0
    if not box >= SMALLEST_BOX:
        determinant = float(np.linalg.det(affine[:3, :3]))
        raise HypojaxError(
            Reason.AFFINE_SINGULAR, f"its affine is singular (determinant {determinant:.3g}); fix the header or exclude the scan"
        )
    if not (sizes.min() >= SMALLEST_VOXEL and sizes.max() <= LARGEST_VOXEL):
        found = " × ".join(f"{size:.3g}" for size in sizes)
        named = "" if unit == "mm" else f" (its header names the unit {unit})"
        raise HypojaxError(
            Reason.VOXEL_SIZE,
            f"its voxels are {found} mm{named}, outside {SMALLEST_VOXEL:g} to {LARGEST_VOXEL:g} mm; fix the header or exclude the scan",
        )
    return affine


def edges(sizes: Float[np.ndarray, "3"]) -> str:
    """Voxel edges in words.

    >>> edges(np.array([1.0, 1.25, 1.3333]))
    '1 × 1.25 × 1.333 mm'
    """
    return " × ".join(f"{size:.4g}" for size in sizes) + " mm"


def size_notes(counted: Affine, named: Float[np.ndarray, "3"], *, names: tuple[str, str], unit: str = "mm") -> tuple[str, ...]:
    """Sentences where a header gives a second size to the voxels of an affine, or another unit.

    Parameters
    ----------
    counted
        Voxel-to-world, mm, RAS+: the one that counts.
    named
        Edges by another field, mm; what is not positive and finite says nothing.
    names
        Of the field that the affine comes from, and of the other.
    unit
        That the header names; mm counts whatever it is, as for nibabel and most others.

    Examples
    --------
    >>> size_notes(np.eye(4), np.array([1.0, 1.1, 1.0]), names=("sform", "pixdim"))
    ('its sform gives voxels of 1 × 1 × 1 mm and its pixdim 1 × 1.1 × 1 mm (the sform counts); find out which is right and fix the header',)
    """
    found = voxel_sizes(counted)
    with np.errstate(invalid="ignore"):
        said = np.abs(named.astype(np.float64))
        apart = np.isfinite(said) & (said > 0) & (np.abs(said - found) > SIZE_TOLERANCE * found)
    notes = []
    if apart.any():
        counts, other = names
        sentence = f"its {counts} gives voxels of {edges(found)} and its {other} {edges(said)} (the {counts} counts)"
        notes.append(f"{sentence}; find out which is right and fix the header")
    if unit != "mm":
        sentence = f"its header names the unit {unit}, and its voxels of {edges(found)} are those of a head scan only in mm"
        notes.append(f"{sentence}, which counts; fix the unit, or the sizes")
    return tuple(notes)


def check_size(header: Header, *, most: int, budget: int | None = None) -> None:
    """Compare what a header declares with what the file can contain and the memory can hold, before anything is allocated.

    Parameters
    ----------
    header
        The header.
    most
        Decoded bytes that the file can contain at most.
    budget
        Bytes of memory that one scan may take; any number when left out.

    Raises
    ------
    HypojaxError
        ``TOO_LARGE`` or ``TRUNCATED``.
    """
    declared, voxels = "×".join(str(size) for size in header.shape), math.prod(header.shape)
    voxel_bytes = voxels * header.dtype.itemsize
    if voxel_bytes > LARGEST_BYTES or header.offset > LARGEST_OFFSET:
        raise HypojaxError(
            Reason.TOO_LARGE,
            f"its header declares {declared} voxels of {header.dtype.name}, {voxel_bytes / 1e9:.3g} GB after byte {header.offset}, "
            f"more than the {LARGEST_BYTES / 1e9:.3g} GB of the largest scan; fix the header or exclude the scan",
        )
    if header.offset + voxel_bytes > most:
        raise HypojaxError(
            Reason.TRUNCATED,
            f"its header declares {voxel_bytes} bytes of voxels ({declared}) and the file can hold {most} bytes in all; "
            "fetch the file again or exclude the scan",
        )
    needed = work_bytes(voxels, itemsize=header.dtype.itemsize)
    if budget is not None and needed > budget:
        need = f"{needed / 1e9:.3g} GB of memory (as stored, in float32, and as label maps)"
        there = f"{max(budget, 0) / 1e9:.3g} GB are available for a scan beside the network"
        step = "give more with --memory, take a machine with more, or exclude the scan"
        raise HypojaxError(Reason.TOO_LARGE, f"its {declared} voxels of {header.dtype.name} take {need}, and {there}; {step}")
