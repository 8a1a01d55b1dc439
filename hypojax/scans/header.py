"""What the header of a NIfTI or MGH file declares about its voxels, and the bounds it must keep before any voxel is read.

nibabel opens a 64-byte file that declares 17 GB, NaN affines, and complex images (whose imaginary part it loses). What
a volume cannot be trusted with is refused here, with the value found. The affine of a NIfTI file is the sform where its code
is positive, else the qform, else a guess from the voxel sizes; a slope of zero or NaN means unscaled.
"""

import logging
import math
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.nifti1 import Nifti1Header, data_type_codes, unit_codes
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from hypojax.grid import Affine, voxel_sizes
from hypojax.reason import HypojaxError, Reason
from hypojax.ties import MARGIN

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

    @property
    def voxel_bytes(self) -> int:
        """Size of all voxels, bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def work_bytes(self) -> int:
        """Memory that the scan takes while it is worked on."""
        return work_bytes(math.prod(self.shape), itemsize=self.dtype.itemsize)


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


def size_notes(counted: Affine, named: Float[np.ndarray, "3"], *, names: tuple[str, str]) -> tuple[str, ...]:
    """A sentence where a header gives a second size to the voxels of an affine.

    Parameters
    ----------
    counted
        Voxel-to-world, mm, RAS+: the one that counts.
    named
        Edges by another field, mm; what is not positive and finite says nothing.
    names
        Of the field that the affine comes from, and of the other.

    Examples
    --------
    >>> size_notes(np.eye(4), np.array([1.0, 1.1, 1.0]), names=("sform", "pixdim"))
    ('its sform gives voxels of 1 × 1 × 1 mm and its pixdim 1 × 1.1 × 1 mm (the sform counts); find out which is right and fix the header',)
    """
    found = voxel_sizes(counted)
    with np.errstate(invalid="ignore"):
        said = np.abs(named.astype(np.float64))
        apart = np.isfinite(said) & (said > 0) & (np.abs(said - found) > SIZE_TOLERANCE * found)
    if not apart.any():
        return ()
    counts, other = names
    sentence = f"its {counts} gives voxels of {edges(found)} and its {other} {edges(said)} (the {counts} counts)"
    return (f"{sentence}; find out which is right and fix the header",)


def check_memory(header: Header, *, room: int) -> None:
    """Hold what a scan will take of memory against what there is, from its header alone.

    Parameters
    ----------
    header
        The header.
    room
        Bytes that the voxels of one scan may take.

    Raises
    ------
    HypojaxError
        ``TOO_LARGE``.
    """
    if header.work_bytes <= room:
        return
    declared = f"{'×'.join(str(size) for size in header.shape)} voxels of {header.dtype.name}"
    need = f"{header.work_bytes / 1e9:.3g} GB of memory (as stored, in float32, and as label maps)"
    there = f"{max(room, 0) / 1e9:.3g} GB are there for a scan beside the network"
    step = "give more with --memory, take a machine with more, or exclude the scan"
    raise HypojaxError(Reason.TOO_LARGE, f"its {declared} take {need}, and {there}; {step}")


def check_bytes(header: Header, *, most: int) -> None:
    """Hold what a header declares against what the file can hold, before anything is allocated.

    Parameters
    ----------
    header
        The header.
    most
        Decoded bytes that the file can hold at most.

    Raises
    ------
    HypojaxError
        ``TOO_LARGE`` or ``TRUNCATED``.
    """
    declared = "×".join(str(size) for size in header.shape)
    if header.voxel_bytes > LARGEST_BYTES or header.offset > LARGEST_OFFSET:
        raise HypojaxError(
            Reason.TOO_LARGE,
            f"its header declares {declared} voxels of {header.dtype.name}, {header.voxel_bytes / 1e9:.3g} GB after byte {header.offset}, "
            f"more than the {LARGEST_BYTES / 1e9:.3g} GB of the largest scan; fix the header or exclude the scan",
        )
    if header.offset + header.voxel_bytes > most:
        raise HypojaxError(
            Reason.TRUNCATED,
            f"its header declares {header.voxel_bytes} bytes of voxels ({declared}) and the file can hold {most} bytes in all; "
            "fetch the file again or exclude the scan",
        )


Field = np.ndarray[Any, np.dtype[Any]]
"""One field of a header; a number is an array of no dimension."""

SIZES: Final[dict[int, type[Nifti1Header]]] = {348: Nifti1Header, 540: Nifti2Header}
"""Size of the fixed part, bytes, which is also its first number → how nibabel reads it."""

QUIET: Final = logging.getLogger(__name__)
"""nibabel prints what it repairs in a header; what matters of it is refused here."""
QUIET.setLevel(logging.CRITICAL + 1)

TEMPLATES: Final = frozenset({3, 4, 5})
"""NIfTI codes of an affine to a template: Talairach, MNI 152, another."""

WIDEST: Final = 0.5**0.5
"""Cosine of 45 degrees: two axes further apart point to different sides of the head."""

PAIR: Final = "the header of a pair of NIfTI files (.hdr and .img)"
"""What a file is whose voxels lie in another."""

REAL_TYPES: Final = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
"""NIfTI code → NumPy type, of those that are one real number of at most eight bytes."""


@runtime_checkable
class NiftiFields(Protocol):
    """What is used of nibabel's NIfTI headers, which carry no types: fields by name, and what they mean together."""

    sizeof_hdr: int
    single_magic: bytes
    single_vox_offset: int

    @property
    def endianness(self) -> Literal["<", ">"]: ...  # noqa: D102
    @property
    def binaryblock(self) -> bytes: ...  # noqa: D102
    def __getitem__(self, name: str) -> Field: ...
    def __setitem__(self, name: str, value: object) -> None: ...
    def check_fix(self, logger: logging.Logger, error_level: int) -> None: ...  # noqa: D102
    def get_best_affine(self) -> Field: ...  # noqa: D102
    def get_qform(self) -> Field: ...  # noqa: D102
    def get_data_dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    def get_slope_inter(self) -> tuple[float | None, float | None]: ...  # noqa: D102
    def set_data_dtype(self, dtype: np.dtype[Any]) -> None: ...  # noqa: D102
    def set_sform(self, affine: Affine, code: int) -> None: ...  # noqa: D102
    def set_qform(self, affine: Affine, code: int) -> None: ...  # noqa: D102


