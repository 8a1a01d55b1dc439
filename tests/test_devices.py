"""Networks on devices: batches of one size, taken in turns, errors of memory told from others, and Flax loaded only for tracing."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hypojax.segmenter.devices import Batch, exhausted

PATIENCE = 10.0
"""Seconds to wait for another thread; none of these tests waits so long unless something is wrong."""


def test_a_batch_is_padded_by_its_last_scan_and_cut_again() -> None:
    seen = []

    def forward(images: np.ndarray) -> tuple[jax.Array, ...]:
        seen.append(images)
        return jnp.asarray(images * 2), jnp.asarray(images.sum(axis=(1, 2, 3)))

    inputs = [np.full((1, 2, 3), value, np.float32) for value in (1, 2)]
    doubled, sums = Batch(threading.Lock(), size=4).run(forward, inputs)
    assert seen[0][:, 0, 0, 0].tolist() == [1, 2, 2, 2]
    assert [image[0, 0, 0] for image in doubled] == [2, 4]
    assert sums == [6, 12]


def test_turns_on_the_devices_never_meet() -> None:
    devices, inside, most = threading.Lock(), [], []

    def forward(images: np.ndarray) -> tuple[jax.Array, ...]:
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.01)
        inside.pop()
        return (jnp.asarray(images),)

    def take(_: int) -> float:
        batch = Batch(devices, size=1)
        batch.run(forward, [np.zeros((1, 1, 1), np.float32)])
        return batch.seconds

    with ThreadPoolExecutor(4) as pool:
        seconds = list(pool.map(take, range(8), timeout=PATIENCE))
    assert most == [1] * 8
    assert min(seconds) >= 0.01  # and each counts its own


def test_devices_are_free_again_after_an_error() -> None:
    def forward(images: np.ndarray) -> tuple[jax.Array, ...]:
        raise ZeroDivisionError

    devices = threading.Lock()
    with pytest.raises(ZeroDivisionError):
        Batch(devices, size=1).run(forward, [np.zeros((1, 1, 1), np.float32)])
    assert devices.acquire(blocking=False)


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (MemoryError(), True),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9.64GiB."), True),
        (jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (jax.errors.JaxRuntimeError("INVALID_ARGUMENT: shapes differ"), False),
        (jax.errors.JaxRuntimeError("INTERNAL: Failed to determine best cudnn convolution algorithm"), False),
    ],
)
def test_errors_of_memory(error: Exception, is_so: bool) -> None:
    assert exhausted(error) is is_so


def test_flax_is_loaded_only_where_a_network_is_traced() -> None:
    code = "import sys, hypojax.segmenter.segmenter; print(sorted({'flax', 'optax', 'orbax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
