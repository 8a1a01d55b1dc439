"""Whether a new batch of scans, or new weights, measure what the reference measured; and in plain words what moved.

| file | what it has |
|---|---|
| `limits` | which scans are compared, and what counts as moved: the options |
| `batches` | the reference and the new batch: their scans, and how they were made |
| `measures` | what is compared of every scan |
| `difference` | two groups, or one group measured twice: differences with intervals and tests |
| `comparison` | the new batch against the reference, measure by measure |
| `finding` | the result for one measure, and all of them |
| `drift_page` | the result in words, and as a page |

Examples
--------
>>> result = hypojax.drift("out_2025", "out_2026", out="drift")  # doctest: +SKIP
>>> [finding.measure for finding in result.findings]  # doctest: +SKIP

The public names below are loaded when they are first used: the command line needs only the limits.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.monitoring.comparison import compare, drift, write_drift
    from hypojax.monitoring.finding import DriftResult, Finding
    from hypojax.monitoring.limits import Choice, Limits

_HOME: Final = {
    "Choice": "limits",
    "DriftResult": "finding",
    "Finding": "finding",
    "Limits": "limits",
    "compare": "comparison",
    "drift": "comparison",
    "write_drift": "comparison",
}
"""Public name → the file it lives in."""

__all__ = ["Choice", "DriftResult", "Finding", "Limits", "compare", "drift", "write_drift"]


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax.monitoring' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.monitoring.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
