"""The asymmetry index against R, and which regions are two sides of one."""

from pathlib import Path

import numpy as np
import xarray as xr
from r_reference import entry, known_input

from hypojax.schema import REGIONS
from hypojax.study.models.asymmetry import asymmetry_of, pairs_of_sides


def test_r(shared: Path) -> None:
    known, people = entry(shared, "asymmetry"), known_input(shared, "cohort.csv").set_index("subject")
    sides = ["hypothalamus_left", "hypothalamus_right"]
    volumes = xr.DataArray(people[sides].to_numpy(), dims=("scan", "region"), coords={"scan": people.index.to_numpy(), "region": sides})
    index = asymmetry_of(volumes).sel(region="hypothalamus").to_series()
    known.check({who: index[who] for who in known.at("first_rows")}, "first_rows")
    known.check({"mean": index.mean(), "sd": index.std(), "half_definition_mean": index.mean() / 2})
    known.check(index.groupby(people["group"]).mean().to_dict(), "mean_by_group")


def test_whole_and_subunits() -> None:
    pairs = pairs_of_sides(REGIONS)
    assert list(pairs) == [
        "hypothalamus", "anterior_inferior", "anterior_superior", "posterior", "inferior_tubular", "superior_tubular",
    ]  # fmt: skip
    assert all(left in REGIONS and right in REGIONS for left, right in pairs.values())


def test_missing_and_swapped_sides() -> None:
    volumes = xr.DataArray([[10.0, 9.0], [np.nan, 9.0]], dims=("scan", "region"), coords={"region": ["left_posterior", "right_posterior"]})
    found = asymmetry_of(volumes)
    assert np.isnan(found[1, 0])
    assert found[0, 0] > 0
    swapped = asymmetry_of(volumes.assign_coords(region=["right_posterior", "left_posterior"]))
    assert swapped[0, 0] == -found[0, 0]
    assert swapped.attrs["units"] == "%"
