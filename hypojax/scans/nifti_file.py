"""Writing a NIfTI file: all or nothing, the same bytes each time, and the original header where there is one."""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import numpy as np
from isal import isal_zlib
from jaxtyping import Bool, Num
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from nibabel.spatialimages import HeaderDataError

from hypojax.grid import Affine
from hypojax.reason import HypojaxError, Reason, RunError
from hypojax.scans.formats import SIZES, NiftiFields, nifti_affine, nifti_fields, scaling
from hypojax.scans.header import checked_affine
from hypojax.storage import Location, replacing

LEVEL: Final = 2
"""ISA-L: 40 ms for 60 MB, a tenth larger than zlib's level 6 at a tenth of its time; its header carries no clock."""

GZIP: Final = 31
"""``wbits`` for a gzip member."""

SLICES: Final = 32
"""Slices handled at a time; enough that reading across a C-ordered volume uses whole cache lines."""

MILLIMETRE: Final = 2
"""NIfTI code of the unit."""

SCANNER: Final = 1
"""NIfTI code of an affine to the scanner's coordinates, RAS+ mm."""

QFORM_TOLERANCE: Final = 1e-3
"""Largest difference, mm a voxel, up to which a quaternion stands for the affine (it cannot hold shears)."""


GEOMETRY: Final = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z"),
)
"""Fields of a header that say where voxels lie; of ``pixdim``, the first four do too."""


def write_nifti(
    path: Location,
    voxels: Num[np.ndarray, "i j k"],
    affine: Affine,
    *,
    header: bytes | None = None,
    slope: float = 1.0,
    intercept: float = 0.0,
) -> str:
    """Write voxels as stored to a ``.nii`` or ``.nii.gz`` file, atomically and with the same bytes each time.

    Parameters
    ----------
    path
        Where to; folders above it are made. A file there is replaced as a whole or, on an error, left as it was.
    voxels
        Stored values.
    affine
        Voxel-to-world, mm, RAS+; set as sform and, where a quaternion can hold it, as qform.
    header
        The fixed part of a NIfTI header (`Image.header`). What of it agrees with the other arguments is kept to the
        bit, byte order and affine among it; an MGH header is not used.
    slope, intercept
        Scaled value = stored value × slope + intercept.

    Returns
    -------
    SHA-256 of the file's bytes.

    Raises
    ------
    RunError
        ``NOT_WRITABLE`` or ``DISK_FULL``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from hypojax.scans.reading import read
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "mask.nii.gz"
    ...     digest = write_nifti(file, np.arange(8, dtype=np.uint8).reshape(2, 2, 2), np.eye(4))
    ...     read("mask", file).voxels[1, 1].tolist()
    [6, 7]
    """
    fields, found = _fields(voxels, affine, header, slope, intercept), hashlib.sha256()
    try:
        with replacing(path, through=False) as file:
            for piece in _encoded(fields, voxels, zipped=path.suffix.lower() == ".gz"):
                file.write(piece)
                found.update(piece)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        problem, step = (
            ("the disk is full", "free some space") if full else (error.strerror or str(error), "choose a folder that may be written")
        )
        raise RunError(
            Reason.DISK_FULL if full else Reason.NOT_WRITABLE, f"{path} cannot be written ({problem}); {step} and run again"
        ) from error
    return found.hexdigest()


def nifti_image(voxels: Num[np.ndarray, "i j k *more"] | Bool[np.ndarray, "i j k *more"], affine: Affine) -> Nifti1Image:
    """A nibabel image of voxels in memory, for viewers and ``nibabel.save``.

    Parameters
    ----------
    voxels
        Of any real type; truth values become 0 and 1, and float16, which NIfTI does not have, float32.
    affine
        Voxel-to-world, mm, RAS+; set as sform and, where a quaternion can hold it, as qform.

    Raises
    ------
    HypojaxError
        ``UNSUPPORTED_DTYPE``: NIfTI has no voxels of this type; or the affine cannot be that of a head.

    Examples
    --------
    >>> image = nifti_image(np.ones((2, 3, 4), bool), np.diag([1.0, 1.0, 1.5, 1.0]))
    >>> image.shape, image.get_data_dtype().name, image.affine[2, 2].item(), image.header.get_xyzt_units()[0]
    ((2, 3, 4), 'uint8', 1.5, 'mm')
    """
    stored = voxels.astype({"bool": "u1", "float16": "f4"}.get(voxels.dtype.name, voxels.dtype), copy=False)
    header, matrix = Nifti1Header(), checked_affine(affine)  # type: ignore[no-untyped-call]
    _set_dtype(header, stored.dtype)
    _set_affine(header, matrix)
    header["xyzt_units"] = MILLIMETRE
    return Nifti1Image(stored, matrix, header, dtype=stored.dtype)  # type: ignore[no-untyped-call]


