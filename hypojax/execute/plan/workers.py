"""`Workers`: the cluster that a plan is for, described."""

from dataclasses import dataclass

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

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for option, value, least in (("workers", self.count, 1), ("cores", self.cores, 1), ("gpus", self.gpus, 0)):
            if value is not None and value < least:
                raise RunError(Reason.USAGE, f"{option} is {value}, it must be {least} or more; give a larger number or leave it out")
