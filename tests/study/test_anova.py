"""Tests of whole terms: R's tables of Type II and partial eta squared; splines against models without them; their level."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry, ixi, known_input
from scipy import stats

from hypojax.study import compare
from hypojax.study.formulas.design import build_design
from hypojax.study.formulas.formula import parse
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.anova import term_test, whole_terms
from hypojax.study.models.effect_size import partial_eta_squared
from hypojax.study.models.linear import covariance, fit

REFERENCES = {"group": "control", "sex": "F"}


def model(formula: str, table: pd.DataFrame, kind: str = "classical", clusters: np.ndarray | None = None) -> FittedModel:
    parsed = parse(formula)
    design = build_design(parsed, table, references={name: level for name, level in REFERENCES.items() if name in table})
    found = fit(design.matrix, table[[parsed.outcome]].to_numpy(float))
    errors = covariance(found, kind, clusters=clusters)  # type: ignore[arg-type]
    return FittedModel((parsed.outcome,), design, found, errors, table, float(found.df))


@pytest.mark.parametrize(
    ("identity", "formula"),
    [("anova_types_cohort", "amygdala ~ group * sex + age + icv"), ("anova_types_ixi", "hippocampus ~ site * sex + age + icv")],
)
@pytest.mark.parametrize(("where", "kind"), [("type_2", "classical"), ("type_2_white_hc3", "HC3")])
def test_type_two_of_r(shared: Path, identity: str, formula: str, where: str, kind: str) -> None:
    known = entry(shared, identity)
    found = model(formula, ixi(shared) if identity.endswith("ixi") else known_input(shared, "cohort.csv"), kind)
    for term in {one.label for one in found.design.formula.terms}:
        statistic, df = term_test(found, term, 0, found.covariances[0])
        numbers = {"df": df, "F": statistic, "p": stats.f.sf(statistic, df, found.df), "sum_sq": statistic * df * found.fit.sigma[0] ** 2}
        known.check({name: value for name, value in numbers.items() if name in known.at(where, term)}, where, term)


def test_partial_eta_squared(shared: Path) -> None:
    known, found = (
        entry(shared, "partial_eta_squared"),
        model("hypothalamus ~ group + age + sex + icv", known_input(shared, "cohort.csv")),
    )
    for term in ("group", "age", "sex", "icv"):
        share = partial_eta_squared(term_test(found, term, 0, found.covariances[0])[0], 1.0, 59.0)
        known.check({"partial_eta_squared": share.estimate, "ci95_two_sided_low": share.low, "ci95_two_sided_high": share.high}, term)


def test_every_term_of_a_formula_has_a_test() -> None:
    """A spline's F with equal variances is that of the models with and without it, and it has a row; a term of one column has its t."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"participant_id": range(90), "age": random.uniform(20, 80, 90), "site": random.choice(["A", "B", "C"], 90)})
    table["hypothalamus"] = 900 + 5e-2 * (table["age"] - 50) ** 2 + random.normal(0, 20, 90)
    one = model("hypothalamus ~ spline(age, 3) + site", table)
    statistic, df = term_test(one, "spline(age, 3)", 0, one.covariances[0])
    without = fit(build_design(parse("hypothalamus ~ site"), table).matrix, table[["hypothalamus"]].to_numpy())
    squares = [float(found.sigma[0] ** 2 * found.df) for found in (without, one.fit)]
    assert (statistic, df) == (pytest.approx((squares[0] - squares[1]) / 3 / (squares[1] / one.fit.df)), 3)
    effects = compare(table, "volume ~ spline(age, 3) + site", region=("hypothalamus",), unit="mm3")
    rows = effects.to_dataframe().dropna(subset=["p"]).reset_index()
    assert set(rows["term"]) == {"spline(age, 3)", "site"}
    whole = rows[rows["quantity"] == "whole_term"].set_index("term")
    assert whole.loc["spline(age, 3)", ["contrast", "method"]].tolist() == ["3 coefficients together", "linear model, HC3, t"]
    assert whole.loc["spline(age, 3)", "p"] < 0.001 < whole.loc["site", "p"]


@pytest.mark.long
def test_whole_terms_hold_their_level_with_unequal_variances_and_repeated_scans() -> None:
    random = np.random.default_rng(3)
    subject = np.repeat(np.arange(36), random.integers(1, 4, 36))
    table = pd.DataFrame({"dx": np.array(["a", "b", "c", "d"])[np.arange(36) % 4], "age": random.normal(size=36)}).iloc[subject]
    spread = np.where(table["dx"] == "a", 2.0, 1.0)[:, None]
    errors = (random.normal(size=(36, 1500))[subject] + 0.5 * random.normal(size=(len(subject), 1500))) * spread
    first = np.unique(subject, return_index=True)[1]
    for rows, kind, clusters in ((first, "HC3", None), (np.arange(len(subject)), "CR3", subject)):
        design = build_design(parse("volume ~ dx + age"), table.iloc[rows])
        found = fit(design.matrix, errors[rows])
        made = FittedModel(tuple(map(str, range(1500))), design, found, covariance(found, kind, clusters=clusters), table.iloc[rows], 0.0)
        p = np.array([effect.p for effect in whole_terms(made, method="linear model, t", clusters=clusters, with_eta=False)])
        assert p.shape == (1500,)
        assert 0.02 <= (p < 0.05).mean() <= 0.065, (kind, (p < 0.05).mean())
