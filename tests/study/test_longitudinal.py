"""Change over time from a table: R's numbers all the way, what error alone gives, and what is said of people without a change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry, known_input

from hypojax.reason import RunError
from hypojax.study.over_time.longitudinal import change, change_findings, first_scans, mixed_change
from hypojax.study.people.sample import read_sample
from hypojax.study.study_settings import StudySettings

SETTINGS = StudySettings(region=("hypothalamus",), change="years", unit="mm3")


def scans(shared: Path) -> pd.DataFrame:
    table = known_input(shared, "repeated.csv").rename(columns={"volume": "hypothalamus"})
    return table.assign(scan=table["subject"] + "_" + table["session"])


def test_r_from_a_table(shared: Path) -> None:
    known = entry(shared, "annual_change")
    found = change(scans(shared), "volume ~ group", settings=SETTINGS)
    one = found.sel(region="hypothalamus")
    effect = one.sel(term="group", contrast="patient - control", quantity="change_difference").squeeze("method")
    values = {name: float(effect[name]) for name in ("estimate", "se", "statistic", "df", "p", "ci_low", "ci_high")}
    known.check(values, "group_difference_hc3", "grouppatient")
    person = known.at("per_subject", 0)
    known.check({"slope": float(one.change.sel(subject=person["subject"]))}, "per_subject", 0)
    assert np.isnan(one.change.sel(subject="sub-06"))
    assert "1 without two volumes at different times" in found.attrs["notes"]
    assert (one["change"].attrs["units"], str(found.unit.sel(quantity="change_difference_percent").item())) == ("mm3/year", "%/year")


def test_spread_by_error_is_what_planted_errors_give() -> None:
    """People who do not change: the spread of their changes is that of the errors, known or not."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"subject": np.repeat([f"sub-{n:03}" for n in range(300)], 3), "years": np.tile([0.0, 1.0, 2.5], 300)})
    table["hypothalamus"] = np.repeat(rng.normal(900, 60, 300), 3) + rng.normal(0, 12, 900)
    table["scan"] = table["subject"] + "_" + table["years"].astype(str)
    found = change(table, settings=SETTINGS).sel(region="hypothalamus")
    assert float(found.spread) == pytest.approx(float(found.spread_by_error), rel=0.15)
    assert float(found.spread_by_error) == pytest.approx(12 / np.sqrt(3.1666667), rel=0.12)
    known = read_sample(table, SETTINGS)
    known = replace(known, uncertainty=known.volumes.copy(data=np.full(known.volumes.shape, 12.0)))
    np.testing.assert_allclose(change_findings(known, SETTINGS).errors, 12 / np.sqrt(3.1666667), rtol=1e-6)


def test_the_mixed_model_of_all_scans(shared: Path) -> None:
    """The interaction of group and years is near the default's difference, and uses the person with one scan."""
    sample = read_sample(scans(shared), SETTINGS)
    effects, notes = mixed_change(sample, SETTINGS)
    interaction = next(effect for effect in effects if effect.term == "group:years")
    assert interaction.method == "mixed model, REML, Satterthwaite t"
    assert interaction.n == 100
    assert interaction.estimate == pytest.approx(-2.45, abs=0.6)
    assert interaction.df < 40, notes


def test_first_scans_are_those_with_the_least_time() -> None:
    people = pd.DataFrame({"subject": ["b", "a", "a"], "age": [50.0, 61.0, 60.0]}, index=["x", "y", "z"])
    found = first_scans(people, np.array([0.0, 1.0, 0.0]))
    assert found["age"].to_dict() == {"a": 60.0, "b": 50.0}


def test_a_group_that_changes_is_said() -> None:
    table = pd.DataFrame({"subject": np.repeat(list("abcdefghijkl"), 2), "years": np.tile([0.0, 1.0], 12)})
    table["group"] = np.where(np.repeat(np.arange(12) < 6, 2), "patient", "control")
    table.loc[23, "group"] = "patient"
    table["hypothalamus"] = np.random.default_rng(1).normal(900, 20, 24)
    table["scan"] = [f"s{number}" for number in range(24)]
    notes = change(table, settings=SETTINGS).attrs["notes"]
    assert "group differs between scans of 1 people (l): that of the first scan is taken" in notes


@pytest.mark.parametrize(
    ("table", "formula", "message"),
    [
        ({"subject": list("abcdefgh"), "years": [0.0] * 8}, None, "none of 8 people has two volumes at different times"),
        ({"subject": list("aabbccdd"), "years": [0.0, 1.0] * 4}, "volume ~ years", "years is the time of the change"),
    ],
)
def test_no_change_is_refused(table: dict[str, list[object]], formula: str | None, message: str) -> None:
    given = pd.DataFrame({**table, "hypothalamus": np.arange(900.0, 908.0), "scan": [f"s{number}" for number in range(8)]})
    with pytest.raises(RunError, match=message):
        change(given, formula, settings=SETTINGS)
