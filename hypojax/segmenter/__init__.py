"""Prepared scans to posteriors: weights replicated on a device mesh, one fixed batch shape, compiled once.

The names below are loaded when they are first used: training imports `forward` alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.segmenter.segmenter import Segmentation, Segmenter

__all__ = ["Segmentation", "Segmenter"]

_HOME: Final = "hypojax.segmenter.segmenter"


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'hypojax.segmenter' has no attribute {name!r}")
    return getattr(import_module(_HOME), name)
