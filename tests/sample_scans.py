"""Small image files made by nibabel or by hand, sound and damaged, for the tests of scans."""

import gzip
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Num
from nibabel.freesurfer.mghformat import MGHImage
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

AFFINE = np.array([[-1.0, 0.1, 0.0, 30.0], [0.1, 1.2, 0.0, -40.0], [0.0, 0.0, 1.5, 7.0], [0.0, 0.0, 0.0, 1.0]])


def noise(shape: tuple[int, ...] = (6, 5, 4), *, dtype: str = "i2") -> Num[np.ndarray, "..."]:
    """Voxels that differ from one another."""
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def nifti_header(
    voxels: Num[np.ndarray, "..."], *, affine: Float64[np.ndarray, "4 4"] = AFFINE, order: str = "<", version: int = 1, **fields: object
) -> bytes:
    """A NIfTI header for these voxels with an sform, and ``fields`` set to whatever they are."""
    header = {1: Nifti1Header, 2: Nifti2Header}[version](endianness=order)
    header.set_data_shape(voxels.shape)
    header.set_data_dtype(voxels.dtype.newbyteorder("="))
    header.set_sform(affine, code=1)
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header["vox_offset"] = header.single_vox_offset
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock)


def nifti_bytes(
    voxels: Num[np.ndarray, "..."], *, affine: Float64[np.ndarray, "4 4"] = AFFINE, order: str = "<", version: int = 1, **fields: object
) -> bytes:
    """A whole NIfTI file, not compressed; see `nifti_header`."""
    header = nifti_header(voxels, affine=affine, order=order, version=version, **fields)
    return header + bytes(4) + voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")


def put(folder: Path, content: bytes, *, name: str = "scan.nii.gz") -> Path:
    """Write a file, gzipped where its name says so."""
    path = folder / name
    path.write_bytes(gzip.compress(content, 6) if name.endswith("z") else content)
    return path


def put_mgh(path: Path, voxels: Num[np.ndarray, "..."]) -> Path:
    """Write a FreeSurfer file."""
    return put(path.parent, MGHImage(voxels, AFFINE).to_bytes(), name=path.name)


def _element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """One DICOM data element, explicit little-endian, padded to an even length."""
    value += b" " * (len(value) % 2) if kind not in (b"UI", b"OW") else bytes(len(value) % 2)
    tag = group.to_bytes(2, "little") + number.to_bytes(2, "little") + kind
    return tag + (bytes(2) + len(value).to_bytes(4, "little") if kind == b"OW" else len(value).to_bytes(2, "little")) + value


def put_dicom(folder: Path, voxels: Num[np.ndarray, "i j k"], *, series: int = 1) -> None:
    """Write an axial series, one uint16 slice a file: column spacing 1, row spacing 1.25, slice spacing 1.5 mm."""
    folder.mkdir(parents=True, exist_ok=True)
    study = b"1.2.826.0.1.3680043.8.498.1"
    meta = _element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1")
    for number in range(voxels.shape[2]):
        plane = voxels[:, :, number].T.astype("<u2")
        identity = study + b".%d.%d" % (series, number + 1)
        elements = [
            (0x08, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.4"), (0x08, 0x18, b"UI", identity), (0x08, 0x20, b"DA", b"20200101"),
            (0x08, 0x30, b"TM", b"101010"), (0x08, 0x60, b"CS", b"MR"), (0x18, 0x50, b"DS", b"1.5"), (0x18, 0x88, b"DS", b"1.5"),
            (0x20, 0x0D, b"UI", study), (0x20, 0x0E, b"UI", study + b".%d" % series), (0x20, 0x11, b"IS", b"%d" % series),
            (0x20, 0x13, b"IS", b"%d" % (number + 1)), (0x20, 0x32, b"DS", b"-10\\-20\\%g" % (1.5 * number)),
            (0x20, 0x37, b"DS", b"1\\0\\0\\0\\1\\0"), (0x28, 0x02, b"US", (1).to_bytes(2, "little")), (0x28, 0x04, b"CS", b"MONOCHROME2"),
            (0x28, 0x10, b"US", plane.shape[0].to_bytes(2, "little")), (0x28, 0x11, b"US", plane.shape[1].to_bytes(2, "little")),
            (0x28, 0x30, b"DS", b"1.25\\1"), (0x28, 0x100, b"US", b"\x10\0"), (0x28, 0x101, b"US", b"\x10\0"),
            (0x28, 0x102, b"US", b"\x0f\0"), (0x28, 0x103, b"US", bytes(2)), (0x7FE0, 0x10, b"OW", plane.tobytes()),
        ]  # fmt: skip
        head = _element(2, 0, b"UL", len(meta).to_bytes(4, "little")) + meta
        body = b"".join(_element(*element) for element in elements)
        (folder / f"IM_{series}_{number:04d}.dcm").write_bytes(bytes(128) + b"DICM" + head + body)
