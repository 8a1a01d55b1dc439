"""Norms fitted on samples: known answers, planted curves, what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from people_in_tables import sample_of
from r_reference import entry, ixi

from hypojax.reason import RunError
from hypojax.study.centiles.norms import fit_norms
from hypojax.study.centiles.norms_scores import apply_norms
from hypojax.study.centiles.shash import Shash, at_score


@pytest.fixture(scope="module")
def people(shared: Path) -> pd.DataFrame:
    table = ixi(shared).set_index("ID")[["age", "sex", "site", "icv", "brain"]]
    return table.assign(brain=table["brain"] / 1000)


@pytest.mark.parametrize("shape", ["normal", "shash"])
def test_smooth_centiles_are_those_of_mgcv(people: pd.DataFrame, shared: Path, shape: str) -> None:
    known = pd.DataFrame(entry(shared, f"norms_ixi_gam_{shape}").at("rows")).set_index("id")
    norms = fit_norms(sample_of(people, ["brain"], unit="cm3"), shape=shape, head_size=False)
    found = apply_norms(norms, sample_of(people, ["brain"], unit="cm3")).sel(region="brain")
    centile = found["centile"].sel(scan=known.index.to_numpy()).to_numpy()
    off = np.abs(centile - known["centile"])[(known["centile"] > 5) & (known["centile"] < 95)]
    assert off.max() < 5
    assert off.mean() < 2
    sd = (known["q95"] - known["q05"]) / 3.29
    expected = found["expected"].sel(scan=known.index.to_numpy()).to_numpy()
    assert (np.abs(expected - known["q50"]) / sd).max() < 0.15
    curves = norms["curve"].sel(region="brain")
    for share, name in ((0.05, "q05"), (0.95, "q95")):
        at = [curves.sel(sex=sex, share=share).interp(curve_age=age).item() for sex, age in zip(known["sex"], known["age"], strict=True)]
        assert (np.abs(np.array(at) - known[name]) / sd).max() < 0.35


def simulated(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """People whose volume has a curved median, a spread that grows with age, and skewness; and their true z-scores."""
    random = np.random.default_rng(seed)
    age, male, z = random.uniform(20, 85, n), random.random(n) < 0.5, random.standard_normal(n)
    icv = 1.45e6 + 1.2e5 * male + 1e5 * random.standard_normal(n)
    location = 900 - 0.03 * np.clip(age - 40, 0, None) ** 2 + 20 * male + 3e-4 * (icv - 1.5e6)
    volume = at_score(Shash(location, np.exp(3.7 + 0.006 * age), 0.3, 0.9), z)
    return pd.DataFrame({"age": age, "sex": np.where(male, "M", "F"), "icv": icv, "thalamus": volume}), z


def test_planted_centiles_are_found() -> None:
    table, _ = simulated(2000, 0)
    norms = fit_norms(sample_of(table, ["thalamus"]), df=3)
    assert norms["shape"].item() == "shash"
    new, true = simulated(2000, 1)
    found = apply_norms(norms, sample_of(new, ["thalamus"])).isel(region=0)
    below = [float((found["centile"] < share).mean()) for share in (5, 50, 95)]
    assert below == pytest.approx([0.05, 0.5, 0.95], abs=0.03)
    assert np.abs(found["z"].to_numpy() - true).mean() < 0.08
    held = (found["z_low"].to_numpy() < true) & (true < found["z_high"].to_numpy())
    assert held.mean() > 0.85  # the form of the model is not that of the truth
    assert norms["quantile_check"].max() < 0.15


def test_a_small_sample_says_that_it_knows_less() -> None:
    widths = []
    for n in (80, 1280):
        norms = fit_norms(sample_of(simulated(n, 3)[0], ["thalamus"]), shape="normal", df=2)
        found = apply_norms(norms, sample_of(simulated(50, 4)[0], ["thalamus"]))
        widths.append(float((found["z_high"] - found["z_low"]).median()))
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.35)
    with pytest.raises(RunError, match="norms need 60 people with age, sex, icv, and there are 59"):
        fit_norms(sample_of(simulated(59, 3)[0], ["thalamus"]))


def test_everything_is_in_one_file(people: pd.DataFrame, tmp_path: Path) -> None:
    sample = sample_of(people, ["brain", "icv"])
    norms = fit_norms(sample, df=3)
    norms.to_netcdf(tmp_path / "norms.nc")
    with xr.open_dataset(tmp_path / "norms.nc") as again:
        found = apply_norms(again, sample)
        assert again["curve"].dims == ("region", "sex", "curve_age", "share")
        assert again["calibration_n"][0] == len(people)
    xr.testing.assert_allclose(found, apply_norms(norms, sample))
    assert norms["n_of_site"].to_series().to_dict() == people["site"].value_counts().to_dict()
    assert norms["location"].sel(region="icv", location_column="icv") == 0
    assert set(norms.dims).isdisjoint({"scan"})


def test_controls_are_taken_and_each_person_once() -> None:
    table, _ = simulated(300, 5)
    table = table.assign(group=["control", "patient", "control"] * 100, subject=[f"s{number // 2}" for number in range(300)])
    table.loc[table["group"] == "patient", "thalamus"] -= 500
    norms = fit_norms(sample_of(table, ["thalamus"]), df=2, shape="normal")
    once = table[table["group"] == "control"].drop_duplicates("subject")
    alone = fit_norms(sample_of(once.drop(columns=["group", "subject"]), ["thalamus"]), df=2, shape="normal")
    assert norms["n"].item() == len(once)
    assert np.allclose(norms["curve"], alone["curve"])
    assert "norms are fitted on the controls, 200 of 300 scans" in norms.attrs["notes"]
    with pytest.raises(RunError, match="norms are fitted on controls"):
        fit_norms(replace(sample_of(table, ["thalamus"]), reference=None, group_problem="which group is that of the controls?"))


def test_values_of_a_few_kinds_keep_the_normal_shape() -> None:
    table, _ = simulated(200, 8)
    rounded = table.assign(thalamus=(table["thalamus"] / 200).round())
    assert np.isfinite(fit_norms(sample_of(rounded, ["thalamus"]), df=2)["curve"]).all()


def test_without_sex_or_head_size_norms_say_so() -> None:
    table, _ = simulated(200, 6)
    norms = fit_norms(sample_of(table.drop(columns="icv").assign(sex=["M"] * 190 + ["F"] * 10), ["thalamus"]))
    assert "sex is not told apart" in norms.attrs["notes"]
    assert "head size is not in the norms" in norms.attrs["notes"]
    assert norms["sex"].to_numpy().tolist() == ["all"]
    assert np.isfinite(apply_norms(norms, sample_of(table.drop(columns=["icv", "sex"]), ["thalamus"]))["z"]).all()
    with pytest.raises(RunError, match="norms need the age"):
        fit_norms(sample_of(table.drop(columns="age"), ["thalamus"]))


def test_columns_of_people_may_have_holes_and_regions_too() -> None:
    table, _ = simulated(200, 7)
    table.loc[:9, "age"] = np.nan
    table.loc[20:24, "thalamus"] = np.nan
    norms = fit_norms(sample_of(table.assign(empty=np.nan), ["thalamus", "empty"]))
    assert norms["n"].item() == 185
    assert "10 of 200 scans are not in the norms" in norms.attrs["notes"]
    assert "no norms of empty" in norms.attrs["notes"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("n", [100, 400])
def test_intervals_of_new_people_cover_what_they_say(n: int) -> None:
    held = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        age, z = random.uniform(20, 80, n), random.standard_normal(n)
        table = pd.DataFrame({"age": age, "a": 100 - 0.2 * age + 5 * z})
        new = pd.DataFrame({"age": [40.0, 70], "a": [92 - 10, 86 + 5.0]})
        found = apply_norms(fit_norms(sample_of(table, ["a"]), shape="normal", df=2), sample_of(new, ["a"])).isel(region=0)
        held.append((found["z_low"].to_numpy() < [-2, 1]) & (found["z_high"].to_numpy() > [-2, 1]))
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


@pytest.mark.slow
@pytest.mark.long
def test_centiles_of_4000_people_hold_what_they_say() -> None:
    below, held = [], []
    for seed in range(20):
        norms = fit_norms(sample_of(simulated(4000, 100 + seed)[0], ["thalamus"]))
        new, true = simulated(4000, 200 + seed)
        found = apply_norms(norms, sample_of(new, ["thalamus"])).isel(region=0)
        below.append([float((found["centile"] < share).mean()) for share in (5, 50, 95)])
        held.append(((found["z_low"].to_numpy() < true) & (true < found["z_high"].to_numpy())).mean())
    assert np.mean(below, axis=0) == pytest.approx([0.05, 0.5, 0.95], abs=0.006)
    assert np.mean(held) > 0.88  # the curve is not one of the model
