"""``hypojax run`` over phantoms, with a stand-in for the networks that can be slow or deadly; for tests that kill it.

python tests/system/run_phantoms.py [--sleep SECONDS] [--poison raise|segfault|memory] IN OUT [any option of hypojax run]
"""

import argparse
import ctypes
import functools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from standin import StandIn

from hypojax import execute
from hypojax.cli import main
from hypojax.segment import Segmentation


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--poison", default="raise")
    own, rest = parser.parse_known_args()
    execute.run = functools.partial(execute.run, segmenter=Slow(sleep=own.sleep, poison=own.poison))
    sys.exit(main(["run", *rest]))
