"""Overlap of two masks, and the difference of two volumes.

Where both masks are empty they agree (Dice and volume similarity 1, errors 0); where one is, they have nothing in common
(Dice and volume similarity 0), and an error relative to an empty reference is not a number.
"""

import numpy as np
from jaxtyping import Bool


def dice(predicted: Bool[np.ndarray, "*shape"], reference: Bool[np.ndarray, "*shape"]) -> float:
    """Dice coefficient of two masks, 0 to 1: twice the common voxels over the voxels of both (Dice 1945).

    >>> dice(np.array([True, True, False]), np.array([False, True, False]))
    0.6666666666666666
    >>> dice(np.array([False]), np.array([False])), dice(np.array([True]), np.array([False]))
    (1.0, 0.0)
    """
    both, total = np.count_nonzero(predicted & reference), np.count_nonzero(predicted) + np.count_nonzero(reference)
    return float(2 * both / total) if total else 1.0


def volume_similarity(predicted: float, reference: float) -> float:
    """One less the difference of two volumes over their sum, 0 to 1 (Taha and Hanbury 2015); any unit, the same for both.

    >>> volume_similarity(90.0, 110.0)
    0.9
    >>> volume_similarity(0.0, 0.0), volume_similarity(1.0, 0.0)
    (1.0, 0.0)
    """
    total = predicted + reference
    return 1 - abs(predicted - reference) / total if total else 1.0


def volume_error(predicted: float, reference: float) -> float:
    """Predicted less reference volume, in their unit: positive where the prediction is too large.

    >>> volume_error(90.0, 110.0)
    -20.0
    """
    return predicted - reference


def absolute_volume_error(predicted: float, reference: float) -> float:
    """Size of the difference of two volumes, in their unit.

    >>> absolute_volume_error(90.0, 110.0)
    20.0
    """
    return abs(predicted - reference)


def relative_volume_error(predicted: float, reference: float) -> float:
    """Predicted less reference volume as a share of the reference; 0 where both are zero, NaN where only the reference is.

    >>> relative_volume_error(90.0, 120.0), relative_volume_error(0.0, 0.0), relative_volume_error(1.0, 0.0)
    (-0.25, 0.0, nan)
    """
    if reference:
        return (predicted - reference) / reference
    return 0.0 if predicted == 0 else float("nan")
