"""Adjusted means and volumes: R's emmeans, and what must hold for each person."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry, known_input

from hypojax.study.formulas.design import build_design
from hypojax.study.formulas.formula import parse
from hypojax.study.models.adjusted import FittedModel, adjusted_means, adjusted_volumes, age_lines
from hypojax.study.models.linear import covariance, fit


def model(people: pd.DataFrame, formula: str, kind: str = "classical") -> FittedModel:
    parsed = parse(formula)
    design = build_design(parsed, people, references={"group": "control"})
    volumes = people[[parsed.outcome]].to_numpy(float)[design.kept]
    found = fit(design.matrix, volumes)
    return FittedModel((parsed.outcome,), design, found, covariance(found, kind), people[design.kept], float(found.df))  # type: ignore[arg-type]


@pytest.mark.parametrize(("identity", "kind"), [("adjusted_means", "classical"), ("adjusted_means_hc3", "HC3")])
def test_adjusted_means_are_those_of_emmeans(shared: Path, identity: str, kind: str) -> None:
    people = known_input(shared, "cohort.csv").set_index("subject")
    found = adjusted_means(model(people, "hypothalamus ~ group + age + sex + icv", kind), "group").set_index("group")
    for group in ("control", "patient"):
        entry(shared, identity).check(found.loc[group, ["mean", "ci_low", "ci_high"]].to_dict(), "weights_equal", "means", group)


def planted(n: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    groups = ["control"] * (n // 2) + ["case"] * (n // 2)
    people = pd.DataFrame({"age": random.uniform(20, 70, n), "sex": ["F", "M"] * (n // 2), "group": groups})
    volume = 1000 - 2 * people["age"] - 60 * (people["group"] == "case") + 30 * (people["sex"] == "M") + random.normal(0, 5, n)
    return people.assign(volume=volume)


def test_adjusted_volumes_have_the_adjusted_means_and_the_residuals() -> None:
    found = model(planted(), "volume ~ group + age + sex", "HC3")
    values = adjusted_volumes(found, "group")
    means = adjusted_means(found, "group").set_index("group")["mean"]
    assert values.groupby("group")["adjusted"].mean().to_dict() == pytest.approx(means.to_dict())
    assert values["adjusted"].to_numpy() - means[values["group"]].to_numpy() == pytest.approx(found.fit.residuals[:, 0])


def test_lines_by_age_have_the_slope_of_the_model_and_stay_within_the_ages_of_their_group() -> None:
    people = planted()
    people.loc[people["group"] == "case", "age"] = people["age"].clip(upper=45)
    found = model(people, "volume ~ group + age + sex", "HC3")
    bands = age_lines(found, "group")
    assert bands[bands["group"] == "case"]["age"].max() <= 45
    own = bands[bands["group"] == "control"]
    slope = np.diff(own["fit"]) / np.diff(own["age"])
    assert slope == pytest.approx(found.fit.coefficients[list(found.design.columns).index("age"), 0])
    assert (own["ci_low"] < own["fit"]).all()
    kept = adjusted_volumes(found, "group", keep_age=True)
    line = np.interp(kept["age"][:30], own["age"], own["fit"])
    assert kept["adjusted"][:30].to_numpy() - line == pytest.approx(found.fit.residuals[:30, 0], abs=1e-6)
