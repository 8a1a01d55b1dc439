"""The training loop: the running state and how it is kept on disk, the compiled step, and a loop that can be stopped at any moment.

Every step's random key is the seed folded with the step number, so the state is weights, optimiser, averages and step alone. The log entry
of a step is written before the state it belongs to; a run that goes on takes away the entries beyond its state. Killed at any moment, it
therefore ends with the same weights and stops at the same step as if it had not been.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree
from safetensors import SafetensorError
from safetensors.flax import load_file, save

from hypojax.reason import Reason, RunError
from hypojax.training.train_config import LoopConfig
from hypojax.training.train_log import LogEntry, SilentTraining, TrainCallback, append, best, cut, exhausted
from hypojax.unet import UNet, blueprint

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


AXIS: Final = "example"
"""Mesh axis over which the examples of a step are shared."""

Example = Callable[[PRNGKeyArray, Any], tuple[Float[Array, "*n x y z 1"], Any]]
Loss = Callable[[Float[Array, "*n x y z o"], Any], Float[Array, ""]]
Gradient = Callable[[PyTree, Array, PyTree], tuple[Array, PyTree]]


@dataclass(frozen=True)
class Training:
    """A compiled training.

    Parameters
    ----------
    config
        How long and how fast.
    start
        The state before the first step.
    step
        From state and data to the next state and the loss.
    batch
        Examples a step, on all devices together.
    replicated
        Where state and data lie when there are several devices: on each of them.
    """

    config: LoopConfig
    start: State
    step: Callable[[State, Any], tuple[State, Array]] = field(repr=False)
    batch: int
    replicated: NamedSharding | None = None

    def place(self, tree: PyTree) -> PyTree:
        """Arrays where the step wants them."""
        return tree if self.replicated is None else jax.device_put(tree, self.replicated)


class Precision(NamedTuple):
    """The precision of a run (``float32`` or ``bfloat16``), and why it has that one."""

    name: str
    reason: str


def make_training(
    config: LoopConfig, example: Example, loss: Loss, *, weights: PyTree | None = None, precision: str = "float32"
) -> Training:
    """Initialise a network and compile its training step for all local devices.

    Parameters
    ----------
    example
        ``(key, data) -> (image, target)``; called inside jit. One image (x, y, z, 1), or several that the loss compares (n, x, y, z, 1).
    loss
        ``(logits, target) -> scalar`` for one example.
    weights
        To start from; random when left out.
    precision
        Of the network's arithmetic: ``float32`` or ``bfloat16``. Loss, weights and optimiser are float32 with both.
    """
    devices = jax.local_devices()
    batch = -(-config.batch // len(devices)) * len(devices)
    gradient, replicated = _gradient(config, example, loss, precision), None
    if len(devices) > 1:
        mesh = Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))
        gradient, replicated = _shared(gradient, mesh), NamedSharding(mesh, PartitionSpec())
    rule = optimiser(config)

    @jax.jit
    def step(state: State, data: PyTree) -> tuple[State, Array]:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), state.step), batch)
        value, slope = gradient(state.weights, keys, data)
        change, moments = rule.update(slope, state.optimiser, state.weights)
        weights = optax.apply_updates(state.weights, change)
        decay = jnp.minimum(config.average, (1 + state.step) / (10 + state.step))
        averaged = jax.tree.map(lambda a, w: decay * a + (1 - decay) * w, state.averaged, weights)
        return State(weights, moments, averaged, state.step + 1), value

    return Training(config, starting_state(config, weights), step, batch, replicated)


def settled_precision(wanted: str, attempt: Callable[[], Array]) -> Precision:
    """The precision to use: ``auto`` is bfloat16 on a GPU or TPU where an attempt with it gives a number, else float32.

    Some devices have no bfloat16 form of some convolutions (jax-ml/jax#37922): only an attempt tells.

    Parameters
    ----------
    wanted
        ``auto``, ``float32`` or ``bfloat16``.
    attempt
        One step in bfloat16; gives the loss.

    Examples
    --------
    >>> settled_precision("bfloat16", lambda: jnp.zeros(())).reason
    'asked for'
    """
    if wanted != "auto":
        return Precision(wanted, "asked for")
    if (backend := jax.default_backend()) == "cpu":
        return Precision("float32", "bfloat16 gains nothing on a CPU")
    try:
        value = float(attempt())
    except (jax.errors.JaxRuntimeError, NotImplementedError, TypeError, ValueError) as error:
        return Precision("float32", f"a step in bfloat16 failed on this {backend}: {str(error).partition(chr(10))[0]}")
    if not math.isfinite(value):
        return Precision("float32", f"a step in bfloat16 gave a loss of {value} on this {backend}")
    return Precision("bfloat16", f"a step in bfloat16 works on this {backend}")


def _gradient(config: LoopConfig, example: Example, loss: Loss, precision: str) -> Gradient:
    """Mean loss and gradient over examples made from keys."""
    graph, _ = blueprint(config.network)

    def mean_loss(weights: PyTree, images: Array, targets: PyTree) -> Array:
        if precision == "bfloat16":
            weights, images = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), (weights, images))
        seen = nnx.merge(graph, weights)(images.reshape(-1, *images.shape[-4:])).astype(jnp.float32)
        logits = seen.reshape(*images.shape[:-1], -1)
        return jax.vmap(loss)(logits, targets).mean()

    def gradient(weights: PyTree, keys: Key[Array, " n"], data: PyTree) -> tuple[Array, PyTree]:
        images, targets = jax.lax.map(lambda key: example(key, data), keys)
        found: tuple[Array, PyTree] = jax.value_and_grad(mean_loss)(weights, images, targets)
        return found

    return gradient


def _shared(gradient: Gradient, mesh: Mesh) -> Gradient:
    """The same with the keys shared among the devices of a mesh, each with its own copy of weights and data."""

    def part(weights: PyTree, keys: Key[Array, " n"], data: PyTree) -> tuple[Array, PyTree]:
        mean: tuple[Array, PyTree] = jax.lax.pmean(gradient(weights, keys, data), AXIS)
        return mean

    whole, split = PartitionSpec(), PartitionSpec(AXIS)
    shared: Gradient = jax.shard_map(part, mesh=mesh, in_specs=(whole, split, whole), out_specs=whole, check_vma=False)
    return shared


Score = Callable[[PyTree], Mapping[str, float]]
"""From averaged weights to scores on what is held out; that named ``score`` decides."""

SILENT: Final = SilentTraining()


def run_loop(
    training: Training,
    data: PyTree,
    folder: Path,
    *,
    score: Score | None = None,
    callback: TrainCallback = SILENT,
    interrupted: Callable[[], bool] = lambda: False,
) -> State:
    """Run to the last step, until patience ends, or until interrupted; goes on from a saved state.

    Parameters
    ----------
    folder
        Holds ``state.safetensors``, ``log.jsonl`` and, with a score, ``best.safetensors``.
    score
        Validation of the averaged weights.
    callback
        Told of every step and every saved state.
    interrupted
        Asked after every step; the state is saved before the loop ends.

    Returns
    -------
    The last state.
    """
    config, state = training.config, load_state(folder / STATE, training.start)
    entries = cut(folder, int(state.step))
    data, state = training.place((data, state))
    callback.started(folder.name, total=config.steps, done=int(state.step))
    losses: list[float] = []
    began, first = time.perf_counter(), int(state.step)
    while (done := int(state.step)) < config.steps and not exhausted(entries, patience=config.patience):
        state, value = training.step(state, data)
        losses.append(float(value))
        done += 1
        callback.stepped(done, losses[-1])
        ending = interrupted()
        if ending or done % config.every == 0 or done == config.steps:
            scores = score(state.averaged) if score is not None and _validates(training, done) else {}
            entry = LogEntry(done, sum(losses) / len(losses), (time.perf_counter() - began) / (done - first), scores)
            entries, losses = [*entries, entry], []
            _save(folder, state, entries)
            callback.saved(entry)
        if ending:
            break
    return state


def _validates(training: Training, done: int) -> bool:
    """Whether there is a validation after this step."""
    return done % training.config.validate == 0 or done == training.config.steps


def _save(folder: Path, state: State, entries: list[LogEntry]) -> None:
    """Log line, best weights when these are, state: in this order, so that the state never stands without the others."""
    append(folder, entries[-1])
    if best(entries) is entries[-1]:
        save_tree(folder / BEST, state.averaged)
    save_state(folder / STATE, state)
