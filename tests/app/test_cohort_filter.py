"""A filter leaves the scans that a plain loop over the rows leaves, and refuses whatever is no filter."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypojax.app.cohort_filter import CohortFilter, chosen_scans, column_texts, filter_of, values_of
from hypojax.reason import RunError

WORDS = ["AD", "HC", "a b", "ä", "1", ""]
FLAGS = ["noisy", "low_contrast", "asymmetric"]


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.Series]:
    """Scans with missing values, and how they are rated."""
    number = draw(st.integers(0, 12))
    cells = st.sampled_from([*WORDS[:-1], None])

    def column(strategy: st.SearchStrategy[Any]) -> list[Any]:
        return [draw(strategy) for _ in range(number)]

    index = pd.Index([f"sub-{place}" for place in range(number)], name="scan")
    columns: dict[str, Any] = {name: pd.Series(column(cells), index=index, dtype=object) for name in ("group", "dataset")}
    columns["age"] = pd.Series(column(st.one_of(st.integers(0, 99), st.just(float("nan")))), index=index, dtype=float)
    columns["flags"] = pd.Series([" ".join(draw(st.sets(st.sampled_from(FLAGS)))) for _ in range(number)], index=index, dtype=object)
    columns["found"] = pd.Series([f"{name} {draw(st.sampled_from(WORDS)).casefold()}" for name in index], index=index, dtype=object)
    rated = pd.Series(column(st.sampled_from(["", "accept", "doubt", "reject"])), index=index, dtype=object)
    return pd.DataFrame(columns, index=index), rated


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    """What a page may send."""
    some = st.lists(st.sampled_from(WORDS), max_size=3)
    age = st.one_of(st.none(), st.integers(0, 99))
    return {
        "group": draw(some), "dataset": draw(some), "sex": draw(st.sampled_from([[], ["F"], ["", "F"]])),
        "flags": draw(st.lists(st.sampled_from([*FLAGS, ""]), max_size=2)),
        "rating": draw(st.lists(st.sampled_from(["", "accept", "reject"]), max_size=2)),
        "youngest": draw(age), "oldest": draw(age), "text": draw(st.sampled_from(["", "sub", "AD", "2 SUB", "(.*"])),
    }  # fmt: skip


def is_chosen(row: Mapping[str, Any], scan: str, asked: dict[str, Any], rating: str) -> bool:
    """One scan, by hand."""
    for name in ("group", "dataset", "sex"):
        value = row.get(name)
        if asked[name] and ("" if value is None else value) not in asked[name]:
            return False
    if asked["flags"] and not any((flag in row["flags"].split()) if flag else not row["flags"] for flag in asked["flags"]):
        return False
    if asked["rating"] and rating not in asked["rating"]:
        return False
    ends = asked["youngest"], asked["oldest"]
    if ends != (None, None) and (math.isnan(row["age"]) or not (ends[0] or 0) <= row["age"] <= (math.inf if ends[1] is None else ends[1])):
        return False
    return all(word in row["found"] for word in asked["text"].lower().split())


@settings(max_examples=40)
@given(tables(), filters())
def test_a_filter_leaves_what_a_loop_over_the_rows_leaves(made: tuple[pd.DataFrame, pd.Series], asked: dict[str, Any]) -> None:
    scans, rated = made
    kept = chosen_scans(scans, filter_of(asked), rated)
    by_hand = [is_chosen(scans.loc[scan].to_dict(), scan, asked, rated[scan]) for scan in scans.index]
    assert kept.tolist() == by_hand


@settings(max_examples=20)
@given(tables())
def test_every_value_that_can_be_chosen_leaves_a_scan_and_together_they_leave_all(made: tuple[pd.DataFrame, pd.Series]) -> None:
    scans, rated = made
    for name, values in values_of(scans).items():
        each = [chosen_scans(scans, filter_of({name: [value]}), rated) for value in values]
        assert all(kept.any() for kept in each)
        assert np.logical_or.reduce(each).all()
    assert chosen_scans(scans, CohortFilter(), rated).all()


@pytest.mark.parametrize(
    "given",
    [
        {"group": "AD"}, {"group": [1]}, {"group": [["AD"]]}, {"group": ["x"] * 501}, {"youngest": "40"}, {"youngest": True},
        {"oldest": float("nan")}, {"oldest": float("inf")}, {"text": ["a"]}, {"text": "x" * 501}, {"path": ["/etc/passwd"]},
        {"__class__": []}, {"flags": {"a": 1}},
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(RunError):
        filter_of(given)


def test_numbers_of_a_column_are_texts_as_tables_have_them() -> None:
    assert column_texts(pd.DataFrame({"site": [1.0, 2.5, None]}), "site") == ["1", "2.5", ""]
