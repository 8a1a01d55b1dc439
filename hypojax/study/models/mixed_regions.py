"""A linear mixed model of every region of a cohort or table with several scans of a person: the alternative to clustered errors."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import xarray as xr

from hypojax.reason import Reason, RunError
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.effect import Effect, effect_rows, effects_dataset
from hypojax.study.models.group_model import Source
from hypojax.study.models.linear import student
from hypojax.study.models.mixed import MixedFit, fit_mixed
from hypojax.study.models.model_effects import questions_of
from hypojax.study.models.region_models import fit_regions
from hypojax.study.models.study_model import StudyModel, choose_model
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.study_settings import StudySettings

METHOD: Final = "mixed model, REML, Satterthwaite t"

SINGULAR: Final = "nothing is left between subjects, or the slope is not told apart from the intercept: a simpler model would do as well"


def mixed_model(
    source: Source, formula: str | None = None, *, slope: str | None = None, settings: StudySettings | None = None, **options: object
) -> xr.Dataset:
    """Compare groups, or relate volumes to covariates, by a linear mixed model with a random intercept of each subject (REML).

    The model of `hypojax.study.compare` with random effects in place of clustered errors; tests by t with Satterthwaite's degrees of
    freedom (Fai and Cornelius 1996, as in lmerTest). With few subjects the clustered errors of `compare` hold their level better.

    Parameters
    ----------
    source
        Dataset of `hypojax.open_cohort`, a pandas table, a path to either, or a `Sample`.
    formula
        Model of the fixed effects, such as ``volume ~ group * years + age + sex + icv``.
    slope
        Column of time whose slope differs between subjects too; only the intercept does when left out.
    settings
        Everything else that may be set; ``subject`` is needed.
    options
        Single settings by name: ``subject="subject"``, ``region=("hypothalamus",)``.

    Returns
    -------
    Dataset over region, term, contrast, quantity and method, as `hypojax.study.compare`. Attribute ``notes``: singular and failed fits.

    Raises
    ------
    RunError
        ``USAGE``: no subject has several scans, or the model cannot be made.
    """
    chosen = replace(settings or StudySettings(), **options)  # type: ignore[arg-type]
    if formula is not None:
        chosen = replace(chosen, formula=formula)
    sample = source if isinstance(source, Sample) else read_sample(source, chosen)
    model = choose_model(sample, chosen)
    effects, notes = mixed_effects(sample, chosen, model, slope=slope)
    return effects_dataset(effects).assign_attrs(formula=str(model.formula), notes=[*model.notes, *notes])


def mixed_effects(
    sample: Sample, settings: StudySettings, model: StudyModel, *, slope: str | None = None
) -> tuple[list[Effect], list[str]]:
    """The same as rows of ``effects.tsv``, with what is to be known of the fits."""
    if not model.repeated:
        raise RunError(Reason.USAGE, "no subject has several scans, so that there is nothing between scans of one to model; take compare")
    fitted = fit_regions(sample, settings, model)
    effects, singular, notes = list[Effect](), list[str](), list(fitted.notes)
    for one in fitted.models:
        time = None if slope is None else one.people[slope].to_numpy(float)
        for number, region in enumerate(one.regions):
            volumes = one.fit.fitted[:, number] + one.fit.residuals[:, number]
            try:
                found = fit_mixed(one.fit.design, volumes, one.people["subject"].to_numpy(str), time=time)
            except RunError as error:
                notes.append(f"{region}: no mixed model, because {error}")
                continue
            singular += [region] if found.is_singular else []
            effects += _of_region(one, found, region, str(sample.volumes.attrs.get("units", "")), settings.confidence)
    if singular:
        what = "a random intercept" if slope is None else "random intercepts and slopes"
        notes.append(f"the mixed model with {what} is singular in {', '.join(singular)}: {SINGULAR}")
    return effects, list(dict.fromkeys(notes))


def _of_region(model: FittedModel, found: MixedFit, region: str, unit: str, confidence: float) -> Iterator[Effect]:
    """Every contrast that is reported of a model."""
    for question in questions_of(model):
        one = found.contrast(question.weights)
        made = student(np.array([one.estimate]), np.array([one.se]), one.df, confidence=confidence)
        named = {"term": question.term, "contrast": question.contrast, "quantity": question.quantity}
        yield from effect_rows(made, [region], n=found.rows, method=METHOD, unit=unit, **named)
