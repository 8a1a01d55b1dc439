"""Population statistics: from a cohort's volumes to the answer, Dataset in and Dataset out.

Volumes of people, a formula as a design matrix, models of all regions at once, and what is reported of them: effects with intervals
(`hypojax.study.models.effect`), written as tables, a text and figures by ``hypojax study``. docs/study.md defines every number.

The names below are loaded when they are first used, so that help of the command line comes at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.study.centiles.norms import fit_norms
    from hypojax.study.centiles.norms_scores import apply_norms
    from hypojax.study.models.design_power import power
    from hypojax.study.models.detectable import power_at, power_of_groups, smallest_difference
    from hypojax.study.models.effect import Effect, effects_dataset, effects_table
    from hypojax.study.models.equivalence import equivalence_test
    from hypojax.study.models.group_model import compare
    from hypojax.study.models.mixed_regions import mixed_model
    from hypojax.study.over_time.longitudinal import change
    from hypojax.study.people.sample import Sample, read_sample
    from hypojax.study.sites.harmonisation import apply_harmonisation, harmonise
    from hypojax.study.study_settings import StudySettings
    from hypojax.study.writing.study_federated import write_summaries
    from hypojax.study.writing.study_norms import NormsResult, write_norms
    from hypojax.study.writing.study_run import StudyResult, analyse, write_study

_MODULES: Final = {
    "models.design_power": ("power",),
    "models.detectable": ("power_at", "power_of_groups", "smallest_difference"),
    "models.effect": ("Effect", "effects_dataset", "effects_table"),
    "models.equivalence": ("equivalence_test",),
    "models.group_model": ("compare",),
    "models.mixed_regions": ("mixed_model",),
    "sites.harmonisation": ("apply_harmonisation", "harmonise"),
    "over_time.longitudinal": ("change",),
    "centiles.norms": ("fit_norms",),
    "centiles.norms_scores": ("apply_norms",),
    "people.sample": ("Sample", "read_sample"),
    "writing.study_federated": ("write_summaries",),
    "writing.study_norms": ("NormsResult", "write_norms"),
    "writing.study_run": ("StudyResult", "analyse", "write_study"),
    "study_settings": ("StudySettings",),
}
"""Module → the public names that it holds. No module has the name of a public function."""

_HOME: Final = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Effect", "NormsResult", "Sample", "StudyResult", "StudySettings", "analyse", "apply_harmonisation", "apply_norms", "change", "compare",
    "effects_dataset", "effects_table", "equivalence_test", "fit_norms", "harmonise", "mixed_model", "power", "power_at", "power_of_groups",
    "read_sample", "smallest_difference", "write_norms", "write_study", "write_summaries",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax.study' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.study.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
