"""The training loop: a killed run goes on bit for bit, and it learns."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, PyTree

from hypojax.train.loop import LoopConfig, State, Training, make_training, train
from hypojax.unet import UNetConfig


def tiny_training(steps: int) -> Training:
    """A tiny network that learns which images are bright."""

    def example(key: Array, data: PyTree) -> tuple[Array, Array]:
        level_key, noise_key = jax.random.split(key)
        level = jnp.where(jax.random.bernoulli(level_key), data, -data)
        return level + 0.1 * jax.random.normal(noise_key, (8, 8, 8, 1)), jnp.full((8, 8, 8, 1), level > 0, jnp.float32)

    def loss(logits: Array, target: Array) -> Array:
        return jnp.mean((logits - target) ** 2)

    return make_training(LoopConfig(network=UNetConfig(outputs=1, widths=(4, 8)), steps=steps, warmup=2, learning_rate=1e-2), example, loss)


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    training = tiny_training(8)
    whole = train(training, jnp.float32(1), tmp_path / "whole", every=4, say=lambda _: None)

    def kill(state: State) -> str:
        if int(state.step) == 4:
            raise Killed
        return ""

    with pytest.raises(Killed):
        train(training, jnp.float32(1), tmp_path / "killed", every=4, watch=kill, say=lambda _: None)
    resumed = train(training, jnp.float32(1), tmp_path / "killed", every=4, say=lambda _: None)
    for ours, theirs in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_learns(tmp_path: Path) -> None:
    training = tiny_training(120)
    train(training, jnp.float32(1), tmp_path, every=40, say=lambda _: None)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    first, last = (float(line.split('"loss": ')[1].split(",")[0]) for line in (lines[0], lines[-1]))
    assert len(lines) == 3
    assert last < first / 2
