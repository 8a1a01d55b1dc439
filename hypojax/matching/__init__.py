"""Sets of subjects that are alike: folds, an independent test set, matched pairs, and how well they are balanced.

Every set is of whole subjects, and depends on the seed and on what the table says, never on the order of its rows. The
public names below are loaded when they are first used: the command line reads the plan alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.matching.balance import balance_table
    from hypojax.matching.crossing import folds
    from hypojax.matching.holdout import hold_out
    from hypojax.matching.pairing import matched_pairs
    from hypojax.matching.plan import SplitPlan
    from hypojax.matching.split import Split, split_table

_HOME: Final = {
    "Split": "split",
    "SplitPlan": "plan",
    "balance_table": "balance",
    "folds": "crossing",
    "hold_out": "holdout",
    "matched_pairs": "pairing",
    "split_table": "split",
}
"""Public name → the file it lives in."""

__all__ = ["Split", "SplitPlan", "balance_table", "folds", "hold_out", "matched_pairs", "split_table"]


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax.matching' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.matching.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
