"""A share of the scans, for array jobs: N processes, each told which it is, do all scans between them without talking to each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hypojax.reason import Reason, RunError

FORM: Final = re.compile(r"([0-9]+)/([0-9]+)")


@dataclass(frozen=True)
class Shard:
    """One share of several.

    Parameters
    ----------
    number
        Which, from 1.
    count
        Of how many.

    Raises
    ------
    RunError
        ``USAGE``: there is no such share.

    Examples
    --------
    >>> [Shard(number, 2).share(["a", "b", "c"]) for number in (1, 2)]
    [['a', 'c'], ['b']]
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 1 <= self.number <= self.count:
            raise RunError(Reason.USAGE, f"shard {self} is none; I/N needs I from 1 to N, for example: --shard 3/100")

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.number}/{self.count}"

    def share(self, scans: Sequence[str]) -> list[str]:
        """The scans of this share: every N-th of all, in order of their ids. All shares together are all scans, each once."""
        return sorted(scans)[self.number - 1 :: self.count]


def parse_shard(text: str) -> Shard:
    """The share that a command line names.

    Raises
    ------
    RunError
        ``USAGE``: it is not I/N.

    >>> parse_shard("3/100")
    Shard(number=3, count=100)
    """
    if (found := FORM.fullmatch(text)) is None:
        raise RunError(Reason.USAGE, f"--shard {text!r} is not I/N; for example: --shard 3/100")
    return Shard(int(found[1]), int(found[2]))
