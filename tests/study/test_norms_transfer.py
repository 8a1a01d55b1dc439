"""Norms at a new site: the shift and scale of its controls."""

import numpy as np
import pandas as pd
import pytest

from hypojax.reason import RunError
from hypojax.study.centiles.norms_transfer import moved_scores, site_transfers


def people(counts: dict[str, int]) -> pd.DataFrame:
    site = [name for name, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"site": site}, index=[f"s{number}" for number in range(len(site))])


def test_the_controls_of_a_site_become_mean_0_and_sd_1_and_its_patients_move_along() -> None:
    random = np.random.default_rng(0)
    here = people({"A": 30, "B": 20})
    scores = random.normal(size=(50, 2))
    scores[30:] = 1.5 * scores[30:] + 0.7
    found = site_transfers(scores, here, [f"s{number}" for number in range(30, 45)])
    assert list(found) == ["B"]
    moved, errors, factor = moved_scores(scores, np.full((50, 2), 0.1), here, found, confidence=0.95)
    assert np.array_equal(moved[:30], scores[:30])
    assert moved[30:45].mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert moved[30:45].std(axis=0, ddof=1) == pytest.approx(1)
    assert np.allclose(moved[45:], (scores[45:] - found["B"].shift) / found["B"].scale)
    assert (errors[30:] > 1 / 15**0.5).all()
    assert factor[40] == pytest.approx(2.1448, abs=1e-4)
    assert np.isnan(factor[:30]).all()


def test_a_person_counts_once() -> None:
    here = people({"A": 12}).assign(subject=["one", "one", *map(str, range(10))])
    found = site_transfers(np.arange(24.0).reshape(12, 2), here, here.index.tolist())
    assert found["A"].n.tolist() == [11, 11]


def test_a_few_controls_are_refused_and_so_is_a_name_that_is_not_there() -> None:
    here = people({"A": 30})
    with pytest.raises(RunError, match="site 'A' has 9 controls with scores, and a transfer needs 10"):
        site_transfers(np.ones((30, 1)), here, here.index[:9].tolist())
    with pytest.raises(RunError, match="no scan 'sx'"):
        site_transfers(np.ones((30, 1)), here, ["sx"])


def test_a_region_with_a_few_controls_has_no_transfer_and_no_scores_after_it() -> None:
    here, scores = people({"A": 12}), np.random.default_rng(1).normal(size=(12, 2))
    scores[:5, 1] = np.nan
    found = site_transfers(scores, here, here.index.tolist())
    moved, _, _ = moved_scores(scores, np.zeros((12, 2)), here, found, confidence=0.95)
    assert np.isfinite(moved[:, 0]).all()
    assert np.isnan(moved[:, 1]).all()


@pytest.mark.parametrize("count", [10, 40])
def test_the_interval_after_a_transfer_covers_at_least_what_it_says(count: int) -> None:
    random = np.random.default_rng(count)
    here, held = people({"A": count + 1}), []
    for _ in range(1500):
        true = random.normal(size=(count + 1, 1))
        seen = 0.8 * true + 0.5
        moved, errors, factor = moved_scores(
            seen, np.zeros_like(seen), here, site_transfers(seen, here, here.index[1:].tolist()), confidence=0.95
        )
        held.append(abs(moved[0, 0] - true[0, 0]) < factor[0, 0] * errors[0, 0])
    assert 0.94 < np.mean(held) < 0.99  # on the safe side: wider where the z-score is far out
