"""Work in threads on some items while others are made or used: the stages of a pipeline overlap, in order and within bounds."""

import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST: Final = 8
"""Threads a stage takes by itself; more of them than this wait for the interpreter and the disk, not for cores."""

LOG: Final = logging.getLogger("hypojax")


def threads_for(cores: int | None = None) -> int:
    """Threads for each of the two stages beside the networks, on so many cores, or on those that this process may use.

    Two cores have one thread each for reading and for finishing; one core is left to whoever feeds the networks.

    >>> [threads_for(cores) for cores in (1, 2, 8, 64)]
    [1, 1, 3, 8]
    """
    if cores is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST, cores // 2 - 1))


def overlapped(items: Iterable[Item], work: Callable[[Item], Result], *, depth: int, threads: int = 1) -> Generator[Result, None, None]:
    """Results of ``work`` on each item, in order, worked out in threads beside whoever makes the items and uses the results.

    Closed early, it takes up nothing more and waits for what is being worked on; whoever interrupts that too is not held
    up, since its threads end with the process.

    Parameters
    ----------
    items
        Taken one at a time, in the thread of the caller.
    work
        Called in a thread of its own; what it raises is raised where the result is asked for, and logged where nobody asks.
    depth
        Results, or items being worked on, that may wait while the caller is busy.
    threads
        Items being worked on at once, where ``depth`` allows.

    Examples
    --------
    >>> list(overlapped(["a", "b", "c"], str.upper, depth=1))
    ['A', 'B', 'C']
    """
    tasks: SimpleQueue[tuple[Future[Result], Item] | None] = SimpleQueue()
    waiting: deque[Future[Result]] = deque()
    pool = [Thread(target=_serve, args=(tasks, work), name=f"hypojax-{number}", daemon=True) for number in range(threads)]
    for thread in pool:
        thread.start()
    try:
        for item in items:
            waiting.append(Future())
            tasks.put((waiting[-1], item))
            del item  # a scan is large: only the thread holds it from here
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        if not sys.is_finalizing():  # else the threads have ended with the process
            given_up = [future for future in waiting if not future.cancel()]
            for _ in pool:
                tasks.put(None)
            for thread in pool:
                thread.join()
            for future in given_up:
                if (error := future.exception()) is not None:
                    LOG.warning("work that was given up had failed: %s", error)


def _serve(tasks: "SimpleQueue[tuple[Future[Result], Item] | None]", work: Callable[[Item], Result]) -> None:
    """Work on tasks until there is none; while it waits for one, it holds nothing of the last."""
    while (task := tasks.get()) is not None:
        future, item = task
        del task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work(item))
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
                future.set_exception(error)
        del future, item
