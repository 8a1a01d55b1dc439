"""Losses and scores. Logits and targets are channel-last; targets may be soft."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SMOOTH = 1.0
"""Voxels added to both sides of a Dice ratio, so that an empty structure is defined and its gradient finite."""


def soft_dice(probability: Float[Array, "... c"], target: Float[Array, "... c"]) -> Float[Array, " c"]:
    """Soft Dice a channel, 2·Σpt / Σ(p²+t²), over all other axes (Milletari 2016)."""
    axes = tuple(range(probability.ndim - 1))
    both = 2 * (probability * target).sum(axes)
    return (both + SMOOTH) / ((probability**2).sum(axes) + (target**2).sum(axes) + SMOOTH)


def box_loss(logits: Float[Array, "x y z 11"], target: Float[Array, "x y z 11"]) -> Float[Array, ""]:
    """Cross-entropy with the teacher's posteriors, Dice of the subunits and of their whole, and the error of the soft volume.

    Voxels weigh alike in the cross-entropy: more weight on the structure makes every uncertain voxel lean towards it, and the
    volume with it.
    """
    entropy = -(target * jax.nn.log_softmax(logits)).sum(-1)
    probability = jax.nn.softmax(logits)[..., 1:]
    whole = soft_dice(probability.sum(-1, keepdims=True), target[..., 1:].sum(-1, keepdims=True))
    volume = jnp.abs(probability.sum() / jnp.maximum(target[..., 1:].sum(), 1.0) - 1)
    return 30 * entropy.mean() + (1 - soft_dice(probability, target[..., 1:])).mean() + (1 - whole[0]) + 0.3 * volume


def head_loss(
    logits: Float[Array, "x y z 2"],
    intracranial: Float[Array, "x y z"],
    place: Float[Array, "x y z"],
    *,
    weight: Float[Array, "x y z"],
) -> Float[Array, ""]:
    """Cross-entropy and Dice of the intracranial volume where ``weight`` is one, plus cross-entropy over space of the place.

    ``place`` sums to one, or is all zero where the hypothalamus cannot be seen.
    """
    entropy = jnp.maximum(logits[..., 0], 0) - logits[..., 0] * intracranial + jnp.log1p(jnp.exp(-jnp.abs(logits[..., 0])))
    known = weight.sum() / weight.size
    probability = jax.nn.sigmoid(logits[..., 0]) * weight
    dice = soft_dice(probability[..., None], (intracranial * weight)[..., None])[0]
    where = -(place * jax.nn.log_softmax(logits[..., 1].ravel()).reshape(place.shape)).sum()
    return 3 * (entropy * weight).mean() + known * (1 - dice) + 0.1 * where


def hard_dice(logits: Float[Array, "x y z 11"], target: Float[Array, "x y z 11"]) -> Float[Array, "2"]:
    """Dice of the whole hypothalamus at one half, and mean Dice of the likeliest subunits: scores for the log."""
    probability = jax.nn.softmax(logits)
    ours, theirs = probability[..., 0] < 0.5, target[..., 0] < 0.5
    whole = 2 * (ours & theirs).sum() / jnp.maximum(ours.sum() + theirs.sum(), 1)
    labels = jnp.where(ours, probability[..., 1:].argmax(-1) + 1, 0)
    truth = jnp.where(theirs, target[..., 1:].argmax(-1) + 1, 0)
    each = [2 * ((labels == n) & (truth == n)).sum() / jnp.maximum((labels == n).sum() + (truth == n).sum(), 1) for n in range(1, 11)]
    return jnp.stack([whole, jnp.stack(each).mean()])
