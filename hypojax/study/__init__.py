"""Population statistics: from a cohort's volumes to the answer, Dataset in and Dataset out.

Volumes of people, a formula as a design matrix, models of all regions at once, and what is reported of them: effects with intervals
(`hypojax.study.effect`), written as tables, a text and figures by ``hypojax study``. docs/study.md defines every number.

The names below are loaded when they are first used, so that help of the command line comes at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.study.effect import Effect, effects_dataset, effects_table
    from hypojax.study.sample import Sample, read_sample
    from hypojax.study.study_norms import NormsResult, write_norms
    from hypojax.study.study_run import StudyResult, analyse, write_study
    from hypojax.study.study_settings import StudySettings

_MODULES: Final = {
    "effect": ("Effect", "effects_dataset", "effects_table"),
    "sample": ("Sample", "read_sample"),
    "study_norms": ("NormsResult", "write_norms"),
    "study_run": ("StudyResult", "analyse", "write_study"),
    "study_settings": ("StudySettings",),
}
"""Module → the public names that it holds. No module has the name of a public function."""

_HOME: Final = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Effect", "NormsResult", "Sample", "StudyResult", "StudySettings", "analyse", "effects_dataset", "effects_table", "read_sample",
    "write_norms", "write_study",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax.study' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.study.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
