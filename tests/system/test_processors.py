"""The sample scan on other processors: the same flags and label maps, volumes equal but for rounding."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

VOLUMES = 1e-3
"""Largest relative difference of a soft volume between instruction sets: a posterior at the edge of two 255ths rounds to the other.
Four real scans on AVX-512 and SSE 4.2 differ by 1e-5 in the whole and by 2.4e-4 in the smallest subunit."""

SCRIPT = """
import json, hypojax
from hypojax.demonstration import sample_scan
one = hypojax.segment(str(sample_scan()))
print(json.dumps({"soft": one.volume_mm3.values.tolist(), "hard": one.volume_hard_mm3.values.tolist(),
                  "voxel": float(one.voxel_size_mm.prod())}))
"""

pytestmark = pytest.mark.slow


def measured(**processor: str) -> dict[str, np.ndarray]:
    """Volumes that a process finds whose compiler and matrix library are told to use no more than this processor has."""
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=os.environ | processor, capture_output=True, text=True, check=True, timeout=600
    )
    return {name: np.array(values) for name, values in json.loads(found.stdout).items()}


def test_volumes_are_those_of_another_processor() -> None:
    here = measured()
    old = measured(XLA_FLAGS="--xla_cpu_max_isa=SSE4_2", OPENBLAS_CORETYPE="Prescott")
    assert old["soft"] == pytest.approx(here["soft"], rel=VOLUMES)
    assert old["soft"][:2] == pytest.approx(here["soft"][:2], rel=VOLUMES / 10), "intracranial volume and whole hypothalamus"
    assert (np.abs(old["hard"] - here["hard"]) <= VOLUMES * here["hard"] + here["voxel"]).all(), (
        "drawn voxels: those of the soft volume, rounded"
    )
