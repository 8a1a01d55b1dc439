"""Harmonisation of samples: known answers, what is refused, and what is kept."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from people_in_tables import sample_of
from r_reference import Entry, entry, known_input

from hypojax.reason import RunError
from hypojax.schema import LABELS
from hypojax.study.people.sample import Sample
from hypojax.study.sites.harmonisation import apply_harmonisation, harmonise, harmonised_sample
from hypojax.study.study_settings import StudySettings

REGIONS = [*LABELS.values(), "icv"]


@pytest.fixture(scope="module")
def table(shared: Path) -> pd.DataFrame:
    return known_input(shared, "sites.csv").set_index("subject", drop=False)


@pytest.fixture(scope="module")
def sample(table: pd.DataFrame) -> Sample:
    return sample_of(table, REGIONS)


def check(known: Entry, key: str, found: xr.Dataset, **tolerance: float) -> None:
    for name, row in known.at(key).items():
        known.check({region: found["volume"].sel(scan=name, region=region).item() for region in row}, key, name, **tolerance)


def test_known_answers(sample: Sample, shared: Path) -> None:
    check(entry(shared, "combat_eb"), "adjusted_rows", harmonise(sample))
    check(entry(shared, "combat_no_eb"), "adjusted_rows", harmonise(sample, empirical_bayes=False))
    found = harmonise(sample, settings=StudySettings(reference_site="S1"))
    check(entry(shared, "combat_reference_site"), "adjusted_rows", found)
    here = (sample.people["site"] == "S1").to_numpy()
    assert np.array_equal(found["volume"].to_numpy()[here], sample.volumes.to_numpy()[here])


def test_a_constant_feature_is_left_out_and_given_back(table: pd.DataFrame, shared: Path) -> None:
    known = entry(shared, "combat_constant_feature")
    found = harmonise(sample_of(table.drop(columns="icv").assign(left_anterior_inferior=17.0), REGIONS[:-1]))
    check(known, "adjusted_rows_other_nine", found)
    known.check(np.unique(found["volume"].sel(region="left_anterior_inferior")).item(), "returned_constant")
    assert found.sizes["feature"] == 9
    assert "constant or without volumes: left_anterior_inferior" in found.attrs["notes"]


def test_age_as_a_curve(sample: Sample, shared: Path) -> None:
    known, found = entry(shared, "combat_gam_age"), harmonise(sample, smooth=("age",))
    for name, row in known.at("adjusted_rows").items():
        for region, value in row.items():
            off = abs(found["volume"].sel(scan=name, region=region).item() - value)
            assert off <= (0.005 * value if region == "icv" else max(0.02 * value, 0.5)), (name, region)


def largest_shift(found: xr.Dataset, truth: np.ndarray, site: np.ndarray) -> float:
    """Largest difference between sites in the mean of what is left of their shifts."""
    means = pd.DataFrame(found["volume"].to_numpy() - truth).groupby(site).mean()
    return float(np.ptp(means.to_numpy(), axis=0).max())


def test_a_planted_curve_of_age_is_kept() -> None:
    random = np.random.default_rng(4)
    n = 600
    site = np.repeat(["A", "B", "C"], n // 3)
    age = np.concatenate([random.uniform(*ages, n // 3) for ages in ((20, 50), (35, 65), (50, 85))])
    truth = 100 - 0.02 * (age[:, None] - 52) ** 2 + random.normal(size=(n, 4))
    shifts = {"A": 3.0, "B": 0.0, "C": -3.0}
    table = pd.DataFrame(truth + pd.Series(site).map(shifts).to_numpy()[:, None], columns=list("abcd")).assign(site=site, age=age)
    found = harmonise(sample_of(table, list("abcd")), smooth=("age",))
    assert largest_shift(found, truth, site) < 0.5
    assert largest_shift(harmonise(sample_of(table, list("abcd"))), truth, site) > 2


def test_parameters_are_kept_in_a_file_and_applied_to_new_scans(table: pd.DataFrame, shared: Path, tmp_path: Path) -> None:
    harmonise(sample_of(table[::2], REGIONS), smooth=("age",)).to_netcdf(tmp_path / "curve.nc")
    harmonise(sample_of(table[::2], REGIONS)).to_netcdf(tmp_path / "sites.nc")
    new = sample_of(table[1::2].sample(frac=1, random_state=0), REGIONS)
    with xr.open_dataset(tmp_path / "sites.nc") as parameters:
        check(entry(shared, "combat_apply_to_new"), "adjusted_new_rows", apply_harmonisation(parameters, new))
    with xr.open_dataset(tmp_path / "curve.nc") as parameters:
        assert np.isfinite(apply_harmonisation(parameters, new)["volume"]).all()


def test_what_was_harmonised_is_given_back_by_its_own_parameters(sample: Sample) -> None:
    found = harmonise(sample)
    again = apply_harmonisation(found, sample)
    xr.testing.assert_allclose(again["volume"], found["volume"], rtol=1e-12)


def test_unknown_sites_units_and_regions_are_refused(table: pd.DataFrame, sample: Sample) -> None:
    found = harmonise(sample)
    with pytest.raises(RunError, match=r"site 'S9' is not among those that were harmonised \(S1, S2, S3\)"):
        apply_harmonisation(found, sample_of(table.assign(site="S9"), REGIONS))
    with pytest.raises(RunError, match="the new volumes are in cm3, the harmonised ones in mm3"):
        apply_harmonisation(found, sample_of(table, REGIONS, unit="cm3"))
    with pytest.raises(RunError, match="no volumes of icv"):
        apply_harmonisation(found, sample_of(table, REGIONS[:-1]))
    with pytest.raises(RunError, match="'other' is not among those of the model"):
        apply_harmonisation(found, sample_of(table.assign(group="other"), REGIONS))


def test_sites_that_are_one_with_the_group_are_refused(table: pd.DataFrame) -> None:
    with pytest.raises(RunError, match="sites and grouppatient are one"):
        harmonise(sample_of(table.assign(group=table["site"].map({"S1": "patient"}).fillna("control")), REGIONS))
    with pytest.raises(RunError, match="no column of the site"):
        harmonise(sample_of(table.drop(columns="site"), REGIONS))


def test_wholes_are_sums_of_harmonised_parts_and_no_features(table: pd.DataFrame, sample: Sample) -> None:
    whole = table.assign(hypothalamus=table[REGIONS[:-1]].sum(axis=1), hypothalamus_left=table[REGIONS[:5]].sum(axis=1))
    found = harmonise(sample_of(whole, [*REGIONS, "hypothalamus", "hypothalamus_left"]))
    assert found["feature"].to_numpy().tolist() == REGIONS
    parts = harmonise(sample)["volume"].sel(region=REGIONS[:-1])
    assert np.allclose(found["volume"].sel(region="hypothalamus"), parts.sum("region"))
    assert np.allclose(found["volume"].sel(region="hypothalamus_left"), parts.isel(region=slice(5)).sum("region"))


def test_scans_without_site_or_covariate_are_counted_and_missing(table: pd.DataFrame) -> None:
    holes = table.copy()
    holes.loc[["sub-001", "sub-002"], "age"] = np.nan
    holes.loc["sub-003", "site"] = None
    holes.loc["sub-005", "left_posterior"] = np.nan
    found = harmonise(sample_of(holes, REGIONS))
    assert found["harmonised"].to_numpy().tolist() == [name not in ("sub-001", "sub-002", "sub-003") for name in table.index]
    assert np.isnan(found["volume"].sel(scan="sub-001")).all()
    assert int(np.isnan(found["volume"].sel(scan="sub-005")).sum()) == 1
    assert "3 of 74 scans are not harmonised" in found.attrs["notes"]


def test_the_intracranial_volume_is_harmonised_and_so_not_kept(sample: Sample) -> None:
    found = harmonise(sample, "volume ~ group + age + sex + icv + site")
    assert np.allclose(found["volume"], harmonise(sample)["volume"])
    assert "terms with icv are not among what is kept" in found.attrs["notes"]
    assert "keep the site among the terms" not in found.attrs["notes"]
    assert "keep the site among the terms" in harmonise(sample, "volume ~ group + age").attrs["notes"]
    ready = harmonised_sample(sample, found)
    assert np.allclose(ready.people["icv"], found["volume"].sel(region="icv"))
    assert np.array_equal(ready.volumes, found["volume"].sel(region=ready.volumes["region"]))
    assert ready.volumes.attrs["units"] == "mm3"


def test_a_table_is_read_and_the_wholes_of_its_subunits_made(table: pd.DataFrame, sample: Sample) -> None:
    found = harmonise(table.reset_index(drop=True), settings=StudySettings(unit="mm3"))
    assert np.allclose(found["volume"].sel(region=REGIONS), harmonise(sample)["volume"])
    assert np.allclose(found["volume"].sel(region="hypothalamus"), found["volume"].sel(region=REGIONS[:-1]).sum("region"))


def test_one_region_is_harmonised_by_itself_and_that_is_said(table: pd.DataFrame) -> None:
    found = harmonise(sample_of(table.drop(columns="icv"), ["left_posterior"]))
    assert "empirical Bayes needs 3 features" in found.attrs["notes"]
    assert np.isfinite(found["volume"]).all()
