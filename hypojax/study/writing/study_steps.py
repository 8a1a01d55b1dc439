"""Steps of a study between the model and the page: what is compared, whether groups are alike, what could have been shown."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from hypojax.reason import Reason, RunError
from hypojax.study.formulas.formula import parse
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.adjusted_means import levels_in
from hypojax.study.models.comparability import NOTICEABLE, balance_of_groups, comparable
from hypojax.study.models.detectable import PERCENTS, power_at, smallest_difference
from hypojax.study.models.equivalence import equivalence_test
from hypojax.study.models.head_size import SENTENCES
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import HeadSize
from hypojax.study.writing.study_findings import GroupSize
from hypojax.study.writing.wording import amount, interval, names_of, p_text, records, region_name
from hypojax.tables import text_of

COVARIATES: Final = ("age", "sex", "icv", "site")
"""Columns of the balance table, besides those of the formula."""

POWER_COLUMNS: Final = ("region", "contrast", "unit", "se", "df", "n", "smallest", "smallest_percent")

GROUP: Final = "group"

DIFFERENCES: Final = ("difference", "change_difference")
"""Quantities that compare groups."""


def main_term(effects: pd.DataFrame, formula: str, sample: Sample) -> str:
    """The term that is the question: that of the groups where it is in the model, else the first term of the formula that has effects."""
    terms = list(dict.fromkeys(effects["term"]))
    for name in (GROUP, sample.took.get(GROUP, GROUP)):
        if name in terms:
            return name
    written = [term.label for term in parse(formula).terms if term.label in terms]
    first = [*written, *(term for term in terms if term != "(Intercept)"), *terms]
    return first[0] if first else GROUP


def column_of(term: str) -> str:
    """The column that a term is made of.

    >>> column_of("C(CDR)"), column_of("group")
    ('CDR', 'group')
    """
    return term[2:-1] if term.startswith("C(") and term.endswith(")") else term


def contrasts_of(effects: pd.DataFrame, term: str) -> dict[str, tuple[str, str]]:
    """Contrast → case group and control group, of a term whose categories are compared.

    >>> effects = pd.DataFrame({"term": ["group", "age"], "contrast": ["AD - HC", ""], "quantity": ["difference", "slope"]})
    >>> contrasts_of(effects, "group"), contrasts_of(effects, "age")
    ({'AD - HC': ('AD', 'HC')}, {})
    """
    found = effects[(effects["term"] == term) & effects["quantity"].isin(DIFFERENCES) & effects["contrast"].str.contains(" - ")]
    return {str(contrast): names_of(str(contrast)) for contrast in dict.fromkeys(found["contrast"])}


def balance_table_of(
    sample: Sample, contrasts: Mapping[str, tuple[str, str]], *, term: str, formula: str, people: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Every case group beside its controls in age, sex, head size, site, the covariates of the formula, and in how many are flagged."""
    flagged = sample.flagged if people is None else sample.flagged[:0]
    people, column = sample.people if people is None else people, column_of(term)
    if not contrasts or column not in people:
        return pd.DataFrame()
    own = {sample.took.get(name) for name in (GROUP, *COVARIATES)} | {column, GROUP}
    named = [
        name for name in dict.fromkeys((*COVARIATES, *parse(formula).names)) if name in people and (name in COVARIATES or name not in own)
    ]
    wanted = people[[name for name in comparable(people[named]) if name != column]].copy()
    if 0 < flagged.sum() < len(flagged):
        wanted["flagged"] = np.where(flagged, "yes", "no")
    return balance_of_groups(wanted, people[column].astype(str), contrasts=contrasts)


def analysed_people(models: Sequence[FittedModel], term: str) -> dict[str, dict[str, GroupSize]]:
    """Region → group → how many are in its model."""
    found: dict[str, dict[str, GroupSize]] = {}
    for model in models:
        column = column_of(term)
        counts = {}
        for level in levels_in(model.design, column):
            own = model.people[model.people[column].map(text_of) == level]
            counts[level] = GroupSize(len(own), int(own["subject"].nunique()) if "subject" in own else len(own))
        found |= dict.fromkeys(model.regions, counts)
    return found


def flow_table(sample: Sample) -> pd.DataFrame:
    """``flow.tsv``: what became of how many scans, with their ids."""
    return pd.DataFrame([row._replace(ids=" ".join(row.ids))._asdict() for row in sample.flow])  # type: ignore[arg-type]


