"""A clean copy is read as the original is, to the bit, and holds no word of it."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from sample_scans import AFFINE, nifti_bytes, noise, put, put_mgh

from hypojax.scans import read
from hypojax.scans.clean_copy import axis_codes, described, write_clean_copy
from hypojax.scans.nifti_file import bare_header

NAME = b"DOE^JANE"
TEXTS = {"descrip": NAME, "db_name": NAME, "aux_file": NAME, "intent_name": NAME}

HEADERS = {
    "both": {"qform_code": 1, "sform_code": 4},
    "assumed": {"sform_code": 0, "pixdim": [1, 1.5, 1, 2, 0, 0, 0, 0]},
    "quaternion": {"sform_code": 0, "qform_code": 1, "quatern_b": 0.1, "pixdim": [-1, 1.5, 1, 2, 0, 0, 0, 0]},
    "conflict": {"pixdim": [1, 2, 2, 2, 3, 0, 0, 0]},
    "scaled": {"scl_slope": 0.1, "scl_inter": -7.3},
    "unscaled": {"scl_slope": float("nan"), "xyzt_units": 1},
}


def content_of(path: Path) -> bytes:
    """What a file holds, unpacked."""
    return gzip.decompress(path.read_bytes())


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(("order", "version", "dtype"), [("<", 1, "i2"), (">", 1, "f4"), ("<", 2, "u1")])
def test_a_nifti_file_is_read_as_before(tmp_path: Path, header: str, order: str, version: int, dtype: str) -> None:
    texts = {field: text for field, text in TEXTS.items() if version == 1 or field != "db_name"}  # which NIfTI-2 has not
    content = nifti_bytes(noise((20, 18, 16), dtype=dtype), order=order, version=version, **texts, **HEADERS[header])
    before = read("a", put(tmp_path, content, name="a.nii"))
    copy = write_clean_copy(tmp_path, "copy", before)
    after = read("a", copy)
    assert np.array_equal(before.voxels, after.voxels)
    assert np.array_equal(before.affine, after.affine)
    for field in ("slope", "intercept", "format", "flags", "notes", "nonfinite"):
        assert getattr(before, field) == getattr(after, field), field
    assert (before.voxels.dtype, before.checksum()) == (after.voxels.dtype, after.checksum())
    assert bare_header(before.header) == bare_header(after.header)
    assert NAME in content
    assert NAME not in content_of(copy)


@pytest.mark.parametrize("oriented", [True, False])
def test_an_mgh_file_stays_one_and_loses_its_tags(tmp_path: Path, oriented: bool) -> None:
    path = put_mgh(tmp_path / "a.mgh", noise((20, 18, 16)))
    content = bytearray(path.read_bytes() + NAME)
    content[100:108] = NAME
    content[28:30] = int(oriented).to_bytes(2, "big")
    path.write_bytes(content)
    before = read("a", path)
    copy = write_clean_copy(tmp_path, "copy", before)
    after = read("a", copy)
    assert copy.name == "copy.mgz"
    assert np.array_equal(before.voxels, after.voxels)
    assert np.array_equal(before.affine, after.affine)
    assert (before.voxels.dtype, before.flags, before.notes) == (after.voxels.dtype, after.flags, after.notes)
    assert ("orientation_assumed" in after.flags) is not oriented
    assert NAME not in content_of(copy)


def test_what_was_read_is_said_as_people_say_it(tmp_path: Path) -> None:
    image = read("a", put(tmp_path, nifti_bytes(noise((20, 18, 16)))))
    said = described(image)
    assert said == {"dimensions": "20 × 18 × 16", "voxel_size_mm": "1.005 × 1.204 × 1.5", "orientation": "LAS", "format": "NIfTI"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_axes_are_named_as_nibabel_names_them(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = AFFINE.copy()
    affine[:3, :3] = (np.diag([1.0, 1.2, 1.5]) + 0.1)[:, list(order)] * signs
    assert axis_codes(affine) == "".join(nibabel.aff2axcodes(affine))
