"""Sets of subjects: whole subjects, right sizes, the same for any order of rows, and alike."""

from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypojax.matching import folds
from hypojax.reason import Reason, RunError

AGES = st.one_of(st.none(), st.floats(18, 90))
PERSON = st.tuples(AGES, st.sampled_from(["F", "M", None]), st.sampled_from(["here", "there"]), st.integers(1, 3))


@st.composite
def scan_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Scans of up to 60 people, one to three each, ages and sexes missing here and there."""
    people = draw(st.lists(PERSON, min_size=5, max_size=60))
    rows = [(f"sub-{number}", *person[:3]) for number, person in enumerate(people) for _ in range(person[3])]
    table = pd.DataFrame(rows, columns=["participant_id", "age", "sex", "site"])
    return table.assign(age=table.age.astype(float))


@settings(deadline=None, max_examples=30)
@given(table=scan_tables(), count=st.integers(2, 5), seed=st.integers(0, 99), shuffle=st.randoms(use_true_random=False))
def test_folds_are_of_whole_subjects_of_equal_size_whatever_the_order(table: pd.DataFrame, count: int, seed: int, shuffle: Random) -> None:
    found = folds(table, subject="participant_id", stratify=["site", "sex", "age"], count=count, seed=seed)
    people = found.groupby(table.participant_id)
    assert (people.nunique() == 1).all()
    sizes = people.first().value_counts().reindex(range(count), fill_value=0)
    assert sizes.max() - sizes.min() <= 1
    order = list(range(len(table)))
    shuffle.shuffle(order)
    again = folds(table.iloc[order], subject="participant_id", stratify=["site", "sex", "age"], count=count, seed=seed)
    pd.testing.assert_series_equal(again.sort_index(), found)


def cohort(size: int, *, seed: int) -> pd.DataFrame:
    """People of two sites, one of which scans the old."""
    random = np.random.default_rng(seed)
    site = random.choice(["here", "there"], size, p=[0.7, 0.3])
    age = random.normal(40, 12, size) + 20 * (site == "there")
    return pd.DataFrame(
        {"participant_id": [f"sub-{n}" for n in range(size)], "age": age, "sex": random.choice(["F", "M"], size), "site": site}
    )


def test_folds_are_more_alike_than_random_ones() -> None:
    """Mean age of five folds of 60 people: the spread over folds is a fraction of that of folds drawn blindly."""
    ours, blind = [], []
    for seed in range(10):
        table = cohort(60, seed=seed)
        found = folds(table, subject="participant_id", stratify=["site", "sex", "age"], seed=seed)
        ours.append(table.age.groupby(found).mean().std())
        blind.append(table.age.groupby(np.random.default_rng(seed).permutation(60) % 5).mean().std())
        counts = pd.crosstab(found, [table.site, table.sex])
        assert (counts.max() - counts.min()).max() <= 2
    assert np.mean(ours) < 0.4 * np.mean(blind)


def test_folds_say_what_is_wrong_with_a_table() -> None:
    table = cohort(6, seed=0)
    for wrong, what in (
        ({"subject": "name"}, "no column 'name'"),
        ({"stratify": ["height"]}, "no column 'height'"),
        ({"count": 7}, "7 folds of 6 subjects"),
        ({"count": 1}, "1 folds"),
    ):
        with pytest.raises(RunError, match=what) as error:
            folds(table, **({"subject": "participant_id", "stratify": ["age"]} | wrong))
        assert error.value.reason is Reason.USAGE
    with pytest.raises(RunError, match="1 rows have no 'participant_id'"):
        folds(table.assign(participant_id=[*"abcde", None]), subject="participant_id", stratify=["age"])
