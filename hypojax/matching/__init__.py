"""Sets of subjects that are alike: folds, an independent test set, matched pairs, and how well they are balanced.

Every set is of whole subjects, and depends on the seed and on what the table says, never on the order of its rows.
"""

from hypojax.matching.folds import folds

__all__ = ["folds"]
