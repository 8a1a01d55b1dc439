"""Whether a scan is T1-weighted: the probability of it, from how bright tissues are where the pose of the head puts them.

Where the head lies in the template is known (`hypojax.segmenter.pose`), and so is where in the template nearly everybody has fluid, grey
matter, white matter and bone. The scan is looked at in these places, a few hundred of them. In a T1-weighted scan fluid is darker than
grey matter, and grey matter darker than white; in T2-weighted, FLAIR, proton-density, diffusion, CT and echo-planar images it is not, and a
phantom has none of them. Where no pose was found, the scan is looked at from the border of the cranium inwards instead.

Signs are plain numbers; brightness is in ranges of what was seen in the brain, so that gain and offset of the scan do not count. Each sign
is held against its middle in units of its spread, and the weighed sum is the logit of the probability (logistic regression). Places,
middles, spreads and weights are in ``t1w_model.json`` beside this file; ``python -m pipelines.maintenance.t1w_fit`` fits them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Num, UInt8
from scipy import ndimage

from hypojax.grid import Affine, Grid, to_voxel, to_world, voxel_sizes, within_field_of_view

FARTHEST: Final = 4.0
"""Spreads at which a sign is cut off: one odd sign must not decide alone."""

DIGITS: Final = 3
"""Of the probability: it is rounded before it is compared, so that every processor decides alike."""

LEAST_PLACES: Final = 8
"""Places of one tissue within the field of view from which on its brightness is taken."""

AROUND: Final = 1.5
"""Millimetres from a place along each axis at which the scan is looked at besides: noise and small misfits average out."""

RANGE: Final = (10.0, 90.0)
"""Percentiles of what is seen in the brain between which its range of brightness lies."""

AIR: Final = 1.0
"""Percentile of a whole scan that is air, or what stands for it."""

INNER: Final = ("fluid", "grey", "cortex", "white")

TINY: Final = 1e-6

DEPTHS: Final = {"rim": (0.0, 6.0), "middle": (8.0, 16.0), "deep": (20.0, np.inf)}
"""Depths below the border of the cranium, mm: fluid and cortex; cortex and white matter; white and deep grey matter."""

LOCATED: Final = 0.75
"""How sure the place of the hypothalamus is, at least, in a head whose pose was not found: half blank heads and small parts of heads read
0.81 to 0.97, phantoms 0.25 to 0.68."""

SHELL: Final = (2.0, 8.0)
"""Distance from the cranium, mm, at which bone lies."""


@dataclass(frozen=True)
class WeighedSign:
    """How one sign counts: its middle and spread, and what one spread adds to the logit."""

    middle: float
    spread: float
    weight: float

    def of(self, value: float) -> float:
        """What a sign adds to the logit; nothing where it is missing.

        >>> WeighedSign(1.0, 0.5, 2.0).of(2.0), WeighedSign(1.0, 0.5, 2.0).of(float("nan"))
        (4.0, 0.0)
        """
        away = (value - self.middle) / self.spread
        return 0.0 if np.isnan(away) else float(self.weight * min(max(away, -FARTHEST), FARTHEST))


@dataclass(frozen=True)
class Logistic:
    """A logistic regression on signs: constant and terms."""

    constant: float
    terms: Mapping[str, WeighedSign]

    def probability(self, signs: Mapping[str, float]) -> float:
        """Probability, to `DIGITS`, of a scan with these signs; one that is not given counts as usual."""
        logit = self.constant + sum(term.of(signs.get(name, np.nan)) for name, term in self.terms.items())
        return round(float(1 / (1 + np.exp(-logit))), DIGITS)


@dataclass(frozen=True)
class T1wModel:
    """What is fitted.

    Parameters
    ----------
    places
        Tissue → places in the template (mm, RAS+) where nearly everybody has it.
    posed, unposed
        On `placed_signs`, and on `layered_signs` where no pose was found.
    fitted_on
        What it was fitted on and how well it did, for whoever reads the file.
    """

    places: Mapping[str, Float64[np.ndarray, "p 3"]]
    posed: Logistic
    unposed: Logistic
    fitted_on: Mapping[str, Any]


@cache
def released_t1w_model() -> T1wModel:
    """The model that ships with hypojax."""
    return parsed_t1w_model(resources.files("hypojax.volumes").joinpath("t1w_model.json").read_text(encoding="utf-8"))


def parsed_t1w_model(text: str) -> T1wModel:
    """A model from its JSON."""
    found = json.loads(text)
    places = {tissue: np.array(those, np.float64) for tissue, those in found["places"].items()}
    posed, unposed = (
        Logistic(found[name]["constant"], {sign: WeighedSign(**term) for sign, term in found[name]["terms"].items()})
        for name in ("posed", "unposed")
    )
    return T1wModel(places, posed, unposed, found["fitted_on"])


def t1w_probability(
    volume: Num[np.ndarray, "i j k"],
    affine: Affine,
    *,
    grid: Grid,
    intracranial: UInt8[np.ndarray, "a s r"],
    located: float,
    to_template: Affine | None,
    residual_mm: float,
) -> float:
    """Probability that a scan is T1-weighted, 0 to 1, rounded; NaN where nothing was taken for a cranium.

    Parameters
    ----------
    volume, affine
        The scan: voxels in stored orientation, scaled and finite, and voxel-to-world matrix (mm, RAS+).
    grid, intracranial
        The head grid, and the posterior × 255 of the cranium on it.
    located
        How sure the place of the hypothalamus is, 0 to 1.
    to_template
        From the scan's world to the template's, mm; None where the pose was not found.
    residual_mm
        How far template coordinates lie from it.
    """
    if not (intracranial > HALF).any():
        return float("nan")
    model, common = released_t1w_model(), network_signs(intracranial, located=located, residual_mm=residual_mm)
    if to_template is None:
        return model.unposed.probability(common | layered_signs(volume, affine, grid=grid, intracranial=intracranial))
    return model.posed.probability(common | placed_signs(volume, affine, to_template=to_template, places=model.places))


HALF: Final = 127
"""Of a posterior × 255: beyond it a voxel is taken for cranium."""


def network_signs(intracranial: UInt8[np.ndarray, "a s r"], *, located: float, residual_mm: float) -> dict[str, float]:
    """What the network says of itself: how undecided the cranium is, how sure the place, how well the pose fits."""
    share = intracranial[intracranial > 0].astype(np.float64) / 255
    undecided = float((share * (1 - share)).sum() / share.sum()) if share.size else float("nan")
    return {"undecided": undecided, "located": located, "unsure": max(0.0, LOCATED - located), "residual_mm": residual_mm}


def placed_signs(
    volume: Num[np.ndarray, "i j k"], affine: Affine, *, to_template: Affine, places: Mapping[str, Float64[np.ndarray, "p 3"]]
) -> dict[str, float]:
    """Signs of a scan whose pose is known: contrasts of tissues, how alike the places of one tissue are, bone, air, and sides."""
    seen = {tissue: seen_at(volume, affine, to_world(np.linalg.inv(to_template), those)) for tissue, those in places.items()}
    level = {tissue: _median(values) for tissue, values in seen.items()}
    inner = np.concatenate([seen[tissue] for tissue in INNER])
    dark, bright = np.nanpercentile(inner, RANGE) if np.isfinite(inner).any() else (np.nan, np.nan)
    span = max(bright - dark, TINY) if bright > dark else np.nan
    sides = {t: [_median(seen[t][side * places[t][:, 0] > 0]) for side in (-1, 1)] for t in INNER}
    steps = {
        f"{high}_{low}": (level[high] - level[low]) / span
        for high, low in (("white", "grey"), ("white", "cortex"), ("grey", "fluid"), ("cortex", "fluid"))
    }
    return {
        **steps,
        # The least step from fluid to grey and on to white matter: negative where the order is another. Of those from fluid the larger,
        # since narrow ventricles may lie outside the places where the template has them.
        "order": float(np.fmin(np.fmin(steps["white_grey"], steps["white_cortex"]), np.fmax(steps["grey_fluid"], steps["cortex_fluid"]))),
        "bone": (level["bone"] - _median(inner)) / span,
        "air": (_median(inner) - _air(volume)) / span,
        "spread_white": _spread(seen["white"]) / span,
        "spread_grey": _spread(seen["grey"]) / span,
        "sides": max((abs(left - right) for left, right in sides.values() if not np.isnan(left - right)), default=np.nan) / span,
    }


def seen_at(volume: Num[np.ndarray, "i j k"], affine: Affine, world: Float64[np.ndarray, "p 3"]) -> Float64[np.ndarray, "p"]:
    """Mean brightness at and round each place (world, mm); NaN where it lies outside the field of view.

    >>> seen_at(np.arange(27.0).reshape(3, 3, 3), np.diag([9.0, 9.0, 9.0, 1.0]), np.array([[9.0, 9.0, 9.0], [99.0, 0.0, 0.0]])).tolist()
    [13.0, nan]
    """
    steps = AROUND * np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    index = to_voxel(affine, world[:, None] + steps)
    inside = ((index >= 0) & (index <= np.array(volume.shape) - 1)).all(axis=(1, 2))
    values = ndimage.map_coordinates(volume, np.moveaxis(index, -1, 0), order=1, mode="nearest", output=np.float64).mean(axis=1)
    return np.where(inside, values, np.nan)


def layered_signs(
    volume: Num[np.ndarray, "i j k"], affine: Affine, *, grid: Grid, intracranial: UInt8[np.ndarray, "a s r"]
) -> dict[str, float]:
    """Signs of a scan whose pose is not known: brightness by depth below the border of the cranium, and the shape of the cranium."""
    every = (slice(None, None, 2),) * 3
    head = intracranial[every] > HALF
    index = np.moveaxis(np.indices(head.shape) * 2, 0, -1)
    position = to_voxel(affine, to_world(grid.affine, index))
    values = ndimage.map_coordinates(volume, np.moveaxis(position, -1, 0), order=1, mode="nearest", output=np.float64)
    i, j, k = volume.shape
    inside, spacing = within_field_of_view(grid, (i, j, k), affine)[every], 2 * float(voxel_sizes(grid.affine).mean())
    depth, away = (ndimage.distance_transform_edt(mask) * spacing for mask in (head, ~head))
    layer = {name: values[inside & head & (depth > low) & (depth <= high)] for name, (low, high) in DEPTHS.items()}
    brain, shell = values[inside & head], values[inside & (away >= SHELL[0]) & (away <= SHELL[1])]
    low, middle, high = np.percentile(brain, (RANGE[0], 50, RANGE[1])) if brain.size else (np.nan,) * 3
    span = max(high - low, TINY) if high > low else np.nan
    return {
        "deep_rim": (_median(layer["deep"]) - _median(layer["rim"])) / span,
        "middle_rim": (_median(layer["middle"]) - _median(layer["rim"])) / span,
        "deep_middle": (_median(layer["deep"]) - _median(layer["middle"])) / span,
        "skew": (high + low - 2 * middle) / span,
        "shell": (_median(shell) - middle) / span,
        "air": (middle - _air(volume)) / span,
        "rough": _rough(values, head & inside) / span,
        **_outline(head, spacing),
    }


def _outline(head: Bool[np.ndarray, "a s r"], spacing: float) -> dict[str, float]:
    """Size and shape of what was taken for the cranium: cube root of its volume, and how much less than a ball it is like one."""
    found = np.argwhere(head) * spacing
    lengths = np.sqrt(np.clip(np.linalg.eigvalsh(np.cov(found.T)), TINY, None)) if len(found) > 3 else np.full(3, np.nan)
    size = float(np.cbrt(head.sum()) * spacing)
    return {
        "size": float(np.log(max(size, TINY))),
        "flat": float(np.log(lengths[0] / lengths[1])),
        "long": float(np.log(lengths[2] / lengths[1])),
        "solid": float(np.log(size / np.cbrt(np.prod(lengths)))),
    }


def _rough(values: Float64[np.ndarray, "a s r"], mask: Bool[np.ndarray, "a s r"]) -> float:
    """Median difference of neighbours within a mask."""
    steps = [np.abs(np.diff(values, axis=axis))[np.minimum(*(np.moveaxis(m, 0, axis) for m in _pairs(mask, axis)))] for axis in range(3)]
    return _median(np.concatenate(steps))


def _pairs(mask: Bool[np.ndarray, "a s r"], axis: int) -> tuple[Bool[np.ndarray, "_ _ _"], Bool[np.ndarray, "_ _ _"]]:
    """A mask without its last, and without its first layer along an axis, which is put first."""
    along = np.moveaxis(mask, axis, 0)
    return along[:-1], along[1:]


def _air(volume: Num[np.ndarray, "i j k"]) -> float:
    """The level of air in a scan, of some of its voxels."""
    return float(np.percentile(volume[tuple(slice(None, None, max(1, side // 48)) for side in volume.shape)], AIR))


def _median(values: Float64[np.ndarray, "n"]) -> float:
    """Median of what is known; NaN where that is too little."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size >= LEAST_PLACES else float("nan")


def _spread(values: Float64[np.ndarray, "n"]) -> float:
    """Range between the quartiles of what is known; NaN where that is too little."""
    known = values[~np.isnan(values)]
    return float(np.subtract(*np.percentile(known, (75, 25)))) if known.size >= LEAST_PLACES else float("nan")
