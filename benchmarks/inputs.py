"""Many scans out of few: real ones linked under new names, and copies of them broken in the ways in which scans break."""

import gzip
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

HEADER: Final = 352
"""Bytes of a NIfTI-1 header with its empty extension."""

DIM, DATATYPE, VOX_OFFSET, SFORM_CODE, SROW = 40, 70, 108, 254, 280
"""Offsets in it."""

INT16, COMPLEX64, FLOAT32 = 4, 32, 16
"""Codes of voxel types."""

Spoil = Callable[[bytes], bytes]


def real_scans(folders: Sequence[Path]) -> list[Path]:
    """All T1-weighted NIfTI scans below some folders, in order; a scan may also be named itself.

    Raises
    ------
    SystemExit
        There is none.
    """
    found = [path.resolve() for folder in folders for path in ([folder] if folder.is_file() else sorted(folder.rglob("*_T1w.nii.gz")))]
    if not found:
        raise SystemExit(f"no *_T1w.nii.gz below {', '.join(map(str, folders))}; name folders of real scans")
    return found


def linked(scans: Sequence[Path], folder: Path, *, count: int, start: int = 1) -> Path:
    """``count`` scans in a folder: the real ones in turn, each time under a new name."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        (folder / f"sub-{number:05d}_T1w.nii.gz").symlink_to(scans[number % len(scans)])
    return folder


def header_with(data: bytes, offset: int, layout: str, *values: float) -> bytes:
    """A decoded NIfTI file with other values at one place of its header."""
    spoilt = bytearray(data)
    struct.pack_into("<" + layout, spoilt, offset, *values)
    return bytes(spoilt)


def zipped(spoil: Spoil) -> Spoil:
    """Spoil what is inside the gzip stream, and close the stream properly."""
    return lambda data: gzip.compress(spoil(gzip.decompress(data)), 1)


def small(voxels: np.ndarray, code: int) -> Spoil:
    """The header of the scan over other, few voxels."""

    def spoil(data: bytes) -> bytes:
        header = header_with(data[:HEADER], DIM, "8h", 3, *voxels.shape, 1, 1, 1, 1)
        header = header_with(header, DATATYPE, "2h", code, 8 * voxels.itemsize)
        return header_with(header, VOX_OFFSET, "3f", HEADER, 1, 0) + voxels.tobytes()  # slope 1, intercept 0

    return zipped(spoil)


def flipped(data: bytes) -> bytes:
    """One bit turned over, two thirds into the file."""
    spoilt = bytearray(data)
    spoilt[len(data) * 2 // 3] ^= 0x10
    return bytes(spoilt)


def other_affine(layout: str, *values: float) -> Spoil:
    """Overwrite the first rows of the voxel-to-world matrix."""
    return zipped(lambda data: header_with(header_with(data, SFORM_CODE, "h", 1), SROW, layout, *values))


def other_dimensions(*values: int, voxels: bool = True) -> Spoil:
    """Overwrite the first dimensions; without the voxels there is nothing but a header."""
    return zipped(lambda data: header_with(data if voxels else data[:HEADER], DIM, f"{len(values)}h", *values))


BROKEN: Final[dict[str, tuple[Spoil | None, frozenset[str]]]] = {
    "truncated": (lambda data: data[: len(data) // 2], frozenset({"truncated"})),
    "flipped": (flipped, frozenset({"corrupted", "truncated"})),
    "huge": (other_dimensions(3, 2048, 2048, 2048, voxels=False), frozenset({"too_large", "truncated"})),
    "nowhere": (other_affine("f", np.nan), frozenset({"affine_not_finite"})),
    "flat": (other_affine("12f", *[0.0] * 12), frozenset({"affine_singular"})),
    "hollow": (other_dimensions(3, 38, 0), frozenset({"zero_dimension"})),
    "film": (other_dimensions(4, 8, 8, 8, 2), frozenset({"not_3d"})),
    "complex": (zipped(lambda data: header_with(data, DATATYPE, "2h", COMPLEX64, 64)), frozenset({"unsupported_dtype"})),
    "constant": (small(np.full((8, 8, 8), 7, np.int16), INT16), frozenset({"constant_image"})),
    "void": (small(np.full((8, 8, 8), np.nan, np.float32), FLOAT32), frozenset({"no_finite_voxels"})),
    "empty": (lambda _: b"", frozenset({"empty_file"})),
    "text": (lambda _: b"this is not an image\n" * 40, frozenset({"not_an_image"})),
    "missing": (None, frozenset({"unreadable"})),
}
"""Name of a way → what it makes of a file's bytes (None: a link to nowhere), and the reasons that fit."""


def broken(scan: Path, folder: Path, *, count: int) -> dict[str, frozenset[str]]:
    """``count`` broken scans beside the sound ones, every way in turn.

    Returns
    -------
    Scan id → the reasons that fit.
    """
    data, expected = scan.read_bytes(), {}
    for number in range(count):
        way, (spoil, reasons) = list(BROKEN.items())[number % len(BROKEN)]
        name = f"sub-broken{number:04d}{way}"
        path = folder / f"{name}_T1w.nii.gz"
        if spoil is None:
            path.symlink_to(folder / "nowhere.nii.gz")
        else:
            path.write_bytes(spoil(data))
        expected[name] = reasons
    return expected
