"""Training: generator and augmentation in JAX, loss, jitted step, resumable loop.

The public names below are loaded when they are first used: the command line reads the configuration alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.training.train_config import TrainConfig, read_config
    from hypojax.training.training import train_network

_HOME: Final = {"TrainConfig": "train_config", "read_config": "train_config", "train_network": "training"}
"""Public name → the file it lives in."""

__all__ = ["TrainConfig", "read_config", "train_network"]


def __getattr__(name: str) -> object:
    """Load a public name, or the file it lives in, on first use (PEP 562)."""
    if name in _HOME.values():
        return import_module(f"hypojax.training.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax.training' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.training.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
