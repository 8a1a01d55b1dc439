"""Models of all regions: people with a volume and all covariates, fitted together where they are the same people."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int

from hypojax.reason import Reason, RunError
from hypojax.study.formulas.design import build_design
from hypojax.study.formulas.terms import VOLUME, Formula
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.head_size import correct_head_size
from hypojax.study.models.linear import complete_patterns, covariance, exact_rows, fit
from hypojax.study.models.study_model import StudyModel, clusters_of
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import StudySettings

ROUNDS: Final = 20
"""How often people whom the model fits exactly are left out: without one of them another may be alone."""

NAMED: Final = 5


@dataclass
class RegionModels:
    """Models of the regions of a study.

    Parameters
    ----------
    models
        One for each set of regions that have the same people and the same terms.
    notes
        Who and which regions were left out, one sentence each.
    """

    models: list[FittedModel] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fit_regions(sample: Sample, settings: StudySettings, model: StudyModel) -> RegionModels:
    """Fit a model to every region of a sample.

    A region with volumes of some people only is analysed with these. Somebody whom the model fits exactly (the only one of a site, say)
    tells nothing about the others and has no robust error: she is left out and named.

    Raises
    ------
    RunError
        No region can be modelled: the reason of the first.
    """
    found, refused = RegionModels(), list[RunError]()
    volumes = study_volumes(sample, settings, model)
    names = [str(name) for name in sample.volumes["region"].values]
    for formula, columns in _by_formula(model, names).items():
        for own, rows in complete_patterns(volumes[:, columns]):
            for some in _alone(columns[own]) if settings.weights else [columns[own]]:
                task = _Task(formula, tuple(names[i] for i in some), rows, volumes[:, some])
                try:
                    found.models.append(_fitted(task, sample, settings, model, found.notes))
                except RunError as error:
                    refused.append(error)
                    found.notes.append(f"{', '.join(task.regions)}: not analysed, {error}")
    missing = [names[i] for i in np.flatnonzero(~np.isfinite(volumes).any(axis=0))]
    found.notes += [f"{', '.join(missing)}: nobody has a volume, so not analysed"] if missing else []
    if not found.models:
        raise refused[0] if refused else RunError(Reason.USAGE, "no region has a volume of anybody; look at missing_reason in the volumes")
    found.notes = list(dict.fromkeys(found.notes))
    return found


def study_volumes(sample: Sample, settings: StudySettings, model: StudyModel) -> Float64[np.ndarray, "scan region"]:
    """Volumes as they are modelled: corrected for head size where it is no covariate, and their logarithm where the formula says so.

    Head size itself is not corrected for head size. Slope and power come from the controls; where there are none, from all.
    """
    volumes = np.asarray(sample.volumes.values, np.float64).copy()
    if settings.head_size not in ("covariate", "none"):
        if "icv" not in sample.people:
            raise RunError(
                Reason.USAGE, f"--head-size {settings.head_size}: no scan has a head size; name its column with --icv, or use none"
            )
        own = np.array([str(name) not in model.head_size for name in sample.volumes["region"].values])
        size = sample.people["icv"].to_numpy(np.float64)
        among = np.ones(len(size), bool) if model.reference is None else (sample.people["group"] == model.reference).to_numpy(bool)
        volumes[:, own] = correct_head_size(volumes[:, own], size, controls=among, method=settings.head_size).volumes
    if model.formula.is_log:
        with np.errstate(divide="ignore", invalid="ignore"):
            volumes = np.where(volumes > 0, np.log(volumes), np.nan)
    return volumes


class _Task(NamedTuple):
    """Regions that are fitted together: the formula, their names, the scans that have them, and the volumes of all scans."""

    formula: Formula
    regions: tuple[str, ...]
    rows: Bool[np.ndarray, " scan"]
    volumes: Float64[np.ndarray, "scan region"]


def _by_formula(model: StudyModel, names: Sequence[str]) -> dict[Formula, Int[np.ndarray, " region"]]:
    """Columns of the regions of each formula: head size has one of its own."""
    outcome = model.formula.outcome
    if outcome not in (VOLUME, *names):
        raise RunError(Reason.USAGE, f"the formula explains {outcome!r}, which is no region here; there are {', '.join(names)}")
    asked = [(number, name) for number, name in enumerate(names) if outcome in (VOLUME, name)]
    formulas = dict.fromkeys(model.of_region(name) for _, name in asked)
    return {one: np.array([number for number, name in asked if model.of_region(name) == one]) for one in formulas if one.terms}


def _alone(columns: Int[np.ndarray, " region"]) -> list[Int[np.ndarray, " one"]]:
    """Each region by itself, as it has weights of its own."""
    return [columns[[i]] for i in range(len(columns))]


def _fitted(task: _Task, sample: Sample, settings: StudySettings, model: StudyModel, notes: list[str]) -> FittedModel:
    """Fit some regions, without people whom the model fits exactly."""
    weights = _weights(sample, settings, task)
    rows = task.rows & (weights > 0)
    if without := int((task.rows & ~rows).sum()):
        said = (
            f"{', '.join(task.regions)}: {without} of {int(task.rows.sum())} scans have no uncertainty of the volume, which --weights needs"
        )
        if not rows.any():
            raise RunError(Reason.USAGE, f"{said}; leave out --weights")
        notes.append(f"{said}: left out of the model")
    for _ in range(ROUNDS):
        people = sample.people[rows]
        design = build_design(task.formula, people, references=sample.references)
        notes += design.notes
        rows[np.flatnonzero(rows)[~design.kept]] = False
        people = sample.people[rows]
        _check_groups(people, model, task)
        found = fit(design.matrix, task.volumes[rows], weights=weights[rows], columns=design.columns)
        clusters = clusters_of(people["subject"].tolist()) if model.repeated else None
        exact = exact_rows(found, clusters)
        if not exact.size:
            errors = covariance(found, "CR3" if model.repeated else "HC3", clusters=clusters)
            df = float(found.df if clusters is None else clusters.max())
            if still := [name for name, sigma in zip(task.regions, found.sigma, strict=True) if not sigma > 0]:
                notes.append(f"{', '.join(still)}: the model fits all volumes exactly (are they all the same?), so nothing is tested")
            return FittedModel(task.regions, design, found, errors, people, df)
        rows[np.flatnonzero(rows)[exact]] = False
        named = [str(one) for one in people.index[exact]]
        who = ", ".join(named[:NAMED]) + (f" and {len(named) - NAMED} more" if len(named) > NAMED else "")
        notes.append(f"{who} left out of the model: the only of a category of it, so that the model fits exactly and nothing is learnt")
    raise RunError(Reason.USAGE, "the model fits one person after the other exactly: it has too many categories for these people")


def _weights(sample: Sample, settings: StudySettings, task: _Task) -> Float64[np.ndarray, " scan"]:
    """1 / uncertainty², 0 where a scan has none; 1 for all without ``weights``."""
    if not settings.weights:
        return np.ones(len(sample.people))
    if sample.uncertainty is None:
        raise RunError(Reason.USAGE, "weights were asked for, and the volumes have no uncertainty; leave out --weights")
    uncertainty = np.asarray(sample.uncertainty.sel(region=task.regions[0]).values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(uncertainty > 0, uncertainty**-2.0, 0.0)
    return np.where(np.isfinite(found), found, 0.0)


def _check_groups(people: pd.DataFrame, model: StudyModel, task: _Task) -> None:
    """Refuse a comparison of which one side has nobody, or one person only."""
    if model.reference is None:
        return
    counts = people.drop_duplicates("subject")["group"].value_counts() if model.repeated else people["group"].value_counts()
    if counts.get(model.reference, 0) < 2 or (counts.drop(model.reference) < 2).all():
        have = ", ".join(f"{name} {count}" for name, count in counts.items()) or "nobody"
        raise RunError(
            Reason.USAGE,
            f"a comparison needs two people in each group; those with {', '.join(task.regions)} and all covariates are: {have}",
        )
