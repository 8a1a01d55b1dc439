"""hypojax: hypothalamus and intracranial volumes of thousands of T1-weighted MRI scans.

The public names below are loaded when they are first used, so that ``import hypojax`` costs nothing.
"""

import sys
from importlib import import_module, metadata
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.cohort import open_cohort
    from hypojax.execute import run, segment
    from hypojax.preprocess import preprocess
    from hypojax.reason import HypojaxError, Reason, RunError, ScanError
    from hypojax.segment import Segmenter

    __version__: str

_HOME: Final = {
    "HypojaxError": "reason",
    "Reason": "reason",
    "RunError": "reason",
    "ScanError": "reason",
    "Segmenter": "segment",
    "open_cohort": "cohort",
    "preprocess": "preprocess",
    "run": "execute",
    "segment": "execute",
}
"""Public name → the room it lives in."""

__all__ = ["HypojaxError", "Reason", "RunError", "ScanError", "Segmenter", "__version__", "open_cohort", "preprocess", "run", "segment"]


class _Package(ModuleType):
    """The package: its functions `segment` and `preprocess` keep their names when the rooms of the same name are imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name == "__version__":
        return metadata.version("hypojax")
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
