"""Which scans `drift` compares, and what counts as moved: the arguments of the library and options of the command line."""

from dataclasses import dataclass
from math import isfinite
from statistics import NormalDist
from typing import Literal

from hypojax.reason import Reason, RunError
from hypojax.tables.dates import span_of


@dataclass(frozen=True)
class Choice:
    """Which scans are the new batch, and whether they are the reference's own, measured again.

    Parameters
    ----------
    since
        Scans of this date and later are new (2024-06-30); with one folder only, those before it are the reference.
    date
        Column of dates; the first of acq_time, scan_date, acquisition_date, date when left out.
    select
        Scans with these values are new, ``column=value``, all of them where several; with one folder only, those without are
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
        """Refuse invalid values."""
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


@dataclass(frozen=True)
class Limits:
    """What counts as moved: a difference beyond its limit that chance does not explain.

    Parameters
    ----------
    volume
        Of a mean volume, and of the mean uncertainty, as a share. Studies look for effects of 3 %: a third of that.
    quality
        Of any other measure, in standard deviations of the reference; 0.2 is a small effect (Cohen 1988).
    share
        Of the share of scans that failed or carry a flag.
    repeat
        Within-scan coefficient of variation of intracranial volume and hypothalamus between two versions of the weights: a limit
        without a test, so ``alpha`` does not cover it.
    alpha
        Probability of any false alarm where nothing moved, over all measures together (Holm 1979).
    minimum
        Scans that each side must have for a measure to be compared; several scans of a subject count as one.

    Raises
    ------
    RunError
        ``USAGE``: an invalid number.

    Examples
    --------
    >>> Limits(volume=0.02).alpha
    0.05
    """

    volume: float = 0.01
    quality: float = 0.2
    share: float = 0.02
    repeat: float = 0.02
    alpha: float = 0.05
    minimum: int = 20

    def __post_init__(self) -> None:
        """Refuse invalid numbers."""
        for name in ("volume", "quality", "share", "repeat"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise RunError(Reason.USAGE, f"{name} is {value}, it must be 0 or more; for example: --{name} {getattr(Limits, name)}")
        if not 0 < self.alpha < 1:
            raise RunError(Reason.USAGE, f"alpha is {self.alpha}, it must lie between 0 and 1; for example: --alpha 0.05")
        if self.minimum < 2:
            raise RunError(Reason.USAGE, f"minimum is {self.minimum}, a test needs 2 scans or more; for example: --minimum 20")

    @property
    def superiority(self) -> float:
        """`quality` as the probability, minus one half, that a new scan has a higher value than one of the reference.

        >>> round(Limits().superiority, 3)
        0.056
        """
        return NormalDist().cdf(self.quality / 2**0.5) - 0.5

    @property
    def gap(self) -> float:
        """`quality` as the largest gap between two distribution functions that lie so far apart.

        >>> round(Limits().gap, 3)
        0.08
        """
        return 2 * NormalDist().cdf(self.quality / 2) - 1
