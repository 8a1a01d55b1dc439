"""A design that was written as text codes people as it did before."""

import json

import numpy as np
import pandas as pd
import pytest

from hypojax.reason import RunError
from hypojax.study.formulas.design import build_design
from hypojax.study.formulas.design_record import design_from_text, design_text
from hypojax.study.formulas.formula import parse


def test_a_design_comes_back() -> None:
    random = np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "age": random.uniform(20, 80, 40),
            "sex": ["F", "F", "F", "M", "M"] * 8,
            "code": [1, 2, 3, 4] * 10,
            "Size (mm3)": random.uniform(1, 2, 40),
        }
    )
    design = build_design(parse("volume ~ spline(age, 3) + sex + C(code) + log('Size (mm3)') + age**2"), people, references={"sex": "M"})
    again = design_from_text(design_text(design))
    assert np.array_equal(again.at(people[::3]), design.at(people[::3]))
    assert (again.columns, again.terms, again.levels) == (design.columns, design.terms, design.levels)
    assert str(people["age"].iloc[7]) not in design_text(design)
    assert json.loads(design_text(design))["formula"] == str(design.formula)
    with pytest.raises(RunError, match="'X' is not among those of the model"):
        again.at(people.assign(sex="X"))
