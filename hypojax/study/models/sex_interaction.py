"""Does the difference between groups depend on sex? A model of its own with the interaction, beside the one without."""

from dataclasses import replace
from typing import Final

import numpy as np

from hypojax.reason import RunError
from hypojax.study.formulas.terms import Factor, Term
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.model_effects import Question, questions_of
from hypojax.study.models.region_models import fit_regions
from hypojax.study.models.study_model import StudyModel
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import StudySettings

LEAST: Final = 2
"""People of each group and sex without whom the interaction is not tested."""


def interaction_by_sex(
    sample: Sample, settings: StudySettings, model: StudyModel
) -> tuple[list[tuple[FittedModel, list[Question]]], list[str]]:
    """Models with group x sex and what is asked of them, and why there are none.

    Asked are the interaction (how much the group difference of men is larger than that of women) and the group difference in each sex:
    term ``group:sex``, quantities ``interaction`` and ``difference``, contrast ``patient - control, M - F`` and ``patient - control, F``.
    Nothing is asked where group or sex is not in the model, or the interaction is in it already.
    """
    group, sex = (_factor(model, names) for names in (model.group, {"sex", sample.took.get("sex", "sex")}))
    if model.reference is None or group is None or sex is None or _has_both(model, group, sex):
        return [], []
    people = sample.people[[group.name, sex.name]].dropna()
    counts = people.value_counts()
    combinations = people[group.name].nunique() * people[sex.name].nunique()
    if people[sex.name].nunique() < 2:
        return [], []
    if len(counts) < combinations or counts.min() < LEAST:
        return [], [f"whether the difference depends on sex was not tested: a group has fewer than {LEAST} people of one sex"]
    crossed = Term((group, sex))
    try:
        found = fit_regions(sample, settings, replace(model, formula=model.formula.plus(crossed)))
    except RunError as error:
        return [], [f"whether the difference depends on sex was not tested: {error}"]
    asked = [(one, _questions(one, crossed, group, sex)) for one in found.models if crossed.label in one.design.terms]
    return asked, []


def _factor(model: StudyModel, names: frozenset[str] | set[str]) -> Factor | None:
    """The factor of the formula that is one of these columns, as a main effect."""
    alone = (term.factors[0] for term in model.formula.terms if len(term.factors) == 1)
    return next((factor for factor in alone if factor.name in names), None)


def _has_both(model: StudyModel, group: Factor, sex: Factor) -> bool:
    """Whether the formula has their interaction already."""
    return any({group, sex} <= set(term.factors) for term in model.formula.terms)


def _questions(model: FittedModel, crossed: Term, group: Factor, sex: Factor) -> list[Question]:
    """The interaction, and the difference in each sex."""
    design = model.design
    found = [question for question in questions_of(model) if question.term == crossed.label]
    control, *cases = design.codings[group].levels
    for case in cases:
        main = (np.array(design.columns) == f"{group.label}{case}").astype(np.float64)
        for level in design.codings[sex].levels:
            both = (np.array(design.columns) == f"{group.label}{case}:{sex.label}{level}").astype(np.float64)
            found.append(Question(crossed.label, f"{case} - {control}, {level}", "difference", main + both))
    return found
