"""Quantile regression by linear programming (Koenker and Bassett 1978): lines below which a given share of people lies.

It assumes no shape, and so checks one. Solved in its dual form by HiGHS (`scipy.optimize.linprog`): as many constraints as coefficients.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linprog

from hypojax.reason import Reason, RunError


class QuantileLine(NamedTuple):
    """A fitted quantile line.

    Parameters
    ----------
    coefficients
        One a column of the design, in the unit of the values.
    objective
        Sum of residual · (share - [residual < 0]), which is the least possible.
    """

    coefficients: Float64[np.ndarray, " column"]
    objective: float


def fit_quantile(values: Float64[np.ndarray, " row"], design: Float64[np.ndarray, "row column"], share: float) -> QuantileLine:
    """The line with this share of the values below it.

    It passes through as many values as there are columns, so that the share strictly below is a little smaller.

    Parameters
    ----------
    values, design
        Finite; the design of full rank, with an intercept.
    share
        Between 0 and 1.

    Raises
    ------
    RunError
        ``USAGE``: no solution was found.

    Examples
    --------
    >>> fit_quantile(np.array([1.0, 2.0, 9.0]), np.ones((3, 1)), 0.5).coefficients.tolist()
    [2.0]
    """
    scale = np.sqrt((design**2).mean(axis=0))
    columns = design / scale
    spread = float(np.std(values)) or 1.0
    # Maximise y·a where X'a = (1 - share) X'1 and 0 <= a <= 1: the prices of the constraints are the coefficients.
    found = linprog(-values / spread, A_eq=columns.T, b_eq=(1 - share) * columns.sum(axis=0), bounds=(0, 1), method="highs")
    if found.status != 0:
        raise RunError(Reason.USAGE, f"no quantile line was found ({found.message}); are the columns of the model collinear?")
    coefficients = -np.asarray(found.eqlin.marginals) / scale * spread
    residuals = values - design @ coefficients
    return QuantileLine(coefficients, float((residuals * (share - (residuals < 0))).sum()))
