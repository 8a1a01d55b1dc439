"""`Workers`: the cluster that a plan is for, described."""

from dataclasses import dataclass

from hypojax.execute.budget import memory_limit, scan_room
from hypojax.reason import Reason, RunError


@dataclass(frozen=True)
class Workers:
    """A cluster, described.

    Parameters
    ----------
    count
        Workers, each a process with networks of its own.
    cores, gpus
        Of one worker; cores as here when left out.
    memory_bytes
        Of one worker; None where nobody knows.
    """

    count: int = 1
    cores: int | None = None
    gpus: int = 0
    memory_bytes: int | None = None

    @property
    def memory_limit(self) -> int | None:
        """Memory that one worker may take: as described, or that of this machine where it is this machine; None where nobody knows."""
        return self.memory_bytes or (memory_limit() if self.count == 1 else None)

    @property
    def scan_room(self) -> int | None:
        """Bytes that the voxels of one scan may take there; None where nobody knows."""
        return None if self.memory_limit is None else scan_room(self.memory_limit)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for option, value, least in (("workers", self.count, 1), ("cores", self.cores, 1), ("gpus", self.gpus, 0)):
            if value is not None and value < least:
                raise RunError(Reason.USAGE, f"{option} is {value}, it must be {least} or more; give a larger number or leave it out")
