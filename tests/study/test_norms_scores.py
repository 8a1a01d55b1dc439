"""Norms applied to people: who is beyond them, other sites, and a damaged file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from people_in_tables import sample_of
from r_reference import ixi

from hypojax.reason import RunError
from hypojax.study.centiles.norms import fit_norms
from hypojax.study.centiles.norms_calibration import calibration
from hypojax.study.centiles.norms_scores import apply_norms, transfer_sentences


@pytest.fixture(scope="module")
def people(shared: Path) -> pd.DataFrame:
    return ixi(shared).set_index("ID")[["age", "sex", "site", "icv", "brain", "hippocampus"]]


@pytest.fixture(scope="module")
def norms(people: pd.DataFrame) -> xr.Dataset:
    return fit_norms(sample_of(people[people["site"] != "HH"], ["brain", "hippocampus", "icv"]))


def test_ixi_norms_of_two_sites_are_transferred_to_the_third(people: pd.DataFrame, norms: xr.Dataset) -> None:
    third = sample_of(people[people["site"] == "HH"], ["brain", "hippocampus", "icv"])
    raw = apply_norms(norms, third)
    assert raw["other_site"].all()
    assert "sites that the norms do not know: HH" in raw.attrs["notes"]
    controls = third.people.sample(40, random_state=0).index.tolist()
    moved = apply_norms(norms, third, transfer=controls)
    others = ~moved["transfer_control"].to_numpy()
    assert not moved["other_site"].any()
    age = third.people["age"].to_numpy(float)[others]
    table = calibration(moved["z"][others], age).groupby("region").first()
    assert ((table["z_mean_low"] - 0.3 < 0) & (table["z_mean_high"] + 0.3 > 0)).all()
    assert table["z_sd"].between(0.7, 1.4).all()
    assert (table["outside_low"] < 0.05).all()
    before = calibration(raw["z"][others], age).groupby("region").first()
    assert table["z_mean"].abs().max() < before["z_mean"].abs().max()
    assert (moved["z_se"] > raw["z_se"] / moved["transfer_scale"].isel(site=0)).all()


def test_the_controls_of_a_sample_carry_the_transfer_and_that_is_said(people: pd.DataFrame, norms: xr.Dataset) -> None:
    third = people[people["site"] == "HH"].assign(group="patient")
    third.loc[third.index[:30], "group"] = "control"
    sample = sample_of(third, ["brain"])
    found = apply_norms(norms, sample, transfer="controls")
    xr.testing.assert_identical(found, apply_norms(norms, sample, transfer=third.index[:30].tolist()))
    (sentence,) = transfer_sentences(found, ["brain"])
    assert "by construction" in sentence
    assert "moved to site HH by its 30 controls" in sentence
    assert "do not know: HH" in transfer_sentences(apply_norms(norms, sample), ["brain"])[0]


def test_people_beyond_the_trained_ages_and_head_sizes_are_marked(people: pd.DataFrame, norms: xr.Dataset) -> None:
    some = people[people["site"] == "Guys"].head(4).copy()
    some["age"] = [20.0, 50, 120, 50]
    some.loc[some.index[3], "icv"] = 4e6
    found = apply_norms(norms, sample_of(some, ["brain"]))
    assert found["outside_age"].to_numpy().tolist() == [True, False, True, False]
    assert found["outside_head_size"].to_numpy().tolist() == [False, False, False, True]
    assert found["extrapolated"].to_numpy().tolist() == [True, False, True, True]
    assert np.isfinite(found["z"]).all()


def test_the_trained_ages_are_those_of_the_sex() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"sex": ["F", "M"] * 100, "a": random.normal(100, 5, 200)})
    table["age"] = np.where(table["sex"] == "F", random.uniform(20, 40, 200), random.uniform(30, 80, 200))
    found = apply_norms(fit_norms(sample_of(table, ["a"])), sample_of(pd.DataFrame({"sex": ["F", "M"], "age": 60.0, "a": 100.0}), ["a"]))
    assert found["outside_age"].to_numpy().tolist() == [True, False]


def test_scores_far_out_stay_finite(people: pd.DataFrame, norms: xr.Dataset) -> None:
    far = people.head(2).assign(brain=[1e3, 9e6])
    found = apply_norms(norms, sample_of(far, ["brain"])).isel(region=0)
    assert np.isfinite(found["z"]).all()
    assert found["centile"].to_numpy() == pytest.approx([0, 100], abs=1e-6)


def test_missing_values_are_counted(people: pd.DataFrame, norms: xr.Dataset) -> None:
    holes = people.head(5).copy()
    holes.loc[holes.index[0], "age"] = np.nan
    holes.loc[holes.index[1], "brain"] = np.nan
    found = apply_norms(norms, sample_of(holes, ["brain"]))
    assert np.isnan(found["z"]).to_numpy().ravel().tolist() == [True, True, False, False, False]
    assert "1 of 5 scans have no scores" in found.attrs["notes"]


def test_what_does_not_fit_the_norms_is_refused(people: pd.DataFrame, norms: xr.Dataset) -> None:
    with pytest.raises(RunError, match="the volumes are in cm3, the norms in mm3"):
        apply_norms(norms, sample_of(people, ["brain"], unit="cm3"))
    with pytest.raises(RunError, match="they have brain, hippocampus, icv"):
        apply_norms(norms, sample_of(people.rename(columns={"brain": "other"}), ["other"]))
    with pytest.raises(RunError, match="'1' is not among those of the model"):
        apply_norms(norms, sample_of(people.assign(sex="1"), ["brain"]))
    with pytest.raises(RunError, match="the norms need head size"):
        apply_norms(norms, sample_of(people.drop(columns="icv"), ["brain"]))
    with pytest.raises(RunError, match=r"head sizes .* another unit"):
        apply_norms(norms, sample_of(people.assign(icv=people["icv"] / 1000), ["brain"]))
    with pytest.raises(RunError, match="is no norms"):
        apply_norms(xr.Dataset(), sample_of(people, ["brain"]))


def test_a_file_whose_coefficients_were_changed_is_not_trusted(people: pd.DataFrame, norms: xr.Dataset) -> None:
    damaged = norms.copy(deep=True)
    damaged["location"][0, 1] *= 1.001
    with pytest.raises(RunError, match="other curves than those in their file"):
        apply_norms(damaged, sample_of(people, ["brain"]))


@pytest.mark.parametrize("shape", ["normal", "shash"])
def test_the_interval_of_a_centile_holds_its_centile(people: pd.DataFrame, shape: str) -> None:
    sample = sample_of(people, ["hippocampus"])
    found = apply_norms(fit_norms(sample, shape=shape, df=1), sample)
    assert ((found["centile_low"] < found["centile"]) & (found["centile"] < found["centile_high"])).all()
    assert (found["z_se"].median() < 0.2).item()
