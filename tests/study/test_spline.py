"""`hypojax.study.formulas.spline`: partition of unity, straight lines, and what SciPy's splines give."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import BSpline, CubicSpline

from hypojax.reason import RunError
from hypojax.study.formulas.spline import NaturalSpline, cubic_basis, roughness, spline_knots

KNOTS = np.array([18.0, 30.0, 41.5, 60.0, 88.0])
WIDE = np.linspace(0.0, 110.0, 221)


def test_basis_is_that_of_scipy_between_the_knots() -> None:
    inside = WIDE[(WIDE >= 18) & (WIDE < 88)]
    padded = np.concatenate([[18.0] * 3, KNOTS, [88.0] * 3])
    np.testing.assert_allclose(cubic_basis(inside, KNOTS), BSpline.design_matrix(inside, padded, 3).toarray(), atol=1e-14)


def test_basis_sums_to_one_and_holds_every_straight_line_beyond_the_knots_too() -> None:
    basis = cubic_basis(WIDE, KNOTS)
    np.testing.assert_allclose(basis.sum(axis=1), 1.0, atol=1e-12)
    middles = np.convolve(np.concatenate([[18.0] * 2, KNOTS, [88.0] * 2]), np.ones(3) / 3, mode="valid")  # Greville's points
    np.testing.assert_allclose(basis @ middles, WIDE, atol=1e-10)
    np.testing.assert_allclose(np.diff(basis[WIDE > 88], n=2, axis=0), 0.0, atol=1e-12)


def test_missing_values_are_missing() -> None:
    assert np.isnan(cubic_basis(np.array([20.0, np.nan]), KNOTS)).all(axis=1).tolist() == [False, True]


def test_natural_basis_spans_the_natural_splines_of_scipy() -> None:
    basis = NaturalSpline(tuple(KNOTS.tolist())).basis(WIDE)
    assert basis.shape == (len(WIDE), 4)
    columns = np.column_stack([np.ones(len(WIDE)), basis])
    assert np.linalg.matrix_rank(columns) == 5
    for heights in np.eye(5):
        curve = CubicSpline(KNOTS, heights, bc_type="natural")
        inside = np.clip(WIDE, 18, 88)
        natural = curve(inside) + (WIDE - inside) * curve(inside, 1)
        fitted = columns @ np.linalg.lstsq(columns, natural, rcond=None)[0]
        np.testing.assert_allclose(fitted, natural, atol=1e-9)


def test_penalty_is_the_integral_of_squared_second_derivatives() -> None:
    weights = np.random.default_rng(0).normal(size=7)
    padded = np.concatenate([[18.0] * 3, KNOTS, [88.0] * 3])
    bent = BSpline(padded, weights, 3).derivative(2)
    pieces = [quad(lambda at: float(bent(at)) ** 2, low, high)[0] for low, high in pairwise(KNOTS.tolist())]
    penalty = roughness(KNOTS)
    assert weights @ penalty @ weights == pytest.approx(sum(pieces), rel=1e-9)
    middles = np.convolve(padded[1:-1], np.ones(3) / 3, mode="valid")
    assert middles @ penalty @ middles == pytest.approx(0.0, abs=1e-9)


def test_knots_are_quantiles_and_too_few_values_are_refused() -> None:
    assert spline_knots(np.array([1.0, 1, 1, 1, 5]), 3).tolist() == [1.0, 5.0]
    assert NaturalSpline.of(np.arange(101.0), 4, name="age").knots == (0.0, 25.0, 50.0, 75.0, 100.0)
    with pytest.raises(RunError, match=r"spline\(CDR, 4\) needs more different values of CDR than there are \(3\)"):
        NaturalSpline.of(np.array([0.0, 0.5, 1.0] * 9), 4, name="CDR")
