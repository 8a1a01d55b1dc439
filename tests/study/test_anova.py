"""Analysis of variance: R's tables of all three types; refusals of what would mean nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry, ixi, known_input

from hypojax.reason import RunError
from hypojax.study.formulas.design import build_design
from hypojax.study.formulas.formula import parse
from hypojax.study.models.anova import anova_table, welch_anova

NAMES = {"sum_sq": "sum_sq", "df": "df", "statistic": "F", "p": "p"}
REFERENCES = {"group": "control", "sex": "F"}


@pytest.mark.parametrize(
    ("identity", "formula"),
    [("anova_types_cohort", "amygdala ~ group * sex + age + icv"), ("anova_types_ixi", "hippocampus ~ site * sex + age + icv")],
)
def test_all_types_of_r(shared: Path, identity: str, formula: str) -> None:
    known = entry(shared, identity)
    table = ixi(shared) if identity.endswith("ixi") else known_input(shared, "cohort.csv")
    parsed = parse(formula)
    volumes = table[[parsed.outcome]].to_numpy(float)
    treatment = build_design(parsed, table, references=REFERENCES)
    coded = build_design(parsed, table, references=REFERENCES, coding="sum")
    for where, design, sums, kind in (
        ("type_1_in_order_written", treatment, 1, "classical"), ("type_2", treatment, 2, "classical"),
        ("type_3_sum_contrasts", coded, 3, "classical"), ("type_2_white_hc3", treatment, 2, "HC3"),
    ):  # fmt: skip
        found = anova_table(design, volumes, regions=["it"], sums=sums, kind=kind).set_index("term")
        assert set(found.index) == set(known.at(where))
        for term, right in known.at(where).items():
            known.check({name: found.loc[term, ours] for ours, name in NAMES.items() if name in right}, where, term)


def test_type_two_of_a_model_with_several_containing_terms_is_a_comparison_of_models() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"a": random.choice(["x", "y", "z"], 60), "b": random.choice(["x", "y"], 60), "c": random.normal(size=60)})
    table["volume"] = random.normal(size=60) * 1e6
    design = build_design(parse("volume ~ a * b * c"), table)
    found = anova_table(design, table[["volume"]].to_numpy(), regions=["it"]).set_index("term")

    def squares(formula: str) -> float:
        matrix = build_design(parse(formula), table).matrix
        return float(np.linalg.lstsq(matrix, table.volume, rcond=None)[1][0])

    for term, without, with_it in (
        ("a", "volume ~ b * c", "volume ~ b * c + a"), ("a:b", "volume ~ a*b + b*c + a*c - a:b", "volume ~ a*b + b*c + a*c"),
        ("c", "volume ~ a * b", "volume ~ a * b + c"),
    ):  # fmt: skip
        assert found.loc[term, "sum_sq"] == pytest.approx(squares(without) - squares(with_it), rel=1e-8)


def test_welch_s_test_of_sites(shared: Path) -> None:
    known, people = entry(shared, "welch_anova"), ixi(shared)
    found = welch_anova([volumes.to_numpy(float) for _, volumes in people.groupby("site").hippocampus])
    known.check({"F": found.statistic, "df1": found.df, "df2": found.df_residual, "p": found.p})


def test_what_would_mean_nothing_is_refused(shared: Path) -> None:
    table = known_input(shared, "cohort.csv")
    design = build_design(parse("amygdala ~ group * sex"), table, references=REFERENCES)
    volumes = table[["amygdala"]].to_numpy(float)
    with pytest.raises(RunError, match=r"Type III of a model with interactions .* coding='sum'"):
        anova_table(design, volumes, regions=["it"], sums=3)
    with pytest.raises(RunError, match="Type I takes terms in order and has no HC3"):
        anova_table(design, volumes, regions=["it"], sums=1, kind="HC3")
    with pytest.raises(RunError, match="groups of 5, 1"):
        welch_anova([np.arange(5.0), np.ones(1)])
