"""How a table is split: one object that is the argument of the library and the options of the command line."""

from dataclasses import dataclass
from typing import Literal

from hypojax.reason import Reason, RunError

Size = int | float | Literal["all"]
"""A share below 1, a number of subjects, or every pair that can be matched."""


@dataclass(frozen=True)
class SplitPlan:
    """How a table of participants is split.

    Parameters
    ----------
    size
        Size of the test set: a share of the subjects that can be matched (0.2), or a number of subjects (40); with `group`
        also ``all``: every pair that can be matched.
    match
        Columns in which the sets should be alike; those of age and sex when left out.
    folds
        Make so many folds instead of a training and a test set.
    group
        Column of diagnosis: the test set is of pairs, a case and a control alike in the columns to match.
    cases
        Values of `group` that are cases, all others being controls; needed where it has more than two.
    caliper
        Largest difference within a pair in any number (age), in standard deviations of that number within groups.
    subject
        Columns that name the subject, several where one alone is not unique (dataset and id); found by name when left out.
    subject_from
        Regular expression: the part of the id that is the subject, where the rest names session or scan; its first group
        where it has one. Sessions in ids as in BIDS (``sub-01_ses-02``) are recognised without it.
    seed
        Same seed and same table, in whatever order of rows: same sets.

    Raises
    ------
    RunError
        ``USAGE``: an invalid value, or two that contradict each other.

    Examples
    --------
    >>> SplitPlan(size=40).match
    ()
    """

    size: Size = 0.2
    match: tuple[str, ...] = ()
    folds: int | None = None
    group: str | None = None
    cases: tuple[str, ...] = ()
    caliper: float = 0.2
    subject: tuple[str, ...] = ()
    subject_from: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        wrong = {
            f"size is {self.size}; give a share between 0 and 1, or a whole number of subjects": not _is_size(self.size),
            "size all is for matched pairs; name the column of diagnosis with --group": self.size == "all" and not self.group,
            f"caliper is {self.caliper}; it must be above 0": not self.caliper > 0,
            f"seed is {self.seed}; it must be 0 or more": self.seed < 0,
            "cases are values of a group; name its column with --group": bool(self.cases) and not self.group,
            f"folds is {self.folds}; there must be at least 2": self.folds is not None and self.folds < 2,
        }
        if found := [sentence for sentence, is_wrong in wrong.items() if is_wrong]:
            raise RunError(Reason.USAGE, found[0])


def count_of(size: Size, *, among: int) -> int:
    """Subjects that a size stands for, at least one.

    >>> count_of(0.2, among=50), count_of(7, among=50), count_of("all", among=50)
    (10, 7, 50)
    """
    if size == "all":
        return among
    return max(1, round(size * among)) if size < 1 else int(size)


def _is_size(size: Size) -> bool:
    """Whether a size is a share or a whole number."""
    return size == "all" or 0 < size < 1 or (size >= 1 and float(size).is_integer())
