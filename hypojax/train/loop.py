"""The training loop: jitted step, averaged weights, and a running state from which a killed run goes on bit for bit.

Every step's random key is the seed folded with the step number, so the state is weights, optimiser and step alone.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from safetensors.flax import load_file, save_file

from hypojax.unet import UNet, UNetConfig

Example = Callable[[PRNGKeyArray, Any], tuple[Float[Array, "x y z 1"], Any]]
Loss = Callable[[Float[Array, "x y z o"], Any], Float[Array, ""]]


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast.

    Parameters
    ----------
    network
        What is trained.
    steps
        Optimiser steps in all.
    batch
        Examples a step.
    learning_rate
        Highest learning rate; it rises over ``warmup`` steps and falls by a cosine to a hundredth.
    warmup
        Steps of the rise.
    weight_decay
        Decoupled weight decay (Loshchilov 2019).
    clip
        Largest global gradient norm.
    average
        Decay of the running average of the weights, which is what is released.
    seed
        Of the weights and of every example.
    """

    network: UNetConfig
    steps: int = 4000
    batch: int = 2
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998
    seed: int = 0


class State(NamedTuple):
    """All that a run needs to go on."""

    weights: PyTree
    optimiser: PyTree
    averaged: PyTree
    step: Array


@dataclass(frozen=True)
class Training:
    """A compiled training: its initial state and the step function."""

    config: LoopConfig
    start: State
    step: Callable[[State, Any], tuple[State, Array]] = field(repr=False)


def optimiser(config: LoopConfig) -> optax.GradientTransformation:
    """Clipped AdamW on a warm-up and cosine schedule."""
    rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps, end_value=config.learning_rate / 100)
    return optax.chain(optax.clip_by_global_norm(config.clip), optax.adamw(rate, weight_decay=config.weight_decay))


def starting_state(config: LoopConfig, weights: PyTree | None = None) -> State:
    """The state before the first step, from given or else from random weights."""
    if weights is None:
        weights = nnx.state(UNet(config.network, rngs=nnx.Rngs(config.seed)))
    weights = jax.tree.map(jnp.asarray, weights)
    return State(weights, optimiser(config).init(weights), jax.tree.map(jnp.copy, weights), jnp.zeros((), jnp.int32))


def make_training(config: LoopConfig, example: Example, loss: Loss, *, weights: PyTree | None = None) -> Training:
    """Initialise a network and compile its training step.

    Parameters
    ----------
    example
        ``(key, data) -> (image, target)``; called inside jit.
    loss
        ``(logits, target) -> scalar`` for one example.
    weights
        To start from; random when left out.
    """
    graph = nnx.graphdef(UNet(config.network, rngs=nnx.Rngs(config.seed)))
    rule = optimiser(config)

    def mean_loss(weights: PyTree, images: Array, targets: PyTree) -> Array:
        return jax.vmap(loss)(nnx.merge(graph, weights)(images), targets).mean()

    @jax.jit
    def step(state: State, data: PyTree) -> tuple[State, Array]:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), state.step), config.batch)
        images, targets = jax.lax.map(lambda key: example(key, data), keys)
        value, gradient = jax.value_and_grad(mean_loss)(state.weights, images, targets)
        change, moments = rule.update(gradient, state.optimiser, state.weights)
        weights = optax.apply_updates(state.weights, change)
        decay = jnp.minimum(config.average, (1 + state.step) / (10 + state.step))
        averaged = jax.tree.map(lambda a, w: decay * a + (1 - decay) * w, state.averaged, weights)
        return State(weights, moments, averaged, state.step + 1), value

    return Training(config, starting_state(config, weights), step)


def train(
    training: Training,
    data: PyTree,
    folder: Path,
    *,
    every: int = 100,
    watch: Callable[[State], str] | None = None,
    say: Callable[[str], object] = print,
) -> State:
    """Run to the last step, saving the state and one line of log every ``every`` steps; goes on from a saved state.

    Parameters
    ----------
    folder
        Holds ``state.safetensors`` and ``log.jsonl``.
    watch
        Called with the state at each save; what it returns joins the line (validation scores).
    say
        Called with each line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = load_state(folder / "state.safetensors", training.start)
    began, first, losses = time.perf_counter(), int(state.step), []
    while (done := int(state.step)) < training.config.steps:
        state, value = training.step(state, data)
        losses.append(float(value))
        if (done + 1) % every == 0 or done + 1 == training.config.steps:
            save_state(folder / "state.safetensors", state)
            pace = (time.perf_counter() - began) / (done + 1 - first)
            mean, scores = sum(losses) / len(losses), watch(state) if watch else ""
            _log(folder, {"step": done + 1, "loss": mean, "seconds_a_step": pace, "scores": scores})
            left = (training.config.steps - done - 1) * pace / 60
            say(f"step {done + 1}  loss {mean:.4f}  {pace:.2f} s/step  {left:.0f} min left  {scores}")
            losses = []
    return state


def save_state(path: Path, state: State) -> None:
    """Write a running state, whole or not at all."""
    temporary = path.with_suffix(".part")
    save_file(_named(state), temporary)
    temporary.replace(path)


def load_state(path: Path, start: State) -> State:
    """Read a running state of the shape of ``start``; ``start`` itself when there is none."""
    if not path.exists():
        return start
    stored, names = load_file(path), list(_named(start))
    return jax.tree.unflatten(jax.tree.structure(start), [stored[name] for name in names])


def _named(tree: PyTree) -> dict[str, Array]:
    """Leaves by their path in the tree."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _log(folder: Path, entry: dict[str, int | float | str]) -> None:
    """Append one line to the log of a run."""
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
