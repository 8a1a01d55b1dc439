"""One training step, compiled: on one device, or with its examples shared among all local devices; in float32 or mixed precision."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from hypojax.training.config import LoopConfig
from hypojax.training.state import State, optimiser, starting_state
from hypojax.unet import UNet

AXIS: Final = "example"
"""Mesh axis over which the examples of a step are shared."""

Example = Callable[[PRNGKeyArray, Any], tuple[Float[Array, "x y z 1"], Any]]
Loss = Callable[[Float[Array, "x y z o"], Any], Float[Array, ""]]
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
        ``(key, data) -> (image, target)``; called inside jit.
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
    graph = nnx.graphdef(nnx.eval_shape(lambda: UNet(config.network, rngs=nnx.Rngs(config.seed))))

    def mean_loss(weights: PyTree, images: Array, targets: PyTree) -> Array:
        if precision == "bfloat16":
            weights, images = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), (weights, images))
        logits = nnx.merge(graph, weights)(images).astype(jnp.float32)
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
