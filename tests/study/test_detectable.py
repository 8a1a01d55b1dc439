"""Power and smallest detectable differences against R, and against simulation's slow twin: the integral itself."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from r_reference import entry, known_input
from scipy import stats
from scipy.integrate import quad

from hypojax.study.models.design_power import power
from hypojax.study.models.detectable import PERCENTS, power_at, power_of_groups, smallest_difference
from hypojax.study.study_settings import StudySettings


@pytest.mark.parametrize("groups", ["n7_n21", "n24_n40"])
def test_r_two_groups(shared: Path, groups: str) -> None:
    known = entry(shared, "power_two_groups")
    first, second = known.at(groups, "n1"), known.at(groups, "n2")
    for d in (0.2, 0.5, 0.8, 1.2):
        known.check(power_of_groups(d, first, second), groups, "power", f"d_{d}", "power")
    error = (1 / first + 1 / second) ** 0.5
    smallest = [float(smallest_difference(error, float(first + second - 2), power=power)) for power in (0.8, 0.9)]
    known.check({"smallest_d_power_80": smallest[0], "smallest_d_power_90": smallest[1]}, groups)


def test_r_ancova(shared: Path) -> None:
    known = entry(shared, "power_ancova")
    se, df, mean = known.at("se"), known.at("df"), known.at("reference_mean")
    for percent in PERCENTS:
        known.check(power_at(percent / 100 * mean, se, float(df)), "power_for_percent", f"percent_{percent:.0f}", "power")
    known.check(smallest_difference(se, float(df)), "smallest_effect_power_80")


def test_r_from_a_table(shared: Path) -> None:
    """The same from the cohort itself: the design, the error and the adjusted mean are the model's own."""
    known, people = entry(shared, "power_ancova"), known_input(shared, "cohort.csv")
    settings = StudySettings(region=("hypothalamus",), unit="mm3")
    found = power(people, "volume ~ group + age + sex + icv", settings=settings).sel(region="hypothalamus")
    one = found.sel(contrast="group: patient - control")
    known.check({"se": float(one.se), "df": float(one.df), "reference_mean": float(one.reference_mean)})
    known.check({"smallest_effect_power_80": float(one.smallest), "smallest_effect_power_80_percent": float(one.smallest_percent)})
    for percent in PERCENTS:
        known.check(float(one.power.sel(percent=percent)), "power_for_percent", f"percent_{percent:.0f}", "power")


@pytest.mark.parametrize("df", [1.0, 3.0, 40.0, 1e6])
@pytest.mark.parametrize("ratio", [0.0, 1.5, 8.0, 15.0, 38.0, 45.0, 500.0])
def test_no_hole_in_the_tail(df: float, ratio: float) -> None:
    """SciPy's noncentral t is NaN in far tails: power is the integral over the error's distribution everywhere."""
    needed = stats.t.ppf(0.975, df)
    middle = stats.chi(df).median()

    def found(chi: float) -> float:
        limit = needed * chi / df**0.5
        return (stats.norm.sf(limit - ratio) + stats.norm.cdf(-limit - ratio)) * stats.chi(df).pdf(chi)

    low, high = (float(stats.chi(df).ppf(at)) for at in (1e-13, 1 - 1e-13))
    edges = sorted({low, middle, min(max(ratio * df**0.5 / needed, low), high), high})
    slow = sum(quad(found, *ends, limit=200)[0] for ends in itertools.pairwise(edges))
    assert power_at(ratio, 1.0, df) == pytest.approx(slow, abs=2e-8)


def test_smallest_difference_is_the_inverse() -> None:
    for df in (1.0, 2.0, 7.3, 59.0, 1e5):
        for wanted in (0.1, 0.5, 0.8, 0.99):
            assert power_at(smallest_difference(2.5, df, power=wanted), 2.5, df) == pytest.approx(wanted, abs=1e-9)


def test_nothing_known() -> None:
    assert np.isnan(smallest_difference(np.nan, 10.0))
    assert np.isnan(smallest_difference(1.0, 0.0))
    assert np.isnan(power_at(1.0, 0.0, 10.0))
    assert power_at(0.0, 1.0, 10.0) == pytest.approx(0.05)