def byte_order(start: bytes) -> str | None:
    """``<`` or ``>`` where these first four bytes begin a NIfTI header, else None.

    >>> byte_order((348).to_bytes(4, "big"))
    '>'
    """
    orders = {"<": int.from_bytes(start, "little"), ">": int.from_bytes(start, "big")}
    return next((order for order, size in orders.items() if size in SIZES), None)


def header_size(start: bytes) -> int:
    """Bytes of the fixed part of the header that begins so."""
    return int.from_bytes(start, "little" if byte_order(start) == "<" else "big")


def nifti_fields(raw: bytes) -> NiftiFields:
    """The fields of a header as stored, nothing repaired."""
    return SIZES[len(raw)](raw, endianness=byte_order(raw[:4]), check=False)


def new_fields() -> NiftiFields:
    """The fields of an empty NIfTI-1 header, little-endian."""
    return nifti_fields((348).to_bytes(4, "little") + Nifti1Header(endianness="<").binaryblock[4:])  # type: ignore[no-untyped-call]


def parse_nifti(raw: bytes) -> Header:
    """Check the fixed part of a NIfTI header.

    Raises
    ------
    HypojaxError
        With the reason why it was refused.
    """
    fields = nifti_fields(raw)
    if fields["magic"].item() != fields.single_magic:
        what = {b"": "an Analyze 7.5 header", b"ni1": PAIR, b"ni2": PAIR}.get(fields["magic"].item().rstrip(b"\0"), "no single NIfTI file")
        found = f"its magic is {fields['magic'].item()!r}: it is {what}"
        raise HypojaxError(Reason.NOT_AN_IMAGE, f"{found}; convert it, with its voxels, to .nii.gz, or exclude the scan")
    shape, dtype, offset = _shape(fields), _dtype(fields), _offset(fields)
    slope, intercept = scaling(fields)
    affine = nifti_affine(raw)
    notes = nifti_size_notes(raw, affine)
    return Header(
        raw=raw,
        format=f"nifti{1 if fields.sizeof_hdr == 348 else 2}",
        shape=shape,
        dtype=dtype,
        offset=offset,
        affine=affine,
        slope=slope,
        intercept=intercept,
        flags=(*orientation_flags(raw), *([SIZE_CONFLICT] if notes else [])),
        notes=notes,
    )


