"""A study of change over time: the change per year of each person, compared between groups, in place of the volumes themselves."""

from math import isfinite
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.reason import RunError
from hypojax.study.models.effect import effects_table
from hypojax.study.over_time.longitudinal import ChangeFindings, change_dataset, change_findings, mixed_change
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import StudySettings
from hypojax.study.writing.study_findings import Findings, GroupSize
from hypojax.study.writing.study_methods import versions
from hypojax.study.writing.study_steps import (
    balance_table_of,
    column_of,
    contrasts_of,
    equivalence_sentences,
    flow_table,
    main_term,
    power_table,
)
from hypojax.tables import text_of

MOST_FOR_MIXED: Final = 30_000
"""Volumes up to which a mixed model with random slopes is fitted beside the change of people; it takes a second for ten thousand."""

PER_PERSON: Final = ("change", "change_percent", "change_se", "scans", "years")
"""Columns of ``change.tsv``, beside subject and region."""


def change_study(sample: Sample, settings: StudySettings) -> Findings:
    """What a study of change finds; as `hypojax.study.change`, with the tables around it.

    Raises
    ------
    RunError
        ``USAGE``: no time, nobody with two scans, or too few people for the formula.
    """
    found = change_findings(sample, settings)
    formula = str(found.formula)
    effects = effects_table(found.effects)
    term = main_term(effects, formula, sample)
    contrasts = contrasts_of(effects, term)
    dataset = change_dataset(found)
    tables = {
        "flow": flow_table(sample),
        "balance": balance_table_of(sample, contrasts, term=term, formula=formula, people=found.people),
        "power": power_table(effects, term),
        "change": change_table(dataset),
    }
    tables["sensitivity"], not_mixed = _mixed(sample, settings, term)
    notes = tuple(dict.fromkeys((*sample.notes, *found.notes)))
    kept = {name: table for name, table in tables.items() if len(table)}
    remarks = {"change": tuple(_spreads(found, dataset)), "sensitivity": not_mixed}
    if settings.equivalence is not None:
        remarks["equivalence"] = tuple(equivalence_sentences(effects, term, settings.equivalence))
    return Findings(
        sample, settings, f"change per year of {formula}", term, effects, contrasts, kept, {"change": dataset},
        remarks=remarks, notes=notes, versions=versions(), analysed=_analysed(found, term),
    )  # fmt: skip


def change_table(dataset: xr.Dataset) -> pd.DataFrame:
    """One row a person and region; people without a change have their row, with the number of their scans."""
    names = [name for name in PER_PERSON if name in dataset]
    return dataset[names].to_dataframe(dim_order=["subject", "region"]).reset_index()[["subject", "region", *names]]


def _mixed(sample: Sample, settings: StudySettings, term: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The same difference by a mixed model of all scans: its interaction with time."""
    if sample.volumes.size > MOST_FOR_MIXED:
        return pd.DataFrame(), (f"No mixed model beside it: {sample.volumes.size:,} volumes take long.",)
    try:
        effects, said = mixed_change(sample, settings)
    except RunError as error:
        return pd.DataFrame(), (f"No mixed model beside it: {error}.",)
    table = effects_table([one._replace(contrast=one.contrast.removesuffix(", ")) for one in effects if one.term == f"{term}:years"])
    per_year = table["unit"].map(lambda unit: f"{unit}/year" if unit else "")
    table = table.assign(term=term, quantity="change_difference", unit=per_year)
    table.insert(0, "analysis", "mixed model of all scans, random intercept and slope")
    return table, tuple(f"{one[:1].upper()}{one[1:]}." for one in said if "mixed model" in one)


def _analysed(found: ChangeFindings, term: str) -> dict[str, dict[str, GroupSize]]:
    """Region → group → people with a change and all covariates."""
    column = column_of(term)
    if column not in found.people:
        return {}
    names = [name for name in found.formula.names if name in found.people]
    known = np.isfinite(found.changes.slope) & found.people[names].notna().all(axis=1).to_numpy()[:, None]
    groups = found.people[column].map(text_of)
    return {
        region: {str(group): GroupSize(int(count), int(count)) for group, count in groups[has].value_counts().items()}
        for region, has in zip(found.regions, known.T, strict=True)
    }


def _spreads(found: ChangeFindings, dataset: xr.Dataset) -> list[str]:
    """What of the spread of changes the error of scans alone would give, and what the change is."""
    said = ["The change of a person is the least-squares slope of the volumes on years; people with one scan have none, and are counted."]
    for region in found.regions:
        if "spread" not in dataset or "spread_by_error" not in dataset or region.startswith(("left_", "right_")):
            continue
        between, error = (float(dataset[name].sel(region=region)) for name in ("spread", "spread_by_error"))
        if isfinite(between) and isfinite(error):
            said.append(
                f"{region}: changes spread by {between:.3g} between people (SD), of which errors of scans alone would give {error:.3g}."
            )
    return said