def head_size_sentences(sample: Sample, formula: str, method: HeadSize) -> tuple[str, ...]:
    """What was done about head size, in a sentence."""
    taken, names = {"icv", sample.took.get("icv", "icv")}, set(parse(formula).names)
    if "icv" not in sample.people:
        return ("Volumes are not corrected for head size, which is not known: groups that differ in head size differ in these volumes.",)
    if method == "covariate" and sample.people["icv"].nunique() < 2:
        return ("Volumes are not corrected for head size, which is the same number in all scans.",)
    if method == "covariate" and not taken & names:
        return ("Volumes are not corrected for head size, which is no term of the model.",)
    said = SENTENCES[method]
    if sample.reference is None or not {GROUP, sample.took.get(GROUP, GROUP)} & names:  # without groups all people stand for the controls
        said = said.replace("in controls", "in all people").replace("controls' mean", "mean")
    known = ("Errors of the model take that as known, and are slightly too small.",) if method in ("residual", "power") else ()
    return (f"{said[:1].upper()}{said[1:]}.", *known)


def differs_in_sex(balance: pd.DataFrame) -> bool:
    """Whether groups are so unlike in sex that the comparison is repeated within each."""
    return len(balance) > 0 and bool((balance["variable"].eq("sex") & balance["standardised_difference"].abs().gt(NOTICEABLE)).any())


def power_table(effects: pd.DataFrame, term: str) -> pd.DataFrame:
    """The smallest difference that each comparison could have shown with 80 % power, and its power for some percents of the control mean.

    Columns `POWER_COLUMNS` and ``power_2`` … (`PERCENTS`): two-sided t-test at .05 with the standard error and degrees of freedom of the
    model; percent of the adjusted mean of the controls, which is taken as known.
    """
    chosen = effects[(effects["term"] == term) & effects["quantity"].isin(DIFFERENCES)]
    rows = []
    for row in records(chosen):
        same = (effects["term"] == term) & (effects["region"] == row["region"]) & (effects["contrast"] == row["contrast"])
        percent = effects[same & (effects["quantity"] == "percent")]
        unit_percent = abs(row["estimate"] / percent["estimate"].iloc[0]) if len(percent) and percent["estimate"].iloc[0] else float("nan")
        smallest = float(smallest_difference(row["se"], row["df"]))
        if "log volume" in row["method"]:  # the coefficient of a logarithm is no share of a mean
            share, sizes = 100 * np.expm1(smallest), [float(np.log1p(value / 100)) for value in PERCENTS]
        else:
            share, sizes = smallest / unit_percent, [value * unit_percent for value in PERCENTS]
        powers = [float(power_at(size, row["se"], row["df"])) for size in sizes]
        rows.append([*(row[name] for name in POWER_COLUMNS[:6]), smallest, share, *powers])
    return pd.DataFrame(rows, columns=[*POWER_COLUMNS, *(f"power_{value:g}" for value in PERCENTS)])


def equivalence_sentences(effects: pd.DataFrame, term: str, bound_mm3: float) -> list[str]:
    """Two one-sided tests of each difference (of the change per year, too) against a bound in mm3, in words (Schuirmann 1987).

    Raises
    ------
    RunError
        ``USAGE``: the differences are those of logarithms, which a bound in mm3 is nothing to.
    """
    said = []
    for row in records(effects[(effects["term"] == term) & effects["quantity"].isin(DIFFERENCES)]):
        if row["unit"] == "1":
            raise RunError(
                Reason.USAGE, "--equivalence is in mm3, and this model is of the logarithm of volumes; take the volumes themselves"
            )
        bound = bound_mm3 / (1000 if row["unit"].removesuffix("/year") in ("cm3", "mL") else 1)
        if not np.isfinite(row["se"]):
            continue
        found = equivalence_test(row["estimate"], row["se"], row["df"], bound=bound)
        ends = interval(found.low, found.high, row["unit"])
        word = "is smaller than" if found.p < 0.05 else "was not shown to be smaller than"
        said.append(
            f"{region_name(row['region']).capitalize()}, {row['contrast']}: the difference {word} {amount(bound, row['unit'])} either way "
            f"(two one-sided tests, p {p_text(found.p)}; 90 % interval {ends})."
        )
    return said
