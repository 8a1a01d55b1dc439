"""What each of the two networks learns: its examples, its loss, its data, and how it is scored on held-out subjects."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, UInt8

from hypojax.schema import HEAD_SPACING
from hypojax.segmenter.forward import BRAIN_EXTRACTION, FIRST_OUTPUTS, ICV, PLACE, place_of, template_mm
from hypojax.training import box, head
from hypojax.training.examples import HEADS, MAPS, POSES, held_out_heads, load_boxes, load_heads, load_maps, plain_boxes, require_poses
from hypojax.training.loop import Example, Loss, Score
from hypojax.training.train_config import TrainConfig
from hypojax.training.train_log import SCORE
from hypojax.unet import blueprint
from hypojax.unet_config import UNetConfig

NEAR_MM = 2.0
"""Distances in the template larger than this count as such, smaller ones as their square."""

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


def pair_loss(logits: Float[Array, "2 x y z 11"], target: Float[Array, "2 x y z 11"], *, weight: float) -> Float[Array, ""]:
    """Mean `box_loss` of two examples, and ``weight`` times the squared error of the logarithm of the ratio of their soft volumes."""
    said, true = (jnp.log(part[..., 1:].sum((1, 2, 3, 4)) + SMOOTH) for part in (jax.nn.softmax(logits), target))
    return jax.vmap(box_loss)(logits, target).mean() + weight * ((said[0] - said[1]) - (true[0] - true[1])) ** 2


def head_loss(logits: Float[Array, "x y z 2"], target: head.HeadExample) -> Float[Array, ""]:
    """Cross-entropy and Dice of the intracranial volume where that counts, plus cross-entropy over space of the place.

    Both protocols teach the one output.
    """
    entropy, dice, place = _head_parts(logits[..., 0], logits[..., 1], target)
    return 3 * entropy + dice + 0.1 * place


def pose_loss(logits: Float[Array, "x y z 6"], target: head.HeadExample) -> Float[Array, ""]:
    """The sum of `pose_losses`."""
    return pose_losses(logits, target).sum()


def pose_losses(logits: Float[Array, "x y z 6"], target: head.HeadExample) -> Float[Array, "4"]:
    """As `head_loss`, each protocol on an output of its own, and the distance of template coordinates from the true ones.

    The cross-entropy outweighs Dice, which would make every uncertain voxel lean to one side, and the volume with it.
    """
    logit = jnp.where(target.channel == 0, logits[..., ICV], logits[..., BRAIN_EXTRACTION])
    entropy, dice, place = _head_parts(logit, logits[..., PLACE], target)
    apart = jnp.sqrt(((template_mm(logits[None])[0] - target.template) ** 2).sum(-1) + NEAR_MM**2) - NEAR_MM
    distance = (apart * target.posed).sum() / (target.posed.sum() + SMOOTH)
    return jnp.stack([10 * entropy, 0.3 * dice, 0.1 * place, 0.06 * distance])


def _head_parts(
    logit: Float[Array, "x y z"], place: Float[Array, "x y z"], target: head.HeadExample
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Cross-entropy and Dice of the cranium where ``target.weight`` is one, and cross-entropy over space of the place.

    The place of the target sums to one, or is all zero where the hypothalamus cannot be seen.
    """
    entropy = jnp.maximum(logit, 0) - logit * target.intracranial + jnp.log1p(jnp.exp(-jnp.abs(logit)))
    known = target.weight.sum() / target.weight.size
    probability = jax.nn.sigmoid(logit) * target.weight
    dice = soft_dice(probability[..., None], (target.intracranial * target.weight)[..., None])[0]
    where = -(target.place * jax.nn.log_softmax(place.ravel()).reshape(target.place.shape)).sum()
    return (entropy * target.weight).mean(), known * (1 - dice), where


def hard_dice(logits: Float[Array, "x y z 11"], target: Float[Array, "x y z 11"]) -> Float[Array, "2"]:
    """Dice of the whole hypothalamus at one half, and mean Dice of the likeliest subunits: scores for the log."""
    probability = jax.nn.softmax(logits)
    ours, theirs = probability[..., 0] < 0.5, target[..., 0] < 0.5
    whole = 2 * (ours & theirs).sum() / jnp.maximum(ours.sum() + theirs.sum(), 1)
    labels = jnp.where(ours, probability[..., 1:].argmax(-1) + 1, 0)
    truth = jnp.where(theirs, target[..., 1:].argmax(-1) + 1, 0)
    each = [2 * ((labels == n) & (truth == n)).sum() / jnp.maximum((labels == n).sum() + (truth == n).sum(), 1) for n in range(1, 11)]
    return jnp.stack([whole, jnp.stack(each).mean()])


@dataclass(frozen=True)
class Stage:
    """What a network learns, and from what.

    Parameters
    ----------
    example, loss
        What the compiled step makes and minimises.
    data
        What ``example`` draws from.
    score
        Scores of averaged weights on what is held out; None where nothing is.
    files
        Names of the files of examples.
    """

    example: Example
    loss: Loss
    data: PyTree = field(repr=False)
    score: Score | None
    files: tuple[str, ...]


