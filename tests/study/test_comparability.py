"""Balance of the groups of a study: the numbers of R, and the trap that a test does not see."""

from pathlib import Path

import numpy as np
import pandas as pd
from r_reference import entry, ixi, known_input

from hypojax.study.models.comparability import balance_of_groups, comparable, imbalances, signed_difference

CONTRAST = {"patient - control": ("patient", "control")}


def test_balance_is_that_of_r(shared: Path) -> None:
    known, people = entry(shared, "balance_cohort"), known_input(shared, "cohort.csv")
    found = balance_of_groups(people[["age", "sex"]], people["group"], contrasts=CONTRAST).set_index("variable")
    age, sex = found.loc["age"], found.loc["sex"]
    known.check({"mean": age["control"], "sd": age["sd_control"]}, "age", "control")
    known.check({"mean": age["case"], "sd": age["sd_case"]}, "age", "patient")
    known.check({"control": sex["n_control"], "patient": sex["n_case"]}, "n")
    known.check({"t": age["statistic"], "df": age["df"], "p": age["p"]}, "age_welch")
    known.check({"control": sex["control"], "patient": sex["case"]}, "share_first_sex")
    known.check({"statistic": sex["chi_squared"], "p": sex["chi_squared_p"]}, "sex_chi_square")
    known.check(sex["p"], "sex_fisher_p")
    known.check(sex["standardised_difference"], "sex_standardised_difference")
    known.check(age["standardised_difference"], "age_standardised_difference")


def test_site_by_sex_is_that_of_r(shared: Path) -> None:
    """Two groups at a time; here both sexes over three sites, whose chi-squared test has two degrees of freedom."""
    people = ixi(shared)
    found = balance_of_groups(people[["site"]], people["sex"], contrasts={"M - F": ("M", "F")})
    known = entry(shared, "balance_ixi")
    for name, column in (("chi_square", "chi_squared"), ("chi_df", "chi_squared_df"), ("chi_p", "chi_squared_p")):
        known.check(found.loc[0, column], name)


def test_a_group_of_women_only_is_said_although_no_test_shows_it() -> None:
    """Seven patients, all women, against 15 women and 6 men: Fisher's p is .29, the standardised difference .89."""
    people = pd.DataFrame({"sex": ["F"] * 7 + ["F"] * 15 + ["M"] * 6, "age": np.tile([30.0, 40.0, 50.0, 41.0], 7)})
    group = pd.Series(["depr"] * 7 + ["control"] * 21)
    found = balance_of_groups(people, group, contrasts={"depr - control": ("depr", "control")})
    assert found.loc[0, "p"] > 0.2
    (sentence,) = imbalances(found, adjusted=["age", "sex"])
    assert "Sex differs much between depr and control: F 7 of 7 in depr (100 %) and 15 of 21 in control (71 %)" in sentence
    assert "depr has one value of sex only" in sentence
    assert "in groups this small a test finds little" in sentence


def test_what_cannot_be_compared_is_missing_and_not_zero() -> None:
    assert np.isnan(signed_difference(np.array([1.0]), np.array([1.0, 2.0])))
    assert signed_difference(np.array([2.0, 2.0]), np.array([1.0, 1.0])) == np.inf
    people = pd.DataFrame({"age": [np.nan] * 4, "sex": ["F", "F", "M", "M"], "note": list("abcd")})
    found = balance_of_groups(people, pd.Series(list("aabb")), contrasts={"b - a": ("b", "a")})
    assert found.loc[0, ["n_control", "n_case"]].tolist() == [0, 0]
    assert np.isnan(found.loc[0, "standardised_difference"])
    assert imbalances(found)[0].startswith(("Note", "Sex"))


def test_ids_and_constants_are_not_compared() -> None:
    people = pd.DataFrame({"age": range(20), "site": ["A"] * 20, "name": [f"sub-{n}" for n in range(20)], "sex": ["F", "M"] * 10})
    assert comparable(people) == ["age", "sex"]
