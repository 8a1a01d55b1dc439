"""A design as text, so that a file of parameters codes new people exactly as those it was estimated on."""

import json
from typing import Any

import numpy as np

from hypojax.study.formulas.design import Design
from hypojax.study.formulas.factor_coding import Coding
from hypojax.study.formulas.formula import parse
from hypojax.study.formulas.spline import NaturalSpline
from hypojax.study.formulas.terms import Factor


def design_text(design: Design) -> str:
    """Formula, categories and knots of a design as JSON; nothing about a person is in it.

    >>> import pandas as pd
    >>> from hypojax.study.formulas.design import build_design
    >>> people = pd.DataFrame({"age": [30.0, 40, 50, 70], "sex": ["F", "M", "M", "F"]})
    >>> again = design_from_text(design_text(build_design(parse("volume ~ age + sex"), people)))
    >>> again.at(people).tolist()[1]
    [1.0, 40.0, 1.0]
    """
    codings = [
        {
            "name": factor.name,
            "kind": factor.kind,
            "number": factor.number,
            "levels": list(coding.levels),
            "knots": None if coding.spline is None else list(coding.spline.knots),
        }
        for factor, coding in design.codings.items()
    ]
    kept = {"formula": str(design.formula), "columns": list(design.columns), "terms": list(design.terms)}
    return json.dumps({**kept, "codings": codings})


def design_from_text(text: str) -> Design:
    """The design that `design_text` wrote, without rows: its `Design.at` codes people."""
    kept = json.loads(text)
    codings = dict(_coding(one) for one in kept["codings"])
    levels = {factor.label: coding.levels for factor, coding in codings.items() if coding.levels}
    columns = tuple(kept["columns"])
    nobody, none = np.empty((0, len(columns))), np.zeros(0, bool)
    return Design(nobody, columns, tuple(kept["terms"]), levels, none, (), parse(kept["formula"]), codings)


def _coding(one: dict[str, Any]) -> tuple[Factor, Coding]:
    """A factor with its coding."""
    factor = Factor(one["name"], one["kind"], one["number"])
    spline = None if one["knots"] is None else NaturalSpline(tuple(one["knots"]))
    return factor, Coding(factor, tuple(one["levels"]), spline)
