"""What of a posterior belongs to the structure: its largest component and the rim round it.

Posteriors enter as the networks give them (uint8, × 255) and leave *cleaned*: float32 between 0 and 1, zero outside the
structure's support, so that everything after this room may simply sum them. Their sum is the soft volume, and as much of them is
drawn as a label map on the scan's own grid (`hypojax.volumes.label_map`).
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy import ndimage

from hypojax.grid import Box, Grid, voxel_sizes
from hypojax.preprocessing.background import largest_component

RIM: Final = 2.0
"""Millimetres round the largest component that still belong to the support. Posteriors of a sharp network fall from one
to zero over about 2 mm on either side of the outline; what lies further out is no edge of this structure."""

FACES: Final = ndimage.generate_binary_structure(3, 1)
"""6-connectivity, for the intracranial volume: a litre of tissue touches itself by faces, and what hangs on it by a
corner (an eye, a strand of scalp) is not part of it."""

BRIDGE_GRID: Final = 4.0
"""Spacing, mm, of the coarse mask in which bridges are looked for: a head in 5 ms instead of 100."""

BRIDGE_ERODED, BRIDGE_GROWN = 2, 4
"""Coarse voxels that a mask is eroded by, and that its largest remaining piece is grown by again. What hangs on the cranium
by less than 16 mm (a tongue by the soft palate: +12 % volume in one of thirteen heads) falls off; of the thirteen
reference masks themselves 0.01 % does."""

TIE: Final = 1e-6
"""Interpolated posteriors that differ by less tie: rounding, which differs between processors, would choose. Halfway between two
voxels of a coarse grid such ties are usual."""

HALF: Final = 0.5 + TIE
"""Beyond it a voxel belongs to a structure: what is exactly one half is background on every processor."""

CORNERS: Final = ndimage.generate_binary_structure(3, 3)
"""26-connectivity, for the hypothalamus: a sheet a voxel or two thick is one piece although some of its voxels meet only
at an edge. Of 84 sides of the 42 automatic label maps tried, 83 are one piece either way and one is one piece only this way."""


def clean_hypothalamus(
    subunits: UInt8[np.ndarray, "10 x y z"], grid: Grid, inside: Bool[np.ndarray, "x y z"]
) -> Float32[np.ndarray, "10 x y z"]:
    """Posteriors of the ten subunits, each side within its own support; a side that was not found is zero throughout.

    Parameters
    ----------
    subunits
        Posteriors × 255 on the box grid, in label order.
    grid
        The box grid.
    inside
        Voxels of the box within the scan's field of view.
    """
    posterior = subunits.astype(np.float32) * (inside / np.float32(255))
    labels = label_voxels(posterior)
    for first in (0, 5):
        side = (labels > first) & (labels <= first + 5)
        posterior[first : first + 5] *= support(largest_component(side, CORNERS), grid)
    # Ten roundings to 1/255 may add up to a little more than a whole voxel.
    return posterior / np.maximum(posterior.sum(axis=0), 1)


def clean_intracranial(
    intracranial: UInt8[np.ndarray, "a s r"], grid: Grid, inside: Bool[np.ndarray, "a s r"]
) -> Float32[np.ndarray, "a s r"]:
    """Posterior of the intracranial volume within its support, holes filled; zero throughout when there is none.

    Parameters
    ----------
    intracranial
        Posterior × 255 on the head grid.
    grid
        The head grid.
    inside
        Voxels of the grid within the scan's field of view.
    """
    cleaned = np.zeros(intracranial.shape, np.float32)
    likely = (intracranial > 127) & inside
    if not likely.any():
        return cleaned
    steps = np.maximum(1, np.round(BRIDGE_GRID / voxel_sizes(grid.affine))).astype(int)  # voxels that make a coarse one
    reach = bounding_box(likely, margin=2 * steps)  # as far as the rim reaches, and one coarse voxel of background
    i, j, k = (slice(part.start // by * by, part.stop) for part, by in zip(reach, steps.tolist(), strict=True))
    box = i, j, k
    component = largest_component(without_bridges(likely[box], steps), FACES)
    filled = fill_holes(component)
    posterior = intracranial[box] * (inside[box] / np.float32(255))
    cleaned[box] = np.where(filled & ~component, np.float32(1), posterior) * support(filled, grid)
    return cleaned


def label_voxels(posterior: Float[np.ndarray, "10 *n"]) -> UInt8[np.ndarray, "*n"]:
    """Label of every voxel: where the ten posteriors together pass one half, the likeliest subunit; else 0.

    The most likely of eleven classes would shrink the whole, because background is one class and the hypothalamus ten. Of
    subunits that tie the first is taken; what is exactly one half is background. This tells the pieces of a side apart before anything
    is measured; which voxels are drawn is decided otherwise (`hypojax.volumes.label_map`).

    >>> label_voxels(np.array([[0.3, 0.1]] * 2 + [[0.0, 0.0]] * 8)).tolist()
    [1, 0]
    """
    order = np.arange(len(posterior), dtype=posterior.dtype).reshape(-1, *[1] * (posterior.ndim - 1))
    likeliest = (posterior - TIE * order).argmax(axis=0).astype(np.uint8) + np.uint8(1)
    return np.where(posterior.sum(axis=0) > HALF, likeliest, np.uint8(0))


def without_bridges(mask: Bool[np.ndarray, "x y z"], steps: Int[np.ndarray, "3"]) -> Bool[np.ndarray, "x y z"]:
    """A mask without what hangs on its largest massive piece by a narrow bridge; all of it where nothing is massive.

    An opening by reconstruction of bounded reach, in a coarser grid: ``steps`` voxels along each axis make one of it.
    """
    i, j, k = steps.tolist()
    massive = ndimage.binary_erosion(mask[::i, ::j, ::k], iterations=BRIDGE_ERODED, border_value=1)
    if not massive.any():
        return mask
    near = ndimage.binary_dilation(largest_component(massive, FACES), iterations=BRIDGE_GROWN)
    return mask & near.repeat(i, 0).repeat(j, 1).repeat(k, 2)[tuple(slice(side) for side in mask.shape)]


def fill_holes(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """A mask with everything filled that background cannot reach from the border of the volume."""
    pieces, _ = ndimage.label(np.pad(~mask, 1, constant_values=True), FACES)
    return (pieces != pieces[0, 0, 0])[1:-1, 1:-1, 1:-1]


def support(mask: Bool[np.ndarray, "x y z"], grid: Grid) -> Bool[np.ndarray, "x y z"]:
    """All voxels whose middle lies within `RIM` of a voxel of the mask."""
    if not mask.any():
        return mask
    reach = np.floor(RIM / voxel_sizes(grid.affine) + 1e-6).astype(int)
    box = bounding_box(mask, margin=reach)
    offsets = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1) @ grid.affine[:3, :3].T
    ball = np.asarray((offsets**2).sum(axis=-1) <= (RIM + 1e-6) ** 2)
    grown = np.zeros_like(mask)
    grown[box] = ndimage.binary_dilation(mask[box], ball)
    return grown


def bounding_box(mask: Bool[np.ndarray, "x y z"], *, margin: Int[np.ndarray, "3"] | int = 0) -> Box:
    """The smallest box that holds a non-empty mask, ``margin`` voxels wider on each side as far as the volume reaches."""
    spans = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    low = np.maximum([span[0] for span in spans] - np.asarray(margin), 0)
    high = np.minimum([span[-1] + 1 for span in spans] + np.asarray(margin), mask.shape)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))


def distances(mask: Bool[np.ndarray, "x y z"], *, farthest: int) -> Float32[np.ndarray, "x y z"]:
    """Distance of every voxel from a mask, in voxels; infinite beyond ``farthest``.

    Squares of distances are found axis by axis (Saito and Toriwaki 1994), as far as is asked: a quarter of the time of a full transform.

    >>> distances(np.array([[[True, False, False, False]]]), farthest=2).ravel().tolist()
    [0.0, 1.0, 2.0, inf]
    """
    most = np.int16(3 * farthest**2 + 1)
    squares = np.where(mask, np.int16(0), most)
    for axis in range(3):
        before = np.moveaxis(squares, axis, 0)
        after = before.copy()
        for step in range(1, min(farthest, len(before) - 1) + 1):
            away = np.int16(step**2)
            np.minimum(after[step:], before[:-step] + away, out=after[step:])
            np.minimum(after[:-step], before[step:] + away, out=after[:-step])
        squares = np.moveaxis(after, 0, axis)
    return np.where(squares <= farthest**2, np.sqrt(squares, dtype=np.float32), np.float32(np.inf))
