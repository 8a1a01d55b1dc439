"""Sums of sites give the model of all people together, and nothing about one of them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from r_reference import entry, ixi

from hypojax.reason import RunError
from hypojax.study.formulas.design import build_design
from hypojax.study.formulas.formula import parse
from hypojax.study.models.linear import covariance, fit
from hypojax.study.sites.pooled_sums import PooledFit, pool_sums, pooled_effects
from hypojax.study.sites.site_sums import SiteSums, site_sums

FORMULAS = ("volume ~ group + age + sex + icv", "volume ~ group*age + icv", "volume ~ group*sex + log(icv) + age**2", "volume ~ age")


def cohort(seed: int, sites: int) -> pd.DataFrame:
    """Sites of other sizes and ages; the second has controls only."""
    rng = np.random.default_rng(seed)
    tables = []
    for number in range(sites):
        n = int(rng.integers(60, 120))
        group = np.where((rng.uniform(size=n) < 0.5) & (number != 1), "patient", "control")
        tables.append(
            pd.DataFrame(
                {
                    "site": f"S{number}", "group": group, "sex": rng.choice(["F", "M"], n), "age": rng.normal(40 + 10 * number, 8, n),
                    "icv": rng.normal(1.45e6, 1.2e5, n), "hypothalamus": rng.normal(900, 60, n), "thalamus": rng.normal(15000, 900, n),
                }
            )
        )  # fmt: skip
    people = pd.concat(tables, ignore_index=True)
    people["hypothalamus"] -= 50 * (people["group"] == "patient") - 2e-4 * (people["icv"] - 1.45e6)
    return people


def volumes_of(people: pd.DataFrame) -> xr.DataArray:
    regions = ["hypothalamus", "thalamus"]
    return xr.DataArray(people[regions].to_numpy(), dims=("scan", "region"), coords={"region": regions}, attrs={"units": "mm3"})


def sums_of(people: pd.DataFrame, formula: str) -> list[SiteSums]:
    """One a site, through the file."""
    made = [site_sums(parse(formula), part, volumes_of(part), site=str(site)) for site, part in people.groupby("site")]
    return [SiteSums.of_json(one.to_json(), name="a.json") for one in made]


def check_pooled(found: PooledFit, people: pd.DataFrame, formula: str) -> None:
    """Equal to the model of all people with a term for the site, to 1e-9."""
    design = build_design(parse(formula + " + site"), people, references={"group": "control"})
    whole = fit(design.matrix, volumes_of(people).to_numpy())
    errors = np.sqrt(np.diagonal(covariance(whole, "classical"), axis1=1, axis2=2)).T
    assert sorted(found.columns) == sorted(design.columns)
    order = [found.columns.index(name) for name in design.columns]
    size = np.abs(whole.coefficients) + errors
    np.testing.assert_array_less(np.abs(found.coefficients[order] - whole.coefficients), 1e-9 * size)
    np.testing.assert_allclose(found.errors[order], errors, rtol=1e-9)
    assert found.df == whole.df
    assert [found.terms[number] for number in order] == list(design.terms)


@given(seed=st.integers(0, 10**6), sites=st.integers(1, 4), formula=st.sampled_from(FORMULAS))
@settings(max_examples=25)
def test_sums_are_as_good_as_people(seed: int, sites: int, formula: str) -> None:
    people = cohort(seed, sites)
    if sites == 1:
        formula_alone = parse(formula)
        found = pool_sums(sums_of(people, formula), references={"group": "control"})
        whole = fit(build_design(formula_alone, people, references={"group": "control"}).matrix, volumes_of(people).to_numpy())
        np.testing.assert_allclose(found.coefficients, whole.coefficients, rtol=1e-8, atol=1e-9)
    else:
        check_pooled(pool_sums(sums_of(people, formula), references={"group": "control"}), people, formula)


def test_r_in_ixi(shared: Path) -> None:
    """Three sites of real people: R's classical estimates and errors of sex and age."""
    known = entry(shared, "ols_ixi").at("classic")
    people = ixi(shared)
    parts = [(str(site), part) for site, part in people.groupby("site")]
    assert [site for site, _ in parts] == ["Guys", "HH", "IOP"]
    made = [
        site_sums(
            parse("volume ~ sex + age + icv"),
            part,
            xr.DataArray(part[["hippocampus"]].to_numpy(), dims=("scan", "region"), coords={"region": ["hippocampus"]}),
            site=site,
        )
        for site, part in parts
    ]
    found = pool_sums(made, references={"sex": "F"})
    for effect in pooled_effects(found):
        name = {"sex": "sexM", "site": f"site{effect.contrast.split(' - ')[0]}"}.get(effect.term, effect.term)
        for mine, theirs in (("estimate", "estimate"), ("se", "se"), ("p", "p"), ("ci_low", "ci_low"), ("ci_high", "ci_high")):
            assert getattr(effect, mine) == pytest.approx(known[name][theirs], rel=1e-7), name


