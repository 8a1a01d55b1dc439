"""What the head network says of one scan on one grid, and on which grid it is looked at again.

A network turns less than a head is tilted when it looks once. On a grid turned into the pose that it found, little of the tilt is left, and
it is looked at again until next to none is. What does not settle is not believed: the first look counts then, along the scan's own axes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from hypojax.grid import Grid, centred_grid, to_world
from hypojax.preprocessing.foreground import Prepared, conform
from hypojax.schema import HEAD_SHAPE, HEAD_SPACING, LARGEST_POSE_RESIDUAL
from hypojax.segmenter.pose import Pose, PoseFound, from_world, pose_of, turn_on, upright_grid

LEVEL: Final = 20.0
"""Degrees of turn against the scan's axes up to which one look is enough: heads in scanners differ by less (`hypojax.grid.NOD`)."""

SETTLED: Final = 8.0
"""The same against a grid that was turned already."""

MOST_LOOKS: Final = 4
"""Looks at a head. Colin27 turned by 45 degrees settles in three."""

COARSE_SIDE: Final = 40
"""Voxels a side, at least, that a scan is looked over for where it is bright."""


class HeadLook(NamedTuple):
    """One look at a head.

    Parameters
    ----------
    grid, image
        The 2 mm grid and what the network saw on it.
    intracranial
        Posterior × 255.
    place, located
        Of the hypothalamus, world (mm); share of its posterior that lies there.
    brain_extraction
        Posterior × 255 by the border of brain extraction; None where the network does not know it.
    pose, residual_mm
        The pose read off this look, None where no head can have it, and how well it fits; NaN where the network knows no template.
    """

    grid: Grid
    image: Float32[np.ndarray, "a s r"]
    intracranial: UInt8[np.ndarray, "a s r"]
    place: Float64[np.ndarray, "3"]
    located: float
    brain_extraction: UInt8[np.ndarray, "a s r"] | None = None
    pose: Pose | None = None
    residual_mm: float = float("nan")

    @property
    def found(self) -> PoseFound | None:
        """The pose and how well it fits; None where the network knows no template."""
        return None if self.brain_extraction is None else PoseFound(self.pose, self.residual_mm)

    def fits(self, largest: float) -> bool:
        """Whether the pose is that of a head that lies on the grid as it should, turned by ``largest`` degrees at most."""
        return self.pose is not None and self.residual_mm <= LARGEST_POSE_RESIDUAL and turn_on(self.grid, self.pose) <= largest


Shown = tuple[Grid, Float32[np.ndarray, "a s r"]]
"""A head grid and the scan on it, z-scored."""

See = Callable[[list[Shown]], list[HeadLook]]


def look_of(shown: Shown, said: Sequence[Any]) -> HeadLook:
    """A look from what `hypojax.segmenter.forward.head_outputs` says of one scan."""
    (grid, image), (intracranial, place, located, *more) = shown, said
    known = HeadLook(grid, image, intracranial, to_world(grid.affine, place), float(located))
    if not more:
        return known
    brain_extraction, matrix, residual, _ = more
    pose = pose_of(from_world(grid, matrix.astype(np.float64)))
    return known._replace(brain_extraction=brain_extraction, pose=pose, residual_mm=float(residual))


def bright_grid(scan: Prepared) -> Grid:
    """A head grid along the axes of the first, its middle where most of what is bright lies."""
    steps = [max(1, side // COARSE_SIDE) for side in scan.volume.shape]
    bright = np.argwhere(scan.volume[tuple(slice(None, None, step) for step in steps)] > scan.head.statistics.threshold)
    grid = scan.head.grid
    middle = to_world(scan.affine, bright.mean(axis=0) * steps) if len(bright) else grid.centre
    return centred_grid(grid.affine[:3, :3] / HEAD_SPACING, shape=grid.shape, spacing=HEAD_SPACING, centre=middle)


def looked_until_settled(scans: Sequence[Prepared], see: See) -> list[HeadLook]:
    """Look at heads, again at those that do not lie level, and give the look at each that counts.

    Where the first grid was in vain, it begins once more on another one: the head may lie outside the first.

    Parameters
    ----------
    scans
        Whose heads are looked at.
    see
        Runs the head network on so many head grids, in order.
    """
    before = dict(enumerate(see([(scan.head.grid, scan.image) for scan in scans])))
    looks = before | _settled(before, scans, see)
    lost = {number: bright_grid(scans[number]) for number, look in looks.items() if look.found and not look.fits(LEVEL)}
    if lost:
        looks |= _settled(_seen(lost, scans, see), scans, see)
    return [look if look.fits(LEVEL) else _unbelieved(before[number], look) for number, look in looks.items()]


def _settled(looks: Mapping[int, HeadLook], scans: Sequence[Prepared], see: See) -> dict[int, HeadLook]:
    """The last looks at some heads, each on a grid turned into the pose that the look before found."""
    found, left = dict(looks), list(looks)
    for largest in (LEVEL, *[SETTLED] * (MOST_LOOKS - 2)):
        again = {number: pose for number in left if (pose := found[number].pose) and not found[number].fits(largest)}
        if not again:
            break
        left = list(again)
        found |= _seen({number: upright_grid(pose, HEAD_SHAPE, HEAD_SPACING) for number, pose in again.items()}, scans, see)
    return found


def _seen(grids: Mapping[int, Grid], scans: Sequence[Prepared], see: See) -> dict[int, HeadLook]:
    """Looks at some heads on these grids."""
    shown = [
        (grid, conform(scans[number].volume, scans[number].affine, grid=grid, statistics=scans[number].head.statistics))
        for number, grid in grids.items()
    ]
    return dict(zip(grids, see(shown), strict=True))


def _unbelieved(first: HeadLook, last: HeadLook) -> HeadLook:
    """The first look, without a pose and with the residual of the last."""
    return first._replace(pose=None, residual_mm=last.residual_mm)
