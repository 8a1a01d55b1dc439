"""FreeSurfer's MGH header as nibabel understands it: big-endian, never scaled, 284 bytes before the voxels."""

from typing import Final

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader

from hypojax.scans.header import SIZE_CONFLICT, Header, checked_affine, checked_shape, size_notes, unsupported_dtype

SIZE: Final = 284
"""Bytes before the first voxel: the fields and unused space."""

FIELDS: Final = 90
"""Bytes of the fields; nibabel would take what lies behind them for the footer (repetition time and the like)."""

REAL_TYPES: Final = {0: "u1", 1: "i4", 3: "f4", 4: "i2", 10: "u2"}
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
    fields = MGHHeader(raw[:FIELDS], check=False)  # type: ignore[no-untyped-call]
    shape = checked_shape([int(size) for size in fields["dims"]])
    code = int(fields["type"])
    if code not in REAL_TYPES:
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
        dtype=np.dtype(f">{REAL_TYPES[code]}"),
        offset=SIZE,
        affine=affine,
        slope=1.0,
        intercept=0.0,
        flags=(*([] if oriented else ["orientation_assumed"]), *([SIZE_CONFLICT] if notes else [])),
        notes=notes,
    )
