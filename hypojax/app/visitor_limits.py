"""How many requests one visitor may have at once, and in a minute, so that one visitor cannot keep the others out."""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hypojax.reason import Reason, RunError

if TYPE_CHECKING:
    from hypojax.app.visits import Session

MINUTE: Final = 60.0
"""Seconds of the window that `CallRate` looks at."""


def visitor_of(session: "Session") -> str:
    """Who a session is of: the user who logged in, however often, or the session itself where nobody has to."""
    user = session.user[0]
    return f"user {user}" if user else session.id


class OpenCalls:
    """What is being answered for each visitor.

    Parameters
    ----------
    most
        Of one visitor at once.
    sentence
        The message for a visitor who asks for more.

    Examples
    --------
    >>> calls = OpenCalls(1, "one at a time; wait until it has ended")
    >>> with calls.held("anna"), calls.held("ben"):
    ...     sum(calls.open.values())
    2
    """

    def __init__(self, most: int, sentence: str) -> None:
        self.most, self.sentence = most, sentence
        self.open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def held(self, visitor: str) -> Iterator[None]:
        """One more of a visitor, while the block runs.

        Raises
        ------
        RunError
            ``BUSY``: there are as many as there may be.
        """
        with self._lock:
            if self.open[visitor] >= self.most:
                raise RunError(Reason.BUSY, self.sentence)
            self.open[visitor] += 1
        try:
            yield
        finally:
            with self._lock:
                self.open[visitor] -= 1
                if not self.open[visitor]:
                    del self.open[visitor]


class CallRate:
    """How often each visitor asked in the last minute.

    Parameters
    ----------
    most
        Of one visitor in a minute.
    sentence
        The message for a visitor who asks more often; ``{seconds}`` is how long to wait.
    clock
        Seconds that never go back.
    """

    def __init__(self, most: int, sentence: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.sentence, self.clock = most, sentence, clock
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def take(self, visitor: str) -> None:
        """One more of a visitor.

        Raises
        ------
        RunError
            ``BUSY``: there were as many in the last minute as there may be.
        """
        with self._lock:
            now = self.clock()
            for other in [name for name, times in self._times.items() if now - times[-1] >= MINUTE]:
                del self._times[other]
            times = self._times[visitor]
            while times and now - times[0] >= MINUTE:
                times.popleft()
            if len(times) >= self.most:
                raise RunError(Reason.BUSY, self.sentence.format(seconds=max(1, round(MINUTE - (now - times[0])))))
            times.append(now)
