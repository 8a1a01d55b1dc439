"""Adjusted means and percentages: R's emmeans."""

from pathlib import Path

import numpy as np
import pytest
from r_reference import entry, known_input

from hypojax.study.formulas.design import build_design
from hypojax.study.formulas.formula import parse
from hypojax.study.models.adjusted_means import percent_of_log, percent_of_mean, reference_rows
from hypojax.study.models.linear import contrast_effects, covariance, fit

REFERENCES = {"group": "control", "sex": "F"}


def one(numbers, **names: str) -> dict[str, float]:  # noqa: ANN001
    return {name: float(np.atleast_1d(getattr(numbers, what))[0]) for what, name in names.items()}


@pytest.mark.parametrize(("identity", "kind"), [("adjusted_means", "classical"), ("adjusted_means_hc3", "HC3")])
def test_means_and_percentages_of_emmeans(shared: Path, identity: str, kind: str) -> None:
    known, table = entry(shared, identity), known_input(shared, "cohort.csv")
    where = "weights_equal"
    design = build_design(parse("hypothalamus ~ group + age + sex + icv"), table, references=REFERENCES)
    found = fit(design.matrix, table[["hypothalamus"]].to_numpy(float))
    errors, rows = covariance(found, kind), reference_rows(design, table, "group")
    for group, row in rows.items():
        mean = contrast_effects(found, errors, row)
        known.check(one(mean, estimate="mean", se="se", low="ci_low", high="ci_high"), where, "means", group)
    contrast = rows["patient"] - rows["control"]
    difference = contrast_effects(found, errors, contrast)
    known.check(one(difference, estimate="estimate", se="se", low="ci_low", high="ci_high", statistic="t", p="p"), where, "difference")
    percent = percent_of_mean(found, errors, contrast, rows["control"])
    known.check(
        one(percent, estimate="estimate", se="se_delta", low="ci_low_delta", high="ci_high_delta"), where, "percent_of_reference_mean"
    )


def test_percent_of_a_model_of_logarithms(shared: Path) -> None:
    known, table = entry(shared, "log_percent"), known_input(shared, "cohort.csv")
    design = build_design(parse("log(hypothalamus) ~ group + age + sex + log(icv)"), table, references=REFERENCES)
    found = fit(design.matrix, np.log(table[["hypothalamus"]].to_numpy(float)))
    contrast = np.array([name == "grouppatient" for name in design.columns], float)
    classical = contrast_effects(found, covariance(found, "classical"), contrast)
    known.check(one(classical, estimate="log_coefficient", se="se"))
    percent = percent_of_log(classical)
    known.check({"percent": percent["estimate"][0], "ci_low": percent["low"][0], "ci_high": percent["high"][0]})
    robust = percent_of_log(contrast_effects(found, covariance(found, "HC3"), contrast))
    known.check({"percent_hc3_ci_low": robust["low"][0], "percent_hc3_ci_high": robust["high"][0]})
