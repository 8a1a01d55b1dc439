"""Where the time of scans comes from, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from hypojax.reason import RunError
from hypojax.study.over_time.time_axis import time_axis


def test_order_of_sources() -> None:
    people = pd.DataFrame({"visit": [0.0, 1.5], "acq_time": ["1900-03-01T10:00:00", "1902-03-01T10:00:00"], "age": [60.0, 61.2]})
    assert time_axis(people, "visit").years.tolist() == [0.0, 1.5]
    assert np.diff(time_axis(people).years) == pytest.approx(730 / 365.25)
    assert np.diff(time_axis(people.drop(columns="acq_time")).years) == pytest.approx(1.2)
    assert "whole years" not in time_axis(people.drop(columns="acq_time")).sentence
    assert "whole years" in time_axis(pd.DataFrame({"age": [60, 62]})).sentence


def test_missing_times_stay_missing() -> None:
    found = time_axis(pd.DataFrame({"when": ["2020-01-01", None, "2020-07-01"]}), "when")
    assert np.isnan(found.years).tolist() == [False, True, False]
    assert np.isnan(time_axis(pd.DataFrame({"years": [0.0, np.nan]}), "years").years).tolist() == [False, True]


@pytest.mark.parametrize(
    ("table", "asked", "message"),
    [
        ({"age": [60.0]}, "years", "no column 'years' .* the columns are age"),
        ({"group": ["a"]}, "time", "nothing says when"),
        ({"visit": ["baseline", "follow-up"]}, "visit", "'baseline', which is neither"),
        ({"visit": ["2020-01-01", "3"]}, "visit", "numbers and dates"),
    ],
)
def test_no_time_is_refused(table: dict[str, list[object]], asked: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        time_axis(pd.DataFrame(table), asked)