def test_a_file_has_no_person(tmp_path: Path) -> None:
    """No id, and no value of anybody; whoever lacks a volume is in no sum."""
    people = cohort(0, 1)
    people.index = [f"sub-{number:03}" for number in range(len(people))]
    people.loc["sub-007", "thalamus"] = np.nan
    text = site_sums(parse("volume ~ group + age + sex + icv"), people, volumes_of(people), site="S0").to_json()
    assert "sub-" not in text
    assert json.loads(text)["people"] == len(people) - 1
    for column in ("age", "icv", "hypothalamus"):
        assert not any(repr(value) in text for value in people[column].tolist())


@pytest.mark.parametrize(
    ("change", "formula", "message"),
    [
        (lambda table: table.head(19), "volume ~ age", "has 19 people for 1 columns"),
        (lambda table: table.assign(sex=["M"] * 4 + ["F"] * (len(table) - 4)), "volume ~ sex + age", "fewer than 5 people have sex M"),
        (
            lambda table: table.assign(sex=np.where(np.arange(len(table)) < 30, "F", "M"), group=["a"] * 27 + ["b"] * (len(table) - 27)),
            "volume ~ group + sex",
            "have group b and sex F",
        ),
        (lambda table: table.assign(score=[1] * 3 + [0] * (len(table) - 3)), "volume ~ score", "have score 1"),
        (lambda table: table.assign(subject=["a"] * 2 + list(range(len(table) - 2))), "volume ~ age", "1 people have several scans"),
        (lambda table: table, "volume ~ group:age", "write a\\*b"),
        (lambda table: table, "volume ~ spline(age, 3)", "or a spline"),
        (lambda table: table, "volume ~ height", "no column 'height'"),
    ],
)
def test_what_tells_of_a_person_is_refused(change: Callable[[pd.DataFrame], pd.DataFrame], formula: str, message: str) -> None:
    people = change(cohort(3, 1))
    with pytest.raises(RunError, match=message):
        site_sums(parse(formula), people, volumes_of(people), site="S0")


def test_sites_that_do_not_fit_are_refused() -> None:
    people = cohort(4, 3)
    first, *others = sums_of(people, "volume ~ group + age")
    with pytest.raises(RunError, match="two files are of site S0"):
        pool_sums([first, first], references={})
    with pytest.raises(RunError, match="have another formula"):
        pool_sums([first, sums_of(people, "volume ~ age")[1]], references={})
    with pytest.raises(RunError, match="no site has group healthy"):
        pool_sums([first, *others], references={"group": "healthy"})
    apart = people.assign(group=np.where(people["site"] == "S0", "control", "patient"))
    with pytest.raises(RunError, match="grouppatient cannot be told apart from the site"):
        pool_sums(sums_of(apart, "volume ~ group + age"), references={"group": "control"})
    months = people.assign(age=np.where(people["site"] == "S2", 12 * people["age"], people["age"]))
    assert any("age: the mean at site S2" in note for note in pool_sums(sums_of(months, "volume ~ group + age"), references={}).notes)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "another"}', "null"])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(RunError, match=r"site\.json holds no sums"):
        SiteSums.of_json(text, name="site.json")


def test_a_changed_file_is_refused() -> None:
    content = json.loads(sums_of(cohort(5, 1), "volume ~ group + age")[0].to_json())
    for name, value in (("people", 3), ("means", [1.0]), ("products", "x"), ("volume_means", [float("nan"), 1.0])):
        with pytest.raises(RunError, match="holds no sums"):
            SiteSums.of_json(json.dumps({**content, name: value}), name="a.json")
