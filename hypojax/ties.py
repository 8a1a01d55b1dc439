"""Numbers rounded before they decide something, so that every processor decides alike.

The order in which a processor adds differs (SSE, AVX-512, the matrix products of BLAS), and with it the last digits of a
sum. Where two draws, pairs or subjects tie exactly, these digits would choose between them: the same seed and table would
give other folds on another machine. So numbers are rounded first, and ties are then broken by a rule.
"""

from typing import Final

import numpy as np
from jaxtyping import Float64

DIGITS: Final = 9
"""Decimals kept of numbers of the order of one; sums of a million of them agree to more than that."""

MARGIN: Final = 10.0**-DIGITS
"""Numbers of the order of one that differ by less tie."""


def comparable(values: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Numbers of the order of one without the digits that rounding decides.

    >>> sums = np.array([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1])
    >>> sums[0] == sums[1], bool(comparable(sums)[0] == comparable(sums)[1])
    (np.False_, True)
    """
    return np.round(values, DIGITS)
