"""Left against right between groups, against a plain regression of the index."""

import numpy as np
import pandas as pd
import pytest

from hypojax.study.models.group_model import compare


def people(*, shift: float, seed: int = 3) -> pd.DataFrame:
    """Forty people; the left hypothalamus of patients is larger against the right by a share."""
    random = np.random.default_rng(seed)
    group = np.repeat(["control", "patient"], 20)
    whole, side = 900 * np.exp(0.1 * random.normal(size=40)), 0.01 * random.normal(size=40) + shift * (group == "patient")
    return pd.DataFrame({
        "subject": [f"{number:02d}" for number in range(40)], "group": group, "age": random.uniform(20, 70, 40), "sex": ["F", "M"] * 20,
        "icv": random.normal(1.5e6, 1e5, 40), "hypothalamus": whole,
        "hypothalamus_left": whole / 2 * (1 + side), "hypothalamus_right": whole / 2 * (1 - side),
    })  # fmt: skip


def test_a_planted_asymmetry_is_found_and_equals_the_regression_of_the_index() -> None:
    table = people(shift=0.02)
    found = compare(table, unit="mm3").sel(region="hypothalamus", quantity="asymmetry", term="group", contrast="patient - control")
    index = 200 * (table.hypothalamus_left - table.hypothalamus_right) / (table.hypothalamus_left + table.hypothalamus_right)
    design = np.column_stack([np.ones(40), table.group == "patient", table.age, table.sex == "M"]).astype(float)  # no head size
    expected = np.linalg.lstsq(design, index.to_numpy(), rcond=None)[0][1]
    assert found.estimate.max().item() == pytest.approx(expected, rel=1e-9)
    assert found.ci_low.max().item() < 4 < found.ci_high.max().item()  # 2 % of either side is 4 points of the index
    assert found.p.max().item() < 1e-3
    assert found.unit.item() == "%"


def test_there_is_none_without_both_sides_without_a_group_and_of_logarithms() -> None:
    table = people(shift=0.0)
    for kept, formula in (
        (table.drop(columns="hypothalamus_right"), "volume ~ group + age"),
        (table.drop(columns="group"), "volume ~ age + sex"),
        (table, "log(volume) ~ group + age"),
        (table, "hypothalamus ~ group + age"),
    ):
        assert "asymmetry" not in compare(kept, formula, unit="mm3").quantity.values
