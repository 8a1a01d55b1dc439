"""Diagnostics: R's numbers; people are named."""

from pathlib import Path

import numpy as np
import pytest
from plain_designs import plain_design
from r_reference import entry, known_input

from hypojax.study.models.diagnostics import change_without, diagnose
from hypojax.study.models.linear import fit

TERMS = ["(Intercept)", "group", "age", "sex", "icv"]
GROUP = np.array([0, 1.0, 0, 0, 0])


def test_diagnostics_of_r(shared: Path) -> None:
    known, table = entry(shared, "diagnostics_cohort"), known_input(shared, "cohort.csv")
    model = fit(plain_design(table, *TERMS[1:])[0], table[["hypothalamus"]].to_numpy(float))
    found = diagnose(model, terms=TERMS, scans=table.subject.tolist(), regions=["it"], contrast=GROUP)
    one = found.isel(region=0)
    known.check({"statistic": one.breusch_pagan.item(), "p": one.breusch_pagan_p.item(), "df": 4}, "breusch_pagan_koenker")
    known.check(one.breusch_pagan_original.item(), "breusch_pagan_original", "statistic")
    known.check({term: one.vif.sel(term=term).item() for term in TERMS[1:]}, "vif")
    known.check({"W": one.shapiro.item(), "p": one.shapiro_p.item()}, "shapiro_wilk_residuals")
    row = int(one.cook.values.argmax())
    numbers = {"row_1_based": row + 1, "cook": one.cook[row].item(), "leverage": one.leverage[row].item()}
    known.check(numbers | {"externally_studentised_residual": one.studentised[row].item()}, "largest_cook")
    known.check({"outlier_bonferroni_p_min": one.outlier_p.min().item(), "sum_leverage": one.leverage.sum().item()})


def test_the_change_without_a_person_is_that_of_a_model_without_her() -> None:
    random = np.random.default_rng(0)
    matrix, volumes, weights = (
        np.column_stack([np.ones(20), random.normal(size=(20, 2))]),
        random.normal(size=(20, 2)),
        random.uniform(1, 2, 20),
    )
    contrast = np.array([0, 1.0, -1])
    change = change_without(fit(matrix, volumes, weights=weights), contrast)
    whole = contrast @ fit(matrix, volumes, weights=weights).coefficients
    for row in (0, 7):
        less = fit(np.delete(matrix, row, 0), np.delete(volumes, row, 0), weights=np.delete(weights, row))
        np.testing.assert_allclose(change[row], contrast @ less.coefficients - whole, rtol=1e-9)


def test_a_row_that_is_fitted_exactly_has_no_residual_to_judge() -> None:
    matrix = np.column_stack([np.ones(6), [0, 0, 0, 0, 0, 1.0]])
    found = diagnose(
        fit(matrix, np.array([[1.0], [2], [4], [3], [7], [9]])), terms=["(Intercept)", "site"], scans=list("abcdef"), regions=["r"]
    )
    assert found.leverage.values[5] == pytest.approx(1)
    assert np.isnan([found.cook.values[5, 0], found.studentised.values[5, 0]]).all()
    assert np.isfinite(found.cook.values[:5]).all()
