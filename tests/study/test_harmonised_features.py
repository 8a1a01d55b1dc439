"""A whole is never fitted beside its parts."""

import numpy as np
import pytest
import xarray as xr

from hypojax.schema import LABELS, REGIONS
from hypojax.study.sites.harmonised_features import features_of, recomputed


def volumes(regions: tuple[str, ...], n: int = 6) -> xr.DataArray:
    values = np.random.default_rng(0).uniform(1, 2, (n, len(regions)))
    return xr.DataArray(values, dims=("scan", "region"), coords={"region": list(regions)})


def test_of_a_cohort_the_subunits_and_the_intracranial_volume_are_fitted() -> None:
    features, constant = features_of(volumes(REGIONS))
    assert set(features) == {"icv", *LABELS.values()}
    assert constant == ()


def test_without_subunits_the_sides_are_fitted_and_without_sides_the_whole() -> None:
    assert features_of(volumes(("hypothalamus", "hypothalamus_left", "hypothalamus_right")))[0] == (
        "hypothalamus_left",
        "hypothalamus_right",
    )
    assert features_of(volumes(("hypothalamus", "hypothalamus_left", "brain")))[0] == ("hypothalamus", "hypothalamus_left", "brain")


def test_constant_and_empty_regions_are_left_out() -> None:
    table = volumes(("a", "b", "c"))
    table[:, 0], table[:, 1] = 17.0, np.nan
    assert features_of(table) == (("c",), ("a", "b"))


def test_wholes_are_sums_and_missing_where_a_part_is() -> None:
    table = volumes(REGIONS)
    table.loc[{"scan": 2, "region": "left_posterior"}] = np.nan
    found = recomputed(table)
    subunits = table.sel(region=list(LABELS.values())).to_numpy()
    assert found.sel(region="hypothalamus").to_numpy() == pytest.approx(subunits.sum(axis=1), nan_ok=True)
    assert np.isnan(found.sel(region="hypothalamus_left")[2])
    assert np.isfinite(found.sel(region="hypothalamus_right")[2])
    assert np.array_equal(found.sel(region="icv"), table.sel(region="icv"))