def bare_header(header: bytes) -> bytes:
    """A header with the geometry of another and nothing else of it: no name, note or file name in it goes on.

    Parameters
    ----------
    header
        The fixed part of a NIfTI header; one of another format is given back, and `write_nifti` does not use it.
    """
    if len(header) not in SIZES:
        return header
    source = nifti_fields(header)
    fields = SIZES[len(header)](endianness=source.endianness)
    for name in GEOMETRY:
        fields[name] = source[name]
    fields["pixdim"][:4] = source["pixdim"][:4]
    fields["xyzt_units"], fields["scl_slope"], fields["scl_inter"] = MILLIMETRE, 1, 0
    return bytes(fields.binaryblock)


def _encoded(fields: NiftiFields, voxels: Num[np.ndarray, "i j k"], *, zipped: bool) -> Iterator[bytes]:
    """The file piece by piece, so that no second copy of the voxels is held."""
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP) if zipped else None
    # The header, four zeros that say that no extension follows, and slices with the first axis fastest in the header's byte order.
    front = fields.binaryblock.ljust(fields.single_vox_offset, b"\0")
    yield packer.compress(front) if packer else front
    for first in range(0, voxels.shape[2], SLICES):
        piece = voxels[:, :, first : first + SLICES].astype(fields.get_data_dtype(), copy=False).tobytes(order="F")
        yield packer.compress(piece) if packer else piece
    if packer:
        yield packer.flush()


def _fields(voxels: Num[np.ndarray, "i j k"], affine: Affine, header: bytes | None, slope: float, intercept: float) -> NiftiFields:
    """Header fields that say what the arguments say, as far as possible those of ``header``."""
    fields = nifti_fields(header) if header is not None and len(header) in SIZES else _empty_fields()
    fields["vox_offset"] = fields.single_vox_offset
    sizes = fields["dim"][1 : 1 + fields["dim"][0]].tolist()
    if sizes[:3] != list(voxels.shape) or any(size != 1 for size in sizes[3:]):
        fields["dim"] = [3, *voxels.shape, 1, 1, 1, 1]
    if fields.get_data_dtype() != voxels.dtype.newbyteorder(fields.endianness):
        _set_dtype(fields, voxels.dtype)
    stated = None
    with suppress(HypojaxError):
        stated = nifti_affine(fields.binaryblock)
    if stated is None or not np.array_equal(stated, affine):
        _set_affine(fields, checked_affine(affine))
    if scaling(fields) != (slope, intercept):
        fields["scl_slope"], fields["scl_inter"] = slope, intercept
    return fields


def _empty_fields() -> NiftiFields:
    """Those of an empty NIfTI-1 header: little-endian, mm, unscaled."""
    fields = nifti_fields((348).to_bytes(4, "little") + Nifti1Header(endianness="<").binaryblock[4:])  # type: ignore[no-untyped-call]
    fields["xyzt_units"], fields["scl_slope"], fields["scl_inter"] = MILLIMETRE, 1, 0
    return fields


def _set_dtype(fields: NiftiFields, dtype: np.dtype[Any]) -> None:
    """Another voxel type, and nothing left that described the values of the former."""
    try:
        fields.set_data_dtype(dtype)
    except HeaderDataError as error:
        raise HypojaxError(Reason.UNSUPPORTED_DTYPE, f"NIfTI has no voxels of type {dtype.name}; convert them first") from error
    fields["cal_min"], fields["cal_max"], fields["descrip"], fields["aux_file"] = 0, 0, b"", b""


def _set_affine(fields: NiftiFields, affine: Affine) -> None:
    """The affine as sform and, where a quaternion can hold it, as qform; codes that were set stay."""
    fields.set_sform(affine, code=int(fields["sform_code"]) or SCANNER)
    fields.set_qform(affine, code=int(fields["qform_code"]) or SCANNER)
    if np.abs(fields.get_qform() - affine).max() > QFORM_TOLERANCE:
        fields["qform_code"] = 0
