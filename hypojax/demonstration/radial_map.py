"""A hypothalamus of known size: a smooth radial map that scales everything within a core and moves nothing beyond a rim."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy import ndimage

from hypojax.grid import Affine, to_voxel, to_world


@dataclass(frozen=True)
class RadialMap:
    """Where in a scan the voxels of the deformed scan are looked up.

    Within ``core`` of ``centre`` (measured before the deformation) it is a pure scaling, beyond ``rim`` nothing moves,
    and between them a cubic with matching slopes (Hermite) joins the two, so that the map is smooth and, for factors
    between 0.6 and 1.5, never folds. What lies within the core changes its volume by ``factor`` exactly.

    Parameters
    ----------
    centre
        World position, mm, RAS+.
    core, rim
        Radii, mm.
    factor
        Volume after over volume before.
    """

    centre: tuple[float, float, float]
    core: float
    rim: float
    factor: float

    def source_radius(self, radius: Float[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
        """Radius before the deformation (mm) of what lies at a radius after it.

        >>> shrunk = RadialMap((0.0, 0.0, 0.0), core=12.0, rim=28.0, factor=0.75**3)
        >>> shrunk.source_radius(np.array([0.0, 9.0, 28.0, 50.0])).round(6).tolist()
        [0.0, 12.0, 28.0, 50.0]
        """
        scale = self.factor ** (1 / 3)
        inner = self.core * scale
        width = self.rim - inner
        t = np.clip((radius - inner) / width, 0, 1)
        start, end = (1 + 2 * t) * (1 - t) ** 2, t**2 * (3 - 2 * t)
        leaving, arriving = t * (1 - t) ** 2, t**2 * (t - 1)
        blend = start * self.core + end * self.rim + width * (leaving / scale + arriving)
        return np.select([radius <= inner, radius >= self.rim], [radius / scale, radius], blend)

    def source(self, world: Float[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
        """World positions (mm) before the deformation of what lies at these positions after it."""
        offset = world - np.array(self.centre)
        radius = np.linalg.norm(offset, axis=-1)
        stretch = self.source_radius(radius) / np.maximum(radius, 1e-9)
        return np.array(self.centre) + offset * np.where(radius > 0, stretch, 1.0)[..., None]

    def box(self, shape: tuple[int, ...], affine: Affine) -> tuple[slice, slice, slice]:
        """Voxels within ``rim`` of the centre along each axis of a volume (and a voxel more)."""
        middle = to_voxel(affine, np.array(self.centre))
        # The largest step along an index within a ball of the world: rows of the inverse, not voxel edges (shear).
        reach = self.rim * np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1) + 1
        low = np.clip(np.floor(middle - reach), 0, shape).astype(int)
        high = np.clip(np.ceil(middle + reach) + 1, low, shape).astype(int)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))


def deformed(volume: Float32[np.ndarray, "i j k"], affine: Affine, *, by: RadialMap) -> tuple[Float32[np.ndarray, "i j k"], Affine]:
    """Deform a scan, or a posterior, by cubic splines; voxels beyond the rim keep their values to the last bit.

    (Linear weights would not do for a posterior: a factor near one makes their rounding of peaks the same over centimetres,
    which is half a per cent of the volume.)
    """
    box = by.box(volume.shape, affine)
    start = np.array([part.start for part in box])
    index = np.moveaxis(np.indices([part.stop - part.start for part in box]), 0, -1) + start
    world = to_world(affine, index)
    source = to_voxel(affine, by.source(world)) - start
    moved = ndimage.map_coordinates(volume[box], np.moveaxis(source, -1, 0), order=3, mode="nearest", output=np.float32)
    inside = np.linalg.norm(world - np.array(by.centre), axis=-1) < by.rim
    result = volume.copy()
    result[box] = np.where(inside, moved, volume[box])
    return result, affine
