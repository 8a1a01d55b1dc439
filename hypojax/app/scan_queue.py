"""Whose scan comes next: sessions take turns, so that two hundred scans of one person hold nobody up who has one."""

from collections import deque
from collections.abc import Callable, Iterator

Key = tuple[str, str]
"""Session and job."""


class FairQueue:
    """Jobs of sessions; each session has one turn, then the next has one. Not for several threads at once.

    Examples
    --------
    >>> queue = FairQueue()
    >>> for job in ("a1", "a2", "a3", "b1"):
    ...     queue.put(job[0], job)
    >>> [job for _, job in queue.order()]
    ['a1', 'b1', 'a2', 'a3']
    """

    def __init__(self) -> None:
        self._jobs: dict[str, list[str]] = {}
        self._turns: deque[str] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._jobs.values()))

    def put(self, session: str, job: str) -> None:
        """Add a job behind those of its session; a session that had none comes after all others."""
        if session not in self._jobs:
            self._turns.append(session)
        self._jobs.setdefault(session, []).append(job)

    def put_behind(self, session: str, job: str, *, before: str) -> None:
        """Add a job behind another of its session; behind all where that one is not here any more."""
        self.put(session, job)
        jobs = self._jobs[session]
        if before in jobs:
            jobs.insert(jobs.index(before) + 1, jobs.pop())

    def remove(self, session: str, job: str) -> None:
        """Take a job out; nothing where it is not here."""
        jobs = self._jobs.get(session, [])
        if job in jobs:
            jobs.remove(job)
        if session in self._jobs and not jobs:
            del self._jobs[session]
            self._turns.remove(session)

    def remove_session(self, session: str) -> None:
        """Take all jobs of a session out."""
        for job in list(self._jobs.get(session, ())):
            self.remove(session, job)

    def order(self) -> Iterator[Key]:
        """All jobs in the order of their turns, as it is now."""
        waiting = {session: deque(self._jobs[session]) for session in self._turns}
        while waiting:
            for session in list(waiting):
                yield session, waiting[session].popleft()
                if not waiting[session]:
                    del waiting[session]

    def first(self, is_ready: Callable[[str], bool]) -> Key | None:
        """The next job that is ready, left where it is; those that are not lose no turn."""
        return next((key for key in self.order() if is_ready(key[1])), None)

    def take(self, is_ready: Callable[[str], bool]) -> Key | None:
        """The next job that is ready, taken out; its session has had its turn."""
        found = self.first(is_ready)
        if found is not None:
            session, job = found
            self._turns.remove(session)
            self._turns.append(session)
            self.remove(session, job)
        return found

    def positions(self) -> dict[str, int]:
        """Job → jobs before it."""
        return {job: place for place, (_, job) in enumerate(self.order())}
