"""A training of seconds: a tiny network learns which images are bright. Also run in a process of its own, on so many devices.

    python tests/toy_training.py DEVICES OUT

Writes OUT/whole.safetensors, the state after six steps, and OUT/resumed.safetensors, the same after an interruption.
"""

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from hypojax.training.loop import Training, make_training, run_loop, save_state
from hypojax.training.train_config import LoopConfig
from hypojax.unet_config import UNetConfig


def make_toy(*, precision: str = "float32", network: UNetConfig | None = None, batch: int = 2, **settings: float) -> Training:
    """The training with some settings of `LoopConfig`; all that differ in how the loop goes share one compiled step."""
    toy = _compiled(network or UNetConfig(outputs=1, widths=(4, 8)), precision, batch)
    return replace(toy, config=replace(toy.config, **settings))


@cache
def _compiled(network: UNetConfig, precision: str, batch: int) -> Training:
    """The training, compiled once."""

    def example(key: Array, data: PyTree) -> tuple[Array, Array]:
        level_key, noise_key = jax.random.split(key)
        level = jnp.where(jax.random.bernoulli(level_key), data, -data)
        return level + 0.1 * jax.random.normal(noise_key, (8, 8, 8, 1)), jnp.full((8, 8, 8, 1), level > 0, jnp.float32)

    def loss(logits: Array, target: Array) -> Array:
        return jnp.mean((logits - target) ** 2)

    config = LoopConfig(network=network, steps=120, batch=batch, warmup=2, learning_rate=1e-2)
    return make_training(config, example, loss, precision=precision)


def main(devices: int, out: Path) -> None:
    """Train once in one go, once with an interruption."""
    assert len(jax.local_devices()) == devices
    toy = make_toy(steps=6, every=2, validate=2, batch=3 if devices > 1 else 4)
    assert toy.batch == 4
    whole = run_loop(toy, jnp.float32(1), out / "whole")
    asked = iter([False, False, True])
    run_loop(toy, jnp.float32(1), out / "run", interrupted=lambda: next(asked))
    resumed = run_loop(toy, jnp.float32(1), out / "run")
    save_state(out / "whole.safetensors", whole)
    save_state(out / "resumed.safetensors", resumed)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
