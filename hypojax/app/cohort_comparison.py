"""Groups of what is shown of a cohort, compared as ``hypojax study`` compares them, in its sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.app.cohort_filter import Mask
from hypojax.app.cohort_view import CohortView
from hypojax.cohort.ratings import LEVELS
from hypojax.reason import Reason, RunError, visible
from hypojax.schema import REGIONS
from hypojax.study.people.columns import take_columns
from hypojax.study.people.grouping import grouping_of
from hypojax.study.people.numbers_read import read_names
from hypojax.study.study_settings import StudySettings
from hypojax.tables import is_id_name, plain, text_of

if TYPE_CHECKING:
    from hypojax.pages import TextTable

USUAL: Final = ("age", "sex", "icv", "site")
"""Covariates that a study takes by itself where they vary."""

ALL_REGIONS: Final = ("usual", "subunits", "all")
"""Outcomes of several regions; ``usual`` are those that a study has by itself."""

MOST_LEVELS: Final = 20
"""Categories of a column beyond which it is no covariate, but names."""

MOST_COLUMNS: Final = 40

IDS: Final = frozenset({"subject", "session", "run", "acquisition", "scan", "participant", "participantid"})
"""Columns that name people and scans."""

QUOTES: Final = "'\"`"


@dataclass(frozen=True)
class GroupQuestion:
    """What is compared.

    Parameters
    ----------
    outcome
        A region, or one of `ALL_REGIONS`.
    group
        Column of the groups.
    covariates
        What the volumes are adjusted for.
    reference
        The group that all others are compared with; empty: the one with a usual name of controls.
    """

    outcome: str = "usual"
    group: str = ""
    covariates: tuple[str, ...] = ()
    reference: str = ""


@dataclass(frozen=True)
class Choices:
    """What can be asked of a cohort.

    Parameters
    ----------
    groups
        Columns of groups, the one that a study takes first.
    covariates
        Columns to adjust for.
    usual
        Those of them that a study takes by itself.
    columns
        Role, such as ``group`` or ``age`` → the column that a study takes for it by itself.
    """

    groups: tuple[str, ...]
    covariates: tuple[str, ...]
    usual: tuple[str, ...]
    columns: Mapping[str, str]

    @property
    def question(self) -> GroupQuestion:
        """What a study asks by itself."""
        return GroupQuestion(group=self.groups[0] if self.groups else "", covariates=self.usual)


@dataclass(frozen=True)
class GroupComparison:
    """What was found, in sentences of ``hypojax study``.

    Parameters
    ----------
    answers
        One a region and contrast.
    warnings
        Groups that are not alike.
    counts
        What became of the scans: those rejected by hand are left out.
    formula
        The model.
    notes
        What was taken or left out.
    table
        The answer in numbers.
    """

    answers: tuple[str, ...]
    warnings: tuple[str, ...]
    counts: tuple[str, ...]
    formula: str
    notes: tuple[str, ...]
    table: "TextTable"


def choices_of(view: CohortView) -> Choices:
    """What can be asked of a cohort: columns that vary over its measured scans."""
    measured = view.table.isel(scan=np.flatnonzero(view.cohort["status"].values == "done"))
    frame = measured[list(view.columns)].to_dataframe()[list(view.columns)] if view.columns else None
    took = take_columns(frame, StudySettings(), meanings={}).took if frame is not None else {}
    usual_group = took.get("group", "")
    known = {name: _levels(measured[name].values) for name in view.columns if plain(name) not in IDS and not is_id_name(name)}
    groups = [name for name, levels in known.items() if levels is not None and 2 <= levels <= MOST_LEVELS]
    of_roles = {took[role] for role in ("age", "sex", "site", "icv") if role in took}
    usual = [role for role in USUAL if role == "icv" or (role in took and known.get(took[role]) != 1)]
    others = [
        name
        for name, levels in known.items()
        if name not in of_roles and name != usual_group and (levels is None or 2 <= levels <= MOST_LEVELS) and _quoted(name)
    ]
    ordered = sorted(groups, key=lambda name: name != usual_group)
    return Choices(tuple(ordered), (*usual, *others[:MOST_COLUMNS]), tuple(usual), took)


def groups_of(view: CohortView, keep: Mask, column: str) -> tuple[list[str], str]:
    """Groups of a column among the measured scans that are kept, and the one with a usual name of controls, empty where it is not known.

    Raises
    ------
    RunError
        ``USAGE``: the cohort has no such column.
    """
    if column not in view.columns:
        raise RunError(Reason.USAGE, "choose a column of groups from the list")
    measured = keep & (view.cohort["status"].values == "done")
    names, _ = read_names(pd.Series(view.cohort[column].values[measured]), column)
    known = pd.Series(names, dtype=object)
    return sorted(set(known.dropna()), key=str.casefold), grouping_of(known, column).reference or ""


def compare_groups(view: CohortView, keep: Mask, question: GroupQuestion) -> GroupComparison:
    """Compare the groups of the scans that are kept; rejected scans, copies and failed ones are left out, as ever.

    Raises
    ------
    RunError
        ``USAGE``: the question is none of `choices_of`, or cannot be answered with these scans; the sentence says why.
    """
    from hypojax.study import analyse

    settings = settings_of(question, choices_of(view), *groups_of(view, keep, question.group))
    found = analyse(rated_cohort(view, keep), settings=settings)
    return GroupComparison(
        answers=found.answers,
        warnings=found.warnings,
        counts=tuple(row.sentence for row in found.findings.sample.flow),
        formula=found.formula,
        notes=found.notes,
        table=found.brief,
    )


def settings_of(question: GroupQuestion, choices: Choices, groups: Sequence[str], controls: str) -> StudySettings:
    """The settings of a study that asks this: what a study takes by itself is not named, so that both say the same.

    Parameters
    ----------
    question, choices
        What is asked, and what can be asked.
    groups, controls
        Of the column of groups, as `groups_of` has them.

    Raises
    ------
    RunError
        ``USAGE``: the question is none of the choices.
    """
    _refuse(question, choices, groups, controls)
    region = StudySettings().region if question.outcome == "usual" else (question.outcome,)
    is_usual = question.group == choices.columns.get("group", "")
    named = question.reference and question.reference != controls
    cases = tuple(name for name in groups if name != question.reference) if named else ()
    asked = StudySettings(region=region, group=None if is_usual else question.group, cases=cases)
    if is_usual and set(question.covariates) == set(choices.usual):
        return asked
    own = {role for role, column in choices.columns.items() if column == question.group} | {question.group}
    terms = [name for name in choices.covariates if name in question.covariates and name not in own]
    formula = " + ".join(["volume ~ group", *(name if name in USUAL else _quoted(name) for name in terms)])
    return replace(asked, formula=formula, head_size="covariate" if "icv" in terms else "none")


def _refuse(question: GroupQuestion, choices: Choices, groups: Sequence[str], controls: str) -> None:
    """Refuse what is none of the choices: it comes from a browser."""
    if question.group not in choices.groups or not set(question.covariates) <= set(choices.covariates):
        raise RunError(Reason.USAGE, "choose the groups and what to adjust for from the lists")
    if question.outcome not in (*ALL_REGIONS, *REGIONS):
        raise RunError(Reason.USAGE, f"there is no region {visible(str(question.outcome))!r}; choose one of the list")
    if question.reference and question.reference not in groups:
        raise RunError(
            Reason.USAGE, f"nobody shown is {visible(question.reference)!r}: choose another group to compare with, or another filter"
        )
    if len(groups) < 2:
        which = f"all are {visible(groups[0])!r}" if groups else "none of them has a group"
        raise RunError(Reason.USAGE, f"a comparison needs two groups, and of the scans shown {which}: change the filter")
    if not question.reference and not controls:
        raise RunError(Reason.USAGE, f"choose which of the groups is that of the controls: {', '.join(map(visible, groups))}")


def rated_cohort(view: CohortView, keep: Mask) -> xr.Dataset:
    """The scans that are kept, with the ratings that a study reads from the table beside the cohort."""
    part = view.table.isel(scan=np.flatnonzero(keep))
    rated = view.rated()
    if not (rated != "").any():
        return part
    words = [rating if rating in LEVELS else "" for rating in rated[keep].tolist()]
    return part.assign(rating=("scan", np.array(words, object)))


def _levels(values: np.ndarray) -> int | None:
    """How many categories a column has; None for numbers of many values, which are no categories."""
    found = {text_of(value) for value in pd.Series(values).dropna().tolist() if value != ""}
    return None if values.dtype.kind in "if" and len(found) > MOST_LEVELS else len(found)


def _quoted(name: str) -> str:
    """A name as formulas have it; empty where it has all quotation marks."""
    mark = next(_marks(name), "")
    return f"{mark}{name}{mark}" if mark else ""


def _marks(name: str) -> Iterator[Any]:
    return (mark for mark in QUOTES if mark not in name)
