"""Do groups differ in how the left compares with the right? The model of the study, with the asymmetry index as its outcome."""

from dataclasses import replace
from typing import Final

from hypojax.reason import RunError
from hypojax.study.formulas.terms import VOLUME
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.asymmetry import asymmetry_of, pairs_of_sides
from hypojax.study.models.model_effects import Question, questions_of
from hypojax.study.models.region_models import fit_regions
from hypojax.study.models.study_model import StudyModel
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import StudySettings

ASYMMETRY: Final = "asymmetry"
"""Quantity of effects: difference of the index between groups, percentage points."""


def asymmetry_by_group(
    sample: Sample, settings: StudySettings, model: StudyModel
) -> tuple[Sample, list[tuple[FittedModel, list[Question]]], list[str]]:
    """The sample with indices (%, see `asymmetry_of`) in place of volumes, models of them and what is asked, and why there are none.

    Head size is neither a term nor corrected for: both sides are divided by their mean. Nothing is asked where no structure has both
    sides, without a group, and of a formula for one region or for logarithms.
    """
    regions = sample.volumes["region"].values.tolist()
    if model.reference is None or model.formula.outcome != VOLUME or model.formula.is_log or not pairs_of_sides(regions):
        return sample, [], []
    indices = replace(sample, volumes=asymmetry_of(sample.volumes), uncertainty=None)
    plain = replace(settings, head_size="none", weights=False)
    try:
        found = fit_regions(indices, plain, replace(model, formula=model.formula.without(*model.head_size)))
    except RunError as error:
        return indices, [], [f"left against right was not compared between groups: {error}"]
    asked = [(one, [_of_index(question) for question in questions_of(one) if _is_group(question, model)]) for one in found.models]
    return indices, asked, []


def _is_group(question: Question, model: StudyModel) -> bool:
    """Whether a question is the difference between groups."""
    return question.factor is not None and question.factor.name in model.group


def _of_index(question: Question) -> Question:
    """The same of an index: a share of its mean, or an effect size of it, would mean nothing."""
    return replace(question, quantity=ASYMMETRY, factor=None, reference=None)
