"""Sets of subjects that are alike: folds, an independent test set, matched pairs, and how well they are balanced.

| file | what it has |
|---|---|
| `split_plan` | how a table is split: the options |
| `subjects` | a table of participants, a subject a row, its columns cleaned |
| `allocation` | dealing subjects into sets that are alike |
| `sets` | folds, an independent test set, matched pairs |
| `balance` | how alike the sets are |
| `splitter` | the split table, and its files |

Examples
--------
>>> import hypojax, pandas as pd
>>> people = pd.DataFrame({"subject": [f"s{n}" for n in range(10)], "age": range(30, 40)})
>>> sorted(hypojax.matching.folds(people, subject="subject", stratify=["age"], count=5).value_counts())
[2, 2, 2, 2, 2]

Every set is of whole subjects, and depends on the seed and on what the table says, never on the order of its rows. The
public names below are loaded when they are first used: the command line needs only the plan.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.matching.balance import balance_table
    from hypojax.matching.sets import folds, hold_out, matched_pairs
    from hypojax.matching.split_plan import SplitPlan
    from hypojax.matching.splitter import SplitResult, split_table

_HOME: Final = {
    "SplitResult": "splitter",
    "SplitPlan": "split_plan",
    "balance_table": "balance",
    "folds": "sets",
    "hold_out": "sets",
    "matched_pairs": "sets",
    "split_table": "splitter",
}
"""Public name → the file it lives in."""

__all__ = ["SplitPlan", "SplitResult", "balance_table", "folds", "hold_out", "matched_pairs", "split_table"]


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax.matching' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.matching.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
