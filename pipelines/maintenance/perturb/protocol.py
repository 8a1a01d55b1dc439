"""The changes a scan goes through to learn how steady its volumes are: one list a question, all from one `Undisturbed` scan."""

from functools import partial
from typing import Final

import numpy as np
from jaxtyping import Float64

from hypojax.demonstration.radial_map import deformed
from hypojax.grid import Affine, to_world, voxel_sizes
from pipelines.maintenance.perturb.brightness import biased, brightened_outside, gained, noisy, powered, saturated
from pipelines.maintenance.perturb.geometry import ORIENTATIONS, Scan, Triple, Volume, reoriented, shifted, turned
from pipelines.maintenance.perturb.refit import resampled, upright
from pipelines.maintenance.perturb.undisturbed import Case, Undisturbed
from pipelines.maintenance.perturb.view import cropped, padded, stripped

NECK: Final = 45.0
"""Millimetres below the hypothalamus at which the neck is cut off."""

VERTEX: Final = 20.0
"""Millimetres cut off the top of the brain."""

AROUND: Final = 5.0
"""Millimetres left round the brain."""

OBLIQUE: Final = 35.0
"""Degrees beyond what model grids follow: the scan is interpolated on the world's axes."""

SHRINKAGE: Final = (0.97, 0.94, 0.88)
"""Volume after over volume before."""


def header_cases() -> list[Case]:
    """The same voxels said to lie elsewhere: nothing may change within the tilt that model grids follow (see `OBLIQUE`)."""
    turns = [(axis, 15.0) for axis in range(3)] + [(0, OBLIQUE)]
    cases = [Case(f"header {_turn_name(axis, angle)}", partial(turned, degrees=_about(axis, angle))) for axis, angle in turns]
    return [Case("header shifted", partial(shifted, mm=(10.0, -7.0, 5.0))), *cases]


def session_cases(affine: Affine) -> list[Case]:
    """The same head in the scanner again: lain otherwise, in other voxels, with other noise and another coil."""
    sizes, turns = world_sizes(affine), [(axis, angle) for axis in range(3) for angle in (15.0, -15.0)]
    noises, biases = ((0.03, 0), (0.03, 1), (0.05, 2)), ((0.2, 0), (0.4, 1), (0.4, 2))
    return [
        *(Case(_turn_name(axis, angle), partial(retaken, degrees=_about(axis, angle), sizes=sizes)) for axis, angle in turns),
        *(Case(f"shifted {mm} mm", partial(retaken, mm=(mm, -mm, mm), sizes=sizes)) for mm in (0.4, 3.3)),
        *(Case(f"voxels {mm} mm", partial(resampled, sizes=(mm, mm, mm))) for mm in (0.8, 1.0, 1.3)),
        *(Case(f"noise {share:.0%} {seed}", partial(noisy, share=share, seed=seed)) for share, seed in noises),
        *(Case(f"bias {share:.0%} {seed}", partial(biased, share=share, seed=seed)) for share, seed in biases),
        *(Case(f"all at once {seed}", partial(another_session, seed=seed)) for seed in range(3)),
    ]


def brightness_cases(scan: Undisturbed) -> list[Case]:
    """The same head in other grey values, with more or less of it seen."""
    inside = to_world(scan.affine, np.argwhere(scan.intracranial))
    low, high = inside.min(axis=0), inside.max(axis=0)
    neck, vertex = scan.centre[2] - NECK, float(high[2]) - VERTEX
    gains = ((0.37, 250.0), (2.5, -40.0))
    return [
        *(Case(f"gain {gain:g} offset {offset:+g}", partial(gained, gain=gain, offset=offset)) for gain, offset in gains),
        *(Case(f"gamma {gamma:g}", partial(powered, gamma=gamma)) for gamma in (0.8, 0.9, 1.1, 1.25)),
        *(Case(f"saturated at {over:g} of the brain", partial(saturated, level=over * scan.vessels)) for over in (1.0, 1.15)),
        *(Case(f"scalp x {f:g}", partial(brightened_outside, mask=scan.intracranial, factor=f)) for f in (0.5, 1.5, 3.0)),
        Case("skull removed", partial(stripped, mask=scan.intracranial)),
        Case("neck out of view", partial(cropped, low=_only(2, neck, -np.inf), high=(np.inf,) * 3)),
        Case("vertex out of view", partial(cropped, low=(-np.inf,) * 3, high=_only(2, vertex, np.inf))),
        Case("cropped round the brain", partial(cropped, low=_triple(low - AROUND), high=_triple(high + AROUND))),
        Case("padded", partial(padded, before=(40, 0, 10), after=(5, 40, 40))),
    ]


