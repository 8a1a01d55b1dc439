"""The comparison of groups: R's numbers come out of it, planted effects are found, what cannot be answered is refused with a sentence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry, ixi, known_input

from hypojax.reason import RunError
from hypojax.study.models.effect import Effect, effects_table
from hypojax.study.models.group_model import compare, compare_models
from hypojax.study.people.sample import read_sample
from hypojax.study.study_settings import StudySettings

REGIONS = ("hypothalamus", "hippocampus", "thalamus", "amygdala")
NO_SIDES = ["site", "volume_se", "hypothalamus_left", "hypothalamus_right"]
FORMULA = "volume ~ group + age + sex + icv"
NUMBERS = {"estimate": "estimate", "se": "se", "statistic": "statistic", "df": "df", "p": "p", "ci_low": "ci_low", "ci_high": "ci_high"}


def made(table: pd.DataFrame, **options: object) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Effects of a table, and what was said."""
    settings = StudySettings(**{"region": REGIONS, "unit": "mm3", **options})
    found = compare_models(read_sample(table, settings), settings)
    return effects_table(found.effects), found.notes


def row(effects: pd.DataFrame, **names: str) -> dict[str, float]:
    """The only row of these names."""
    chosen = effects
    for column, value in names.items():
        chosen = chosen[chosen[column] == value]
    assert len(chosen) == 1, chosen.to_string()
    return chosen.iloc[0].to_dict()


def check(known, found: dict[str, float], *path: str, names: dict[str, str] = NUMBERS) -> None:  # noqa: ANN001
    known.check({theirs: found[ours] for ours, theirs in names.items()}, *path)


