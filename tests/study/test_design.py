"""`hypojax.study.formulas.design`: R's columns, their names and their numbers; and what is left out or refused is said."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry, ixi, known_input

from hypojax.reason import RunError
from hypojax.study.formulas.design import build_design, check_rank
from hypojax.study.formulas.formula import parse

CONTROLS = {"group": "control"}

PEOPLE = pd.DataFrame(
    {
        "group": ["AD", "control", "MCI", "control", "AD", "MCI", "control", "AD"],
        "sex": ["F", "M", "M", "F", "M", "F", "F", "F"],
        "age": [70.0, 61, 55, 80, 66, 59, 72, 64],
        "site": [2, 10, 2, 10, 10, 2, 2, 10],
        "icv": [1.4e6, 1.5e6, 1.45e6, 1.3e6, 1.6e6, 1.55e6, 1.35e6, 1.42e6],
        "same": [3] * 8,
    }
)


def coefficients(formula: str, people: pd.DataFrame, outcome: str) -> dict[str, float]:
    """Least squares with plain NumPy."""
    design = build_design(parse(formula), people, references=CONTROLS)
    volumes = people[outcome].to_numpy(dtype=np.float64)[design.kept]
    known = np.isfinite(volumes)
    found = np.linalg.lstsq(design.matrix[known], volumes[known], rcond=None)[0]
    return dict(zip(design.columns, found.tolist(), strict=True))


@pytest.mark.parametrize("name", ["ols_cohort", "ols_ixi", "ols_cohort_missing", "sex_interaction"])
def test_columns_have_the_names_and_coefficients_of_r(shared: Path, name: str) -> None:
    known = entry(shared, name)
    people = ixi(shared) if name == "ols_ixi" else known_input(shared, "cohort_missing.csv" if "missing" in name else "cohort.csv")
    formula, outcome = {
        "ols_ixi": ("hippocampus ~ sex + age + icv + site", "hippocampus"),
        "sex_interaction": ("amygdala ~ group * sex + age + icv", "amygdala"),
    }.get(name, ("hypothalamus ~ group + age + sex + icv", "hypothalamus"))
    found = coefficients(formula, people, outcome)
    assert set(found) == set(known.at("classic"))
    known.check({column: {"estimate": value} for column, value in found.items()}, "classic")


def test_the_reference_is_named_and_levels_of_numbers_are_in_order_of_size() -> None:
    design = build_design(parse("volume ~ group + C(site)"), PEOPLE, references=CONTROLS)
    assert design.columns == ("(Intercept)", "groupAD", "groupMCI", "C(site)10")
    assert design.levels == {"group": ("control", "AD", "MCI"), "C(site)": ("2", "10")}
    assert design.columns_of("group").tolist() == [1, 2]
    with pytest.raises(RunError, match="nobody has the reference 'HC'; it has: AD, control, MCI"):
        build_design(parse("volume ~ group"), PEOPLE, references={"group": "HC"})


def test_numbers_stay_numbers_unless_they_are_named_as_categories() -> None:
    many = pd.concat([PEOPLE.assign(dose=number) for number in (0, 1, 2)], ignore_index=True)
    design = build_design(parse("volume ~ dose"), many)
    assert design.columns == ("(Intercept)", "dose")
    assert design.notes == ("column 'dose' has the numbers 0, 1, 2 and enters as a slope; if they are codes, write C(dose)",)
    assert build_design(parse("volume ~ C(dose)"), many).columns == ("(Intercept)", "C(dose)1", "C(dose)2")


def test_the_first_factor_of_an_interaction_changes_fastest_as_in_r() -> None:
    cells = [(group, site) for group in ("AD", "control", "MCI") for site in "abc"]
    many = pd.DataFrame(cells * 2, columns=["group", "site"])
    design = build_design(parse("volume ~ group*site"), many, references=CONTROLS)
    assert design.columns[5:] == ("groupAD:siteb", "groupMCI:siteb", "groupAD:sitec", "groupMCI:sitec")
    ad, c = (many.group == "AD").to_numpy(), (many.site == "c").to_numpy()
    np.testing.assert_array_equal(design.matrix[:, design.columns.index("groupAD:sitec")], ad & c)


def test_without_an_intercept_or_a_main_effect_all_categories_have_columns_as_in_r() -> None:
    assert build_design(parse("v ~ 0 + age + sex + group"), PEOPLE).columns == ("age", "sexF", "sexM", "groupcontrol", "groupMCI")
    assert build_design(parse("v ~ age:sex"), PEOPLE).columns == ("(Intercept)", "age:sexF", "age:sexM")
    assert build_design(parse("v ~ age + age:sex"), PEOPLE).columns == ("(Intercept)", "age", "age:sexM")


def test_rows_without_a_covariate_are_known_and_infinite_numbers_are_missing() -> None:
    people = PEOPLE.assign(age=[70.0, np.nan, np.inf, 80, 66, 59, 72, 64], sex=["F", "M", "M", None, "M", "F", "F", "F"])
    design = build_design(parse("volume ~ age + sex"), people)
    assert design.kept.tolist() == [True, False, False, False, True, True, True, True]
    assert len(design.matrix) == 5
    assert design.notes == ("column 'age': 1 infinite value counted as missing",)
    assert build_design(parse("volume ~ 1"), people).kept.all()


def test_a_category_that_only_people_without_covariates_have_is_said() -> None:
    people = PEOPLE.assign(age=PEOPLE.age.where(PEOPLE.group != "MCI"))
    design = build_design(parse("volume ~ group + age"), people, references=CONTROLS)
    assert design.levels["group"] == ("control", "AD")
    assert design.notes == ("column 'group': nobody with MCI has all covariates, so it is not in the model",)


def test_what_is_constant_is_left_out_and_said() -> None:
    design = build_design(parse("volume ~ age + same + same:age"), PEOPLE)
    assert design.columns == ("(Intercept)", "age")
    assert design.notes == ("same is left out: all scans have 3",)
    women = build_design(parse("volume ~ sex + age"), PEOPLE[PEOPLE.sex == "F"])
    assert (women.columns, women.notes) == (("(Intercept)", "age"), ("sex is left out: all scans have F",))
    assert str(women.formula) == "volume ~ age"


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("v ~ age + icv + both", "both is a sum of age, icv: their effects cannot be told apart; leave a term out with --formula"),
        ("v ~ sex + C(site) + twin", "twiny is a sum of \\(Intercept\\), sexM"),
        ("v ~ group*sex*C(site)*age", "it has 24 coefficients and 8 scans"),
        ("v ~ sex:group", "sexM:groupMCI is a sum of"),
        ("v ~ group + sex + group:C(lone)", "nobody is in"),
    ],
)
def test_collinear_columns_are_named(formula: str, why: str) -> None:
    people = PEOPLE.assign(both=2 * PEOPLE.age - PEOPLE.icv / 1e5, twin=(PEOPLE.sex == "M").map({True: "x", False: "y"}))
    people["lone"] = [1, 1, 1, 1, 1, 1, 2, 1]
    with pytest.raises(RunError, match=why):
        build_design(parse(formula), people)


def test_head_size_in_cubic_millimetres_is_not_taken_for_collinear() -> None:
    rng = np.random.default_rng(0)
    wide = pd.DataFrame({"icv": rng.normal(1.5e6, 1e5, 50), "age": rng.normal(40, 10, 50)})
    design = build_design(parse("v ~ icv + icv**2 + icv**3 + age"), wide)
    assert design.columns[2:4] == ("icv**2", "icv**3")
    assert check_rank(design.matrix, design.columns) is None


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("v ~ gruop", "has no column 'gruop'; is it 'group'?"),
        ("v ~ Age", "has no column 'Age'; is it 'age'?"),
        ("v ~ __import__", "has no column '__import__'"),
        ("v ~ log(sex)", "log\\(sex\\) needs numbers, and column 'sex' has 'F'"),
        ("v ~ spline(group, 3)", "needs numbers"),
        ("v ~ log(below)", "logarithms are of numbers above 0"),
        ("v ~ spline(site, 4)", "needs more different values of site than there are \\(2\\)"),
        ("v ~ empty + age", "none of 8 scans has all covariates of the formula \\(known: empty: 0, age: 8\\)"),
    ],
)
def test_what_cannot_be_is_refused_with_the_next_step(formula: str, why: str) -> None:
    with pytest.raises(RunError, match=why):
        build_design(parse(formula), PEOPLE.assign(below=PEOPLE.age - 70, empty=np.nan))


def test_other_people_are_coded_as_those_of_the_model() -> None:
    formula = parse("v ~ group + C(site) + age**2 + log(icv)")
    design = build_design(formula, PEOPLE, references=CONTROLS)
    np.testing.assert_array_equal(design.at(PEOPLE), design.matrix)
    point = pd.DataFrame({"group": ["MCI", "MCI"], "site": [10, 10], "age": [60.0, np.nan], "icv": [1.0, 1.0], "other": "x"})
    found = design.at(point)
    np.testing.assert_array_equal(found[0], [1, 0, 1, 1, 3600, 0])
    assert np.isnan(found[1]).all()
    with pytest.raises(RunError, match=r"column 'group': 'FTD' is not among those of the model \(control, AD, MCI\)"):
        design.at(point.assign(group="FTD"))
    with pytest.raises(RunError, match="no column 'icv'"):
        design.at(point.drop(columns="icv"))


def test_splines_keep_their_knots_for_other_people() -> None:
    design = build_design(parse("v ~ spline(age, 3) + sex"), PEOPLE)
    assert design.columns == ("(Intercept)", "spline(age, 3)1", "spline(age, 3)2", "spline(age, 3)3", "sexM")
    np.testing.assert_allclose(design.at(PEOPLE.iloc[[3, 1]]), design.matrix[[3, 1]], rtol=1e-12, atol=1e-12)


def test_truth_values_and_categories_of_pandas_are_categories() -> None:
    people = PEOPLE.assign(ill=PEOPLE.group == "AD", kind=pd.Categorical(PEOPLE.group, ["MCI", "AD", "control"]))
    assert build_design(parse("v ~ ill"), people).columns == ("(Intercept)", "illTrue")
    assert build_design(parse("v ~ kind"), people, references={"kind": "MCI"}).columns == ("(Intercept)", "kindAD", "kindcontrol")
