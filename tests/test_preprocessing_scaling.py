"""A few extreme voxels, tiny or huge values, and any slope leave a sound scan sound, or it is refused with its reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jaxtyping import Num
from sample_scans import nifti_bytes, noise, put
from standin import AFFINE, StandIn, phantom_voxels
from tiny_segmenter import tiny

from hypojax.execute.measured import full_row, measure_scan, row_of
from hypojax.preprocessing.scaling import find_range, intensities
from hypojax.reason import HypojaxError, Reason, ScanError
from hypojax.scans import Image, read
from hypojax.scans.voxels import survey

TYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
ROUNDED = 1e-6
"""Share of their range by which intensities may differ after rounding to float32."""


def shares(voxels: Num[np.ndarray, "i j k"], *, slope: float = 1.0, intercept: float = 0.0) -> np.ndarray:
    """Intensities as shares of their range, 0 to 1: what z-scores are made from follows gain and offset."""
    volume = intensities(voxels, slope=slope, intercept=intercept).astype(np.float64)
    assert np.isfinite(volume).all()
    assert 1e-30 < np.ptp(volume) < 1e30
    return (volume - volume.min()) / np.ptp(volume)


@pytest.mark.parametrize("dtype", TYPES)
def test_ordinary_values_are_scaled_in_float64_and_rounded_once(dtype: str) -> None:
    voxels = noise((9, 8, 7), dtype=dtype)
    for slope, intercept in ((1.0, 0.0), (0.1, -3.0), (-7.0, 1000.0)):
        expected = (voxels.astype(np.float64) * slope + intercept).astype(np.float32)
        np.testing.assert_array_equal(intensities(voxels, slope=slope, intercept=intercept), expected)


@pytest.mark.parametrize("places", [1, 8])
@pytest.mark.parametrize(("dtype", "mark"), [
    ("f4", 3e38), ("f4", -3e38), ("f4", np.inf), ("f4", np.nan), ("f8", 1e300), ("f8", -1.7e308), ("f8", 1e30), ("i4", -(2**31)),
    ("u4", 2**32 - 1), ("i8", -(2**63)), ("u8", 2**64 - 1), ("f4", 1e6),
])  # fmt: skip
def test_a_few_voxels_that_mark_no_value_change_no_other(dtype: str, mark: float, places: int) -> None:
    voxels = noise((20, 20, 20), dtype=dtype)
    marked = voxels.copy()
    marked.ravel()[:: voxels.size // places][:places] = np.array(mark, dtype)
    at = np.zeros(voxels.size, bool)
    at[:: voxels.size // places][:places] = True
    found = intensities(marked, slope=1.0, intercept=0.0)
    np.testing.assert_array_equal(found, np.where(at.reshape(voxels.shape), voxels.min(), voxels.astype(np.float32)))
    assert survey(marked, slope=1.0, intercept=0.0) == places


def test_marks_of_all_sizes_at_once_are_left_out() -> None:
    voxels = noise((30, 30, 30), dtype="f8")
    voxels.ravel()[:9] = [1e5, -1e7, 1e12, 1e40, -1e100, 1e300, np.inf, -np.inf, np.nan]
    assert find_range(voxels, slope=1.0, intercept=0.0).left_out == 9
    assert intensities(voxels, slope=1.0, intercept=0.0).max() == 99


def test_a_border_of_marks_is_left_out() -> None:
    voxels = np.pad(noise((20, 20, 20), dtype="f4"), 10, constant_values=np.float32(-3.4e38))
    assert find_range(voxels, slope=1.0, intercept=0.0).left_out == 40**3 - 20**3


@pytest.mark.parametrize("hot", [300, 1000, 4095])
def test_bright_vessels_are_no_marks(hot: int) -> None:
    voxels = noise((20, 20, 20))
    voxels[3, 3, 3] = hot
    assert survey(voxels, slope=1.0, intercept=0.0) == 0
    assert intensities(voxels, slope=1.0, intercept=0.0).max() == hot


def test_an_empty_background_beside_tiny_ringing_is_no_ground_to_leave_out_the_head() -> None:
    voxels = np.zeros((20, 20, 20), np.float32)
    voxels[:4] = 1e-6
    voxels[10:] = 1 + noise((10, 20, 20), dtype="f4")
    assert survey(voxels, slope=1.0, intercept=0.0) == 0


@pytest.mark.parametrize(
    ("slope", "intercept"), [(1e-45, 0.0), (1e-43, 0.0), (3e38, 0.0), (-3e38, 1e38), (1.0, 1e12), (1e30, -1e33), (1e-30, 1e-31)]
)
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "u8"])
def test_any_slope_and_intercept_leave_contrast_as_it_is(tmp_path: Path, dtype: str, slope: float, intercept: float) -> None:
    voxels = noise((12, 11, 10), dtype=dtype)
    read("scaled", put(tmp_path, nifti_bytes(voxels, scl_slope=slope, scl_inter=intercept)))
    expected = shares(voxels if slope > 0 else voxels.max() - voxels)
    np.testing.assert_allclose(shares(voxels, slope=slope, intercept=intercept), expected, atol=ROUNDED)


@pytest.mark.parametrize("brightest", [1e-43, 1e-41, 1e-38, 1e-30, 1e-20, 1e20, 1e30, 3e38])
def test_values_scaled_the_wrong_way_round_leave_contrast_as_it_is(brightest: float) -> None:
    voxels = noise((12, 11, 10), dtype="f4")
    shrunk = (voxels / 99 * np.float64(brightest)).astype(np.float32)
    survey(shrunk, slope=1.0, intercept=0.0)
    steps = min(1.0, np.spacing(np.float32(brightest)) / brightest)  # of subnormal numbers few are left
    np.testing.assert_allclose(shares(shrunk), shares(voxels), atol=ROUNDED + steps)


@pytest.mark.parametrize(
    ("voxels", "fields"),
    [
        ((noise() > 50) * np.float32(1.4e-45), {}),
        ((noise() / 99 * 1e-44).astype(np.float32), {}),
        ((noise() + 1e9).astype(np.float32), {}),
        (noise(), {"scl_slope": 1.0, "scl_inter": 1e30}),
        (noise(), {"scl_slope": 1.0, "scl_inter": 1e18}),
    ],
)
def test_contrast_that_was_lost_in_rounding_is_refused_with_the_range(
    tmp_path: Path, voxels: Num[np.ndarray, "i j k"], fields: dict[str, float]
) -> None:
    with pytest.raises(ScanError, match=r"its voxels lie between .* steps between|all its voxels are 1e\+30 \(slope 1") as caught:
        read("lost", put(tmp_path, nifti_bytes(voxels, **fields)))
    assert caught.value.reason == Reason.CONSTANT_IMAGE


def test_all_but_a_few_voxels_may_be_missing(tmp_path: Path) -> None:
    voxels = np.full((30, 30, 30), np.nan, np.float32)
    voxels[10:13, 10, 10] = 5, 6, 70
    image = read("few", put(tmp_path, nifti_bytes(voxels)))
    assert image.nonfinite == voxels.size - 3
    assert np.unique(intensities(image.voxels, slope=image.slope, intercept=image.intercept)).tolist() == [5, 6, 70]


def through(image: Image) -> dict[str, Any]:
    """The row of a scan that goes through the whole pipeline: drawn networks look at it, and a phantom's posteriors are measured."""
    prepared = tiny().prepare(intensities(image.voxels, slope=image.slope, intercept=image.intercept), image.affine)
    (found,) = tiny().segment_batch([prepared])
    assert np.isfinite(found.views).all()
    measured = measure_scan(prepared.volume, prepared.affine, StandIn().segment(prepared))
    return full_row(row_of(image), measured, seconds=0.0)