def load_stage(config: TrainConfig, *, of_fold: Collection[str] = ()) -> Stage:
    """Load the examples of a configuration, without those of a fold, which it is validated on, and those never learnt from.

    What is never learnt from is not validated on either: a run may end early by its validation.
    """
    never = frozenset(config.never)
    return (_box_stage if config.stage == "box" else _head_stage)(config, never.union(of_fold), frozenset(of_fold) - never)


def box_scorer(network: UNetConfig, examples: list[box.Example]) -> Score:
    """Scores on whole boxes: Dice of the whole (mean and worst) and of the ten subunits; their mean decides."""
    forward = _forward(network)
    each = jax.jit(lambda weights, image, target: hard_dice(forward(weights, image), target))

    def score(weights: PyTree) -> dict[str, float]:
        found = np.array([each(weights, image, target) for image, target in examples])
        whole, subunits = found.mean(axis=0)
        return {
            SCORE: float(whole + subunits) / 2,
            "dice": float(whole),
            "dice_worst": float(found[:, 0].min()),
            "dice_subunits": float(subunits),
        }

    return score


def head_scorer(network: UNetConfig, heads: head.RealHeads) -> Score:
    """Scores on whole heads: Dice of the intracranial volume where that is known, which decides, and how far off the place is (mm)."""
    forward = _forward(network)
    each = jax.jit(partial(_head_scores, forward))

    def score(weights: PyTree) -> dict[str, float]:
        rows = zip(heads.images, heads.intracranial, heads.centres, strict=True)
        found = np.array([each(weights, *row) for row in rows])
        known = np.asarray(heads.known)
        scores = {"place_mm": float(found[:, 1].mean())}
        if known.any():
            scores |= {
                SCORE: float(found[known, 0].mean()),
                "dice": float(found[known, 0].mean()),
                "dice_worst": float(found[known, 0].min()),
            }
        return scores

    return score


def _box_stage(config: TrainConfig, held_out: Collection[str], validated: Collection[str]) -> Stage:
    """The hypothalamus and its subunits."""
    data = load_boxes(config.examples, whole_heads=config.box.whole_heads, held_out=held_out, name=config.boxes)
    plain = plain_boxes(config.examples, held_out=validated, name=config.boxes) if validated else []

    def example(key: PRNGKeyArray, data: box.Boxes) -> box.Example | box.Pair:
        return (box.box_pair if config.box.pairs else box.box_example)(key, data, config.box)

    loss = partial(pair_loss, weight=config.box.pairs) if config.box.pairs else box_loss
    return Stage(example, loss, data, box_scorer(config.loop.network, plain) if plain else None, (config.boxes,))


def _head_stage(config: TrainConfig, held_out: Collection[str], validated: Collection[str]) -> Stage:
    """The cranium by either protocol, the place of the hypothalamus, and coordinates in the template."""
    data = (load_maps(config.examples, held_out=held_out), load_heads(config.examples, held_out=held_out))
    heads = held_out_heads(config.examples, held_out=validated)

    def example(key: PRNGKeyArray, data: tuple[head.HeadMaps, head.RealHeads]) -> tuple[Array, head.HeadExample]:
        made = head.head_example(key, *data, config.head)
        return made.image, made

    scorer = head_scorer(config.loop.network, heads) if len(heads.known) else None
    if config.loop.network.outputs == FIRST_OUTPUTS:
        return Stage(example, head_loss, data, scorer, (MAPS, HEADS))
    require_poses(config.examples)
    return Stage(example, pose_loss, data, scorer, (MAPS, HEADS, POSES))


def _forward(network: UNetConfig) -> partial[Array]:
    """Weights and one image to logits."""
    graph, _ = blueprint(network)

    def forward(weights: PyTree, image: Float[Array, "x y z 1"]) -> Float[Array, "x y z o"]:
        logits: Float[Array, "x y z o"] = nnx.merge(graph, weights)(image[None])[0]
        return logits

    return partial(forward)


def _head_scores(
    forward: partial[Array],
    weights: PyTree,
    image: Float[Array, "x y z"],
    intracranial: UInt8[Array, "x y z"],
    centre: Float[Array, "3"],
) -> Float[Array, "2"]:
    """Dice of the intracranial volume at one half, and the distance (mm) between the place found and the true one."""
    logits = forward(weights, image.astype(jnp.float32)[..., None])
    cranium, where = (0, 1) if logits.shape[-1] == FIRST_OUTPUTS else (BRAIN_EXTRACTION, PLACE)
    ours, theirs = logits[..., cranium] > 0, intracranial > 127
    place, _ = place_of(logits[..., where])
    dice = 2 * (ours & theirs).sum() / jnp.maximum(ours.sum() + theirs.sum(), 1)
    return jnp.stack([dice, HEAD_SPACING * jnp.linalg.norm(place - centre)])
