"""hypojax: hypothalamus and intracranial volumes of thousands of T1-weighted MRI scans.

The public names below are loaded when they are first used, so that ``import hypojax`` costs nothing.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax import demonstration, evaluation, matching, monitoring, store, training
    from hypojax.cohort import open_cohort
    from hypojax.execute import run, segment
    from hypojax.preprocessing.lazy import preprocess
    from hypojax.reason import HypojaxError, Reason, RunError, ScanError
    from hypojax.segmenter import Segmenter

    __version__: str

_HOME: Final = {
    "HypojaxError": "reason",
    "Reason": "reason",
    "RunError": "reason",
    "ScanError": "reason",
    "Segmenter": "segmenter",
    "open_cohort": "cohort",
    "preprocess": "preprocessing.lazy",
    "run": "execute",
    "segment": "execute",
}
"""Public name → the room it lives in. No room has the name of a public function, so that neither hides the other."""

_ROOMS: Final = ("demonstration", "evaluation", "matching", "monitoring", "store", "training")
"""Rooms that are public as they are, each with functions of its own: ``hypojax.evaluation.compare``."""

__all__ = [
    "HypojaxError", "Reason", "RunError", "ScanError", "Segmenter", "__version__", "demonstration", "evaluation", "matching", "monitoring",
    "open_cohort", "preprocess", "run", "segment", "store", "training",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name == "__version__":
        return metadata.version("hypojax")
    if name in _ROOMS:
        return import_module(f"hypojax.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
