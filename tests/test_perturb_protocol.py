"""The lists of changes, on a phantom whose truth is known, and the figures made from their table, on numbers checked by hand."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hypojax.demonstration import deformed
from hypojax.grid import Affine, to_world, voxel_sizes
from hypojax.metrics import slope
from hypojax.phantom import Phantom, render, subunit_coverage
from pipelines.maintenance.perturb.bars import bars, bars_table, changes_table, scans_table
from pipelines.maintenance.perturb.protocol import (
    another_session,
    brightness_cases,
    header_cases,
    orientation_cases,
    retaken,
    session_cases,
    shrinkage_cases,
    world_sizes,
)
from pipelines.maintenance.perturb.steadiness import changes, per_scan, shrinkage_slope, variation
from pipelines.maintenance.perturb.undisturbed import Undisturbed

SHAPE = (28, 27, 28)
AFFINE: Affine = np.array([[-3.5, 0, 0, 47.0], [0, 3.5, 0, -41.0], [0, 0, 3.5, -67.0], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def scan() -> Undisturbed:
    """The middle of a phantom in 3.5 mm voxels with its true labels; a ball stands for its brain."""
    phantom = Phantom(noise=15.0)
    parts = subunit_coverage(phantom, shape=SHAPE, affine=AFFINE)
    labels = np.where(parts.sum(axis=0) > 0.3, parts.argmax(axis=0) + 1, 0).astype(np.uint8)
    inside = np.linalg.norm(to_world(AFFINE, np.moveaxis(np.indices(SHAPE), 0, -1)) - [0, 5, -20], axis=-1) < 35
    volume = render(phantom, shape=SHAPE, affine=AFFINE).astype(np.float32)
    volume[14, :, 20] = 2000  # a vessel
    return Undisturbed(volume, AFFINE, labels, inside)


def test_every_change_has_a_name_of_its_own_and_gives_a_scan(scan: Undisturbed) -> None:
    lists = [header_cases(), session_cases(AFFINE), brightness_cases(scan), orientation_cases(every=12), shrinkage_cases(scan)]
    cases = [case for cases in lists for case in cases]
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        volume, affine = case.change(scan.volume, scan.affine)
        assert (volume.dtype, affine.shape) == (np.float32, (4, 4)), case.name
        moved = volume.shape != SHAPE or np.abs(affine - AFFINE).max() > 1e-6 or np.abs(volume - scan.volume).max() > 0.5
        assert moved, case.name
    assert len(orientation_cases()) == 47
    assert len(orientation_cases(every=6)) == 8


@pytest.mark.parametrize("factor", [0.97, 0.94, 0.88])
def test_the_known_factor_is_what_the_same_map_does_to_the_posterior(scan: Undisturbed, factor: float) -> None:
    fine, sizes = np.diag([1.0, 1.0, 1.0, 1.0]), (60, 60, 60)
    fine[:3, 3] = np.array(scan.centre) - 29.5
    posterior = subunit_coverage(Phantom(), shape=sizes, affine=fine).sum(axis=0)
    after, _ = deformed(posterior, fine, by=scan.shrunk(factor))
    assert after.sum() / posterior.sum() == pytest.approx(factor, rel=0.002)
    case = next(case for case in shrinkage_cases(scan) if case.known == factor)
    assert_array_equal(case.change(scan.volume, AFFINE)[0], deformed(scan.volume, AFFINE, by=scan.shrunk(factor))[0])


def test_the_core_holds_every_labelled_voxel(scan: Undisturbed) -> None:
    by = scan.shrunk(0.9)
    world = np.argwhere(scan.hypothalamus > 0) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    assert np.linalg.norm(world - np.array(scan.centre), axis=-1).max() < by.core - 2.5
    assert_allclose(scan.centre, (0.0, 5.0, -20.0), atol=0.6)


def test_a_head_taken_again_where_it_lay_is_the_same_head(scan: Undisturbed) -> None:
    volume, affine = retaken(scan.volume, scan.affine, sizes=world_sizes(AFFINE))
    assert_allclose(affine[:3, :3], np.diag([3.5, 3.5, 3.5]))
    # Voxel centres lie at whole multiples of their edges now, not where they were.
    assert_allclose(volume.mean(dtype=float), scan.volume.mean(dtype=float), rtol=0.01)


def test_sessions_differ_and_repeat(scan: Undisturbed) -> None:
    one, again, other = (another_session(scan.volume, AFFINE, seed=seed) for seed in (0, 0, 1))
    assert_array_equal(one[0], again[0])
    assert np.abs(one[1] - other[1]).max() > 0.01
    assert 0.8 <= voxel_sizes(one[1])[0] <= 1.3


def table() -> pd.DataFrame:
    """Two scans: one that changes by known shares, one that never changes."""
    rows = []
    for name, share, base in (("a", 1.0, 800.0), ("b", 0.0, 900.0)):
        rows.append((name, "none", "none", 1.0, base, 1.5e6, np.nan))
        for question, change, known, factor in (
            ("sessions", "turned", 1.0, 1.02),
            ("sessions", "noise", 1.0, 0.98),
            ("brightness", "gamma", 1.0, 1.03),
            ("brightness", "saturated", 1.0, 0.99),
            ("shrinkage", "3 %", 0.97, 0.98),
            ("shrinkage", "12 %", 0.88, 0.89),
        ):
            rows.append((name, question, change, known, base * (1 + share * (factor - 1)), 1.5e6, np.nan))
        rows.append((name, "orientations", "kji", 1.0, base, 1.5e6, 1.0 - 0.01 * share))
    return pd.DataFrame(rows, columns=["scan", "question", "change", "known", "hypothalamus_mm3", "icv_mm3", "labels_equal"])


def test_figures_are_those_made_by_hand() -> None:
    overall, each = variation(table(), "sessions")
    assert_allclose(each.to_numpy(), [0.02, 0.0])  # 800, 816, 784: standard deviation 16
    assert_allclose(overall, 0.02 / np.sqrt(2))
    assert_allclose(changes(table(), "brightness").to_numpy(), [[0.03, -0.01], [0, 0]], atol=1e-12)
    line, slopes = shrinkage_slope(table())
    assert_allclose(slopes.to_numpy(), [slope(np.array([-0.02, -0.11, 0]), on=np.array([-0.03, -0.12, 0])).estimate, 0], atol=1e-12)
    assert_allclose(line.estimate, slopes.mean())
    assert line.low < line.estimate < line.high
    found = per_scan(table())
    assert_allclose(found["labels_equal"], [0.99, 1.0])
    assert_allclose(found["brightness_hypothalamus"], [0.03, 0])
    assert_allclose(found["variation_icv"], 0)
    assert all(variable.attrs["long_name"] for variable in found.data_vars.values())


def test_bars_say_what_is_met_and_where_it_is_worst() -> None:
    sessions, icv, bright, stored, shrunk = bars(table())
    assert (sessions.met, icv.met, bright.met, stored.met, shrunk.met) == (True, True, False, False, False)
    assert bright.worst == "a 3.00%, gamma"
    assert bright.measured == "3.00%; 75% of changes within"
    assert stored.worst == "a 99.00%"
    assert shrunk.worst.startswith("b 0.000")
    assert bars_table(table()).count("**no**") == 3


def test_a_missing_volume_meets_no_bar_and_is_said() -> None:
    without = table()
    without.loc[without["change"] == "gamma", "icv_mm3"] = np.nan
    without.loc[(without["change"] == "gamma") & (without["scan"] == "a"), "hypothalamus_mm3"] = np.nan
    assert "missing" in changes_table(without)
    assert_allclose(per_scan(without)["brightness_hypothalamus"], [0.01, 0])
    assert bars(without)[2].measured == "1.00%; 75% of changes within; 1 without a volume"
    assert not bars(without)[2].met
    assert scans_table(without).count("\n") == 3
