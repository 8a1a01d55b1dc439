"""Tests of differences between sites before and after harmonisation."""

from pathlib import Path

import numpy as np
import pandas as pd
from people_in_tables import sample_of
from r_reference import entry, ixi, known_input
from scipy import stats

from hypojax.schema import LABELS
from hypojax.study.sites.harmonisation import harmonise
from hypojax.study.sites.site_differences import site_differences, welch_f


def test_welch_f(shared: Path) -> None:
    known, people = entry(shared, "welch_anova"), ixi(shared)
    found = welch_f([group.to_numpy() for _, group in people.groupby("site")["hippocampus"]])
    known.check(dict(zip(("F", "df1", "df2", "p"), found, strict=True)))


def test_sites_differ_before_and_not_after(shared: Path) -> None:
    table = known_input(shared, "sites.csv").set_index("subject")
    sample = sample_of(table, [*LABELS.values(), "icv"])
    tests = site_differences(sample, harmonise(sample)).set_index(["region", "volumes", "test"])["p"].unstack(["volumes", "test"])
    assert tests["measured"].min(axis=None) < 0.01
    assert tests["harmonised"].min(axis=None) > 0.05
    assert (tests["harmonised"]["Welch F"] > 0.5).all()


def test_without_covariates_the_tests_are_those_of_scipy() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(60, 3)), columns=["a", "b", "c"]).assign(site=["A", "B", "C"] * 20)
    table.loc[3, "a"] = np.nan
    sample = sample_of(table, ["a", "b", "c"])
    found = site_differences(sample, harmonise(sample, "volume ~ 1")).set_index(["region", "volumes", "test"])
    groups = [table.loc[table["site"] == site, "a"].dropna() for site in "ABC"]
    assert np.isclose(found.loc[("a", "measured", "Kruskal-Wallis"), "p"], stats.kruskal(*groups).pvalue)
    assert np.isclose(found.loc[("a", "measured", "Brown-Forsythe"), "p"], stats.levene(*groups).pvalue)
    assert found.loc[("a", "measured", "Welch F"), "n"] == 59
