"""Family-wise p-values of the effects of a study, by permutation over the regions of a family."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from hypojax.reason import RunError
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.effect import Effect
from hypojax.study.models.exchange import Exchange
from hypojax.study.models.model_effects import Question
from hypojax.study.models.multiplicity import family
from hypojax.study.models.permutation import PermutedModel, permute
from hypojax.study.models.study_model import StudyModel, clusters_of
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import StudySettings

SITE: Final = "site"

Asked = Sequence[tuple[FittedModel, list[Question]]]

Key = tuple[str, str, str]
"""Term, contrast and quantity."""

Corrected = dict[tuple[str, ...], float]
"""Region and key → p."""

MOST_FOR_BOTH: Final = 20_000
"""Scans up to which both statistics are permuted; the robust one takes twice the time of the other."""

SIGNIFICANT: Final = 0.05


def with_fwer(
    effects: Sequence[Effect], asked: Asked, sample: Sample, settings: StudySettings, model: StudyModel
) -> tuple[list[Effect], list[str]]:
    """Effects of the question of the study with ``p_fwer``, and why some have none.

    The question are the terms with the group; without a group the first term of the formula. Permutations are those of Freedman and Lane
    with the classical t, as nilearn and FSL have it: scans within their site where site is in the model; all scans of a subject together
    where the term differs between subjects, and within the subject where it does not. The classical t takes variances as equal, so the
    same is done with HC3 errors, and where the two disagree that is said.
    """
    found: dict[tuple[str, ...], float] = {}
    said: list[str] = []
    keys = dict.fromkeys((question.term, question.contrast, question.quantity) for _, questions in asked for question in questions)
    asked_keys = [key for key in keys if _is_asked(key, model)]
    said += [] if asked_keys else [f"{model.formula.terms[0]}: no p-value by permutation, which is of one coefficient"]
    for key in asked_keys:
        try:
            classical, robust = _permuted(key, asked, sample, settings, model)
            found |= classical
            said += _disagreements(classical, robust)
        except RunError as error:
            said.append(f"{key[0]}: no p-value by permutation, {error}")
    corrected = [
        effect._replace(p_fwer=found.get((effect.region, effect.term, effect.contrast, effect.quantity), effect.p_fwer))
        for effect in effects
    ]
    return corrected, said


def _is_asked(key: Key, model: StudyModel) -> bool:
    """Whether a term is the question of the study."""
    terms = {term.label: set(term.names) for term in model.formula.terms}
    if model.reference is None:
        return key[0] == model.formula.terms[0].label
    return bool(terms.get(key[0], set()) & model.group)


def _permuted(key: Key, asked: Asked, sample: Sample, settings: StudySettings, model: StudyModel) -> tuple[Corrected, Corrected]:
    """Region and key → family-wise p, with the classical and with the robust t (the latter in cohorts that are not huge)."""
    index, models, regions = sample.people.index, list[PermutedModel](), list[str]()
    for one, questions in asked:
        for question in questions:
            if (question.term, question.contrast, question.quantity) == key:
                volumes, rows = one.fit.fitted + one.fit.residuals, np.asarray(index.isin(one.people.index))
                models.append(PermutedModel(one.design.matrix, volumes, question.weights, rows, one.fit.weights))
                regions += one.regions
    families = np.unique([family(region) for region in regions], return_inverse=True)[1].ravel().astype(np.int64)
    if len(index) <= MOST_FOR_BOTH and not model.repeated:
        models += [replace(one, robust=True) for one in models]
        families = np.concatenate([families, families + families.max() + 1])
    exchange = _exchange(key[0], sample, model)
    p = permute(models, permutations=settings.permutations, seed=settings.seed, exchange=exchange, families=families).p_fwer
    keys = [(region, *key) for region in regions]
    return dict(zip(keys, p[: len(keys)].tolist(), strict=True)), dict(zip(keys, p[len(keys) :].tolist(), strict=False))


def _disagreements(classical: Corrected, robust: Corrected) -> list[str]:
    """A sentence on each effect that is significant by one statistic only."""
    return [
        f"{key[0]}, {key[1]} {key[2]}: family-wise p by permutation is {classical[key]:.3g} with the classical t, which takes variances "
        f"as equal, and {p:.3g} with one that does not (HC3): trust the latter where the variances of the groups differ"
        for key, p in robust.items()
        if (p < SIGNIFICANT) != (classical[key] < SIGNIFICANT)
    ]


def _exchange(term: str, sample: Sample, model: StudyModel) -> Exchange:
    """Who may change places with whom when a term is tested."""
    people = sample.people
    sites = {SITE, sample.took.get(SITE, SITE)} & set(model.formula.names)
    within = clusters_of(people[sites.pop()].tolist()) if sites else None
    if not model.repeated:
        return Exchange.of(len(people), within=within)
    subjects = clusters_of(people["subject"].tolist())
    names = next(one.names for one in model.formula.terms if one.label == term)
    if any(people.groupby("subject")[name].nunique().max() <= 1 for name in names):
        return Exchange.of(len(people), within=within, blocks=subjects)
    return Exchange.of(len(people), within=subjects)
