"""Which model a study fits: the formula, who the controls are, and whether scans of one subject are repeated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Int64

from hypojax.reason import Reason, RunError
from hypojax.study.formulas.formula import parse
from hypojax.study.formulas.terms import VOLUME, Factor, Formula, Term
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import StudySettings

DEFAULT_TERMS: Final = ("group", "age", "sex", "icv", "site")
"""Terms of the model that is taken where no formula is given; one without a column is left out."""

SHOWN: Final = 3


@dataclass(frozen=True)
class StudyModel:
    """What is fitted to every region.

    Parameters
    ----------
    formula
        The model, with head size as a term only where it is corrected by one.
    reference
        The controls; None where no group is in the model.
    group, head_size
        Names of the columns that are the group and the head size.
    repeated
        Whether subjects have several scans, so that errors are clustered by subject.
    notes
        What was decided, one sentence each.
    """

    formula: Formula
    reference: str | None
    group: frozenset[str]
    head_size: frozenset[str]
    repeated: bool
    notes: tuple[str, ...] = ()

    def of_region(self, region: str) -> Formula:
        """The formula of one region: head size is no covariate of itself."""
        return self.formula.without(*self.head_size) if region in self.head_size else self.formula

    @property
    def method(self) -> str:
        """Model and errors, as ``method`` of effects."""
        return f"linear model{' of log volume' if self.formula.is_log else ''}, {'clustered by subject' if self.repeated else 'HC3'}, t"


def model_formula(sample: Sample, settings: StudySettings) -> str:
    """The formula that a study fits, as text.

    Raises
    ------
    RunError
        As `choose_model`.
    """
    return str(choose_model(sample, settings).formula)


def choose_model(sample: Sample, settings: StudySettings) -> StudyModel:
    """The formula that was asked for, or the default one of the columns there are.

    Raises
    ------
    RunError
        ``USAGE``: the formula has no terms, a group comparison has no controls or one group only, or scans are repeated and no column of
        the subject was named.
    """
    notes: list[str] = []
    formula = parse(settings.formula) if settings.formula else _default(sample, settings, notes)
    group, head_size = _names(sample, "group"), _names(sample, "icv")
    if settings.head_size != "covariate":
        formula = formula.without(*head_size)
    elif settings.formula and "icv" in sample.people and not head_size & set(formula.names):
        notes.append("head size is not in the formula, so volumes are not corrected for it")
    if not formula.terms:
        raise RunError(Reason.USAGE, "the model has no terms: name columns with --group, --age, --sex or --icv, or a model with --formula")
    reference = sample.controls() if group & set(formula.names) and "group" in sample.people else None
    return StudyModel(formula, reference, group, head_size, _is_repeated(sample, formula, settings), tuple(notes))


def _names(sample: Sample, canonical: str) -> frozenset[str]:
    """A canonical column, under this name and under its own."""
    return frozenset({canonical, sample.took.get(canonical, canonical)})


def _default(sample: Sample, settings: StudySettings, notes: list[str]) -> Formula:
    """Group, age, sex, head size, and site where there are several."""
    wanted = [name for name in DEFAULT_TERMS if name != "icv" or settings.head_size == "covariate"]
    there = [name for name in wanted if name in sample.people and (name != "site" or sample.people["site"].nunique() > 1)]
    if "group" in there and sample.people["group"].nunique() < 2 and not (settings.group or settings.cases):
        there.remove("group")
        notes.append(f"no group is compared: {sample.group_problem}")
    absent = [name for name in wanted if name not in sample.people and name not in ("site", "icv")]  # icv: said with the reason there
    if absent:
        notes.append(f"no column of {', '.join(absent)} was found, so the model is without: name it with --{absent[0]} if there is one")
    return Formula(VOLUME, tuple(Term((Factor(name),)) for name in there))


def _is_repeated(sample: Sample, formula: Formula, settings: StudySettings) -> bool:
    """Whether a subject has several scans in the model; refused where the user has not said that they are to be taken as such."""
    needed = [name for name in formula.names if name in sample.people]
    counts = sample.people.loc[sample.people[needed].notna().all(axis=1), "subject"].value_counts()
    if not (counts > 1).any():
        return False
    several = counts[counts > 1]
    if settings.subject is None:
        named = ", ".join(f"{name} ({count})" for name, count in several.iloc[:SHOWN].items())
        raise RunError(
            Reason.USAGE,
            f"{len(several)} of {len(counts)} subjects have several scans ({named}), which are not independent. Name the column of the "
            "subject with --subject, so that errors are clustered by subject; analyse the change with --change; or keep one scan of each",
        )
    return True


def clusters_of(people_subject: Sequence[object]) -> Int64[np.ndarray, " row"]:
    """A number for each subject.

    >>> clusters_of(["b", "a", "b"]).tolist()
    [1, 0, 1]
    """
    return np.unique(np.array([str(one) for one in people_subject]), return_inverse=True)[1].ravel().astype(np.int64)
