"""Change over time of a cohort with several scans a subject: who has it, how fast, by group, and what error alone would give."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64

from hypojax.reason import Reason, RunError, visible
from hypojax.study.formulas.formula import parse
from hypojax.study.formulas.terms import Factor, Formula, Term
from hypojax.study.models.effect import Effect, effects_dataset
from hypojax.study.models.mixed_regions import mixed_effects
from hypojax.study.models.multiplicity import with_fdr
from hypojax.study.models.study_model import StudyModel
from hypojax.study.over_time.change_model import change_model
from hypojax.study.over_time.person_change import Changes, person_changes, root_mean_square, slope_errors
from hypojax.study.over_time.time_axis import FIND, TimeAxis, time_axis
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.study_settings import StudySettings
from hypojax.tables.cells import counted

USUAL: Final = ("group", "age", "sex", "site")
"""Terms of the model of change where no formula is given; head size is none, and the change in percent is free of it."""

SHOWN: Final = 5
"""Names in a sentence."""


@dataclass(frozen=True)
class ChangeFindings:
    """Change over time of a sample.

    Parameters
    ----------
    effects
        On the change per year, as volume and in percent (`hypojax.study.over_time.change_model`), with ``p_fdr``.
    people
        One row a person: columns as they were at the first scan.
    changes
        Of every person and region.
    errors
        Standard error of each slope from the scans' uncertainties; from the spread of scans about people's own lines where these are not
        known; NaN where neither is.
    regions, unit
        Of the volumes.
    formula
        Model of the change.
    notes
        What was taken, counted and left out, one sentence each.
    """

    effects: list[Effect]
    people: pd.DataFrame
    changes: Changes
    errors: Float64[np.ndarray, "subject region"]
    regions: tuple[str, ...]
    unit: str
    formula: Formula
    notes: tuple[str, ...]


def change(
    source: xr.Dataset | pd.DataFrame | str | Path, formula: str | None = None, *, settings: StudySettings | None = None
) -> xr.Dataset:
    """Change per year of each person, and by group, of a cohort with several scans a subject.

    Parameters
    ----------
    source
        Dataset of `hypojax.open_cohort`, an output folder, or a table, as `hypojax.study.people.sample.read_sample` takes it.
    formula
        Model of the change, with columns as they were at the first scan: "volume ~ group + age + sex". By default those of group, age,
        sex and site that there are.
    settings
        ``change`` is the column of time: years or dates; by default acq_time, else the ages.

    Returns
    -------
    Over ``subject`` and ``region``: ``change`` (mm3/year), ``change_percent`` (%/year of the person's line at the first scan),
    ``change_se``, ``scans`` and ``years``; over ``region``: ``spread`` of the changes between people and ``spread_by_error``, what errors
    alone would give; and the effects over term, contrast, quantity and method. Attribute ``notes`` has what was left out.

    Raises
    ------
    RunError
        USAGE: no time, no subject with two scans, or too few people for the formula.
    """
    settings = settings or StudySettings()
    settings = replace(settings, change=settings.change or FIND, formula=formula or settings.formula)
    return change_dataset(change_findings(read_sample(source, settings), settings))


def change_findings(sample: Sample, settings: StudySettings) -> ChangeFindings:
    """The same of a sample that was read: effects and people, for reports."""
    axis = time_axis(sample.people, settings.change or FIND)
    volumes = sample.volumes.transpose("scan", "region").values.astype(np.float64)
    subjects = sample.people["subject"].to_numpy(str)
    changes = person_changes(volumes, axis.years, subjects)
    people = first_scans(sample.people, axis.years).loc[list(changes.subjects)]
    regions, unit = tuple(map(str, sample.volumes.region.values.tolist())), str(sample.volumes.attrs.get("units", ""))
    model, notes = _formula(sample, people, settings, axis)
    if not np.isfinite(changes.slope).any():
        raise RunError(Reason.USAGE, _nobody(len(people), axis))
    effects = list[Effect]()
    for values, unit_of, suffix in ((changes.slope, f"{unit}/year" if unit else "", ""), (changes.percent, "%/year", "_percent")):
        effects += change_model(
            values,
            people,
            model,
            regions=regions,
            unit=unit_of,
            suffix=suffix,
            references=sample.references,
            confidence=settings.confidence,
        )
    notes = [axis.sentence, *_counts(changes, people), *_still(changes, regions), *_moved(sample.people, subjects), *notes]
    return ChangeFindings(with_fdr(effects), people, changes, _errors(sample, axis, subjects, changes), regions, unit, model, tuple(notes))


def change_dataset(found: ChangeFindings) -> xr.Dataset:
    """Findings as one Dataset, as `change` gives it."""
    per_year = f"{found.unit}/year" if found.unit else ""
    both = ("subject", "region")
    variables = {
        "change": (both, found.changes.slope, {"units": per_year, "long_name": "least-squares slope of the volume on years"}),
        "change_percent": (
            both,
            found.changes.percent,
            {"units": "%/year", "long_name": "slope in percent of the own line at the first scan"},
        ),
        "change_se": (both, found.errors, {"units": per_year, "long_name": "standard error of the slope by the error of scans"}),
        "scans": (both, found.changes.scans, {"units": "1", "long_name": "volumes with a time"}),
        "years": (both, found.changes.years, {"units": "year", "long_name": "from first to last scan"}),
        "spread": (
            "region",
            _spread(found.changes.slope),
            {"units": per_year, "long_name": "standard deviation of the change between people"},
        ),
        "spread_by_error": ("region", root_mean_square(found.errors), {"units": per_year, "long_name": "the same, were there no change"}),
    }
    coords = {"subject": np.array(found.changes.subjects, object), "region": np.array(found.regions, object)}
    effects = effects_dataset(found.effects).reindex(region=list(found.regions))
    people = xr.Dataset(variables, coords=coords, attrs={"formula": str(found.formula), "notes": "\n".join(found.notes)})
    return people.merge(effects, combine_attrs="override")


def mixed_change(sample: Sample, settings: StudySettings) -> tuple[list[Effect], list[str]]:
    """Effects of the mixed model of all scans: volume ~ terms at the first scan, each with years; random intercept and slope by subject.

    It uses people with one scan too, and raises more false alarms in small samples than `change`, which is the default. The effect on
    change is the interaction with ``years``.
    """
    axis = time_axis(sample.people, settings.change or FIND)
    subjects = sample.people["subject"].to_numpy(str)
    at_first = first_scans(sample.people, axis.years)
    first = pd.Series(axis.years, index=subjects).groupby(level=0).transform("min").to_numpy(np.float64)
    people = at_first.loc[subjects].set_axis(sample.people.index).assign(subject=subjects, years=axis.years - first)
    asked, notes = _formula(sample, at_first, settings, axis)
    year = Factor("years")
    extra = (Term((Factor("icv"),)),) if "icv" in people and settings.formula is None and people["icv"].nunique() > 1 else ()
    formula = asked.plus(Term((year,)), *(Term((*term.factors, year)) for term in asked.terms), *extra)
    of_icv = frozenset({"icv", sample.took.get("icv", "icv")})
    model = StudyModel(formula, sample.reference if "group" in formula.names else None, frozenset({"group"}), of_icv, repeated=True)
    effects, said = mixed_effects(replace(sample, people=people), replace(settings, head_size="covariate"), model, slope="years")
    return with_fdr(effects), [*notes, *said]


def first_scans(people: pd.DataFrame, years: Float64[np.ndarray, " scan"]) -> pd.DataFrame:
    """One row a subject, as at the first scan that has a time; subjects are the index and a column."""
    order = people.assign(_years=years).sort_values(["subject", "_years"], kind="stable", na_position="last")
    first = order.drop_duplicates("subject").drop(columns="_years")
    return first.set_axis(first["subject"].astype(str).rename("person"))


def _formula(sample: Sample, people: pd.DataFrame, settings: StudySettings, axis: TimeAxis) -> tuple[Formula, list[str]]:
    """The model of change, and what was left out of it."""
    if settings.formula is not None:
        formula = parse(settings.formula)
        if axis.column in formula.names and axis.column != "age":
            why = f"{visible(axis.column)} is the time of the change, which is the outcome"
            raise RunError(Reason.USAGE, f"formula {visible(settings.formula)}: {why}: leave its terms out")
        return formula, []
    usable = [name for name in USUAL if name in people and people[name].nunique() > 1 and (name != "group" or sample.reference is not None)]
    gone = [name for name in USUAL[:3] if name not in usable]
    notes = [f"not in the model of change, for want of a column with two values: {', '.join(gone)}"] if gone else []
    if "group" in gone and sample.group_problem:
        notes.append(f"groups are not compared: {sample.group_problem}")
    return Formula("volume", tuple(Term((Factor(name),)) for name in usable)), notes


def _errors(sample: Sample, axis: TimeAxis, subjects: np.ndarray, changes: Changes) -> Float64[np.ndarray, "subject region"]:
    """Standard error of each slope."""
    by_lines = changes.residual / np.sqrt(changes.time_squares)
    if sample.uncertainty is None:
        return np.asarray(by_lines, np.float64)
    known = np.where(np.isfinite(sample.volumes.values), sample.uncertainty.values, np.nan)
    found = slope_errors(axis.years, subjects, known)
    return np.where(np.isfinite(found) & np.isfinite(changes.slope), found, by_lines)


def _spread(slopes: Float64[np.ndarray, "subject region"]) -> Float64[np.ndarray, " region"]:
    known = np.isfinite(slopes)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.where(known, slopes - np.where(known, slopes, 0.0).sum(axis=0) / n, 0.0)
        return np.where(n > 1, np.sqrt((off**2).sum(axis=0) / (n - 1)), np.nan)


def _counts(changes: Changes, people: pd.DataFrame) -> list[str]:
    """How many people have a change, and who has none."""
    has = np.isfinite(changes.slope).any(axis=1)
    alone = [name for name, known in zip(changes.subjects, has.tolist(), strict=True) if not known]
    said = [f"change is that of {has.sum()} of {counted(len(people), 'person')}".replace("persons", "people")]
    if alone:
        more = f" and {len(alone) - SHOWN} more" if len(alone) > SHOWN else ""
        named = ", ".join(map(visible, alone[:SHOWN])) + more
        said.append(f"{len(alone)} without two volumes at different times count as having no change, not a change of 0: {named}")
    return said


def _still(changes: Changes, regions: Sequence[str]) -> list[str]:
    """A sentence on regions that never change, as where a head size was measured once and copied."""
    known = np.isfinite(changes.slope)
    still = [name for name, slope, has in zip(regions, changes.slope.T, known.T, strict=True) if has.any() and not slope[has].any()]
    return [f"{', '.join(still)}: the same at all scans of every person, so no change is tested"] if still else []


def _moved(people: pd.DataFrame, subjects: np.ndarray) -> list[str]:
    """A sentence where somebody's group, sex or site is not the same at all scans."""
    found = []
    for name in ("group", "sex", "site"):
        if name in people:
            counts = people[name].groupby(subjects).nunique()
            if changed := [str(who) for who in counts.index[counts > 1]]:
                named = ", ".join(map(visible, changed[:SHOWN]))
                found.append(f"{name} differs between scans of {len(changed)} people ({named}): that of the first scan is taken")
    return found


def _nobody(people: int, axis: TimeAxis) -> str:
    return (
        f"none of {people} people has two volumes at different times ({axis.sentence}): change needs two scans a person; is the "
        "column of the subject right (--subject)?"
    )
