"""Statistics against an exhaustive Otsu, and their invariance to gain, offset and background."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypojax.preprocessing import intensity
from hypojax.preprocessing.intensity import LEAST_INSIDE, box_statistics, otsu_threshold, tissue_statistics, zscore

BIN = 1 / 256
"""The histogram has 256 bins: a threshold is known to a bin of the intensity range."""

ROUNDING = 1e-4


def tissue(rng: np.random.Generator, n: int = 4000) -> np.ndarray:
    """Background, grey and white matter."""
    parts = [rng.normal(5, 2, n), rng.normal(60, 6, n), rng.normal(100, 6, n // 2)]
    return np.concatenate(parts)


def exhaustive_otsu(values: np.ndarray) -> float:
    """Try every value as threshold."""
    low, high = np.percentile(values, (0.5, 99.0))
    clipped = values[(values >= low) & (values <= high)]
    best, score = low, -1.0
    for threshold in np.linspace(low, high, 400)[1:-1]:
        below, above = clipped[clipped <= threshold], clipped[clipped > threshold]
        between = len(below) * len(above) * (below.mean() - above.mean()) ** 2
        if between > score:
            best, score = threshold, between
    return float(best)


@pytest.mark.parametrize("seed", range(3))
def test_otsu_is_the_best_of_all_thresholds(seed: int) -> None:
    values = tissue(np.random.default_rng(seed))
    # Between two classes many thresholds score alike: what counts is that the split is the same.
    ours, theirs = values > otsu_threshold(values), values > exhaustive_otsu(values)
    assert (ours != theirs).mean() < 0.001


@settings(deadline=None, max_examples=30)
@given(gain=st.floats(0.01, 1000), offset=st.floats(-5000, 5000), seed=st.integers(0, 99))
def test_zscore_ignores_gain_and_offset(gain: float, offset: float, seed: int) -> None:
    values = tissue(np.random.default_rng(seed))
    scaled = values * gain + offset
    ours = zscore(values, tissue_statistics(values))
    np.testing.assert_allclose(zscore(scaled, tissue_statistics(scaled)), ours, atol=0.02)


def test_more_air_changes_little() -> None:
    values = tissue(np.random.default_rng(0))
    padded = np.concatenate([values, np.random.default_rng(1).normal(5, 2, 3 * values.size)])
    few, many = tissue_statistics(values), tissue_statistics(padded)
    assert many.mean == pytest.approx(few.mean, rel=0.02)
    assert many.std == pytest.approx(few.std, rel=0.05)


def test_hot_voxels_change_little() -> None:
    values = tissue(np.random.default_rng(0))
    hot = values.copy()
    hot[:20] = 1e5
    assert tissue_statistics(hot).mean == pytest.approx(tissue_statistics(values).mean, rel=0.02)


def test_constant_volume_is_defined() -> None:
    statistics = tissue_statistics(np.full(100, 7.0))
    assert statistics.std == 0
    np.testing.assert_array_equal(zscore(np.full(100, 7.0), statistics), np.zeros(100, np.float32))


def test_zscore_is_clipped() -> None:
    values = tissue(np.random.default_rng(0))
    assert zscore(np.append(values, 1e9), tissue_statistics(values)).max() == 10


@pytest.mark.parametrize("share", [0.5, 0.1, 0.0])
def test_a_mask_of_too_little_of_a_box_is_not_believed(share: float) -> None:
    """By what the mask holds where that is enough, else by all that is not blank."""
    rng = np.random.default_rng(0)
    box = rng.normal(100, 10, (20, 20, 20))
    box[:2] = 0.0  # removed, or out of view
    inside = np.indices(box.shape)[2] < 20 * share
    counted = box[2:] if share < LEAST_INSIDE else box[inside & (box > 0)]
    assert box_statistics(box, inside, background=0.0) == tissue_statistics(counted.ravel())


def test_a_box_of_nothing_has_no_spread() -> None:
    assert box_statistics(np.zeros((4, 4, 4)), None, background=0.0).std == 0


def test_what_burns_is_cut_off_where_that_is_asked_for() -> None:
    values, statistics = np.array([-100.0, 1.0, 100.0]), intensity.Statistics(0.0, 0.0, 0.0, 1.0)
    assert intensity.zscore(values, statistics, brightest=3.0).tolist() == [-intensity.FARTHEST, 1, 3]
    assert intensity.zscore(values, statistics).tolist() == [-intensity.FARTHEST, 1, intensity.FARTHEST]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_percentiles_that_differ_by_rounding_alone_are_one_value(kind: type[np.floating]) -> None:
    """NumPy interpolates between equal values, and may end a bit beside them: 256 bins do not fit in between."""
    values = np.full(4000, -622096.3, kind)
    values[:1000] = np.nextafter(values[0], kind(0))
    assert otsu_threshold(values) == pytest.approx(float(values[0]))
