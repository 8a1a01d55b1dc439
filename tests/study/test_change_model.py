"""Change per year between groups: R's numbers, planted effects, and how often nothing is taken for something."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry, known_input
from scipy import stats

from hypojax.reason import RunError
from hypojax.study.formulas.formula import parse
from hypojax.study.models.effect import Effect
from hypojax.study.models.mixed import fit_mixed
from hypojax.study.over_time.change_model import change_model
from hypojax.study.over_time.person_change import person_changes


def modelled(shared: Path, formula: str) -> list[Effect]:
    scans = known_input(shared, "repeated.csv")
    found = person_changes(scans[["volume"]].to_numpy(), scans["years"].to_numpy(), scans["subject"].to_numpy(str))
    people = scans.drop_duplicates("subject").set_index("subject").loc[list(found.subjects)]
    return change_model(found.slope, people, parse(formula), regions=["hypothalamus"], unit="mm3/year", references={"group": "control"})


@pytest.mark.parametrize(("formula", "there"), [("group", "group_difference_hc3"), ("group + age_baseline + sex", "adjusted_hc3")])
def test_r(shared: Path, formula: str, there: str) -> None:
    known = entry(shared, "annual_change")
    effects = modelled(shared, f"volume ~ {formula}")
    names = {"group": "grouppatient", "age_baseline": "age_baseline", "sex": "sexM"}
    columns = [effect for effect in effects if effect.quantity != "change_mean"]
    assert [effect.contrast for effect in columns] == ["patient - control", "", "M - F"][: len(columns)]
    for effect in columns:
        values = {name: getattr(effect, name) for name in ("estimate", "se", "statistic", "df", "p", "ci_low", "ci_high")}
        known.check(values, there, names[effect.term])
        assert (effect.n, effect.unit) == (31, "mm3/year")
    if there == "group_difference_hc3":
        means = {effect.contrast: effect.estimate for effect in effects if effect.quantity == "change_mean"}
        known.check(means, "mean_slope_by_group")


def test_without_a_group_the_mean_change_is_tested() -> None:
    rng = np.random.default_rng(0)
    changes = rng.normal(-5, 2, (30, 2))
    changes[3, 1] = np.nan
    people = pd.DataFrame({"age": rng.normal(60, 8, 30)}, index=[f"sub-{number}" for number in range(30)])
    found = list(change_model(changes, people, parse("v ~ 1"), regions=["a", "b"], unit="mm3/year"))
    assert [(one.region, one.contrast, one.n) for one in found] == [("a", "all", 30), ("b", "all", 29)]
    assert found[0].estimate == pytest.approx(changes[:, 0].mean())
    assert found[1].estimate == pytest.approx(np.nanmean(changes[:, 1]))


def test_too_few_people() -> None:
    people = pd.DataFrame({"age": np.arange(4.0), "sex": list("FMFM")}, index=list("abcd"))
    with pytest.raises(RunError, match="4 people have a change over time"):
        change_model(np.ones((4, 1)) * np.arange(4.0)[:, None], people, parse("v ~ age + sex"), regions=["a"], unit="mm3/year")


def null_scans(seed: int, nulls: int) -> tuple[np.ndarray, pd.DataFrame, np.ndarray, np.ndarray]:
    """Volumes of many null cohorts (row, null), people, years and subjects: 24 people with 3 scans, half of them with a scan less.

    People's own slopes vary twice as much in the eight patients as in controls; nobody's group changes anything else.
    """
    rng = np.random.default_rng(seed)
    subject, patient = np.repeat(np.arange(24), 3), np.arange(24) < 8
    years = np.tile([0.0, 1.0, 2.0], 24) + rng.uniform(0, 0.3, 72)
    slopes = rng.normal(-5, np.where(patient, 8, 4)[:, None], (24, nulls))
    volume = 900 + rng.normal(0, 60, (24, nulls))[subject] + slopes[subject] * years[:, None] + rng.normal(0, 8, (72, nulls))
    kept = (np.arange(72) % 3 < 2) | (rng.uniform(size=24) < 0.5)[subject]
    people = pd.DataFrame({"group": np.where(patient, "patient", "control")}, index=[f"{number:02}" for number in range(24)])
    return volume[kept], people, years[kept], subject[kept]


def alarms(designs: int, nulls: int) -> float:
    """Share of nulls with p < .05 for the group difference in change, by the default model."""
    found = []
    for seed in range(designs):
        volume, people, years, subject = null_scans(seed, nulls)
        slopes = person_changes(volume, years, np.array([f"{number:02}" for number in subject])).slope
        regions = [str(number) for number in range(nulls)]
        effects = change_model(slopes, people, parse("v ~ group"), regions=regions, unit="mm3/year", references={"group": "control"})
        found += [effect.p < 0.05 for effect in effects if effect.contrast == "patient - control"]
    assert len(found) == designs * nulls
    return float(np.mean(found))


def test_the_default_holds_its_level() -> None:
    """2,000 null cohorts of 24 people with 3 scans and unequal variances: .02 to .065 false alarms at .05."""
    assert 0.02 <= alarms(10, 200) <= 0.065


@pytest.mark.long
def test_the_default_holds_its_level_in_many_designs() -> None:
    assert 0.02 <= alarms(100, 200) <= 0.065


@pytest.mark.long
def test_the_mixed_model_is_reported_with_its_rate() -> None:
    """Random intercepts alone give many false alarms where people's slopes vary; with random slopes there are fewer."""
    count = {True: 0, False: 0}
    for seed in range(20):
        volume, people, years, subject = null_scans(seed, 10)
        patient = (people["group"] == "patient").to_numpy(float)[subject]
        design = np.column_stack([np.ones(len(volume)), patient, years, patient * years])
        for column, slopes in product(volume.T, count):
            one = fit_mixed(design, column, subject, time=years if slopes else None).contrast(np.eye(4)[3])
            count[slopes] += 2 * stats.t.sf(abs(one.estimate / one.se), one.df) < 0.05
    print(f"false alarms of the mixed model in 200 nulls: {count[True]} with random slopes, {count[False]} without")
    assert count[False] > count[True]
    assert count[False] > 0.065 * 200
