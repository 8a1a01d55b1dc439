"""All that a study found, as tables: what its files hold, and what its page is written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pandas as pd
import xarray as xr

from hypojax.reporting import Figure
from hypojax.study.people.sample import Sample
from hypojax.study.study_settings import StudySettings
from hypojax.tables import text_of

NO_TABLE: Final = pd.DataFrame()


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
        Region → group → who is in the model, in words.
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
    analysed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()

    def table(self, name: str) -> pd.DataFrame:
        """A table, empty where it was not made."""
        return self.tables.get(name, NO_TABLE)

    @property
    def counts(self) -> dict[str, int]:
        """Group → people analysed, the largest first; empty where no groups are compared."""
        column = self.term.removeprefix("C(").removesuffix(")")
        if not self.contrasts or column not in self.sample.people:
            return {}
        return {text_of(name): int(count) for name, count in self.sample.people[column].value_counts().items()}

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns of the model."""
        from hypojax.study.formulas.formula import parse

        return parse(self.formula.removeprefix("change per year of ")).names