def people(size: int = 80, *, seed: int = 0, effect: float = -60.0) -> pd.DataFrame:
    """People with a group, a sex, an age and a head size, and three regions, in one of which patients have less."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame({
        "participant_id": [f"sub-{number:03}" for number in range(size)], "group": np.where(np.arange(size) % 2, "patient", "control"),
        "sex": random.choice(["F", "M"], size), "age": random.uniform(20, 70, size), "icv": random.normal(1.4e6, 1e5, size),
    })  # fmt: skip
    base = 900 + 3e-4 * (table.icv - 1.4e6) - table.age
    table["hypothalamus"] = base + effect * (table.group == "patient") + random.normal(0, 40, size)
    table["hippocampus"], table["thalamus"] = base + random.normal(0, 40, size), base + random.normal(0, 40, size)
    return table


def test_the_default_model_gives_r_s_numbers(shared: Path) -> None:
    table = known_input(shared, "cohort.csv").drop(columns=NO_SIDES)
    effects, notes = made(table)
    known = entry(shared, "ols_cohort")
    group = {"region": "hypothalamus", "term": "group", "contrast": "patient - control"}
    check(known, row(effects, **group, quantity="difference"), "HC3", "grouppatient")
    check(known, row(effects, region="hypothalamus", term="age", quantity="slope"), "HC3", "age")
    check(known, row(effects, region="hypothalamus", term="sex", quantity="difference"), "HC3", "sexM")
    check(known, row(effects, region="hypothalamus", term="icv", quantity="slope"), "HC3", "icv")
    percent = {"estimate": "estimate", "se": "se_delta", "ci_low": "ci_low_delta", "ci_high": "ci_high_delta"}
    where = ("weights_equal", "percent_of_reference_mean")
    check(entry(shared, "adjusted_means_hc3"), row(effects, **group, quantity="percent"), *where, names=percent)
    g = {"estimate": "hedges_g", "ci_low": "g_ci_low", "ci_high": "g_ci_high"}
    check(entry(shared, "hedges_g"), row(effects, **group, quantity="hedges_g"), names=g)
    check(entry(shared, "hedges_g_adjusted"), row(effects, **group, quantity="hedges_g_adjusted"), names={**g, "estimate": "g_adjusted"})
    known, crossed = entry(shared, "sex_interaction"), {"region": "amygdala", "term": "group:sex"}
    check(known, row(effects, **crossed, quantity="interaction"), "HC3", "grouppatient:sexM")
    check(known, row(effects, **crossed, contrast="patient - control, F"), "HC3", "grouppatient")
    men = row(effects, **crossed, contrast="patient - control, M")
    known.check(men["estimate"], "group_difference_by_sex", "M", "estimate")
    assert row(effects, **group, quantity="difference")["n"] == 64
    assert not [note for note in notes if "left out" in note]


def test_people_without_a_value_are_left_out_as_r_does(shared: Path) -> None:
    effects, _ = made(known_input(shared, "cohort_missing.csv"), region=("hypothalamus",))
    found = row(effects, term="group", quantity="difference")
    check(entry(shared, "ols_cohort_missing"), found, "HC3", "grouppatient")
    assert found["n"] == 55


def test_real_people_of_three_sites(shared: Path) -> None:
    table = ixi(shared).rename(columns={"ID": "participant_id"})
    effects, _ = made(table, region=("hippocampus", "icv"))
    known = entry(shared, "ols_ixi")
    check(known, row(effects, region="hippocampus", term="sex", quantity="difference"), "HC3", "sexM")
    for site in ("HH", "IOP"):
        found = row(effects, region="hippocampus", term="site", contrast=f"{site} - Guys", quantity="difference")
        check(known, found, "HC3", f"site{site}")
    assert row(effects, region="icv", term="sex", quantity="difference")["estimate"] > 100_000
    assert not len(effects[(effects.region == "icv") & (effects.term == "icv")])


def test_a_site_of_one_is_left_out_by_name(shared: Path) -> None:
    table = known_input(shared, "leverage_one.csv").rename(columns={"volume": "hypothalamus"})
    effects, notes = made(table, region=("hypothalamus",), formula="hypothalamus ~ group + age + site")
    check(entry(shared, "leverage_one"), row(effects, term="group", quantity="difference"), "without_that_person", "HC3", "grouppatient")
    assert any(note.startswith("sub-20 left out of the model") for note in notes)


def test_a_model_of_logarithms_gives_percentages(shared: Path) -> None:
    table = known_input(shared, "cohort.csv").drop(columns=NO_SIDES)
    effects, _ = made(table, formula="log(volume) ~ group + age + sex + log(icv)", region=("hypothalamus",))
    known = {"estimate": "percent", "ci_low": "percent_hc3_ci_low", "ci_high": "percent_hc3_ci_high"}
    check(entry(shared, "log_percent"), row(effects, term="group", quantity="percent"), names=known)
    assert row(effects, term="group", quantity="difference")["unit"] == "1"


def test_weights_are_those_of_the_uncertainty_of_each_scan(shared: Path) -> None:
    table = known_input(shared, "cohort.csv").drop(columns=NO_SIDES)
    settings = StudySettings(region=("hypothalamus",), unit="mm3", formula=FORMULA, weights=True)
    sample = read_sample(table, settings)
    sample = replace(sample, uncertainty=sample.volumes.copy(data=known_input(shared, "cohort.csv")[["volume_se"]].to_numpy(float)))
    effects = effects_table(compare_models(sample, settings).effects)
    found = row(effects, term="group", quantity="difference")
    check(entry(shared, "wls_cohort"), found, "HC3", "grouppatient")
    assert found["method"] == "weighted linear model, HC3, t"
    with pytest.raises(RunError, match="the volumes have no uncertainty"):
        compare_models(replace(sample, uncertainty=None), settings)


def test_repeated_scans_are_clustered_where_the_subject_is_named_and_refused_where_not(shared: Path) -> None:
    table = known_input(shared, "repeated.csv").rename(columns={"volume": "hypothalamus", "subject": "participant_id"})
    options = {"region": ("hypothalamus",), "formula": "hypothalamus ~ group + age_baseline + sex + icv"}
    with pytest.raises(RunError, match=r"subjects have several scans \(.*--subject"):
        made(table, **options)
    effects, _ = made(table, **options, subject="participant_id", permutations=50)
    found = row(effects, term="group", quantity="difference")
    check(
        entry(shared, "ols_clustered"), found, "CR3", "grouppatient", names={"estimate": "estimate", "se": "se", "statistic": "statistic"}
    )
    assert found["df"] == pytest.approx(22.04099811190262)  # of CR2 R gives 22.517; subjects less one would be 31
    assert found["method"] == "linear model, clustered by subject, t"
    assert 0 < found["p_fwer"] <= 1
    assert "hedges_g" not in set(effects.quantity)


def test_permutations_within_sites_are_all_counted_for_eight_people(shared: Path) -> None:
    known = entry(shared, "permutation_eight")
    regions = ("hypothalamus", "hippocampus", "thalamus")
    for formula, where in (
        ("volume ~ group + age", "freedman_lane_age"),
        ("volume ~ group + age + site", "freedman_lane_age_site_within_site_blocks"),
    ):
        effects, _ = made(known_input(shared, "eight.csv"), region=regions, formula=formula, permutations=10)
        for region in regions:
            known.check(
                row(effects, region=region, term="group", quantity="difference")["p_fwer"], where, "p_family_wise_max_abs_t", region
            )


def test_a_planted_effect_is_found_and_others_are_not() -> None:
    effects, _ = made(people(), region=("hypothalamus", "hippocampus", "thalamus"), permutations=500)
    found = effects[(effects.term == "group") & (effects.quantity == "difference")].set_index("region")
    assert found.ci_low["hypothalamus"] < -60 < found.ci_high["hypothalamus"] < 0
    assert found.p_fdr["hypothalamus"] < 0.001
    assert found.p_fwer["hypothalamus"] == 1 / 501
    assert (found.p_fwer[["hippocampus", "thalamus"]] > 0.05).all()


def test_a_dataset_in_the_words_of_the_issue() -> None:
    found = compare(people(), FORMULA, region=("hypothalamus", "thalamus"), unit="mm3")
    one = found.sel({"region": "hypothalamus", "term": "group", "contrast": "patient - control", "method": "linear model, HC3, t"})
    assert float(one.estimate.sel(quantity="difference")) < -40
    assert found.unit.sel(quantity="percent").item() == "%"
    assert found.attrs["formula"] == FORMULA
    with pytest.raises(TypeError, match="permutation"):
        compare(people(), permutation=5)


def test_each_case_group_is_compared_by_itself_with_the_controls() -> None:
    table = people().replace({"group": {"patient": "AD"}})
    table.loc[::4, "group"] = "MCI"
    effects, _ = made(table, region=("hypothalamus",))
    contrasts = effects[(effects.term == "group") & (effects.quantity == "difference")].contrast
    assert sorted(contrasts) == ["AD - control", "MCI - control"]
    only, _ = made(table, region=("hypothalamus",), cases=("AD",))
    assert row(only, term="group", quantity="difference")["contrast"] == "AD - controls"


def test_a_difference_in_a_model_with_an_interaction_is_the_mean_over_the_other_category() -> None:
    table = people()
    effects, _ = made(table, region=("hypothalamus",), formula="volume ~ group * sex + age * group")
    difference = row(effects, term="group", quantity="difference")
    crossed = row(effects, term="group:sex", quantity="interaction")
    slope = row(effects, term="age", quantity="slope")
    assert (crossed["contrast"], slope["contrast"]) == ("patient - control, M - F", "at the mean")
    from hypojax.study.formulas.design import build_design
    from hypojax.study.formulas.formula import parse
    from hypojax.study.models.linear import fit

    design = build_design(parse("volume ~ group * sex + age * group"), table, references={"group": "control"})
    b = dict(zip(design.columns, fit(design.matrix, table[["hypothalamus"]].to_numpy()).coefficients[:, 0], strict=True))
    by_age = next(value for name, value in b.items() if name in ("age:grouppatient", "grouppatient:age"))
    expected = b["grouppatient"] + b["grouppatient:sexM"] / 2 + by_age * table.age.mean()
    assert difference["estimate"] == pytest.approx(expected, rel=1e-9)
    assert slope["estimate"] == pytest.approx(b["age"] + by_age / 2, rel=1e-6)


def test_a_region_with_gaps_has_its_own_people() -> None:
    table = people()
    table.loc[:9, "thalamus"] = np.nan
    effects, _ = made(table, region=("hypothalamus", "thalamus"), permutations=20)
    n = effects[(effects.term == "group") & (effects.quantity == "difference")].set_index("region").n
    assert n.to_dict() == {"hypothalamus": 80, "thalamus": 70}
    alone, _ = made(table.iloc[10:], region=("thalamus",))
    assert row(effects, region="thalamus", term="group", quantity="difference")["p"] == pytest.approx(
        row(alone, term="group", quantity="difference")["p"], rel=1e-9
    )


@pytest.mark.parametrize("method", ["residual", "proportion", "power", "none"])
def test_head_size_is_no_covariate_where_volumes_are_corrected_for_it(shared: Path, method: str) -> None:
    effects, _ = made(known_input(shared, "cohort.csv").drop(columns=NO_SIDES), region=("hypothalamus", "icv"), head_size=method)
    assert "icv" not in set(effects.term)
    assert set(effects.region) == {"hypothalamus", "icv"}
    assert row(effects, region="icv", term="sex", quantity="difference")["estimate"] > 50_000


def one_group(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.group == "patient"]


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (one_group, {"group": "group"}, "a comparison needs two groups"),
        (lambda table: table[(table.group == "patient") | (table.index == 0)], {}, "two people in each group.*control 1"),
        (lambda table: table.assign(group=table.group.replace({"control": "B", "patient": "A"})), {}, r"A \(40\), B \(40\)"),
        (lambda table: table.assign(hypothalamus=np.nan), {}, "hypothalamus|volume"),
        (lambda table: table.iloc[:5], {}, "more scans than columns|5 scans"),
        (lambda table: table, {"formula": "volume ~ gruop + age"}, "group"),
        (lambda table: table, {"formula": "thalmus ~ group"}, "thalmus"),
        (lambda table: table.assign(twice=2 * table.age), {"formula": "volume ~ group + age + twice"}, "twice"),
        (lambda table: table.drop(columns=["group", "age", "sex", "icv"]), {}, "the model has no terms"),
        (lambda table: table.drop(columns="icv"), {"head_size": "residual"}, "no scan has a head size"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(change, options: dict[str, object], sentence: str) -> None:  # noqa: ANN001
    with pytest.raises(RunError, match=sentence):
        made(change(people()), **{"region": ("hypothalamus",), **options})


def test_what_is_left_out_is_said() -> None:
    _, notes = made(people().assign(sex="F").drop(columns="age"), region=("hypothalamus",))
    assert any(note.startswith("no column of age was found") for note in notes)
    assert any("sex is left out: all scans have F" in note for note in notes)
    _, notes = made(one_group(people()), region=("hypothalamus",))
    assert any(note.startswith("no group is compared: ") for note in notes)
    women = people()
    women.loc[women.group == "patient", "sex"] = "F"
    _, notes = made(women, region=("hypothalamus",))
    assert "whether the difference depends on sex was not tested: a group has fewer than 2 people of one sex" in notes


def test_effects_of_two_regions_are_those_of_each() -> None:
    both, _ = made(people(), region=("hypothalamus", "thalamus"))
    alone, _ = made(people(), region=("thalamus",))
    numbers = [name for name in Effect._fields if name != "p_fdr"]
    pd.testing.assert_frame_equal(both[both.region == "thalamus"][numbers].reset_index(drop=True), alone[numbers], rtol=1e-9)


def test_rescans_without_a_covariate_make_no_model_of_repeated_scans(shared: Path) -> None:
    table = shared / "tables" / "oasis1_cross_sectional.csv"
    found = compare(table, "nWBV ~ group + age + sex", settings=StudySettings(group="CDR", cases=("0.5", "1", "2")))
    assert found["method"].to_numpy().tolist() == ["linear model, HC3, t"]
    assert (found["estimate"].sel(term="group", quantity="difference").dropna("contrast") < 0).all()
