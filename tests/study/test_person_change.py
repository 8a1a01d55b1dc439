"""Change of each person against R, against one least-squares fit a person, and test-retest numbers of OASIS."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry, known_input

from hypojax.metrics import bland_altman, icc21, icc31, minimal_detectable_change, within_subject_cv, within_subject_sd
from hypojax.study.over_time.person_change import person_changes, root_mean_square, slope_errors


def test_r_each_person(shared: Path) -> None:
    known, scans = entry(shared, "annual_change"), known_input(shared, "repeated.csv")
    found = person_changes(scans[["volume"]].to_numpy(), scans["years"].to_numpy(), scans["subject"].to_numpy(str))
    alone = int((found.scans[:, 0] == 1).sum())
    known.check({"n_subjects": len(found.subjects), "n_used": len(found.subjects) - alone, "n_single_visit": alone})
    names = {
        "n": found.scans, "slope": found.slope, "percent_slope": found.percent, "sxx": found.time_squares,
    }  # fmt: skip
    for number, person in enumerate(known.at("per_subject")):
        at = found.subjects.index(person["subject"])
        known.check({name: values[at, 0] for name, values in names.items()}, "per_subject", number)


def test_slow_twin_with_holes() -> None:
    """Several regions with different scans missing, in any order of rows: each person's line is numpy's."""
    rng = np.random.default_rng(0)
    subject = rng.permutation(np.repeat(np.arange(12), 4)).astype(str)
    years, volumes = rng.uniform(55, 62, 48), rng.normal(900, 40, (48, 3))
    volumes[rng.uniform(size=volumes.shape) < 0.3] = np.nan
    years[rng.uniform(size=48) < 0.1] = np.nan
    found = person_changes(volumes, years, subject)
    for number, who in enumerate(found.subjects):
        for region in range(3):
            rows = (subject == who) & np.isfinite(volumes[:, region]) & np.isfinite(years)
            assert found.scans[number, region] == rows.sum()
            if rows.sum() < 2:
                assert np.isnan(found.slope[number, region])
                continue
            x, y = years[rows], volumes[rows, region]
            line = np.polyfit(x - x.min(), y, 1)
            assert found.slope[number, region] == pytest.approx(line[0], rel=1e-8)
            assert found.percent[number, region] == pytest.approx(100 * line[0] / line[1], rel=1e-8)


def test_errors_of_slopes_are_those_of_simulated_scans() -> None:
    """The spread of slopes that error alone gives, and the pooled spread about the lines, with planted errors."""
    rng = np.random.default_rng(1)
    years, subject = np.tile([0.0, 0.7, 1.5, 3.1], 3000), np.repeat(np.arange(3000), 4).astype(str)
    uncertainty = np.tile([10.0, 10.0, 20.0, 10.0], 3000)[:, None]
    found = person_changes(900 + rng.normal(0, 1, (12000, 1)) * uncertainty, years, subject)
    expected = root_mean_square(slope_errors(years, subject, uncertainty))
    assert found.slope.std() == pytest.approx(float(expected[0]), rel=0.05)
    same = person_changes(900 + rng.normal(0, 15, (12000, 1)), years, subject)
    assert same.residual[0] == pytest.approx(15, rel=0.03)
    np.testing.assert_allclose(slope_errors(years, subject, np.full((12000, 1), 15.0)) ** 2, 225 / same.time_squares)


def test_two_scans_at_one_time_are_no_change() -> None:
    found = person_changes(np.array([[100.0], [90.0]]), np.array([1.0, 1.0]), np.array(["a", "a"]))
    assert np.isnan(found.slope[0, 0])
    assert np.isnan(found.residual[0])


def test_retest_of_oasis(shared: Path) -> None:
    """Twenty people scanned twice: the numbers of R from `hypojax.metrics`."""
    known = entry(shared, "retest_oasis")
    scans = pd.read_csv(shared / "tables" / "oasis1_cross_sectional.csv")
    parts = scans["ID"].str.rsplit("_", n=1)
    pairs = (
        scans.assign(who=parts.str[0], visit=parts.str[1])
        .pivot_table(index="who", columns="visit", values="nWBV")
        .dropna()[["MR1", "MR2"]]
        .to_numpy()
    )
    limits = bland_altman(pairs[:, 1] - pairs[:, 0])
    known.check({"n": len(pairs), "within_subject_sd_rms": within_subject_sd(pairs)})
    known.check({"within_subject_cv_percent_rms": 100 * within_subject_cv(pairs)})
    known.check({"smallest_detectable_change_95": minimal_detectable_change(pairs)})
    known.check([limits.lower.estimate, limits.upper.estimate], "limits_of_agreement")
    for name, icc in (("icc_2_1_agreement", icc21(pairs)), ("icc_3_1_consistency", icc31(pairs))):
        known.check({"icc": icc.estimate, "ci_low": icc.low, "ci_high": icc.high}, "icc", name)
