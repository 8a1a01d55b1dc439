"""``hypojax run`` or ``hypojax bids`` over phantoms, with a stand-in for the networks that can be slow or deadly; for tests that kill it.

python tests/system/run_phantoms.py [--verb run|bids] [--sleep SECONDS] [--poison raise|segfault|memory] [--memory BYTES] IN OUT [options]
"""

import argparse
import ctypes
import functools
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from standin import StandIn

from hypojax import execute
from hypojax.cli import main
from hypojax.segmenter.segmenter import Segmentation


@dataclass
class Slow(StandIn):
    """Takes its time, and does what it is told when it meets a poisoned scan.

    Parameters
    ----------
    sleep
        Seconds a scan.
    poison
        What a poisoned scan does: ``raise`` an error, ``segfault`` the process, or take ``memory`` without end.
    """

    sleep: float = 0.0
    poison: str = "raise"

    def segment_batch(self, scans: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Segmentation]:
        time.sleep(self.sleep * len(scans))
        try:
            return super().segment_batch(scans)
        except ZeroDivisionError:
            if self.poison == "segfault":
                ctypes.string_at(0)
            taken = []
            while self.poison == "memory":
                taken.append(np.ones(1_000_000))
            raise


def limit_memory(more: int) -> None:
    """Let this process take so many bytes of address space more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--poison", default="raise")
    parser.add_argument("--memory", type=int)
    parser.add_argument("--verb", default="run")
    own, rest = parser.parse_known_args()
    if own.memory:
        limit_memory(own.memory)
    execute.run = functools.partial(execute.run, segmenter=Slow(sleep=own.sleep, poison=own.poison))
    sys.exit(main([own.verb, *rest]))
