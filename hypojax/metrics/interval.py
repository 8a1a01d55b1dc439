"""`Interval`: an estimate with the interval that holds it."""

from typing import NamedTuple


class Interval(NamedTuple):
    """An estimate and its confidence interval, all in one unit; ends are NaN where there is too little data to say.

    Parameters
    ----------
    estimate
        The estimate.
    low, high
        Ends of the interval.

    Examples
    --------
    >>> Interval(0.9, 0.85, 0.93).holds(0.92)
    True
    """

    estimate: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        return self.low <= value <= self.high
