"""Does the answer depend on choices? The same comparison without some people, and with other corrections for head size."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool

from hypojax.reason import RunError
from hypojax.study.formulas.formula import parse
from hypojax.study.formulas.terms import Factor, Term
from hypojax.study.models.anova import WHOLE
from hypojax.study.models.effect import COLUMNS, effects_table
from hypojax.study.models.group_model import compare_effects
from hypojax.study.models.mixed_regions import mixed_effects
from hypojax.study.models.study_model import StudyModel
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import HeadSize, StudySettings

QUANTITIES: Final = ("difference", "percent", "interaction", "slope", WHOLE)
"""What is repeated of a term."""

METHODS: Final[tuple[HeadSize, ...]] = get_args(HeadSize)

MOST_FOR_MIXED: Final = 1_000_000
"""Volumes up to which a mixed model is fitted beside the model; those of 100,000 scans and ten regions take some seconds."""


def other_people(
    sample: Sample, settings: StudySettings, *, term: str, influential: Sequence[str] = (), by_sex: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """The effects of a term without flagged scans, without doubted ones, without influential ones, and within one sex.

    Parameters
    ----------
    sample, settings
        As they were analysed.
    term
        The term that is the question.
    influential
        Scans that move the answer most.
    by_sex
        Whether to repeat it in each sex, as where the groups differ in sex.

    Returns
    -------
    Rows of ``effects.tsv`` with the column ``analysis`` first, and a sentence for each analysis that could not be made.
    """
    tables, said = [], []
    for name, keep in _parts(sample, influential, by_sex=by_sex):
        if keep.all():
            continue
        left = int((~keep).sum())
        if not keep.any():
            said.append(f"{name.capitalize()} nobody is left, so the answer cannot be repeated.")
            continue
        try:
            effects = compare_effects(sample.part(keep), replace(settings, permutations=0, equivalence=None))
        except RunError as error:
            said.append(f"{name.capitalize()} ({left} scans fewer): not possible, {error}.".replace("..", "."))
            continue
        tables.append(_of_term(effects_table(effects), term, f"{name} (−{left})"))
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["analysis", *COLUMNS])), said


def head_size_table(sample: Sample, settings: StudySettings, *, term: str) -> tuple[pd.DataFrame, list[str]]:
    """The effects of a term with every correction for head size; the region that is the head size itself is left out.

    Returns
    -------
    Rows of ``effects.tsv`` with the column ``analysis`` first, and a sentence for each correction that could not be made.
    """
    if "icv" not in sample.people or sample.people["icv"].notna().sum() == 0:
        return pd.DataFrame(columns=["analysis", *COLUMNS]), []
    tables, said = [], []
    for method in METHODS:
        try:
            asked = replace(settings, head_size=method, formula=_with_head_size(sample, settings, method), permutations=0)
            effects = compare_effects(sample, asked)
        except RunError as error:
            said.append(f"Head size as {method}: not possible, {error}.".replace("..", "."))
            continue
        is_reported = method == settings.head_size and asked.formula == settings.formula
        table = _of_term(effects_table(effects), term, method + (" (reported)" if is_reported else ""))
        tables.append(table[table["region"] != "icv"])
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["analysis", *COLUMNS])), said


def mixed_table(sample: Sample, settings: StudySettings, model: StudyModel, *, term: str) -> tuple[pd.DataFrame, list[str]]:
    """The effects of a term from repeated scans by a mixed model, in place of errors clustered by subject; empty without repeated scans."""
    nothing = pd.DataFrame(columns=["analysis", *COLUMNS])
    if not model.repeated:
        return nothing, []
    if sample.volumes.size > MOST_FOR_MIXED:
        return nothing, [f"No mixed model beside it: {sample.volumes.size:,} volumes take long; hypojax.study.mixed_model fits it."]
    try:
        effects, said = mixed_effects(sample, settings, model)
    except RunError as error:
        return nothing, [f"No mixed model beside it: {error}.".replace("..", ".")]
    table = _of_term(effects_table(effects), term, "mixed model, a random intercept of each subject")
    return table, [f"{one[:1].upper()}{one[1:]}." for one in said if "mixed model" in one]


def _with_head_size(sample: Sample, settings: StudySettings, method: HeadSize) -> str | None:
    """The formula with head size as a term, where it is to be the covariate and is none there."""
    if settings.formula is None or method != "covariate":
        return settings.formula
    formula = parse(settings.formula)
    is_there = bool({"icv", sample.took.get("icv", "icv")} & set(formula.names))
    return settings.formula if is_there else str(formula.plus(Term((Factor("icv"),))))


def _parts(sample: Sample, influential: Sequence[str], *, by_sex: bool) -> Iterator[tuple[str, Bool[np.ndarray, " scan"]]]:
    """Names of analyses and who is in them."""
    flagged, doubted = sample.flagged.to_numpy(bool), sample.doubted.to_numpy(bool)
    yield "without flagged scans", ~flagged
    yield "without doubted scans", ~doubted
    if flagged.any() and doubted.any():
        yield "without flagged and doubted scans", ~(flagged | doubted)
    if influential:
        yield f"without {', '.join(influential)}, the most influential", ~sample.people.index.isin(list(influential))
    if by_sex and "sex" in sample.people and sample.people["sex"].nunique() == 2:
        for sex in sorted(sample.people["sex"].dropna().unique()):
            yield f"{sex} only", (sample.people["sex"] == sex).to_numpy()


def _of_term(table: pd.DataFrame, term: str, analysis: str) -> pd.DataFrame:
    chosen = table[(table["term"] == term) & table["quantity"].isin(QUANTITIES)]
    chosen.insert(0, "analysis", analysis)
    return chosen
