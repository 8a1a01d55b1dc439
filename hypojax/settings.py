"""How a run is done: one object that is the argument of the library, the options of the command line and part of the record."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run. Only the weights change results; the others change speed, memory and what is written besides.

    Parameters
    ----------
    weights
        Folder or file of weights; the released ones that come with hypojax when left out.
    batch
        Scans segmented together; more than one pays off on several devices or a GPU.
    read_ahead
        Scans read while others are segmented; each takes the memory of its voxels.
    derivatives
        Write BIDS derivatives (label maps in every scan's own space) besides the cohort.

    Examples
    --------
    >>> RunSettings(batch=4).read_ahead
    1
    """

    weights: Path | None = None
    batch: int = 1
    read_ahead: int = 1
    derivatives: bool = True
