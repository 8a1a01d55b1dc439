"""Corrections for many tests: R's ``p.adjust``; families apart."""

from pathlib import Path

import numpy as np
import pytest
from r_reference import entry, known_input

from hypojax.study.models.effect import Effect
from hypojax.study.models.multiplicity import adjust, with_fdr


@pytest.mark.parametrize("method", ["BH", "BY", "holm", "bonferroni", "hochberg"])
def test_adjusted_p_values_of_r(shared: Path, method: str) -> None:
    known, table = entry(shared, "multiple_testing"), known_input(shared, "pvalues.csv")
    found = adjust(table.p.to_numpy(float), method)
    known.check(dict(zip(table.region, found, strict=True)), method)
    known.check(int(np.isfinite(found).sum()), "n_tests")
    if method in ("BH", "holm"):
        known.check(int((found < 0.05).sum()), f"n_{method}_below_05")


def test_wholes_and_subunits_are_corrected_apart_and_missing_ones_not_counted() -> None:
    p = {"hypothalamus": 0.01, "icv": 0.04, "left_posterior": 0.03, "right_posterior": float("nan"), "left_anterior_inferior": 0.02}
    effects = [Effect(region, "group", "a - b", "difference", "m", 1.0, "mm3", p=value) for region, value in p.items()]
    other = [effect._replace(quantity="slope", p=0.5) for effect in effects]
    found = {effect.region: effect.p_fdr for effect in with_fdr([*effects, *other]) if effect.quantity == "difference"}
    assert found == pytest.approx(
        {"hypothalamus": 0.02, "icv": 0.04, "left_posterior": 0.03, "right_posterior": float("nan"), "left_anterior_inferior": 0.03},
        nan_ok=True,
    )


def test_no_p_at_all() -> None:
    assert np.isnan(adjust(np.full(3, np.nan))).all()
