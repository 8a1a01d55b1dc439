"""`hypojax.reporting.group_average` and `hypojax.plot.average`: the mean of a loop over scans, of those that may count, and n said."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from report_cohorts import HOSTILE, made_cohort

from hypojax.plot.average import HALF, average_scans, evenly, groups_of
from hypojax.reason import HypojaxError
from hypojax.reporting.group_average import group_averages
from hypojax.reporting.report_data import ReportData, ReportSettings

GROUPS = ["patient", "control", "patient", "patient", "control", ""]


def cohort() -> xr.Dataset:
    """Six scans with noise of their own, moved by some voxels; the last has failed."""
    made = made_cohort(6, columns={"group": GROUPS}).load()
    random = np.random.default_rng(1)
    for row, shift in enumerate([(0, 0, 0), (1, 0, -2), (0, 3, 0), (-2, 0, 1), (0, 0, 0), (0, 0, 0)]):
        for name in ("image", "posterior"):
            made[name][row] = np.roll(made[name].values[row], shift, axis=(-3, -2, -1))
        made["image"][row] += random.normal(0, 0.3, made["image"].shape[1:])
    made["status"][:] = ["done"] * 5 + ["failed"]
    made["image"][5], made["posterior"][5] = np.nan, np.nan
    return made


def data(made: xr.Dataset, *, rejected: str = "", groups: list[str] | None = None) -> ReportData:
    scans = made["scan"].values.tolist()
    said = [(rejected, "reject", "", "x", "2026-01-01T00:00:00")] if rejected else []
    return ReportData(
        cohort=made,
        names={scan: scan for scan in scans},
        files={},
        order=tuple(scans),
        doubts={},
        ratings=pd.DataFrame(said, columns=["scan", "rating", "comment", "rater", "time"]),
        people=pd.DataFrame({"group": groups} if groups else {}, index=pd.Index(scans, name="scan")),
        settings=ReportSettings(),
    )


def test_the_average_is_that_of_a_loop_over_scans_laid_over_each_other() -> None:
    made = cohort()
    scans = made["scan"].values.tolist()[:4]
    found = average_scans(made, scans, name="all")
    assert found is not None
    pieces = []
    for scan in scans:
        posterior = made["posterior"].sel(scan=scan, region="hypothalamus").values
        middle = [
            round(float(place)) for place in np.average(np.indices(posterior.shape).reshape(3, -1), axis=1, weights=posterior.ravel())
        ]
        image = np.pad(made["image"].sel(scan=scan).values, 20, mode="edge")
        a, s, r = (index + 20 for index in middle)
        pieces.append(image[a - HALF : a + HALF + 1, s - HALF : s + HALF + 1, r - HALF : r + HALF + 1])
    assert np.allclose(found.image, np.mean(pieces, axis=0), atol=1e-5)
    single = average_scans(made, scans[:1])
    assert single is not None
    assert np.allclose(found.probability, single.probability, atol=1e-5), "the same hypothalamus, moved, lies over itself"
    assert (found.scans, found.of) == (4, 4)


def test_failed_scans_and_damaged_ones_are_left_out_and_few_stand_for_many() -> None:
    made = cohort()
    scans = made["scan"].values.tolist()
    found = average_scans(made, scans)
    assert found is not None
    assert found.scans == 5
    assert average_scans(made, scans[5:]) is None
    few = average_scans(made, scans, most=2)
    assert few is not None
    assert (few.scans, few.of) == (2, 6)
    assert evenly(scans, 100) == scans
    assert evenly([], 5) == []


def test_groups_are_measured_scans_by_a_column() -> None:
    made = cohort()
    assert {name: len(scans) for name, scans in groups_of(made, "group").items()} == {"control": 2, "patient": 3}
    assert {name: len(scans) for name, scans in groups_of(made, None).items()} == {"": 5}
    with pytest.raises(HypojaxError, match="no column 'grp' of scans; it has"):
        groups_of(made, "grp")


def test_the_page_says_n_of_each_group_and_what_was_left_out() -> None:
    made = cohort()
    text = str(group_averages(data(made, groups=GROUPS, rejected=made["scan"].values[0])))
    assert "patient, n = 2" in text
    assert "control, n = 2" in text
    assert "1 scan rated as reject left out" in text
    assert text.count("<img") == 14
    alone = str(group_averages(data(made)))
    assert "n = 5" in alone
    assert alone.count("<img") == 7


def test_scans_without_a_hypothalamus_are_said_to_be_left_out() -> None:
    made = cohort()
    lost = made.assign(posterior=made["posterior"].where(made["scan"] != made["scan"][0]))
    text = str(group_averages(data(lost)))
    assert "n = 4 of 5" in text
    assert "1 scan without a hypothalamus that can be read left out" in text
    assert "evenly spaced" not in text


def test_names_of_groups_are_text() -> None:
    made = cohort()
    text = str(group_averages(data(made, groups=[HOSTILE] * 6)))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_nothing_measured_has_no_average() -> None:
    made = cohort()
    made["status"][:] = "failed"
    assert group_averages(data(made)) is None
