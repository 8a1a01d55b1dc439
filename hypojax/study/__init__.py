"""Population statistics: from a cohort's volumes to the answer, Dataset in and Dataset out.

Volumes of people, a formula as a design matrix, models of all regions at once, and what is reported of them: effects with intervals
(`hypojax.study.effect`), written as tables, a text and figures by ``hypojax study``. docs/study.md defines every number.

The names below are loaded when they are first used, so that help of the command line comes at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.study.design_power import power
    from hypojax.study.detectable import power_at, power_of_groups, smallest_difference
    from hypojax.study.effect import Effect, effects_dataset, effects_table
    from hypojax.study.equivalence import equivalence_test
    from hypojax.study.group_model import compare
    from hypojax.study.harmonisation import apply_harmonisation, harmonise
    from hypojax.study.longitudinal import change
    from hypojax.study.norms import fit_norms
    from hypojax.study.norms_scores import apply_norms
    from hypojax.study.sample import Sample, read_sample
    from hypojax.study.study_federated import write_summaries
    from hypojax.study.study_norms import NormsResult, write_norms
    from hypojax.study.study_run import StudyResult, analyse, write_study
    from hypojax.study.study_settings import StudySettings

_MODULES: Final = {
    "design_power": ("power",),
    "detectable": ("power_at", "power_of_groups", "smallest_difference"),
    "effect": ("Effect", "effects_dataset", "effects_table"),
    "equivalence": ("equivalence_test",),
    "group_model": ("compare",),
    "harmonisation": ("apply_harmonisation", "harmonise"),
    "longitudinal": ("change",),
    "norms": ("fit_norms",),
    "norms_scores": ("apply_norms",),
    "sample": ("Sample", "read_sample"),
    "study_federated": ("write_summaries",),
    "study_norms": ("NormsResult", "write_norms"),
    "study_run": ("StudyResult", "analyse", "write_study"),
    "study_settings": ("StudySettings",),
}
"""Module → the public names that it holds. No module has the name of a public function."""

_HOME: Final = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Effect", "NormsResult", "Sample", "StudyResult", "StudySettings", "analyse", "apply_harmonisation", "apply_norms", "change", "compare",
    "effects_dataset", "effects_table", "equivalence_test", "fit_norms", "harmonise", "power", "power_at", "power_of_groups", "read_sample",
    "smallest_difference", "write_norms", "write_study", "write_summaries",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax.study' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.study.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
