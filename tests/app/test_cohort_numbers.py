"""Numbers of a cohort equal those that pandas gives by hand."""

import numpy as np
import pandas as pd
import pytest
from light_cohorts import light_cohort, some_people

from hypojax.app.cohort_choice import CohortChoice
from hypojax.app.cohort_figures import points_of
from hypojax.app.cohort_filter import CohortFilter, chosen_scans
from hypojax.app.cohort_numbers import counting, group_rows, groups_shown, scan_counts
from hypojax.app.cohort_view import CohortView
from hypojax.cohort.ratings import Rating, add_rating


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> CohortView:
    folder = tmp_path_factory.mktemp("cohorts")
    people = some_people(24, seed=1)
    people["sub-05"]["group"] = None
    out = light_cohort(folder / "a", people, failed=["sub-02"], pending=["sub-03"], flags={"sub-04": ["noisy"]})
    for scan, word in (("sub-06", "reject"), ("sub-07", "doubt"), ("sub-02", "reject")):
        add_rating(out, Rating(scan, word, rater="anna"))
    return CohortChoice(folder).open("a")


@pytest.mark.parametrize("asked", [CohortFilter(), CohortFilter(site=("north",), youngest=30.0), CohortFilter(rating=("reject",))])
def test_counts_and_means_are_those_of_pandas(view: CohortView, asked: CohortFilter) -> None:
    rated = view.rated()
    keep = chosen_scans(view.scans, asked, rated)
    table = pd.read_csv(view.folder / "volumes.tsv", sep="\t", na_values=["n/a"], dtype={"scan": str})
    own = table[table["scan"].isin(view.scans.index[keep])]
    once = own.drop_duplicates("scan")
    counts = scan_counts(view, keep, rated)
    assert counts.found == int(keep.sum()) == len(once)
    assert (counts.done, counts.failed, counts.waiting) == tuple(
        int((once["status"] == word).sum()) for word in ("done", "failed", "pending")
    )
    assert counts.rated == int(once["scan"].isin(["sub-02", "sub-06", "sub-07"]).sum())
    assert counts.rejected == int((once["scan"] == "sub-06").sum())
    used = own[(own["status"] == "done") & (own["scan"] != "sub-06")]
    counted = counting(view, keep, rated)
    rows = group_rows(view, counted, groups_shown(view, "group"), ["hypothalamus", "icv"])
    for row in rows:
        people = used[used["group"].fillna("not known") == row.label]
        assert row.scans == people["scan"].nunique()
        ages = people.drop_duplicates("scan")["age"].dropna()
        assert row.age.n == len(ages)
        for region, spread in row.volumes.items():
            values = people.loc[people["region"] == region, "volume_mm3"]
            np.testing.assert_allclose((spread.n, spread.mean, spread.deviation), (len(values), values.mean(), values.std()))
    assert sum(row.scans for row in rows) == used["scan"].nunique()


def test_points_of_plots_are_the_scans_that_count(view: CohortView) -> None:
    rated = view.rated()
    counted = counting(view, chosen_scans(view.scans, CohortFilter(group=("patient",)), rated), rated)
    points = points_of(view.scans, counted, groups_shown(view, "sex"), "hypothalamus")
    own = view.scans[counted]
    np.testing.assert_array_equal(points.volumes, own["volume hypothalamus"])
    assert [points.labels[code] for code in points.codes] == own["sex"].tolist()
    np.testing.assert_allclose(points.left + points.right, points.volumes)
