"""What a study says of its numbers is what they are: units, who is in, effect sizes by their name, nothing passed over in silence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hypojax.reason import RunError
from hypojax.study import StudySettings, analyse
from hypojax.study.models.linear import contrast_effects, covariance, fit
from hypojax.study.over_time.person_change import person_changes
from hypojax.study.writing.study_federated import write_summaries
from hypojax.study.writing.study_figures import _corrected_p
from hypojax.study.writing.study_methods import methods
from hypojax.study.writing.study_run import StudyResult
from hypojax.study.writing.study_text import assumptions

PLAIN = StudySettings(unit="mm3", region=("hypothalamus", "icv"))


def table(people: int = 48) -> pd.DataFrame:
    """Two groups; the volume grows with the head, patients have 40 mm3 less."""
    random = np.random.default_rng(4)
    group = np.where(np.arange(people) % 2, "patient", "control")
    icv = random.normal(1.5e6, 1.3e5, people).round()
    volume = 300 + 0.0004 * icv + random.normal(0, 30, people) - 40 * (group == "patient")
    ages = {"subject": [f"s{i:02}" for i in range(people)], "group": group, "age": random.uniform(20, 70, people).round(1)}
    return pd.DataFrame({**ages, "icv": icv, "hypothalamus": volume.round(2)})


def one(found: StudyResult, region: str, quantity: str) -> pd.Series:
    """The row of the group of a region and quantity."""
    rows = found.findings.effects.query("region == @region and term == 'group' and quantity == @quantity")
    return rows.iloc[0]


@pytest.mark.parametrize(("unit", "heads"), [("mm3", 1e-3), ("mL", 1.0)])
def test_intracranial_volumes_in_another_unit_than_the_regions_are_given_in_that_of_the_regions(unit: str, heads: float) -> None:
    given = table()
    right = analyse(given, settings=PLAIN)
    volumes = given["hypothalamus"] * (1 if unit == "mm3" else 1e-3)
    found = analyse(given.assign(hypothalamus=volumes, icv=given["icv"] * heads), settings=replace(PLAIN, unit=unit))
    scale = 1 if unit == "mm3" else 1e-3
    for region in ("hypothalamus", "icv"):
        assert one(found, region, "difference")["estimate"] == pytest.approx(one(right, region, "difference")["estimate"] * scale)
    assert any("so it is taken times" in note for note in found.notes)
    assert not any("so it is taken times" in note for note in right.notes)


def test_people_without_the_head_size_that_corrects_are_counted_and_raw_g_stays_that_of_raw_volumes() -> None:
    given = table()
    given.loc[[1, 4, 8], "icv"] = np.nan
    settings = replace(PLAIN, region=("hypothalamus",), formula="volume ~ group + age", head_size="residual")
    found = analyse(given, settings=settings)
    flow = {row.what: row.count for row in found.findings.sample.flow}
    assert (flow["without covariates"], flow["analysed"]) == (3, 45)
    assert "was fitted to 45 scans (control n = 22, patient n = 23)" in methods(found.findings)[0]
    raw = analyse(given.dropna(), settings=replace(settings, head_size="none"))
    assert one(found, "hypothalamus", "hedges_g")["estimate"] == pytest.approx(one(raw, "hypothalamus", "hedges_g")["estimate"])
    assert one(found, "hypothalamus", "hedges_g_adjusted")["estimate"] < one(raw, "hypothalamus", "hedges_g_adjusted")["estimate"]
    sizes = found.findings.table("head_size").query("quantity == 'difference'").set_index("analysis")["estimate"]
    covariate = analyse(given, settings=replace(settings, formula="volume ~ group + age + icv", head_size="covariate"))
    assert sizes["covariate"] == pytest.approx(one(covariate, "hypothalamus", "difference")["estimate"])
    assert sizes["covariate"] != pytest.approx(sizes["none"])


def test_a_model_of_logarithms_says_so_and_has_no_bound_in_mm3() -> None:
    settings = replace(PLAIN, formula="log(hypothalamus) ~ group + age + log(icv)")
    found = analyse(table(), settings=settings)
    assert "in log volume (" in found.answers[0]
    assert "100 (exp(b) - 1)" in methods(found.findings)[1]
    assert "delta method" not in methods(found.findings)[1]
    assert not any("mm³" in sentence for sentence in found.findings.checks)
    power = found.findings.table("power").iloc[0]
    assert power["smallest_percent"] == pytest.approx(100 * np.expm1(power["smallest"]))
    with pytest.raises(RunError, match="logarithm"):
        analyse(table(), settings=replace(settings, equivalence=40.0))


def test_a_bound_in_mm3_is_one_for_volumes_in_cm3_too() -> None:
    given = table()
    small = given.assign(hypothalamus=given["hypothalamus"] / 1000, icv=given["icv"] / 1000)
    said = [
        analyse(frame, settings=replace(PLAIN, region=("hypothalamus",), unit=unit, equivalence=40.0)).findings.remarks["equivalence"][0]
        for frame, unit in ((given, "mm3"), (small, "cm3"))
    ]
    assert "0.040 cm³" in said[1]
    assert len({sentence.split("tests, ")[1].split(";")[0] for sentence in said}) == 1


def test_repeated_scans_are_no_people_in_the_balance_and_change_says_who_is_in_it() -> None:
    people = table(24)
    visits = [people.assign(years=year, session=f"{year}", hypothalamus=people["hypothalamus"] - 5 * year) for year in (0.0, 1.0, 2.5)]
    rows = pd.concat(visits, ignore_index=True)
    rows["hypothalamus"] += np.random.default_rng(1).normal(0, 3, len(rows))
    settings = replace(PLAIN, subject="subject")
    repeated = analyse(rows, settings=replace(settings, region=("hypothalamus",)))
    assert set(repeated.findings.table("balance")["n_control"]) == {12}
    assert repeated.analysed == {"control": 12, "patient": 12}
    assert "CR3" in methods(repeated.findings)[1]
    assert "not independent" in repeated.findings.checks[0]
    assert repeated.findings.table("diagnostics")["shapiro_p"].isna().all()
    beside = repeated.findings.table("sensitivity").query("quantity == 'difference' and analysis.str.startswith('mixed model')").iloc[0]
    assert beside["estimate"] == pytest.approx(one(repeated, "hypothalamus", "difference")["estimate"], abs=0.5 * beside["se"])
    change = analyse(rows, settings=replace(settings, change="years", equivalence=3.0))
    assert "was fitted to 24 people (control n = 12, patient n = 12)" in methods(change.findings)[0]
    assert "patient (n = 12) and control (n = 12)" in change.answers[0]
    assert len(change.findings.remarks["equivalence"]) == 1
    beside = change.findings.table("sensitivity").set_index("region")
    assert beside.loc["hypothalamus", ["quantity", "unit", "n"]].tolist() == ["change_difference", "mm3/year", 72]
    assert "icv" not in beside.index
    assert any("Negative: more loss" in sentence for sentence in assumptions(change.findings))
    still = change.findings.effects.query("region == 'icv'")
    assert still["p"].isna().all()  # copied head sizes do not change, and rounding is no change
    first = change.findings.effects.query("region == 'hypothalamus' and quantity == 'change_difference'").iloc[0]
    assert first["p_fdr"] == pytest.approx(first["p"])
    for option in ({"permutations": 10}, {"harmonise": True}, {"head_size": "residual"}, {"weights": True}):
        with pytest.raises(RunError, match="cannot be had with --change"):
            analyse(rows, settings=replace(settings, change="years", **option))


def test_volumes_without_spread_are_not_tested() -> None:
    design = np.column_stack([np.ones(20), np.arange(20) % 2])
    found = fit(design, np.full((20, 1), 1.4e6 / 3))
    made = contrast_effects(found, covariance(found), np.array([0.0, 1.0]))
    assert np.isnan([made.se[0], made.p[0], made.low[0]]).all()
    change = person_changes(np.full((3, 1), 1.4e6 / 3), np.array([0.0, 0.77, 1.9]), np.array(["a", "a", "a"]))
    assert change.slope.item() == 0.0


def test_a_percentage_is_drawn_as_significant_as_its_difference() -> None:
    found = analyse(table(), settings=replace(PLAIN, region=("hypothalamus",)))
    rows = found.findings.effects.query("term == 'group'")
    assert _corrected_p(rows, "hypothalamus", "patient - control") == one(found, "hypothalamus", "difference")["p_fdr"] < 0.05


def test_what_is_said_of_head_size_is_what_was_done() -> None:
    given = table()
    alone = analyse(given.drop(columns="group"), settings=replace(PLAIN, region=("hypothalamus",), head_size="residual"))
    said = alone.findings.remarks["head_size"]
    assert "controls" not in said[0]
    assert "take that as known" in said[1]
    same = analyse(given.assign(icv=1.5e6), settings=PLAIN)
    assert same.findings.remarks["head_size"] == ("Volumes are not corrected for head size, which is the same number in all scans.",)
    assert not any("nan" in sentence for sentence in same.findings.checks)
    assert any("region icv: all 48 scans have the volume 1.5e+06" in note for note in same.notes)
    assert set(same.findings.effects["region"]) == {"hypothalamus"}


def test_scans_without_the_uncertainty_that_weighs_them_are_counted() -> None:
    given = table().assign(hypothalamus_left=lambda rows: rows["hypothalamus"] / 2, hypothalamus_uncertainty=20.0)
    given.loc[[2, 3], "hypothalamus_uncertainty"] = np.nan
    found = analyse(given, settings=replace(PLAIN, region=("hypothalamus",), weights=True))
    assert any("hypothalamus: 2 of 48 scans have no uncertainty" in note and "left out" in note for note in found.notes)
    assert any("hypothalamus_left" in note and "leave out --weights" in note for note in found.notes)


@pytest.mark.parametrize(
    "settings",
    [StudySettings(head_size="residual"), StudySettings(weights=True), StudySettings(change="time"), StudySettings(equivalence=40.0)],
)
def test_what_sums_of_sites_cannot_hold_is_refused(tmp_path: Path, settings: StudySettings) -> None:
    with pytest.raises(RunError, match="cannot be had from sums"):
        write_summaries(table(), tmp_path / "sums.json", settings=settings)