def test_a_mark_of_no_value_changes_nothing_that_is_measured(tmp_path: Path) -> None:
    voxels = phantom_voxels().astype(np.float32)
    voxels[0, 0, 0] = voxels.min()
    sound = through(read("sound", put(tmp_path, nifti_bytes(voxels, affine=AFFINE))))
    voxels[0, 0, 0] = -3e38
    marked = through(read("marked", put(tmp_path, nifti_bytes(voxels, affine=AFFINE))))
    np.testing.assert_equal(marked, {**sound, "nonfinite_voxels": 1, "voxels_checksum": marked["voxels_checksum"]})


def test_whole_numbers_stay_what_they_are_and_are_measured_as_in_float32() -> None:
    voxels = phantom_voxels().T.copy().T
    voxels.flags.writeable = False
    assert intensities(voxels, slope=1.0, intercept=0.0) is voxels
    rows = []
    for volume in (voxels, voxels.astype(np.float32)):
        prepared = tiny().prepare(volume, AFFINE)
        (found,) = tiny().segment_batch([prepared])
        measured = measure_scan(prepared.volume, AFFINE, StandIn().segment(prepared))
        rows.append((prepared.image, found.box_image, found.views, measured.quality, measured.hypothalamus, measured.intracranial))
    np.testing.assert_equal(rows[0], rows[1])


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_numbers_that_float32_may_not_hold_become_float32(dtype: type) -> None:
    assert intensities(phantom_voxels().astype(dtype), slope=1.0, intercept=0.0).dtype == np.float32


@st.composite
def edits(draw: st.DrawFn, dtype: np.dtype[Any]) -> list[tuple[Any, float, int]]:
    """Values that are written into a volume, from where on (as a share of it), and into how many voxels."""
    return draw(st.lists(st.tuples(arrays.from_dtype(dtype), st.floats(0, 1), st.sampled_from([1, 5, 5000, 10**6])), max_size=5))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    case=st.sampled_from(TYPES).map(np.dtype).flatmap(lambda dtype: st.tuples(st.just(dtype), edits(dtype))),
    small=st.booleans(),
    slope=st.sampled_from([0.0, 1.0, 1e-45, 3e38, -1.0, float("nan"), float("inf")]) | st.floats(width=32),
    intercept=st.sampled_from([0.0, 1e30]) | st.floats(width=32),
)
def test_any_voxels_of_any_type_and_scaling_go_through_or_are_refused_with_a_reason(
    tmp_path: Path, case: tuple[np.dtype[Any], list[tuple[Any, float, int]]], *, small: bool, slope: float, intercept: float
) -> None:
    dtype, values = case
    voxels = np.array((phantom_voxels()[::6, ::6, ::6] if small else phantom_voxels()) % 120, dtype, order="F")
    for value, share, count in values:
        voxels.T.reshape(-1)[int(share * voxels.size) :][:count] = value
    content = nifti_bytes(voxels, affine=AFFINE, scl_slope=slope, scl_inter=intercept)
    try:
        row = through(read("any", put(tmp_path, content, name="scan.nii")))
    except HypojaxError:
        return
    assert 0 <= row["nonfinite_voxels"] < voxels.size


def test_a_mark_beyond_what_float32_holds_is_left_out_without_a_warning() -> None:
    voxels = phantom_voxels().astype(np.float32)
    voxels[0, 0, 0] = 7.9711807e37
    found = intensities(voxels, slope=75099424161792.0, intercept=1e30)
    assert np.isfinite(found).all()
