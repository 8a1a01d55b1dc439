"""`hypojax.study.people.columns`: what is taken for group, age, sex, head size and site is said, and codes are never guessed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry

from hypojax.reason import RunError
from hypojax.study.people.columns import read_ages, read_sexes, take_columns
from hypojax.study.people.grouping import grouping_of
from hypojax.study.people.numbers_read import read_names, read_numbers
from hypojax.study.people.region_columns import region_of, unit_of
from hypojax.study.people.table_file import read_frame
from hypojax.study.study_settings import StudySettings


@pytest.mark.parametrize(
    ("canonical", "names"),
    [
        ("group", ["group", "Diagnosis", "DX", "dx_group", "Condition"]),
        ("age", ["Age", "age_at_scan", "AGE (years)", "age_at_baseline"]),
        ("sex", ["sex", "Gender", "SEX"]),
        ("icv", ["icv", "eTIV", "TIV", "EstimatedTotalIntraCranialVol", "ICV (mm3)"]),
        ("site", ["site", "Scanner", "center", "Site_ID"]),
        ("time", ["years", "time_years", "Years from baseline"]),
    ],
)
def test_columns_are_found_by_their_usual_names(canonical: str, names: list[str]) -> None:
    values = {"group": ["HC", "AD"], "sex": ["F", "M"], "site": ["x", "y"]}.get(canonical, [1.0, 2.0])
    for name in names:
        taken = take_columns(pd.DataFrame({name: values, "other": [1, 2]}), StudySettings(), meanings={})
        assert taken.took == {canonical: name}
        assert taken.people[canonical].tolist() == values
        assert "other" in taken.people


def test_of_two_candidates_the_more_usual_is_taken_and_said_and_a_named_one_goes_first() -> None:
    people = pd.DataFrame({"gender": ["F", "M"], "sex": ["M", "M"], "dx": ["a", "b"], "diagnosis": ["c", "d"]})
    taken = take_columns(people, StudySettings(), meanings={})
    assert (taken.took["sex"], taken.took["group"]) == ("sex", "diagnosis")
    assert "sex: column 'sex' was taken, not 'gender'; another is taken with --sex" in taken.notes
    named = take_columns(people, StudySettings(sex="gender", group="dx"), meanings={})
    assert named.people["sex"].tolist() == ["F", "M"]
    assert named.people["sex_column"].tolist() == ["M", "M"]
    assert "column 'sex' of the table is here 'sex_column'" in named.notes
    by_sex = take_columns(people, StudySettings(group="gender"), meanings={})
    assert by_sex.took["sex"] == "sex"


def test_a_column_without_values_is_not_used() -> None:
    taken = take_columns(pd.DataFrame({"icv": [np.nan, np.nan], "age": [1, 2]}), StudySettings(), meanings={})
    assert "icv" not in taken.people
    with pytest.raises(RunError, match=r"--age name: the column has no value of that kind \(found: 'Ann', 'Bo'\)"):
        take_columns(pd.DataFrame({"name": ["Ann", "Bo"]}), StudySettings(age="name"), meanings={})
    assert "column 'icv' (icv) has no values: it is not used" in taken.notes
    failed = take_columns(pd.DataFrame({"eTIV": [0.0, 1.5e6]}), StudySettings(), meanings={})
    assert np.isnan(failed.people["icv"].iloc[0])


def test_a_column_of_dates_that_is_named_as_time_stays_what_it_is() -> None:
    people = pd.DataFrame({"visit_date": ["2020-01-01", "2021-01-01"]})
    taken = take_columns(people, StudySettings(change="visit_date"), meanings={})
    assert "time" not in taken.people
    assert taken.people["visit_date"].tolist() == ["2020-01-01", "2021-01-01"]


def test_ages_as_people_write_them() -> None:
    ages, notes = read_ages(pd.Series(["89+", "31,5", "P34Y", "-1", "30-34", None]), "age")
    np.testing.assert_array_equal(ages, [89.0, 31.5, 34.0, np.nan, np.nan, np.nan])
    assert "'-1', '30-34' is not an age: missing in 2 rows" in notes[0]
    months, notes = read_ages(pd.Series([120, 126]), "age_months")
    assert months.tolist() == [10.0, 10.5]
    assert notes == ["column 'age_months': divided by 12, so that ages are in years"]
    ages, notes = read_ages(pd.Series([360, 372, 80]), "age")
    assert ages.tolist() == [360.0, 372.0, 80.0]
    assert "'360', are no ages: kept as they are" in notes[0]


def test_sex_is_read_from_words_and_codes_stay_codes() -> None:
    assert read_sexes(pd.Series(["m", "Female", "MALE ", "woman", "unknown", ""]), "sex", {})[0].tolist() == [
        "M",
        "F",
        "M",
        "F",
        None,
        None,
    ]
    codes, notes = read_sexes(pd.Series([1.0, 2.0, np.nan]), "sex", {})
    assert codes.tolist() == ["1", "2", None]
    assert "nothing says which is male" in notes[0]
    told, notes = read_sexes(pd.Series([0, 1]), "sex", {"0": "female", "1": "male"})
    assert (told.tolist(), notes) == (["F", "M"], ["column 'sex': 0 is F, 1 is M, as the description beside the table says"])
    assert read_sexes(pd.Series(["m", "f"]), "gender", {"m": "male", "f": "female"})[1] == []
    with pytest.raises(RunError, match=r"has both words \(m\) and codes \(2\); use one kind"):
        read_sexes(pd.Series(["m", "2"]), "sex", {})
    assert read_sexes(pd.Series(["F", "diverse"]), "sex", {})[0].tolist() == ["F", "diverse"]


def test_numbers_as_people_and_spreadsheets_write_them() -> None:
    def read(*cells: object) -> list[float]:
        return read_numbers(pd.Series(list(cells), dtype=object), "icv")[0].tolist()

    assert read("1023,5", "912", " 7.5 ") == [1023.5, 912.0, 7.5]
    assert read("1,523,400", "987,654") == [1523400.0, 987654.0]
    assert read("1.5e6", 3, 2.5) == [1.5e6, 3.0, 2.5]
    np.testing.assert_array_equal(read("n/a", "nan", None, "12 mm", np.inf), [np.nan] * 5)
    with pytest.raises(RunError, match=r"'1,523' may be 1523 or 1.523; write its numbers with a point"):
        read("1,523", "1,600")
    assert read_numbers(pd.Series(["12 mm", "3"]), "icv")[1] == ["column 'icv': '12 mm' is no number: missing in 1 row"]
    assert read_numbers(pd.Series([1, None], dtype="Int64"), "icv")[0][0] == 1.0


def test_spellings_that_differ_in_case_or_blanks_are_one_name() -> None:
    names, notes = read_names(pd.Series(["HC", "hc ", "HC", "AD  mild", "AD mild", 1.0]), "dx")
    assert names == ["HC", "HC", "HC", "AD mild", "AD mild", "1"]
    assert notes == ["column 'dx': 'hc' counts as 'HC'"]


@pytest.mark.parametrize("name", ["control", "Controls", "HC", "healthy control", "Healthy Volunteers", "NC", "CN", "typically-developing"])
def test_controls_are_known_by_their_usual_names(name: str) -> None:
    found = grouping_of(pd.Series(["AD", name, "MCI", name]), "dx")
    assert (found.reference, found.problem) == (name, "")


def test_groups_that_are_not_known_are_listed_with_their_counts() -> None:
    assert grouping_of(pd.Series(["0", "1", "1"]), "dx").problem == (
        "which group of column 'dx' is that of the controls? It has 0 (1), 1 (2); name the others with --cases"
    )
    assert "both have names of controls" in grouping_of(pd.Series(["HC", "control", "AD"]), "dx").problem
    assert grouping_of(pd.Series(["HC", "HC"]), "dx").problem.startswith(
        "each of 2 scans is 'HC' in column 'dx': a comparison needs two groups"
    )
    assert grouping_of(pd.Series([None, None], dtype=object), "dx").problem.startswith("nobody has a value in column 'dx'")
    assert grouping_of(pd.Series(["a", "b", "b"]), "dx", ["b"]).reference == "a"


@pytest.mark.parametrize(
    ("column", "region", "unit"),
    [
        ("Hypothalamus", "hypothalamus", ""),
        ("hypothalamus_mm3", "hypothalamus", "mm3"),
        ("volume_hypothalamus_left", "hypothalamus_left", ""),
        ("Left-Hypothalamus", "hypothalamus_left", ""),
        ("rh_hypothalamus_volume", "hypothalamus_right", ""),
        ("whole left", "hypothalamus_left", ""),
        ("left anterior-inferior", "left_anterior_inferior", ""),
        ("right tubular superior", "right_superior_tubular", ""),
        ("EstimatedTotalIntraCranialVol", "icv", ""),
        ("ICV (mL)", "icv", "mL"),
        ("Left-Hippocampus", None, ""),
        ("anterior", None, ""),
        ("left", None, ""),
        ("age", None, ""),
        ("hypothalamus_uncertainty", None, ""),
    ],
)
def test_regions_are_known_in_spellings_of_other_tools(column: str, region: str | None, unit: str) -> None:
    assert (region_of(column), unit_of(column)) == (region, unit)


def test_people_of_ds002748_are_those_counted_by_hand(shared: Path) -> None:
    known = entry(shared, "ds002748_shared")
    for name in ("bids", "roi"):
        table = read_frame(shared / name / "ds002748" / "participants.tsv").frame
        taken = take_columns(table, StudySettings(), meanings={})
        known.check({"n": len(table), "n_by_group": taken.people["group"].value_counts().to_dict()}, name)
        known.check({one.lower(): count for one, count in taken.people["sex"].value_counts().items()}, name, "n_by_gender")
        ages = taken.people["age"]
        known.check({"mean": ages.mean(), "sd": ages.std(), "min": ages.min(), "max": ages.max()}, name, "age")
        assert "each of" in grouping_of(taken.people["group"], "group").problem
