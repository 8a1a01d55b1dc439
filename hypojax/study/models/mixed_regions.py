"""A linear mixed model of every region of a cohort or table with several scans of a person: the alternative to clustered errors."""

from dataclasses import replace

import xarray as xr

from hypojax.reason import Reason, RunError
from hypojax.study.models.effect import Effect, effects_dataset
from hypojax.study.models.group_model import Source
from hypojax.study.models.region_models import fit_regions
from hypojax.study.models.repeated_scans import mixed_effects
from hypojax.study.models.study_model import choose_model
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.study_settings import StudySettings


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
    if not model.repeated:
        raise RunError(Reason.USAGE, "no subject has several scans, so that there is nothing between scans of one to model; take compare")
    fitted = fit_regions(sample, chosen, model)
    effects, notes = list[Effect](), [*model.notes, *fitted.notes]
    for one in fitted.models:
        coordinates = {"scan": one.people.index.to_numpy(object), "region": list(one.regions)}
        volumes = xr.DataArray(one.fit.fitted + one.fit.residuals, coordinates, ("scan", "region"), attrs=sample.volumes.attrs)
        time = None if slope is None else one.people[slope].to_numpy(float)
        found = mixed_effects(
            replace(one.design, matrix=one.fit.design), volumes, one.people["subject"].to_numpy(), time=time, confidence=chosen.confidence
        )
        effects, notes = [*effects, *found.effects], [*notes, *found.notes]
    return effects_dataset(effects).assign_attrs(formula=str(model.formula), notes=list(dict.fromkeys(notes)))
