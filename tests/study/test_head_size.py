"""Corrections for head size: the numbers of R, planted laws, and what cannot be corrected."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import Entry, entry, ixi, known_input

from hypojax.reason import RunError
from hypojax.study.models.head_size import METHODS, correct_head_size

NAMES = {
    "residual": "residual_control_slope",
    "proportion": "proportion_times_mean_icv",
    "power": "power_proportion_times_mean_icv",
    "none": "uncorrected",
}


def check(known: Entry, people: pd.DataFrame, volume: str, name: str, controls: np.ndarray) -> None:
    """Every method against R: first people, means, what is left of head size."""
    volumes, icv = people[[volume]].to_numpy(float), people["icv"].to_numpy(float)
    for method, there in NAMES.items():
        found = correct_head_size(volumes, icv, controls=controls, method=method)
        values = pd.Series(found.volumes[:, 0], index=people[name])
        first = known.at("methods", there, "first_rows")
        known.check({who: values[who] for who in first}, "methods", there, "first_rows")
        known.check({"mean_controls": values[controls].mean(), "mean_others": values[~controls].mean()}, "methods", there)
        known.check(
            np.corrcoef(found.volumes[controls, 0], icv[controls])[0, 1],
            "methods", there, "correlation_with_icv_in_controls",
            absolute=1e-12,
        )  # fmt: skip
        if method == "residual":
            known.check({"slope_controls": found.coefficient[0], "slope_controls_se": found.coefficient_se[0]})
            known.check({"mean_icv_controls": found.mean_head_size, "n_controls": found.controls[0]})
        if method == "power":
            known.check({"power_beta_controls": found.coefficient[0], "power_beta_controls_se": found.coefficient_se[0]})


def test_r_in_a_cohort(shared: Path) -> None:
    people = known_input(shared, "cohort.csv")
    check(entry(shared, "head_size"), people, "hypothalamus", "subject", (people["group"] == "control").to_numpy())


def test_r_in_ixi(shared: Path) -> None:
    people = ixi(shared)
    check(entry(shared, "head_size_ixi"), people, "hippocampus", "ID", (people["sex"] == "F").to_numpy())


def test_a_planted_law_is_taken_out() -> None:
    """Volumes that follow head size by a line, a proportion or a power come out constant by the method made for it."""
    heads = np.random.default_rng(0).uniform(1.2e6, 1.8e6, 40)
    laws = {"residual": 200 + heads * 5e-4, "proportion": heads * 6e-4, "power": 0.5 * heads**0.52}
    for method, volumes in laws.items():
        found = correct_head_size(volumes[:, None], heads, controls=np.arange(40) < 25, method=method)
        assert np.ptp(found.volumes) < 1e-8 * found.volumes.mean(), method


def test_missing_values_stay_missing() -> None:
    """A missing volume or head size is missing afterwards, and moves nobody else's."""
    rng = np.random.default_rng(1)
    heads, controls = rng.uniform(1.2e6, 1.8e6, 30), np.arange(30) < 20
    volumes = np.stack([heads * 6e-4 + rng.normal(0, 50, 30), rng.normal(900, 50, 30)], axis=1)
    holes = volumes.copy()
    holes[25, 0], holes[3, 1] = np.nan, np.nan
    for method in METHODS:
        full = correct_head_size(volumes, heads, controls=controls, method=method).volumes
        found = correct_head_size(holes, heads, controls=controls, method=method).volumes
        assert np.isnan(found[25, 0])
        assert np.isnan(found[3, 1])
        np.testing.assert_array_equal(np.delete(found[:, 0], 25), np.delete(full[:, 0], 25))
    unknown = correct_head_size(volumes, np.where(np.arange(30) == 28, 0.0, heads), controls=controls, method="proportion").volumes
    assert np.isnan(unknown[28]).all()


@pytest.mark.parametrize("method", ["residual", "power"])
def test_too_few_controls(method: str) -> None:
    heads = np.linspace(1e6, 2e6, 12)
    with pytest.raises(RunError, match=r"and 9 of them .*\(--head-size covariate\)"):
        correct_head_size(heads[:, None] / 2, heads, controls=np.arange(12) < 9, method=method)
    with pytest.raises(RunError, match="same head size"):
        correct_head_size(heads[:, None] / 2, np.full(12, 1.5e6), controls=heads > 0, method=method)
