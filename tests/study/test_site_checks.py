"""When differences between sites cannot be removed."""

import numpy as np
import pandas as pd
import pytest

from hypojax.reason import RunError
from hypojax.study.sites.site_checks import check_confounding, check_sites


def test_a_tiny_site_is_refused_by_its_name_and_number() -> None:
    with pytest.raises(RunError, match="site 'B' has 4 scans with all covariates, and harmonisation needs 5"):
        check_sites(pd.Series({"A": 40, "B": 4}), None)
    assert check_sites(pd.Series({"A": 40, "B": 20}), None) == []
    assert len(check_sites(pd.Series({"A": 40, "B": 5}), "A")) == 1


def test_one_site_and_an_unknown_reference_are_refused() -> None:
    with pytest.raises(RunError, match=r"all scans are of A \(40\)"):
        check_sites(pd.Series({"A": 40}), None)
    with pytest.raises(RunError, match=r"reference site 'C': .* A \(40\), B \(30\)"):
        check_sites(pd.Series({"A": 40, "B": 30}), "C")


def test_a_site_that_is_one_with_a_group_is_refused() -> None:
    site = np.repeat(["A", "B", "C"], 6).tolist()
    group, age = np.repeat([1.0, 0, 0], 6), np.random.default_rng(0).normal(size=18)
    with pytest.raises(RunError, match=r"sites and grouppatient are one: grouppatient follows from the site \(A\)"):
        check_confounding(site, ["A", "B", "C"], np.column_stack([age, group]), ["age", "grouppatient"])
    group[0] = 0
    check_confounding(site, ["A", "B", "C"], np.column_stack([age, group]), ["age", "grouppatient"])
