"""The running state of a training, and how it is kept on disk: enough for a killed run to go on bit for bit.

Every step's random key is the seed folded with the step number, so the state is weights, optimiser, averages and step alone.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, PyTree
from safetensors import SafetensorError
from safetensors.flax import load_file, save

from hypojax.reason import Reason, RunError
from hypojax.training.config import LoopConfig
from hypojax.unet import UNet

STATE = "state.safetensors"
"""Name of the state in the folder of a run."""

BEST = "best.safetensors"
"""Name of the averaged weights of the best validation, beside the state."""


class State(NamedTuple):
    """All that a run needs to go on."""

    weights: PyTree
    optimiser: PyTree
    averaged: PyTree
    step: Array


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


def empty_state(config: LoopConfig) -> State:
    """Shapes of a state, without the seconds that drawing weights takes."""
    empty: State = nnx.eval_shape(lambda: starting_state(config))
    return empty


def save_tree(path: Path, tree: PyTree) -> None:
    """Write the arrays of a tree, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_bytes(save(_named(tree)))  # `save_file` would not follow the umask
    temporary.replace(path)


def load_tree(path: Path, like: PyTree) -> PyTree:
    """Read arrays into a tree of the shape of ``like``.

    Raises
    ------
    RunError
        ``OTHER_SETTINGS``: the file holds another network. ``WEIGHTS_CORRUPTED``: it is no such file.
    """
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(Reason.WEIGHTS_CORRUPTED, f"{path} cannot be read ({error}); remove it to begin anew") from error
    wanted = _named(like)
    if {name: leaf.shape for name, leaf in wanted.items()} != {name: leaf.shape for name, leaf in stored.items()}:
        raise RunError(Reason.OTHER_SETTINGS, f"{path} holds another network; give the settings it was made with, or another --out")
    return jax.tree.unflatten(jax.tree.structure(like), [stored[name] for name in wanted])


def save_state(path: Path, state: State) -> None:
    """Write a running state, whole or not at all."""
    save_tree(path, state)


def load_state(path: Path, start: State) -> State:
    """Read a running state of the shape of ``start``; ``start`` itself when there is none."""
    return load_tree(path, start) if path.exists() else start


def _named(tree: PyTree) -> dict[str, Any]:
    """Leaves, or their shapes, by their path in the tree."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
