"""Registration of one brain to another by SimpleITK: rigid, then with one scale, then with twelve parameters."""

from importlib import import_module
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from hypojax.grid import Affine

sitk: Any = import_module("SimpleITK")  # its own annotations are of parts only

Picture = Any
"""An image of SimpleITK."""

SpatialTransform = Any
"""A transform of SimpleITK."""

SAMPLED: Final = (0.05, 0.1)
"""Share of voxels that mutual information is taken of: for the rigid part, and then."""

Levels = tuple[tuple[int, ...], tuple[float, ...]]
"""Shrink factors and smoothing (mm) of the resolutions, coarse first."""

LEVELS: Final[Levels] = ((4, 2, 1), (4.0, 2.0, 0.0))
FINE_LEVELS: Final[Levels] = ((2, 1), (2.0, 0.0))


def picture(volume: Float32[np.ndarray, "x y z"], affine: Affine) -> Picture:
    """A SimpleITK image whose physical space is that of an affine without rotation."""
    image = sitk.GetImageFromArray(volume.astype(np.float32).transpose(2, 1, 0))
    image.SetSpacing([float(affine[n, n]) for n in range(3)])
    image.SetOrigin([float(value) for value in affine[:3, 3]])
    return image


def counted(fixed: Picture, brain: Bool[np.ndarray, "x y z"], margin: int) -> Picture:
    """The region of the template that counts: its brain, so many voxels wider, or narrower where that is negative."""
    change = ndimage.binary_dilation if margin > 0 else ndimage.binary_erosion
    mask = sitk.GetImageFromArray(change(brain, iterations=abs(margin)).transpose(2, 1, 0).astype(np.uint8))
    mask.CopyInformation(fixed)
    return mask


def registered(fixed: Picture, moving: Picture, region: Picture) -> Affine:
    """Matrix from points of ``fixed`` to points of ``moving``, mm; only ``region`` of ``fixed`` counts for the twelve parameters."""
    start = sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS)
    found = _matrix(_optimised(fixed, moving, sitk.Euler3DTransform(start), levels=LEVELS, region=None))
    for kind in (sitk.Similarity3DTransform, sitk.AffineTransform):
        transform = kind() if kind is sitk.Similarity3DTransform else kind(3)
        centre = np.array(sitk.Euler3DTransform(start).GetCenter())
        transform.SetCenter(centre.tolist())
        transform.SetMatrix(found[:3, :3].ravel().tolist())
        transform.SetTranslation((found[:3, :3] @ centre + found[:3, 3] - centre).tolist())
        inside = region if kind is sitk.AffineTransform else None
        found = _matrix(_optimised(fixed, moving, transform, levels=FINE_LEVELS, region=inside))
    return found


def _optimised(fixed: Picture, moving: Picture, transform: SpatialTransform, *, levels: Levels, region: Picture | None) -> SpatialTransform:
    """A transform after gradient descent on mutual information, coarse to fine."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(40)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SAMPLED[region is not None], 1)
    if region is not None:
        method.SetMetricFixedMask(region)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 80, 0.6, 1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(levels[0])
    method.SetSmoothingSigmasPerLevel(levels[1])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.SetInitialTransform(transform, True)
    method.Execute(fixed, moving)
    return transform


def _matrix(transform: SpatialTransform) -> Affine:
    """The 4×4 matrix of a transform with a centre."""
    matrix, centre = np.array(transform.GetMatrix()).reshape(3, 3), np.array(transform.GetCenter())
    found = np.eye(4)
    found[:3, :3] = matrix
    found[:3, 3] = centre + np.array(transform.GetTranslation()) - matrix @ centre
    return found
