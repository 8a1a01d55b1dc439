"""The helper that reads known answers fails where a number is wrong, and takes the tolerance of the entry."""

from pathlib import Path

import pytest
from r_reference import entry, ixi, known_input


def test_numbers_are_checked_by_the_tolerance_of_their_entry(shared: Path) -> None:
    known = entry(shared, "ols_cohort")
    known.check({"grouppatient": {"estimate": -67.5247504176345, "p": 0.000939399549844648 * (1 + 9e-6)}}, "HC3")
    with pytest.raises(AssertionError, match="grouppatient"):
        known.check({"grouppatient": {"estimate": -67.5247504176345 * (1 + 2e-7)}}, "HC3")
    with pytest.raises(KeyError):
        known.check({"groupcontrol": 1.0}, "HC3")
    entry(shared, "leverage_one").check(float("nan"), "hc3_se_group_full_as_R_prints_it")


def test_inputs_are_read_as_the_reference_read_them(shared: Path) -> None:
    assert known_input(shared, "cohort_missing.csv").isna().any(axis=1).sum() == entry(shared, "ols_cohort_missing").at("n_left_out")
    assert ixi(shared).site.value_counts().to_dict() == {"Guys": 172, "HH": 95, "IOP": 24}
