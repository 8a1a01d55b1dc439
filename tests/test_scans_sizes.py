"""A header that gives two voxel sizes is read and flagged, and both are said."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from sample_scans import nifti_bytes, noise, put, put_mgh
from standin import StandIn, write_phantom

from hypojax.cli.progress_bars import ScanLines
from hypojax.execute import run
from hypojax.scans import read

FLAG = "voxel_size_conflict"
STRAIGHT = np.diag([1.0, 1.0, 1.0, 1.0])
NAN = float("nan")


def pixdim(i: float, j: float, k: float) -> dict[str, Any]:
    """The field of a header with these edges."""
    return {"pixdim": [1, i, j, k, 1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (pixdim(1.1, 1.1, 1.1), "its sform gives voxels of 1 × 1 × 1 mm and its pixdim 1.1 × 1.1 × 1.1 mm (the sform counts)"),
        (pixdim(1, 1.33, 1.33) | {"qform_code": 1}, "1 × 1 × 1 mm and its pixdim 1 × 1.33 × 1.33 mm"),
        (pixdim(1, 1, 0.985), "pixdim 1 × 1 × 0.985 mm"),
        (pixdim(1, 1, 1e10), "pixdim 1 × 1 × 1e+10 mm"),
        (pixdim(1, 1, -1.2), "pixdim 1 × 1 × 1.2 mm"),
        ({"xyzt_units": 1}, "names the unit meter, and its voxels of 1 × 1 × 1 mm"),
        ({"xyzt_units": 3 + 8}, "names the unit micron, and its voxels of 1 × 1 × 1 mm"),
        (pixdim(1, 1, 1.005), ""),  # half a per cent, as rounded values differ
        (pixdim(-1, 1, 1), ""),
        (pixdim(0, 0, 0), ""),  # says nothing
        (pixdim(NAN, NAN, NAN), ""),
        (pixdim(1.1, 1.1, 1.1) | {"sform_code": 0, "qform_code": 1}, ""),  # pixdim alone counts
        (pixdim(1.1, 1.1, 1.1) | {"sform_code": 0, "qform_code": 0}, ""),
        ({"xyzt_units": 0}, ""),
        ({"xyzt_units": 2 + 8}, ""),
    ],
)
def test_a_header_with_two_voxel_sizes_is_flagged_and_both_are_said(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    for version in (1, 2):
        image = read("sized", put(tmp_path, nifti_bytes(noise(), affine=STRAIGHT, version=version, **fields)))
        assert (FLAG in image.flags) == bool(said)
        assert said in " ".join(image.notes)
        assert bool(image.notes) == bool(said)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edges=st.tuples(*[st.floats(0.375, 8, width=32)] * 3),
    factors=st.tuples(*[st.floats(0.5, 2, width=32)] * 3),
    angle=st.floats(-3, 3, width=32),
)
def test_the_flag_is_raised_where_an_edge_differs_by_more_than_a_hundredth(
    tmp_path: Path, edges: tuple[float, ...], factors: tuple[float, ...], angle: float
) -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    other = [edge * factor for edge, factor in zip(edges, factors, strict=True)]
    content = nifti_bytes(noise(), affine=turn @ np.diag([*edges, 1.0]), **pixdim(*other))
    apart = max(abs(factor - 1) for factor in factors)
    if abs(apart - 0.01) > 1e-5:
        assert (FLAG in read("sized", put(tmp_path, content)).flags) == (apart > 0.01)


@pytest.mark.parametrize(("place", "value"), [(30, 1.3), (42, 0.5)])  # spacing, and a direction that is no unit vector
def test_a_freesurfer_header_with_two_voxel_sizes_is_flagged(tmp_path: Path, place: int, value: float) -> None:
    content = bytearray(put_mgh(tmp_path / "scan.mgh", noise()).read_bytes())
    assert read("whole", tmp_path / "scan.mgh").flags == ()
    content[place : place + 4] = np.array(value, ">f4").tobytes()
    flagged = place == 42  # the spacing is part of the affine: another one is no contradiction
    assert (FLAG in read("sized", put(tmp_path, bytes(content), name="scan.mgh")).flags) == flagged


def test_both_sizes_stand_in_the_row_and_in_what_the_run_says(tmp_path: Path) -> None:
    path = write_phantom(tmp_path / "in" / "scan.nii")
    content = bytearray(path.read_bytes())
    content[80:92] = np.array([5, 5.5, 5], "<f4").tobytes()
    path.write_bytes(content)
    heard = io.StringIO()
    outcome = run([path.parent], out=tmp_path / "out", segmenter=StandIn(), callback=ScanLines(Console(file=heard)))
    (result,) = outcome.results
    expected = "its sform gives voxels of 5 × 5 × 5 mm and its pixdim 5 × 5.5 × 5 mm (the sform counts)"
    assert expected in result.notes
    assert f"scan done in {result.seconds:.1f} s; {expected}" in heard.getvalue()
    table = (tmp_path / "out" / "volumes.tsv").read_text().splitlines()
    row = dict(zip(table[0].split("\t"), table[1].split("\t"), strict=True))
    assert expected in row["notes"]
    assert FLAG in row["flags"].split()