def orientation_cases(*, every: int = 1) -> list[Case]:
    """Every ``every``-th of the 48 ways to store the same voxels, the stored one left out."""
    return [Case(_stored(order, flips), partial(reoriented, order=order, flips=flips)) for order, flips in ORIENTATIONS[1::every]]


def shrinkage_cases(scan: Undisturbed) -> list[Case]:
    """The hypothalamus smaller by known shares, everything 2–3 cm away where it was."""
    return [Case(f"shrunk by {1 - factor:.0%}", partial(deformed, by=scan.shrunk(factor)), known=factor) for factor in SHRINKAGE]


def retaken(volume: Volume, affine: Affine, *, sizes: Triple, degrees: Triple = (0.0, 0.0, 0.0), mm: Triple = (0.0, 0.0, 0.0)) -> Scan:
    """The scan as it would be had the head been turned and shifted in the scanner: resampled along the world's axes."""
    return upright(*shifted(*turned(volume, affine, degrees=degrees), mm=mm), sizes=sizes)


def another_session(volume: Volume, affine: Affine, *, seed: int) -> Scan:
    """Tilt (to 15 degrees), place, voxel edges (0.8 to 1.3 mm), noise and coil all drawn anew; `lain_anew` says where the head lies."""
    edge = float(np.random.default_rng(seed).uniform(0.8, 1.3))
    scan = upright(*lain_anew(volume, affine, seed=seed), sizes=(edge, edge, edge))
    return noisy(*biased(*scan, share=0.3, seed=seed), share=0.03, seed=seed)


def lain_anew(volume: Volume, affine: Affine, *, seed: int) -> Scan:
    """The header alone of `another_session`: tilted by up to 15 degrees about each axis and moved by up to 5 mm along each."""
    random = np.random.default_rng([seed, 1])
    return shifted(*turned(volume, affine, degrees=_triple(random.uniform(-15, 15, 3))), mm=_triple(random.uniform(-5, 5, 3)))


def world_sizes(affine: Affine) -> Triple:
    """Voxel edges (mm) along right, anterior and superior, each that of the stored axis nearest to it.

    >>> world_sizes(np.array([[0.0, 0, -3, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]]))
    (3.0, 1.0, 2.0)
    """
    return _triple(voxel_sizes(affine)[np.abs(affine[:3, :3] / voxel_sizes(affine)).argmax(axis=1)])


def _turn_name(axis: int, angle: float) -> str:
    """The name of a turn (degrees) about one axis of the world."""
    return f"turned {angle:+.0f} about {'RAS'[axis]}"


def _about(axis: int, angle: float) -> Triple:
    """Angles of a turn about one axis of the world, degrees."""
    return _triple(angle * np.eye(3)[axis])


def _only(axis: int, bound: float, other: float) -> Triple:
    """A corner with a bound along one axis of the world and none along the others."""
    return _triple(np.where(np.arange(3) == axis, bound, other))


def _triple(values: Float64[np.ndarray, "3"]) -> Triple:
    """Three numbers as Python knows them."""
    x, y, z = values.tolist()
    return x, y, z


def _stored(order: tuple[int, int, int], flips: tuple[int, int, int]) -> str:
    """The name of an order of storage: the stored axes in their new order, those reversed with a minus."""
    return "axes " + " ".join(f"{'-' if flip < 0 else ''}{'ijk'[axis]}" for axis, flip in zip(order, flips, strict=True))
