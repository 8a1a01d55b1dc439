"""Balance of the groups of a study: the numbers of R, and the trap that a test does not see."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hypojax.study.comparability import balance_of_groups, comparable, imbalances, signed_difference

CONTRAST = {"patient - control": ("patient", "control")}


def test_balance_is_that_of_r(shared: Path) -> None:
    folder = shared / "stats_reference"
    entries = json.loads((folder / "reference.json").read_text())["entries"]
    entry = next(one for one in entries if one["id"] == "balance_cohort")
    known, tolerance = entry["numbers"], entry["tolerance"]
    people = pd.read_csv(folder / "inputs" / "cohort.csv")
    found = balance_of_groups(people[["age", "sex"]], people["group"], contrasts=CONTRAST).set_index("variable")
    pairs = {
        ("age", "n_control"): known["n"]["control"],
        ("age", "control"): known["age"]["control"]["mean"],
        ("age", "sd_case"): known["age"]["patient"]["sd"],
        ("age", "standardised_difference"): known["age_standardised_difference"],
        ("age", "statistic"): known["age_welch"]["t"],
        ("age", "df"): known["age_welch"]["df"],
        ("age", "p"): known["age_welch"]["p"],
        ("sex", "case"): known["share_first_sex"]["patient"],
        ("sex", "p"): known["sex_fisher_p"],
        ("sex", "chi_squared"): known["sex_chi_square"]["statistic"],
        ("sex", "chi_squared_p"): known["sex_chi_square"]["p"],
        ("sex", "standardised_difference"): known["sex_standardised_difference"],
    }
    for (row, column), value in pairs.items():
        assert found.loc[row, column] == pytest.approx(value, rel=tolerance["relative"], abs=tolerance["absolute"]), (row, column)


def test_a_group_of_women_only_is_said_although_no_test_shows_it() -> None:
    """Seven patients, all women, against 15 women and 6 men: Fisher's p is .29, the standardised difference .89."""
    people = pd.DataFrame({"sex": ["F"] * 7 + ["F"] * 15 + ["M"] * 6, "age": np.tile([30.0, 40.0, 50.0, 41.0], 7)})
    group = pd.Series(["depr"] * 7 + ["control"] * 21)
    found = balance_of_groups(people, group, contrasts={"depr - control": ("depr", "control")})
    assert found.loc[0, "p"] > 0.2
    (sentence,) = imbalances(found)
    assert "sex differs much between depr and control: F 7 of 7 in depr (100 %) and 15 of 21 in control (71 %)" in sentence
    assert "depr has one value of sex only" in sentence
    assert "in groups this small a test finds little" in sentence


def test_what_cannot_be_compared_is_missing_and_not_zero() -> None:
    assert np.isnan(signed_difference(np.array([1.0]), np.array([1.0, 2.0])))
    assert signed_difference(np.array([2.0, 2.0]), np.array([1.0, 1.0])) == np.inf
    people = pd.DataFrame({"age": [np.nan] * 4, "sex": ["F", "F", "M", "M"], "note": list("abcd")})
    found = balance_of_groups(people, pd.Series(list("aabb")), contrasts={"b - a": ("b", "a")})
    assert found.loc[0, ["n_control", "n_case"]].tolist() == [0, 0]
    assert np.isnan(found.loc[0, "standardised_difference"])
    assert imbalances(found)[0].startswith("note") or imbalances(found)[0].startswith("sex")


def test_ids_and_constants_are_not_compared() -> None:
    people = pd.DataFrame({"age": range(20), "site": ["A"] * 20, "name": [f"sub-{n}" for n in range(20)], "sex": ["F", "M"] * 10})
    assert comparable(people) == ["age", "sex"]
