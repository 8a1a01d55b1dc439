"""A scan as it came, what was found in it, and one change of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, UInt8

from hypojax.demonstration.radial_map import RadialMap
from hypojax.grid import Affine, to_world
from pipelines.maintenance.perturb.geometry import Scan, Triple, Volume

Change = Callable[[Volume, Affine], Scan]


BRAIN_PERCENTILE: Final = 98.0
"""Of the values inside the head: above it lie vessels."""


CORE_MARGIN: Final = 3.0
"""Millimetres beyond the farthest labelled voxel that the scaled core reaches: the rim of the posteriors, 2 mm, and a voxel."""


RIM_WIDTH: Final = 16.0
"""Millimetres from the core to where nothing moves."""


@dataclass(frozen=True)
class Case:
    """One change of a scan.

    Parameters
    ----------
    name
        What is changed; the same in every scan.
    change
        The change itself.
    known
        Volume of the hypothalamus after over before.
    header
        The part of the change that moves the head in the world, where voxels were interpolated besides.
    """

    name: str
    change: Change
    known: float = 1.0
    header: Change | None = None

    def moved(self, volume: Volume, affine: Affine, *, after: Scan) -> Affine:
        """From where something in the head was in the world to where it is in the changed scan, mm to mm.

        Voxels that were neither cropped, averaged nor interpolated stay what they are, whatever their header says.
        """
        if self.header is not None:
            return self.header(volume, affine)[1] @ np.linalg.inv(affine)
        return after[1] @ np.linalg.inv(affine) if after[0].shape == volume.shape else np.eye(4)


@dataclass(frozen=True, eq=False)
class Undisturbed:
    """A scan as it came, and what was found in it.

    Parameters
    ----------
    volume, affine
        The scan.
    hypothalamus, intracranial
        Label map and mask on its voxels.
    """

    volume: Volume
    affine: Affine
    hypothalamus: UInt8[np.ndarray, "i j k"]
    intracranial: Bool[np.ndarray, "i j k"]

    @property
    def centre(self) -> Triple:
        """Middle of the hypothalamus, mm, RAS+."""
        x, y, z = to_world(self.affine, np.argwhere(self.hypothalamus > 0)).mean(axis=0).tolist()
        return x, y, z

    @property
    def reach(self) -> float:
        """Distance of the farthest labelled voxel from the middle, mm."""
        return float(np.linalg.norm(to_world(self.affine, np.argwhere(self.hypothalamus > 0)) - np.array(self.centre), axis=-1).max())

    @property
    def vessels(self) -> float:
        """Brightness, stored units, above which lie vessels and fat."""
        return float(np.percentile(self.volume[self.intracranial], BRAIN_PERCENTILE))

    def shrunk(self, factor: float) -> RadialMap:
        """The map that changes the volume of the hypothalamus by a factor."""
        core = self.reach + CORE_MARGIN
        return RadialMap(self.centre, core, core + RIM_WIDTH, factor)
