"""Doubtful scans: found by numbers that a slow twin gives too, said in words, the weightiest first, and nothing made up of few scans."""

import numpy as np
import pytest
import xarray as xr
from generated_cohort import generated

from hypojax.reporting.doubts import cohort_doubts, doubt_order, find_doubts
from hypojax.reporting.unlike_others import Compared, compared_volumes, robust_slope, unlike_others
from hypojax.schema import REGIONS


def cohort(scans: int = 60, **changed: float) -> xr.Dataset:
    """Sound scans, of which the first has other volumes: region → factor."""
    made = generated(scans, seed=3, failing=0.0)
    made["flagged"][:] = False
    for region, factor in changed.items():
        made["volume_mm3"][0, REGIONS.index(region)] *= factor
    return made


def flagged(made: xr.Dataset, flag: str, rows: slice | list[int]) -> xr.Dataset:
    made["flagged"][rows, made["flag"].values.tolist().index(flag)] = True
    return made


@pytest.mark.parametrize("scans", [40, 300])
def test_unlike_others_agrees_with_a_loop_over_scans(scans: int) -> None:
    random = np.random.default_rng(scans)
    values = random.standard_t(2, scans)
    values[5] = np.nan
    found = {row: unlike.deviations for row, unlike in unlike_others(Compared("x", values, values))}
    for row in np.flatnonzero(np.isfinite(values)):
        others = np.delete(values, [row, 5])
        middle = np.median(others)
        far = (values[row] - middle) / (1.4826 * np.median(np.abs(others - middle)))
        low, high = np.quantile(others, [0.25, 0.75])
        out = max(low - values[row], values[row] - high) / (high - low)
        if abs(abs(far) - 4) > 0.1 and abs(out - 3) > 0.1:
            assert (row in found) == (abs(far) > 4 or out > 3)
        if row in found:
            assert found[row] == pytest.approx(far, rel=0.02)


def test_a_small_hypothalamus_is_said_with_its_numbers_and_once() -> None:
    made = cohort(hypothalamus=0.5, hypothalamus_left=0.5, left_posterior=0.4)
    (sentence,) = find_doubts(made)["sub-0000"]
    volume = float(made["volume_mm3"][0, 1])
    assert sentence.startswith(f"hypothalamus {volume:,.0f} mm³: ")
    assert sentence.endswith(" robust SD below the median of the 59 others of this cohort, corrected for head size")


def test_head_size_is_allowed_for() -> None:
    made = cohort()
    heads = 1.5e6 * np.exp(np.linspace(-0.3, 0.3, 60))
    heads[0] = 0.6e6  # a small head with a small hypothalamus
    noise = np.exp(np.random.default_rng(0).normal(0, 0.02, 60))
    made["volume_mm3"][:] = np.column_stack([heads, *[heads / 1500 * noise / 2] * 13])
    assert not any("hypothalamus" in sentence for sentence in find_doubts(made)["sub-0000"])
    whole = next(compared for compared in compared_volumes(made) if compared.name == "hypothalamus")
    assert whole.corrected
    assert np.ptp(whole.values) < 0.2


def test_scans_without_head_size_are_held_against_all_volumes() -> None:
    made = cohort(hypothalamus=0.3)
    made["volume_mm3"][0, 0] = np.nan
    sentence = find_doubts(made)["sub-0000"][0]
    assert sentence.startswith("hypothalamus 2")
    assert sentence.endswith("below the median of the 59 others of this cohort")


def test_three_scans_have_no_robust_standard_deviation() -> None:
    made = cohort(3, hypothalamus=0.1)
    assert find_doubts(made)["sub-0000"] == ()
    assert "3 measured scans: too few" in cohort_doubts(made)[-1]
    assert "whole hypothalamus" in find_doubts(flagged(made, "unusual_hypothalamus", [0]))["sub-0000"][0]


def test_flags_are_said_in_words_with_the_value_that_raised_them() -> None:
    made = flagged(flagged(flagged(cohort(6), "low_quality_hypothalamus", [1]), "low_quality_icv", [3]), "asymmetric", [2])
    made["quality_score"].loc[{"scan": "sub-0001", "region": "hypothalamus"}], made["quality_asymmetry"][2] = 0.281, -0.2
    made["quality_score"].loc[{"scan": "sub-0003", "region": "icv"}] = 0.12
    found = find_doubts(made)
    assert found["sub-0001"][0].endswith("(quality_score below 0.5): here 0.28")
    assert found["sub-0003"][0].endswith("(quality_score below 0.5): here 0.12")
    assert found["sub-0002"][0].endswith("here 20.0 % of their sum, the right larger")


def test_a_flag_of_the_whole_cohort_marks_no_scan() -> None:
    made = flagged(cohort(8), "skull_stripped", slice(None))
    assert not any(find_doubts(made).values())
    assert "8 of 8 measured scans: no scalp" in cohort_doubts(made)[0]
    assert find_doubts(flagged(cohort(8), "skull_stripped", [3]))["sub-0003"]
    assert all(find_doubts(flagged(cohort(8), "voxel_size_conflict", slice(None))).values())


def test_order_is_failed_then_by_weight_then_as_the_cohort_has_them() -> None:
    made = flagged(flagged(cohort(6), "noisy", [1]), "unusual_hypothalamus", [4])
    made["status"][5], made["message"][5] = "failed", "the file is cut off"
    doubts = find_doubts(made)
    assert doubts["sub-0005"] == ("not measured: the file is cut off",)
    assert doubt_order(made, doubts) == ("sub-0005", "sub-0004", "sub-0001", "sub-0000", "sub-0002", "sub-0003")


def test_copies_name_each_other_and_notes_are_said() -> None:
    made = cohort(4)
    made["duplicate_of"][3], made["notes"][2] = "sub-0001", "the file has\nchanged \x1b[31m"
    found = find_doubts(made)
    assert "the same voxels as sub-0001" in found["sub-0003"][0]
    assert "the same voxels as sub-0003" in found["sub-0001"][0]
    assert found["sub-0002"] == (r"the file has changed \x1b[31m",)


def test_tilt_is_said_where_the_cohort_has_it() -> None:
    made = cohort(3)
    assert not any(find_doubts(made).values())
    tilted = made.assign(tilt_deg=(("scan", "direction"), [[31.0, 2.0, 3.0], [-26.0, 0.0, 0.0], [np.nan] * 3]))
    found = find_doubts(tilted)
    assert "turned by 41°" in found["sub-0001"][0]
    assert found["sub-0000"] == (), "heads in scanners are nodded back by 15 degrees against the template"


def test_noise_and_asymmetry_unlike_the_others() -> None:
    made = cohort()
    made["quality_noise"][3], made["quality_asymmetry"][4] = 5.0, -0.14
    found = find_doubts(made)
    assert found["sub-0003"][0].startswith("noise near the hypothalamus 5.00: ")
    assert "the right larger" in found["sub-0004"][0]
    assert "further to the right than the median of the 59 others" in found["sub-0004"][0]


def test_slope_is_that_of_least_squares_without_strange_points() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=400)
    y = 0.6 * x + random.normal(scale=0.1, size=400)
    assert robust_slope(x, y) == pytest.approx(np.polyfit(x, y, 1)[0], abs=0.02)
    y[np.argmax(x)] = -99
    assert robust_slope(x, y) == pytest.approx(0.6, abs=0.03)


def test_nothing_measured_is_no_fault() -> None:
    made = generated(2, seed=0, failing=1.1)
    assert all(sentences[0].startswith("not measured: ") for sentences in find_doubts(made).values())
    assert cohort_doubts(made) == ()
