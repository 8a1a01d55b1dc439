"""`hypojax.volumes.apportionment` against the assignment of SciPy, in which every place of a class is a column of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.optimize import linear_sum_assignment

from hypojax.volumes import apportionment
from hypojax.volumes.apportionment import largest_remainder, shared_out


def best_sum(scores: np.ndarray, counts: np.ndarray) -> int:
    """The largest sum of scores with these numbers of voxels, by the Hungarian method."""
    columns = np.repeat(np.arange(len(counts)), counts)
    rows, chosen = linear_sum_assignment(scores[columns].T, maximize=True)
    return int(scores[columns[chosen], rows].sum())


@given(seed=st.integers(0, 10**6), classes=st.integers(1, 11), voxels=st.integers(0, 70), ties=st.sampled_from([2, 20, 2**16]))
@settings(max_examples=80, deadline=None)
def test_every_class_has_its_number_and_no_other_map_scores_more(seed: int, classes: int, voxels: int, ties: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(-ties, ties, (classes, voxels), endpoint=True).astype(np.int32)
    counts = largest_remainder(random.random(classes) ** 3 * (random.random(classes) > 0.2) + 1e-9, voxels)
    labels = shared_out(scores, counts)
    assert_array_equal(np.bincount(labels, minlength=classes), counts)
    assert scores[labels, np.arange(voxels)].sum(dtype=np.int64) == best_sum(scores, counts)


def test_offsets_from_a_few_voxels_give_the_same_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    scores, counts = random.integers(0, 2**16, (6, 900)).astype(np.int32), np.array([500, 200, 100, 60, 30, 10])
    monkeypatch.setattr(apportionment, "FEW", 50)
    labels = shared_out(scores, counts)
    assert_array_equal(np.bincount(labels), counts)
    assert scores[labels, np.arange(900)].sum() == best_sum(scores, counts)


@given(shares=st.lists(st.floats(0, 1e5), min_size=1, max_size=12), total=st.integers(0, 10**6))
def test_shares_are_rounded_up_or_down_and_sum_to_the_total(shares: list[float], total: int) -> None:
    given_ = np.array(shares)
    counts = largest_remainder(given_, total)
    if given_.sum() > 0:
        assert counts.sum() == total
        assert (np.abs(counts - given_ / given_.sum() * total) < 1 + 1e-6).all()
    else:
        assert not counts.any()


def test_the_smallest_share_there_is_gets_all() -> None:
    assert largest_remainder(np.array([0.0, 5e-324]), 3).tolist() == [0, 3]
