"""Every processor decides alike: the deciding parts run under several matrix libraries and instruction sets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decisions import labels

SCRIPT = Path(__file__).with_name("decisions.py")

OLDEST = "an old processor without AVX"

PROCESSORS = {
    OLDEST: {"OPENBLAS_CORETYPE": "Prescott"},
    "one with AVX2": {"OPENBLAS_CORETYPE": "Haswell"},
    "NumPy without its dispatched instructions": {"OPENBLAS_CORETYPE": "Sandybridge", "NPY_DISABLE_CPU_FEATURES": "dispatched"},
}


def decided(**processor: str) -> dict[str, object]:
    """What a process decides whose BLAS and NumPy take this for their processor."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "NPY_"))}
    if "NPY_DISABLE_CPU_FEATURES" in processor:
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

        have = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
        processor = {**processor, "NPY_DISABLE_CPU_FEATURES": " ".join(have)}
    found = subprocess.run([sys.executable, SCRIPT], env=kept | processor, capture_output=True, text=True, check=True, timeout=600)
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def here() -> dict[str, object]:
    """What this processor decides."""
    return decided()


@pytest.mark.parametrize("processor", [OLDEST, *[pytest.param(name, marks=pytest.mark.slow) for name in PROCESSORS if name != OLDEST]])
def test_every_processor_decides_alike(here: dict[str, object], processor: str) -> None:
    assert decided(**PROCESSORS[processor]) == here


def test_ties_are_decided_by_a_rule_and_not_by_the_last_digit() -> None:
    """Of two subunits that tie the first is taken; what is one half up to rounding is background."""
    assert labels() == [0, 1, 1, 0, 0, 1]
    assert np.float32(0.25 + 2e-7) > np.float32(0.25), "the digit is there"
