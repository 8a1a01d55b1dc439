"""How long a server that does not answer is waited for."""

from typing import Final

TOTAL: Final = 150.0
"""Seconds in which one request is tried again before the run ends: longer than a restart of a gateway, shorter than a coffee."""

REQUEST: Final = 60.0
"""Seconds that one try may take; the largest objects are some tens of megabytes."""

CONNECT: Final = 5.0
"""Seconds in which a connection is made."""

FIRST, LONGEST = 0.1, 10.0
"""Seconds between tries: doubled from the first on, up to the longest."""

_total = TOTAL


def wait_at_most(seconds: float) -> None:
    """Try a request to a bucket again for at most so many seconds, in this process, from now on.

    Only a program sets this, never a library function: the setting is global.

    Parameters
    ----------
    seconds
        From the first try on; the last try may end later, by `REQUEST` at most. 0: never again.

    Examples
    --------
    >>> wait_at_most(30.0)
    >>> longest_wait()
    30.0
    >>> wait_at_most(TOTAL)
    """
    global _total  # noqa: PLW0603 - a setting of the process, as its environment is
    _total = seconds


def longest_wait() -> float:
    """Seconds in which one request is tried again."""
    return _total
