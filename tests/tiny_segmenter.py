"""A `hypojax.Segmenter` of two tiny networks with drawn weights: it finds nothing of use, but by the real code and within a second."""

from copy import copy
from functools import cache

import jax
import numpy as np

from hypojax.checkpoint import Checkpoint, named
from hypojax.segmenter.devices import Forward
from hypojax.segmenter.segmenter import Segmenter
from hypojax.unet import blueprint
from hypojax.unet_config import UNetConfig

HEAD = UNetConfig(outputs=2, widths=(4,), stem=2)
BOX = UNetConfig(outputs=11, widths=(4,), stem=2)


def tiny(*, batch: int = 1) -> Segmenter:
    """A head network and two box networks, always the same, in batches of so many for each device; compiled once for all tests."""
    network = copy(built())
    network.batch = batch * len(jax.local_devices())
    return network


@cache
def built() -> Segmenter:
    """What `tiny` gives copies of."""
    return Segmenter(drawn(HEAD, seed=0), [drawn(BOX, seed=1), drawn(BOX, seed=2)])


def drawn(config: UNetConfig, *, seed: int) -> Checkpoint:
    """A network with drawn weights."""
    generator = np.random.default_rng(seed)

    def draw(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        inputs = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 1
        return (generator.normal(size=leaf.shape) / np.sqrt(inputs)).astype(np.float32)

    return Checkpoint(config, named(jax.tree.map(draw, blueprint(config)[1])), {}, f"{seed}")


class Small:
    """A device that holds so many scans: larger batches raise what XLA raises.

    Parameters
    ----------
    segmenter
        Whose networks run on it from here on.
    most
        Scans it holds.
    error
        Kind of the error.
    """

    def __init__(self, segmenter: Segmenter, *, most: int, error: type[Exception] = jax.errors.JaxRuntimeError) -> None:
        self.most, self.error = most, error
        self.sizes: list[int] = []
        segmenter._head = self._wrapped(segmenter._head)  # type: ignore[assignment]
        segmenter._boxes = tuple(self._wrapped(forward) for forward in segmenter._boxes)  # type: ignore[misc]

    def _wrapped(self, forward: Forward) -> Forward:
        def run(images: np.ndarray) -> tuple[jax.Array, ...]:
            self.sizes.append(len(images))
            if len(images) > self.most:
                raise self.error("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes.")
            return forward(images)

        return run
