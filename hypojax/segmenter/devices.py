"""Networks of both stages on all local devices: weights replicated, a batch of scans split over them, one batch at a time.

"Pmapped": `jax.jit` with a sharding over the mesh axis ``scan``. NumPy in and out. What networks do (`hypojax.segmenter.forward`), and
Flax with it, is loaded only where one is traced: the next process finds it traced (`hypojax.segmenter.kept_program`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Network:
    """One network on a mesh, called with images; compiled for a batch of one shape when it is first called, or before.

    Parameters
    ----------
    arrays
        Its weights, on every device.
    programs
        What it was compiled to, by the number of images: shared by networks of one configuration.
    program
        Makes that, of weights and of images or their shape.
    split
        How images lie on the devices.
    """

    arrays: Mapping[str, Array] = field(repr=False)
    programs: dict[int, Program] = field(repr=False)
    program: Program = field(repr=False)
    split: NamedSharding

    def __call__(self, images: Float32[np.ndarray, "n x y z"]) -> tuple[Array, ...]:
        """What it says of images."""
        # With several JAX processes, as on the hosts of a TPU slice, jit refuses an array without a sharding.
        inputs = jax.device_put(images, self.split)
        self.compile(images.shape)
        outputs: tuple[Array, ...] = self.programs[len(images)](self.arrays, inputs)
        return outputs

    def compile(self, shape: tuple[int, ...]) -> None:
        """Compile it for images of this shape (n x y z), unless it is already."""
        if shape[0] not in self.programs:
            with collector_paused():
                self.programs[shape[0]] = self.program(self.arrays, jax.ShapeDtypeStruct(shape, np.float32, sharding=self.split))


def compiled(checkpoints: Sequence[Checkpoint], stage: str, mesh: Mesh) -> tuple[Network, ...]:
    """Networks of one stage and configuration on a mesh, compiled once: weights replicated, the batch split over the axis ``scan``."""
    network = checkpoints[0].network
    replicated, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("scan"))

    def forward(arrays: Mapping[str, Array], images: Float[Array, "n x y z"]) -> tuple[Array, ...]:
        from hypojax.segmenter.forward import outputs_of

        return outputs_of(stage, network, arrays, images)

    def program(*given: Any) -> Program:  # noqa: ANN401 (trees of arrays, or of their shapes)
        run = jax.jit(forward, in_shardings=(replicated, split), out_shardings=split)
        kept = kept_program(run, *given, stage=stage, network=network)
        return jax.jit(kept, in_shardings=(replicated, split), out_shardings=split).lower(*given).compile()

    programs: dict[int, Program] = {}
    return tuple(Network(jax.device_put(dict(checkpoint.arrays), replicated), programs, program, split) for checkpoint in checkpoints)
