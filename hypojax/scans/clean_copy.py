"""A copy of a scan with its voxels and its place and nothing else: no name, note, date or extension of the original file goes on."""

from pathlib import Path
from typing import Final

import numpy as np
from isal import isal_zlib
from jaxtyping import Num

from hypojax.grid import voxel_sizes
from hypojax.scans.formats import MGH_SIZE, SIZES, nifti_fields
from hypojax.scans.nifti_file import GZIP, LEVEL, SLICES, bare_header, write_nifti
from hypojax.scans.voxels import Image
from hypojax.storage import replacing

MGH_GEOMETRY: Final = 90
"""Bytes at the front of an MGH header: sizes, type and place. Behind them lies room that programs fill as they like."""

SCALING: Final = ("xyzt_units", "scl_slope", "scl_inter")
"""Fields of a NIfTI header that a scan is read with, beside its geometry."""

FORMATS: Final = {"nifti1": "NIfTI", "nifti2": "NIfTI-2", "mgh": "MGH", "dicom": "DICOM"}
"""Formats as people call them."""


def write_clean_copy(folder: Path, name: str, image: Image) -> Path:
    """Write a scan so that it is read exactly as the original was: voxels, type, scaling, affine, and contradictions of its header.

    An MGH file stays one, since NIfTI rounds its affine.

    Parameters
    ----------
    folder
        Where to.
    name
        Of the file, without suffix.
    image
        The scan as it was read.

    Returns
    -------
    The file: ``name.nii.gz`` or ``name.mgz``.

    Raises
    ------
    RunError
        ``NOT_WRITABLE`` or ``DISK_FULL``.
    OSError
        An MGH file cannot be written.
    """
    if image.format == "mgh":
        return _write_mgh(folder / f"{name}.mgz", image)
    path = folder / f"{name}.nii.gz"
    write_nifti(path, image.voxels, image.affine, header=clean_header(image.header), slope=image.slope, intercept=image.intercept)
    return path


def clean_header(header: bytes) -> bytes:
    """A NIfTI header with geometry, unit and scaling of another, and nothing else of it."""
    source = nifti_fields(header)
    fields = SIZES[len(header)](bare_header(header), endianness=source.endianness, check=False)
    for name in SCALING:
        fields[name] = source[name]
    return bytes(fields.binaryblock)


def described(image: Image) -> dict[str, str]:
    """What a scan is, for people: ``dimensions``, ``voxel_size_mm``, ``orientation`` (of its axes), ``format``."""
    return {
        "dimensions": " × ".join(str(size) for size in image.voxels.shape),
        "voxel_size_mm": " × ".join(f"{size:.4g}" for size in voxel_sizes(image.affine)),
        "orientation": axis_codes(image.affine),
        "format": FORMATS.get(image.format, image.format),
    }


def axis_codes(affine: Num[np.ndarray, "4 4"]) -> str:
    """Where the three axes of voxels point to: right, left, anterior, posterior, superior, inferior.

    >>> axis_codes(np.diag([-1.0, 1.0, 1.0, 1.0]))
    'LAS'
    """
    turned = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    left, codes = list(range(3)), {}
    for axis in np.argsort(-np.abs(turned).max(axis=0)).tolist():  # the axis that says it most clearly first
        world = max(left, key=lambda row: abs(turned[row, axis]))
        left.remove(world)
        codes[axis] = ("LR", "PA", "IS")[world][int(turned[world, axis] > 0)]
    return "".join(codes[axis] for axis in range(3))


def _write_mgh(path: Path, image: Image) -> Path:
    """Voxels behind the front of their header, big-endian, first axis fastest."""
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
    with replacing(path, through=False) as file:
        file.write(packer.compress(image.header[:MGH_GEOMETRY].ljust(MGH_SIZE, b"\0")))
        for first in range(0, image.voxels.shape[2], SLICES):
            piece = image.voxels[:, :, first : first + SLICES]
            file.write(packer.compress(piece.astype(piece.dtype.newbyteorder(">")).tobytes(order="F")))
        file.write(packer.flush())
    return path
