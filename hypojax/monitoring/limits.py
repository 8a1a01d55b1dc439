"""What counts as moved: one object that is the argument of the library and the options of the command line."""

from dataclasses import dataclass
from math import isfinite
from statistics import NormalDist

from hypojax.reason import Reason, RunError


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
        without a test, so that ``alpha`` does not speak of it.
    alpha
        Probability that anything is said to have moved where nothing has, over all measures together (Holm 1979).
    minimum
        Scans that each side must have, else nothing is said of a measure; several scans of a subject count as one.

    Raises
    ------
    RunError
        ``USAGE``: a number that cannot be.

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
        """Refuse numbers that cannot be."""
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
        """`quality` as the probability, less one half, that a new scan has more than one of the reference.

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
