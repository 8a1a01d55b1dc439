"""Which scans are compared with which: one object that is the argument of the library and the options of the command line."""

from dataclasses import dataclass
from typing import Literal

from hypojax.reason import Reason, RunError
from hypojax.tables.date import span_of


@dataclass(frozen=True)
class Choice:
    """Which scans are the new batch, and whether they are the reference's own, measured again.

    Parameters
    ----------
    since
        Scans of this date and later are new (2024-06-30); with one OUT alone, those before it are the reference.
    date
        Column of dates; the first of acq_time, scan_date, acquisition_date, date when left out.
    select
        Scans with these values are new, ``column=value``, all of them where several; with one OUT alone, those without are
        the reference.
    same
        Whether scans of one id are one scan measured twice: ``auto`` takes them so where their files are the same and weights
        or version differ.

    Raises
    ------
    RunError
        ``USAGE``: no date, or no ``column=value``.

    Examples
    --------
    >>> Choice(select=("scanner=Prisma",)).conditions
    {'scanner': 'Prisma'}
    """

    since: str | None = None
    date: str | None = None
    select: tuple[str, ...] = ()
    same: Literal["auto", "yes", "no"] = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be understood."""
        for condition in self.select:
            if not all(condition.partition("=")[::2]):
                raise RunError(Reason.USAGE, f"select is {condition!r}; write column=value, for example: --select scanner=Prisma")
        if self.since is not None and span_of(self.since) is None:
            raise RunError(Reason.USAGE, f"since is {self.since!r}; write a date as year-month-day: --since 2024-06-30")

    @property
    def conditions(self) -> dict[str, str]:
        """Column → value that scans must have."""
        return {name.strip(): value.strip() for name, _, value in (condition.partition("=") for condition in self.select)}

    @property
    def chooses(self) -> bool:
        """Whether it says which scans are new."""
        return bool(self.select) or self.since is not None
