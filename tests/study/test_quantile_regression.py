"""Quantile lines: known answers of quantreg, and a line that cannot be bettered."""

from pathlib import Path

import numpy as np
from r_reference import entry, ixi

from hypojax.study.centiles.quantile_regression import fit_quantile


def test_known_answers(shared: Path) -> None:
    known, people = entry(shared, "quantile_regression_ixi"), ixi(shared)
    values = people["brain"].to_numpy() / 1000
    design = np.column_stack([np.ones(len(people)), people["age"], people["sex"] == "M", people["icv"] / 1000]).astype(float)
    for share in (0.05, 0.5, 0.95):
        found, key = fit_quantile(values, design, share), f"tau_{share}"
        known.check(dict(zip(("(Intercept)", "age", "sexM", "icv_cm3"), found.coefficients, strict=True)), key, "coefficients")
        known.check(found.objective, key, "objective")
        lines = dict(zip(people["ID"], design @ found.coefficients, strict=True))
        known.check({name: lines[name] for name in known.at(key, "predictions")}, key, "predictions")
        below = np.mean(values < design @ found.coefficients - 1e-7)
        known.check(below, key, "share_below_strict")


def test_no_other_line_is_better() -> None:
    random = np.random.default_rng(0)
    design = np.column_stack([np.ones(80), 1e6 * random.normal(size=80)])
    values = 3 + design[:, 1] * 1e-6 + random.exponential(size=80)
    best = fit_quantile(values, design, 0.2)
    for _ in range(200):
        residuals = values - design @ (best.coefficients + random.normal(size=2) * [0.05, 5e-8])
        assert (residuals * (0.2 - (residuals < 0))).sum() >= best.objective
