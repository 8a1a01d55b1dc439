"""Who is in a study: volumes and people of the scans that are analysed, and how many are not, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.reason import Reason, RunError, visible
from hypojax.schema import FLAG_TEXT
from hypojax.study.formulas.formula import Formula, parse
from hypojax.study.people.columns import Taken, take_columns
from hypojax.study.people.grouping import Grouping, grouping_of
from hypojax.study.people.joining import with_pheno
from hypojax.study.people.measurements import Measurements, service_columns
from hypojax.study.people.numbers_read import cell_texts
from hypojax.study.people.scan_flow import FlowRow, Mask, ScanFlow, left_out, missing_volumes
from hypojax.study.people.sources import measurements_of
from hypojax.study.study_settings import StudySettings

__all__ = ["FlowRow", "Sample", "read_sample"]

COVARIATES: Final = ("group", "age", "sex", "icv", "site")
"""Columns of the model that is fitted where no formula was given."""


@dataclass(frozen=True)
class Sample:
    """Volumes and people of a study.

    Parameters
    ----------
    volumes
        Scan × region, those regions that are analysed; missing is NaN; attribute ``units``, and version and weights of a cohort.
    people
        One row a scan, its id as index: subject, session, group, age (years), sex, icv, site and time (years), those that exist, and all
        other columns under their own names. Group, site and sex are text.
    uncertainty
        Standard uncertainty of each volume, where it is known.
    flagged, doubted
        Whether a scan carries a quality flag; whether somebody who looked at it doubts it.
    flow
        How many were found, and what became of them.
    took
        Canonical name → the column that was taken for it.
    notes
        What was taken, interpreted or left out, one sentence each.
    reference
        The group of controls; None where it is not known.
    group_problem
        Why groups cannot be compared, with the next step; empty where they can.
    """

    volumes: xr.DataArray
    people: pd.DataFrame
    uncertainty: xr.DataArray | None
    flagged: pd.Series
    doubted: pd.Series
    flow: tuple[FlowRow, ...]
    took: Mapping[str, str]
    notes: tuple[str, ...]
    reference: str | None = None
    group_problem: str = ""

    @property
    def repeated(self) -> bool:
        """Whether a subject has several scans."""
        return bool(self.people["subject"].duplicated().any())

    @property
    def references(self) -> dict[str, str]:
        """Column → the category that others are compared with, as `hypojax.study.formulas.design.build_design` takes it.

        The group of controls; of other columns the first in order.
        """
        return {} if self.reference is None else dict.fromkeys(("group", self.took.get("group", "group")), self.reference)

    def controls(self) -> str:
        """The group of controls.

        Raises
        ------
        RunError
            ``USAGE``: groups cannot be compared; the sentence says why.
        """
        if self.reference is None:
            raise RunError(Reason.USAGE, self.group_problem or "no column of groups was found; name it with --group")
        return self.reference

    def part(self, keep: Mask) -> "Sample":
        """Some of its scans; the flow stays that of all."""
        return replace(
            self,
            volumes=self.volumes[keep],
            people=self.people[keep],
            uncertainty=None if self.uncertainty is None else self.uncertainty[keep],
            flagged=self.flagged[keep],
            doubted=self.doubted[keep],
        )


def read_sample(source: xr.Dataset | pd.DataFrame | str | Path, settings: StudySettings | None = None) -> Sample:
    """The sample of a study from a cohort or a table, with the columns of a participants' table where one is named.

    Scans without any volume of the regions asked for are left out, as are failed ones, duplicates and those rejected by hand; scans with
    volumes but without a covariate stay in, with the missing value, and are counted. Flagged and doubted scans stay in, marked.

    Parameters
    ----------
    source
        Dataset of `hypojax.open_cohort`, the store, the output folder of a run or its URL, a table file (`table_file.TABLE_SUFFIXES`), or a
        pandas table; tables are wide, a column a region, or long with the columns scan, region and volume_mm3.
    settings
        Columns, regions, unit and cases.

    Raises
    ------
    RunError
        ``USAGE``: ids are duplicated, a column or region does not exist, no scan is left, or groups that were named cannot be compared.
    """
    settings = settings or StudySettings()
    formula = parse(settings.formula) if settings.formula else None
    found = measurements_of(source, settings, outcome=formula.outcome if formula else None)
    people, meanings, said = with_pheno(found.people, settings)
    service = service_columns(people)
    taken = take_columns(people.drop(columns=service), settings, meanings={**found.meanings, **meanings})
    _refuse_covariate(formula, taken)
    flow, flagged, doubted, rated = left_out(found, people[service])
    kept = flow.kept
    grouping = _grouping(taken, settings, kept)
    _count_covariates(flow, taken.people, _needed(taken.people, formula, settings))
    flow.end(flagged, doubted)
    notes = (
        *found.notes,
        *said,
        *taken.notes,
        *rated,
        *grouping.notes,
        *missing_volumes(found, kept),
        *_head_size_note(people[service], taken.people, found),
    )
    own = dict.fromkeys(("group", taken.took.get("group", "group")), grouping.groups) if "group" in taken.people else {}
    people = taken.people[kept].assign(**own)
    return Sample(
        volumes=_array(found.volumes, found, kept),
        people=people,
        uncertainty=_array(found.uncertainty, found, kept) if set(found.uncertainty) & set(found.regions) else None,
        flagged=pd.Series(flagged[kept], index=people.index),
        doubted=pd.Series(doubted[kept], index=people.index),
        flow=tuple(flow.rows),
        took={**taken.took, **found.took},
        notes=tuple(dict.fromkeys(notes)),
        reference=grouping.reference,
        group_problem=grouping.problem,
    )


def _count_covariates(flow: ScanFlow, people: pd.DataFrame, needed: Sequence[str]) -> None:
    """Leave out of the flow those without a covariate, with what they lack; they stay in the sample."""
    absent = people[list(needed)].isna()
    why = ["no " + ", ".join(name for name, gone in zip(needed, row, strict=True) if gone) for row in absent.to_numpy(dtype=bool)]
    flow.leave_out("without covariates", absent.any(axis=1).to_numpy(dtype=bool), why)


def _refuse_covariate(formula: Formula | None, taken: Taken) -> None:
    """Refuse a formula whose outcome is a column about people: it is no volume, and its unit would be false."""
    roles = {column: role for role, column in taken.took.items() if role in (*COVARIATES, "subject", "session", "time") and role != "icv"}
    if formula is not None and formula.outcome in roles:
        column = visible(str(formula.outcome))
        why = f"the outcome {column!r} is the {roles[formula.outcome]} of the people, and no volume"
        raise RunError(Reason.USAGE, f"formula: {why}; write volume, or the name of a region, before the ~")


def _grouping(taken: Taken, settings: StudySettings, kept: Mask) -> Grouping:
    """Groups of the scans that are kept, and which is that of the controls.

    Raises
    ------
    RunError
        ``USAGE``: groups were asked for and cannot be compared.
    """
    if "group" not in taken.took:
        if settings.cases:
            raise RunError(Reason.USAGE, "--cases names values of a group, and no column of groups was found; name it with --group")
        problem = "no column of groups was found; name it with --group"
        return Grouping(pd.Series(dtype=object), None, problem)
    found = grouping_of(taken.people["group"][kept], taken.took["group"], settings.cases)
    if found.problem and (settings.group or settings.cases):
        raise RunError(Reason.USAGE, found.problem)
    return found


def _needed(people: pd.DataFrame, formula: Formula | None, settings: StudySettings) -> list[str]:
    """Columns that a scan needs to be in the model: those of the formula, or those of the usual model that exist."""
    if formula is not None:
        corrected = ["icv"] if settings.head_size in ("residual", "proportion", "power") else []
        return [name for name in dict.fromkeys((*formula.names, *corrected)) if name in people]
    unused = {"icv"} if settings.head_size == "none" else set()
    found = [name for name in COVARIATES if name in people and name not in unused]
    return [name for name in found if people[name].nunique() > 1]


def _head_size_note(service: pd.DataFrame, people: pd.DataFrame, found: Measurements) -> list[str]:
    """A note where nobody has a head size."""
    if "icv" in people:
        return []
    words = set(found.why_missing["icv"]) - {""} if "icv" in found.why_missing else set()
    flags = " ".join(cell_texts(service[FLAG_TEXT.name])).split() if FLAG_TEXT.name in service else []
    is_stripped = "skull_stripped" in (*words, *flags)
    why = f" ({', '.join(sorted(map(visible, words | ({'skull_stripped'} if is_stripped else set()))))})" if words or is_stripped else ""
    proxy = "; a stated proxy for skull-stripped scans is brain_mask_mm3 of hypojax run: --icv brain_mask_mm3" if is_stripped else ""
    return [f"no scan has a head size{why}: nothing is corrected for it{proxy or '; name a column of it with --icv'}"]


def _array(frame: pd.DataFrame, found: Measurements, kept: Mask) -> xr.DataArray:
    """Regions that are analysed of the scans that are kept."""
    values = frame.reindex(columns=list(found.regions)).to_numpy(dtype=np.float64)[kept]
    index: Sequence[str] = [str(scan) for scan, is_kept in zip(found.volumes.index, kept, strict=True) if is_kept]
    coords = {"scan": np.array(index, dtype=object), "region": np.array(found.regions, dtype=object)}
    return xr.DataArray(values, dims=("scan", "region"), coords=coords, attrs={"units": found.units, **found.attrs})
