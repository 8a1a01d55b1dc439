"""All that a study found, as tables: what its files hold, and what its page is written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import pandas as pd
import xarray as xr

from hypojax.pages import Figure
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import StudySettings

NO_TABLE: Final = pd.DataFrame()


class GroupSize(NamedTuple):
    """How many of a group are in the model of a region: scans, and the people that they are of."""

    scans: int
    people: int

    @property
    def words(self) -> str:
        """In words.

        >>> GroupSize(24, 24).words, GroupSize(47, 14).words
        ('n = 24', '47 scans of 14 people')
        """
        return f"n = {self.scans}" if self.scans == self.people else f"{self.scans} scans of {self.people} people"


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Parameters
    ----------
    sample
        Who was analysed, and how many were not.
    settings
        What was asked.
    formula
        The model, as it was fitted.
    term
        The term that is the question: ``group``, or the first of the formula.
    effects
        ``effects.tsv``.
    contrasts
        Contrast of groups → case group, control group; empty where nothing is compared.
    tables
        File name without ``.tsv`` → table.
    datasets
        File name without ``.nc`` → what is kept with its coordinates.
    checks
        Assumptions of the model in sentences.
    remarks
        Sentences on single steps: head size, harmonisation, norms, change.
    notes
        What was left out or decided.
    analysed
        Region → group → how many are in its model.
    versions
        Software → version.
    figures
        What the page shows, in order.
    """

    sample: Sample
    settings: StudySettings
    formula: str
    term: str
    effects: pd.DataFrame
    contrasts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    datasets: Mapping[str, xr.Dataset] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    analysed: Mapping[str, Mapping[str, GroupSize]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()

    def table(self, name: str) -> pd.DataFrame:
        """A table, empty where it was not made."""
        return self.tables.get(name, NO_TABLE)

    @property
    def counts(self) -> dict[str, int]:
        """Group → people in the model of the region that has most, controls first; empty where no groups are compared."""
        most = max(self.analysed.values(), key=lambda sizes: sum(size.scans for size in sizes.values()), default={})
        return {name: size.people for name, size in most.items()} if self.contrasts else {}

    @property
    def is_repeated(self) -> bool:
        """Whether people have several scans in a model."""
        return any(size.scans != size.people for sizes in self.analysed.values() for size in sizes.values())

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns of the model."""
        from hypojax.study.formulas.formula import parse

        return parse(self.formula.removeprefix("change per year of ")).names
