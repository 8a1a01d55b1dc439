"""The comparison of groups: models of all regions by formula, with everything that is reported of them.

Defaults hold their level when variances differ: HC3 errors with t on n - p degrees of freedom (MacKinnon and White 1985; Long and Ervin
2000), and for repeated scans errors clustered by subject (CR3, Bell and McCaffrey 2002) with t on Satterthwaite's degrees of freedom.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64, Int64

from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.anova import whole_terms
from hypojax.study.models.effect import Effect, effects_dataset
from hypojax.study.models.group_asymmetry import asymmetry_by_group
from hypojax.study.models.model_effects import Question, effects_of, questions_of
from hypojax.study.models.model_permutations import with_fwer
from hypojax.study.models.multiplicity import with_fdr
from hypojax.study.models.region_models import fit_regions
from hypojax.study.models.sex_interaction import interaction_by_sex
from hypojax.study.models.study_model import StudyModel, choose_model, clusters_of, model_formula
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.study_settings import StudySettings

__all__ = ["ModelComparison", "compare", "compare_effects", "compare_models", "fitted_models", "model_formula"]

Source = xr.Dataset | pd.DataFrame | Sample | str | Path


@dataclass(frozen=True)
class ModelComparison:
    """A comparison as it was made.

    Parameters
    ----------
    effects
        Rows of ``effects.tsv``.
    models
        The fits behind them, for diagnostics and figures.
    model
        Formula and controls.
    notes
        What was decided or left out, one sentence each.
    """

    effects: tuple[Effect, ...]
    models: tuple[FittedModel, ...]
    model: StudyModel
    notes: tuple[str, ...]


def compare(source: Source, formula: str | None = None, *, settings: StudySettings | None = None, **options: object) -> xr.Dataset:
    """Compare groups of people, or relate volumes to covariates, in every region.

    Parameters
    ----------
    source
        Dataset of `hypojax.open_cohort`, a pandas table, a path to either, or a `Sample`.
    formula
        Model, such as ``volume ~ group + age + sex + icv`` (the default, as far as there are columns).
    settings
        Everything else that may be set.
    options
        Single settings by name: ``cases=("AD",)``, ``permutations=10000``.

    Returns
    -------
    Dataset over region, term, contrast, quantity and method (`hypojax.study.models.effect`). Quantities of a category: ``difference`` of
    adjusted means (unit of the volumes), ``percent`` of the adjusted mean of the reference (every number at its mean, levels of other
    categories with equal weight; interval by the delta method), ``hedges_g`` of the raw volumes, ``hedges_g_adjusted`` of the adjusted
    difference in residual standard deviations, ``asymmetry`` of the indices of left against right; of a number ``slope``, unit of the
    volumes for one unit of it; ``interaction``; of terms of several coefficients ``whole_term`` (F, without an estimate) and
    ``partial_eta_squared``. Attributes ``formula`` and ``notes``.

    Raises
    ------
    RunError
        ``USAGE``: the question cannot be answered with these data; the sentence says why and what to do.
    """
    chosen = replace(settings or StudySettings(), **options)  # type: ignore[arg-type]
    if formula is not None:
        chosen = replace(chosen, formula=formula)
    found = compare_models(source if isinstance(source, Sample) else read_sample(source, chosen), chosen)
    attributes = {"formula": str(found.model.formula), "notes": list(found.notes)}
    return effects_dataset(found.effects).assign_attrs(attributes)


def compare_effects(sample: Sample, settings: StudySettings) -> list[Effect]:
    """Rows of ``effects.tsv``; as `compare_models`."""
    return list(compare_models(sample, settings).effects)


def fitted_models(sample: Sample, settings: StudySettings) -> list[FittedModel]:
    """The fits behind the effects, for diagnostics and figures; as `compare_models`."""
    return fit_regions(sample, settings, choose_model(sample, settings)).models


def compare_models(sample: Sample, settings: StudySettings) -> ModelComparison:
    """Fit the model to all regions and report it.

    Parameters
    ----------
    sample
        Volumes and people.
    settings
        Formula, head size, permutations, weights, confidence.

    Raises
    ------
    RunError
        ``USAGE``: as `choose_model` and `fit_regions`.
    """
    model = choose_model(sample, settings)
    found = fit_regions(sample, settings, model)
    notes = [*model.notes, *found.notes]
    asked = [(one, questions_of(one)) for one in found.models]
    effects = [*_reported(asked, sample, settings, model), *_whole(found.models, settings, model)]
    crossed, said = interaction_by_sex(sample, settings, model)
    effects += _reported(crossed, sample, settings, model)
    if settings.permutations:
        effects, more = with_fwer(effects, asked, sample, settings, model)
        said = [*said, *more]
    indices, of_sides, unmade = asymmetry_by_group(sample, settings, model)
    effects += _reported(of_sides, indices, replace(settings, weights=False), model)
    said = [*said, *unmade]
    return ModelComparison(tuple(with_fdr(effects)), tuple(found.models), model, tuple(dict.fromkeys([*notes, *said])))


def _measured(model: FittedModel, sample: Sample) -> Float64[np.ndarray, "row region"]:
    """Volumes of the people of a model as they were measured: not corrected for head size, no logarithms."""
    rows = pd.Index(sample.people.index).get_indexer(model.people.index)
    return np.asarray(sample.volumes.sel(region=list(model.regions)).transpose("scan", "region").values, np.float64)[rows]


def _reported(
    asked: Sequence[tuple[FittedModel, list[Question]]], sample: Sample, settings: StudySettings, model: StudyModel
) -> list[Effect]:
    """Effects of the questions to each model."""
    unit = "1" if model.formula.is_log else str(sample.volumes.attrs.get("units", ""))
    sizes = not model.repeated and not settings.weights
    return [
        effect
        for one, questions in asked
        for effect in effects_of(
            one,
            questions,
            method=_method(settings, model),
            unit=unit,
            measured=_measured(one, sample) if sizes else None,
            clusters=_clusters(one, model),
            confidence=settings.confidence,
        )
    ]


def _whole(models: Sequence[FittedModel], settings: StudySettings, model: StudyModel) -> list[Effect]:
    """Tests of terms of several coefficients."""
    how = {"method": _method(settings, model), "with_eta": not model.repeated and not settings.weights, "confidence": settings.confidence}
    return [effect for one in models for effect in whole_terms(one, clusters=_clusters(one, model), **how)]  # type: ignore[arg-type]


def _method(settings: StudySettings, model: StudyModel) -> str:
    return f"{'weighted ' if settings.weights else ''}{model.method}"


def _clusters(one: FittedModel, model: StudyModel) -> Int64[np.ndarray, " row"] | None:
    return clusters_of(one.people["subject"].tolist()) if model.repeated else None
