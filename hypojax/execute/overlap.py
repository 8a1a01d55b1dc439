"""Work in a thread on some items while others are made or used: the stages of a line overlap, in order and within bounds."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def overlapped(items: Iterable[Item], work: Callable[[Item], Result], *, depth: int) -> Generator[Result, None, None]:
    """Results of ``work`` on each item, in order, worked out in one thread beside whoever makes the items and uses the results.

    Parameters
    ----------
    items
        Taken one at a time, in the thread of the caller.
    work
        Called in a thread of its own; what it raises is raised where the result is asked for.
    depth
        Results, or items being worked on, that may wait while the caller is busy.

    Examples
    --------
    >>> list(overlapped(["a", "b", "c"], str.upper, depth=1))
    ['A', 'B', 'C']
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="hypojax") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                del item  # a scan is large: only the thread holds it from here
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
