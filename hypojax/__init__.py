"""hypojax: hypothalamus and intracranial volumes of thousands of T1-weighted MRI scans.

The public names below are loaded when they are first used, so that ``import hypojax`` costs nothing.
"""

import sys
from collections.abc import Callable
from importlib import import_module, metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hypojax import demo, drift, evaluate, matching, store, train
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

_SHARED: Final = ("preprocess", "segment")
"""Public functions that share their name with a room."""

_ROOMS: Final = ("demo", "drift", "evaluate", "matching", "store", "train")
"""Rooms that are public as they are, each with functions of its own: ``hypojax.evaluate.compare``."""

__all__ = [
    "HypojaxError", "Reason", "RunError", "ScanError", "Segmenter", "__version__", "demo", "drift", "evaluate", "matching", "open_cohort",
    "preprocess", "run", "segment", "store", "train",
]  # fmt: skip


class _CallableRoom(ModuleType):
    """A room that shares its name with a function: both are one object, so that neither hides the other in any order of imports."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401  (whatever the function takes and gives)
        """Call the function of the same name."""
        return self.__wrapped__(*arguments, **named)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to other processes by name, as functions do."""
        return import_module, (self.__name__,)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function: `inspect.signature` and others ask for it."""
        name = self.__name__.rpartition(".")[2]
        function: Callable[..., Any] = vars(import_module(f"hypojax.{_HOME[name]}"))[name]
        return function


class _Package(ModuleType):
    """The package: rooms that share their name with a public function become callable as they are imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _SHARED and isinstance(value, ModuleType):
            value.__class__ = _CallableRoom
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name == "__version__":
        return metadata.version("hypojax")
    if name in _ROOMS or name in _SHARED:
        return import_module(f"hypojax.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