def nifti_affine(raw: bytes) -> Affine:
    """The affine that counts, mm, RAS+; a guess from the voxel sizes where the file states none.

    Raises
    ------
    HypojaxError
        ``AFFINE_NOT_FINITE``, ``AFFINE_SINGULAR``, ``VOXEL_SIZE``, or ``CORRUPTED`` where nibabel would not open it.
    """
    fields = nifti_fields(raw)
    edges = fields["pixdim"][1:4].copy()
    try:
        fields.check_fix(QUIET, error_level=logging.ERROR)
    except HeaderDataError as error:
        raise HypojaxError(Reason.CORRUPTED, f"its header is damaged ({error}); fix it or exclude the scan") from error
    if not fields["sform_code"] and not edges.all():
        # nibabel takes 1 mm here; a volume in mm³ cannot rest on that.
        raise HypojaxError(Reason.VOXEL_SIZE, f"its header gives voxel sizes of {edges.tolist()} mm; fix the header or exclude the scan")
    try:
        matrix = fields.get_best_affine()
    except (HeaderDataError, ValueError) as error:
        raise HypojaxError(
            Reason.AFFINE_NOT_FINITE, f"its qform is not a rotation ({error}); fix the header or exclude the scan"
        ) from error
    return checked_affine(np.asarray(matrix, np.float64), unit=_unit(fields))


def nifti_size_notes(raw: bytes, affine: Affine) -> tuple[str, ...]:
    """Where the fields of a header disagree on the voxel size: the affine that counts, ``pixdim``, and the unit."""
    fields = nifti_fields(raw)
    unit = _unit(fields)
    sizes = size_notes(affine, fields["pixdim"][1:4], names=("sform", "pixdim")) if fields["sform_code"] > 0 else ()
    if unit == "mm":
        return sizes
    sentence = f"its header names the unit {unit}, and its voxels of {edges(voxel_sizes(affine))} are those of a head scan only in mm"
    return (*sizes, f"{sentence}, which counts; fix the unit, or the sizes")


def orientation_flags(raw: bytes) -> tuple[str, ...]:
    """What is to be looked at in the orientation of a header that `nifti_affine` takes."""
    fields = nifti_fields(raw)
    fields.check_fix(QUIET, error_level=logging.ERROR)  # codes that NIfTI does not have become 0
    sform, qform = int(fields["sform_code"]), int(fields["qform_code"])
    raised = {
        "orientation_assumed": not sform and not qform,
        "orientation_conflict": bool(sform and qform) and _contradict(fields),
        "template_space": (sform or qform) in TEMPLATES,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)


def _contradict(fields: NiftiFields) -> bool:
    """Whether sform and qform send a voxel axis more than 45 degrees apart, or one of them mirrors and the other does not.

    Smaller angles are usual: a registration writes the one and leaves the other as the scanner had it. A quaternion
    that is none says nothing.
    """
    try:
        with np.errstate(all="ignore"):  # a qform that does not count may hold anything
            turned = np.asarray(fields.get_qform(), np.float64)[:3, :3]
    except (HeaderDataError, ValueError):
        return False
    longest = np.abs(turned).max(axis=0)
    if not (np.isfinite(turned).all() and longest.all()):
        return False
    counted, turned = np.asarray(fields.get_best_affine(), np.float64)[:3, :3], turned / longest
    cosines = (counted * turned).sum(axis=0) / (np.linalg.norm(counted, axis=0) * np.linalg.norm(turned, axis=0))
    mirrored = np.linalg.det(counted) * np.linalg.det(turned) < 0
    return bool(cosines.min() < WIDEST - MARGIN or mirrored)


