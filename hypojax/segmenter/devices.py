"""Networks of both stages on all local devices: weights replicated, a batch of scans split over them, one batch at a time.

"Pmapped": `jax.jit` with a sharding over the mesh axis ``scan``. NumPy in and out. What networks do (`hypojax.segmenter.forward`), and
Flax with it, is loaded only where one is traced: the next process finds it traced (`hypojax.segmenter.kept_program`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32

from hypojax.checkpoint import Checkpoint
from hypojax.segmenter.compile_cache import collector_paused
from hypojax.segmenter.kept_program import Program, kept_program

EXHAUSTED: Final = ("RESOURCE_EXHAUSTED", "OUT_OF_MEMORY")
"""How errors of XLA and of CUDA below it say that memory did not suffice."""

Forward = Callable[[Float32[np.ndarray, "n x y z"]], tuple[Array, ...]]


@dataclass
class Batch:
    """One batch on its way through the networks.

    Parameters
    ----------
    devices
        Held while a network runs: batches of several threads take turns.
    size
        Scans that are computed, however few there are: the shape that networks are compiled for.
    seconds
        Time it had the devices so far.
    """

    devices: AbstractContextManager[Any] = field(repr=False)
    size: int
    seconds: float = 0.0

    def run(self, forward: Forward, inputs: list[Float32[np.ndarray, "x y z"]]) -> list[list[Any]]:
        """Pad the batch by its last scan, run, and cut the padding off again."""
        padded = np.stack([*inputs, *[inputs[-1]] * (self.size - len(inputs))])
        with self.devices:
            start = time.perf_counter()
            # Back in NumPy before the next turn, so that devices never hold two batches.
            outputs = [np.asarray(output) for output in forward(padded)]
            self.seconds += time.perf_counter() - start
        return [list(output[: len(inputs)]) for output in outputs]


def exhausted(error: Exception) -> bool:
    """Whether an error says that memory of the host or of a device did not suffice.

    >>> exhausted(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes."))
    True
    """
    return isinstance(error, MemoryError) or any(word in str(error) for word in EXHAUSTED)


def compiled(checkpoints: Sequence[Checkpoint], stage: str, mesh: Mesh) -> tuple[Forward, ...]:
    """Networks of one stage and configuration on a mesh, compiled once: weights replicated, the batch split over the axis ``scan``."""
    network = checkpoints[0].network
    replicated, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("scan"))

    def forward(arrays: Mapping[str, Array], images: Float[Array, "n x y z"]) -> tuple[Array, ...]:
        from hypojax.segmenter.forward import outputs_of

        return outputs_of(stage, network, arrays, images)

    programs: dict[int, Program] = {}
    run = jax.jit(forward, in_shardings=(replicated, split), out_shardings=split)

    def placed(arrays: Mapping[str, Array], images: Float32[np.ndarray, "n x y z"]) -> tuple[Array, ...]:
        # With several JAX processes, as on the hosts of a TPU slice, jit refuses an array without a sharding.
        inputs = jax.device_put(images, split)
        if len(images) in programs:
            return programs[len(images)](arrays, inputs)
        with collector_paused():  # traced and compiled by this call
            program = kept_program(run, arrays, inputs, stage=stage, network=network)
            programs[len(images)] = jax.jit(program, in_shardings=(replicated, split), out_shardings=split)
            return programs[len(images)](arrays, inputs)

    return tuple(partial(placed, jax.device_put(dict(checkpoint.arrays), replicated)) for checkpoint in checkpoints)
