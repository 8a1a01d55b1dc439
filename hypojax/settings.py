"""How a run is done: one object that is the argument of the library, the options of the command line and part of the record."""

from dataclasses import dataclass
from pathlib import Path

from hypojax.reason import Reason, RunError


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run. Only the weights and ``ensemble`` change results; the others change speed, memory and what is written besides.

    Parameters
    ----------
    weights
        Folder of weights; the released ones that come with hypojax when left out.
    ensemble
        Take the mean of the five cross-validation networks instead of the default one: an uncertainty that knows where networks
        disagree, for about twice the time. Each was trained on four fifths of the subjects, and for less long.
    batch
        Scans segmented together, at least; one for each device when left out. More pays off on a GPU.
    read_ahead
        Scans read while others are segmented, at least; each takes the memory of its scaled voxels.
    threads
        Threads that read ahead, and as many that write behind; chosen from the cores when left out.
    check
        First hold what is stored of finished scans against its checksums, and do damaged scans again.
    derivatives
        Write BIDS derivatives (label maps in every scan's own space) besides the cohort.

    Raises
    ------
    RunError
        ``USAGE``: a batch, a read-ahead or a number of threads below 1.

    Examples
    --------
    >>> RunSettings(batch=4).read_ahead
    1
    """

    weights: Path | None = None
    ensemble: bool = False
    batch: int | None = None
    read_ahead: int = 1
    threads: int | None = None
    check: bool = False
    derivatives: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers of scans and threads that are none."""
        for name, value in (("batch", self.batch), ("read_ahead", self.read_ahead), ("threads", self.threads)):
            if value is not None and value < 1:
                option = "--" + name.replace("_", "-")
                raise RunError(Reason.USAGE, f"{name} is {value}, it must be 1 or more; leave {option} out, or give a larger number")