def _unit(fields: NiftiFields) -> str:
    """Name of the unit that the header gives; nibabel, like most, takes mm whatever it says."""
    code = int(fields["xyzt_units"]) % 8
    return str(unit_codes.label[code]) if code in (1, 3) else "mm"


def _shape(fields: NiftiFields) -> tuple[int, int, int]:
    """The three axes."""
    axes = int(fields["dim"][0])
    if not 1 <= axes <= 7:
        raise HypojaxError(Reason.NOT_3D, f"its header declares {axes} dimensions; fix the header or exclude the scan")
    return checked_shape([int(size) for size in fields["dim"][1 : 1 + axes]])


def _dtype(fields: NiftiFields) -> np.dtype[Any]:
    """Type of the stored voxels, in the file's byte order."""
    code = int(fields["datatype"])
    if code not in REAL_TYPES:
        known = code in data_type_codes.value_set("code")
        raise unsupported_dtype(f"{data_type_codes.label[code] if known else 'unknown'} (code {code})")
    return np.dtype(fields.endianness + REAL_TYPES[code])


def _offset(fields: NiftiFields) -> int:
    """Bytes before the first voxel."""
    offset = float(fields["vox_offset"])
    if not fields.sizeof_hdr <= offset < 1 << 62:
        raise HypojaxError(
            Reason.CORRUPTED,
            f"its header says that voxels begin at byte {offset:g}, which is not behind the header; fix the header or exclude the scan",
        )
    return int(offset)


def scaling(fields: NiftiFields) -> tuple[float, float]:
    """Slope and intercept; (1, 0) where the slope is zero, NaN or infinite."""
    try:
        slope, intercept = fields.get_slope_inter()
    except HeaderDataError as error:
        raise HypojaxError(Reason.CORRUPTED, f"its intensity scaling is unusable ({error}); fix the header or exclude the scan") from error
    return (1.0, 0.0) if slope is None or intercept is None else (slope, intercept)


MGH_SIZE: Final = 284
"""Bytes before the first voxel: the fields and unused space."""

MGH_FIELDS: Final = 90
"""Bytes of the fields; nibabel would take what lies behind them for the footer (repetition time and the like)."""

MGH_TYPES: Final = {0: "u1", 1: "i4", 3: "f4", 4: "i2", 10: "u2"}
"""MGH code → NumPy type."""


def is_mgh(start: bytes) -> bool:
    """Whether these first four bytes begin an MGH header (version 1).

    >>> is_mgh(bytes([0, 0, 0, 1]))
    True
    """
    return int.from_bytes(start, "big") == 1


def parse_mgh(raw: bytes) -> Header:
    """Check an MGH header.

    Raises
    ------
    HypojaxError
        With the reason why it was refused.
    """
    fields = MGHHeader(raw[:MGH_FIELDS], check=False)  # type: ignore[no-untyped-call]
    shape = checked_shape([int(size) for size in fields["dims"]])
    code = int(fields["type"])
    if code not in MGH_TYPES:
        raise unsupported_dtype(f"MGH code {code}")
    affine = checked_affine(np.asarray(fields.get_affine(), np.float64))  # type: ignore[no-untyped-call]
    oriented = int.from_bytes(raw[28:30], "big")
    # Without the mark that they are good nibabel, as FreeSurfer, takes 1 mm whatever the file says.
    names = ("matrix of directions" if oriented else "default size", "spacing")
    notes = size_notes(affine, np.frombuffer(raw[30:42], ">f4"), names=names)
    return Header(
        raw=raw,
        format="mgh",
        shape=shape,
        dtype=np.dtype(f">{MGH_TYPES[code]}"),
        offset=MGH_SIZE,
        affine=affine,
        slope=1.0,
        intercept=0.0,
        flags=(*([] if oriented else ["orientation_assumed"]), *([SIZE_CONFLICT] if notes else [])),
        notes=notes,
    )
