"""NIfTI-1, NIfTI-2 and MGH headers as nibabel understands them.

The affine of a NIfTI file is the sform where its code is positive, else the qform, else a guess from the voxel sizes; a slope of zero
or NaN means unscaled. MGH is big-endian, never scaled, and has 284 bytes before its voxels.
"""

import logging
from contextlib import suppress
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.nifti1 import Nifti1Header, data_type_codes
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from hypojax.grid import MARGIN, Affine
from hypojax.reason import HypojaxError, Reason
from hypojax.scans.header import SIZE_CONFLICT, Header, checked_affine, checked_shape, size_notes, unsupported_dtype

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

UNITS: Final = {1: "meter", 3: "micron"}
"""NIfTI codes of units of length other than mm."""

MGH_SIZE: Final = 284
"""Bytes before the first voxel of an MGH file: the fields and unused space."""

MGH_FIELDS: Final = 90
"""Bytes of the fields; nibabel would take what lies behind them for the footer (repetition time and the like)."""

MGH_TYPES: Final = {0: "u1", 1: "i4", 3: "f4", 4: "i2", 10: "u2"}
"""MGH code → NumPy type."""


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


def header_size(start: bytes) -> int:
    """Bytes of the fixed part of the header that begins with these four bytes; 0 where it is neither NIfTI nor MGH (version 1).

    >>> header_size((348).to_bytes(4, "big")), header_size(bytes([0, 0, 0, 1])), header_size(b"BZh9")
    (348, 284, 0)
    """
    little, big = (int.from_bytes(start, order) for order in ("little", "big"))
    return little if little in SIZES else big if big in SIZES else MGH_SIZE * (big == 1)


def nifti_fields(raw: bytes) -> NiftiFields:
    """The fields of a header as stored, nothing repaired."""
    return SIZES[len(raw)](raw, endianness="<" if int.from_bytes(raw[:4], "little") in SIZES else ">", check=False)


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
    axes, code, offset = int(fields["dim"][0]), int(fields["datatype"]), float(fields["vox_offset"])
    if not 1 <= axes <= 7:
        raise HypojaxError(Reason.NOT_3D, f"its header declares {axes} dimensions; fix the header or exclude the scan")
    shape = checked_shape([int(size) for size in fields["dim"][1 : 1 + axes]])
    if code not in REAL_TYPES:
        known = code in data_type_codes.value_set("code")
        raise unsupported_dtype(f"{data_type_codes.label[code] if known else 'unknown'} (code {code})")
    if not fields.sizeof_hdr <= offset < 1 << 62:
        found = f"its header says that voxels begin at byte {offset:g}, which is not behind the header"
        raise HypojaxError(Reason.CORRUPTED, f"{found}; fix the header or exclude the scan")
    slope, intercept = scaling(fields)
    affine = nifti_affine(raw)
    named = np.where(fields["sform_code"] > 0, fields["pixdim"][1:4], 0)  # without a sform the affine is made of these
    notes = size_notes(affine, named, names=("sform", "pixdim"), unit=UNITS.get(int(fields["xyzt_units"]) % 8, "mm"))
    return Header(
        raw=raw,
        format=f"nifti{1 if fields.sizeof_hdr == 348 else 2}",
        shape=shape,
        dtype=np.dtype(fields.endianness + REAL_TYPES[code]),
        offset=int(offset),
        affine=affine,
        slope=slope,
        intercept=intercept,
        flags=(*_orientation_flags(raw), *([SIZE_CONFLICT] if notes else [])),
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
    return checked_affine(np.asarray(matrix, np.float64), unit=UNITS.get(int(fields["xyzt_units"]) % 8, "mm"))


def _orientation_flags(raw: bytes) -> tuple[str, ...]:
    """What is to be looked at in the orientation of a header that `nifti_affine` takes.

    Sform and qform contradict each other where they send a voxel axis more than 45 degrees apart, or one of them mirrors and the other
    does not. Smaller angles are usual: a registration writes the one and leaves the other as the scanner had it. A quaternion that is
    none says nothing.
    """
    fields = nifti_fields(raw)
    fields.check_fix(QUIET, error_level=logging.ERROR)  # codes that NIfTI does not have become 0
    sform, qform, contradict = int(fields["sform_code"]), int(fields["qform_code"]), False
    if sform and qform:
        with suppress(HeaderDataError, ValueError), np.errstate(all="ignore"):  # a qform that does not count may hold anything
            turned = np.asarray(fields.get_qform(), np.float64)[:3, :3]
            longest = np.abs(turned).max(axis=0)
            if np.isfinite(turned).all() and longest.all():
                counted, turned = np.asarray(fields.get_best_affine(), np.float64)[:3, :3], turned / longest
                cosines = (counted * turned).sum(axis=0) / (np.linalg.norm(counted, axis=0) * np.linalg.norm(turned, axis=0))
                mirrored = np.linalg.det(counted) * np.linalg.det(turned) < 0
                contradict = bool(cosines.min() < WIDEST - MARGIN or mirrored)
    raised = {
        "orientation_assumed": not sform and not qform,
        "orientation_conflict": contradict,
        "template_space": (sform or qform) in TEMPLATES,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)


def scaling(fields: NiftiFields) -> tuple[float, float]:
    """Slope and intercept; (1, 0) where the slope is zero, NaN or infinite."""
    try:
        slope, intercept = fields.get_slope_inter()
    except HeaderDataError as error:
        raise HypojaxError(Reason.CORRUPTED, f"its intensity scaling is unusable ({error}); fix the header or exclude the scan") from error
    return (1.0, 0.0) if slope is None or intercept is None else (slope, intercept)


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
