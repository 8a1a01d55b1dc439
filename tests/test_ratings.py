"""Ratings in ``qc.tsv``: read in whatever form people leave them, added without losing any, and two raters compared."""

import json
import time
from ctypes import c_int
from dataclasses import astuple
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypojax.cohort.rater_agreement import rater_agreement, side_by_side
from hypojax.cohort.ratings import LEVELS, RATING_COLUMNS, Rating, add_rating, latest_ratings, read_ratings
from hypojax.metrics.agreement import cohen_kappa
from hypojax.reason import RunError
from hypojax.tables.row_edits import with_row, without_rows

HEADER = "scan\trating\tcomment\trater\ttime\n"
WHEN = "2026-01-02T10:00:00+01:00"


def rows(folder: Path) -> list[tuple[str, ...]]:
    return [tuple(row) for row in read_ratings(folder)[0].itertuples(index=False)]


TEXTS = st.text(st.sampled_from(list("ab \"'=+-@\t\n\\;,#<&é脑\u2028\x1b\x00")) | st.characters(exclude_categories=["Cs"]), max_size=12)
RATINGS = st.builds(
    Rating,
    scan=st.sampled_from(["sub-01", "NA", "=1+1", "a\tb", '"q', "\udce9"]),
    rating=st.sampled_from(LEVELS),
    comment=TEXTS.filter(lambda text: " ".join(text.split()) not in {"n/a", "N/A", "NA", "NaN", "nan", "<NA>", "#N/A"}),
    rater=st.sampled_from(["anna", "bo", ""]),
    time=st.sampled_from([WHEN, "2026-01-02T09:00:00Z"]),
)


def edited(data: bytes, edit: str) -> bytes:
    """The table as people and their programs leave it."""
    text = data.decode("utf-8", "surrogateescape")
    cells = [line.split("\t") for line in text.splitlines() if line]
    if edit == "windows":
        return text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    if edit == "no end":
        return data.rstrip(b"\n")
    if edit == "order":
        return "".join("\t".join(["note", *line[::-1]]) + "\n" for line in cells).encode("utf-8", "surrogateescape")
    if edit == "open quote":
        return data + b'sub-99\taccept\t"blurred'
    if edit == "upper":
        return data.replace(b"scan\trating", b"Scan\tRating", 1)
    return data


@settings(max_examples=40)
@given(said=st.lists(RATINGS, min_size=2, max_size=5), edit=st.sampled_from(["", "windows", "no end", "order", "open quote", "upper"]))
def test_a_row_is_added_to_a_table_that_people_edited_and_all_others_stay(
    said: list[Rating], edit: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ratings")
    for rating in said[:-1]:
        add_rating(folder, rating)
    place = folder / "qc.tsv"
    place.write_bytes(edited(place.read_bytes(), edit))
    before = rows(folder)
    add_rating(folder, said[-1])
    last = astuple(said[-1])
    assert rows(folder) == (before if last in before else [*before, last])
    if edit in ("", "windows"):
        assert {*before, last} == set(map(astuple, said))
    others = [row for row in rows(folder) if row[0] != said[0].scan]
    place.write_bytes(without_rows(place.read_bytes(), key="scan", values=[said[0].scan]))
    assert rows(folder) == others


@pytest.mark.parametrize(
    "data",
    [
        HEADER.encode("utf-16"),
        b"scan;rating;comment\nsub-01;doubt;it moved\n",
        b"scan,rating\nsub-01,doubt\n",
        b"rating\tscan\treader\ndoubt\tsub-01\tcy\n",
        b"scan\trating\tcomment\trater\ttime\nsub-01\tdoubt\n",
        HEADER.encode() + b"sub-01\tdoubt\t" + b"\0" * 20,
    ],
)
def test_other_forms_of_the_table_are_kept_with_all_cells(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "qc.tsv").write_bytes(data)
    before = rows(tmp_path)
    add_rating(tmp_path, Rating("sub-02", "accept", "fine", "anna", WHEN))
    assert rows(tmp_path)[-1] == ("sub-02", "accept", "fine", "anna", WHEN)
    assert {row[:2] for row in before} <= {row[:2] for row in rows(tmp_path)}
    written = (tmp_path / "qc.tsv").read_text(encoding="utf-8")
    assert all(word in written for word in ("cy",) if word.encode() in data)


@pytest.mark.parametrize("data", [b"name\tage\nx\t3\n", b"PK\x03\x04 a spreadsheet", b"/annex/objects/MD5E-s1--2.tsv"])
def test_another_table_of_that_name_stays_and_the_rating_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "qc.tsv").write_bytes(data)
    with pytest.raises(RunError, match=r"qc\.tsv: the table .*; correct it, or move it elsewhere"):
        add_rating(tmp_path, Rating("sub-01", "accept"))
    assert [path.name for path in tmp_path.iterdir()] == ["qc.tsv"]
    assert (tmp_path / "qc.tsv").read_bytes() == data
    assert len(read_ratings(tmp_path)[0]) == 0


def test_rows_that_are_no_ratings_are_named_and_two_tables_may_be_put_together(tmp_path: Path) -> None:
    table = HEADER + f"sub-01\tPASS\tn/a\tanna\t{WHEN}\nsub-02\tmaybe\tn/a\tanna\t{WHEN}\nsub-03\n"
    (tmp_path / "qc.tsv").write_text(table + table + "sub-04\treject\tseen on paper\tbo\t2.1.2026\n")
    ratings, notes = read_ratings(tmp_path)
    assert ratings["scan"].tolist() == ["sub-01", "sub-04"]
    assert ratings["rating"].tolist() == ["accept", "reject"]
    assert any("2 rows not known and not used (maybe; lines 3, 7); a rating is accept, doubt, reject" in note for note in notes)
    assert any("1 time not read (2.1.2026)" in note for note in notes)
    assert any("has 1 cells for 5 columns in lines 4, 8" in note for note in notes)


def test_the_latest_rating_is_by_time_with_its_zone_and_a_row_without_time_follows_the_one_above() -> None:
    said = [
        ("a", "reject", "", "x", "2026-01-02T10:00:00+09:00"),  # 01:00 UTC
        ("a", "accept", "", "x", "2026-01-02T02:00:00Z"),
        ("b", "accept", "", "x", "2026-01-02T10:00:00Z"),
        ("b", "doubt", "", "x", ""),
        ("b", "reject", "", "x", "2026-01-02T09:00:00Z"),
        ("c", "reject", "", "y", WHEN),
        ("c", "accept", "", "x", WHEN),
    ]
    table = pd.DataFrame(said, columns=list(RATING_COLUMNS))
    assert latest_ratings(table, ["a", "b", "c", "d"])[0].tolist() == ["accept", "doubt", "reject", ""]
    assert latest_ratings(table.iloc[[1, 0, *range(2, 7)]], ["a"])[0].tolist() == ["accept"]
    assert side_by_side(table).to_dict("index") == {
        "a": {"x": "accept", "y": ""}, "b": {"x": "doubt", "y": ""}, "c": {"x": "accept", "y": "reject"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong", [{"rating": "maybe"}, {"scan": ""}, {"comment": "x" * 2001}, {"time": "today"}, {"time": "2026-01-02T10:00:00"}]
)
def test_what_cannot_be_a_row_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(RunError, match="rating"):
        Rating(**{"scan": "sub-01", "rating": "accept", **wrong})


def add_many(folder: Path, rater: str, count: int) -> None:
    for number in range(count):
        add_rating(folder, Rating(f"sub-{number:02d}", "doubt", f'a "comment" {number}', rater, WHEN))


def test_two_processes_lose_no_row(tmp_path: Path) -> None:
    several = [get_context("spawn").Process(target=add_many, args=(tmp_path, rater, 25)) for rater in ("anna", "bo")]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert sorted(row[3] for row in rows(tmp_path)) == ["anna"] * 25 + ["bo"] * 25
    assert not add_rating(tmp_path, Rating("sub-00", "doubt", 'a "comment" 0', "bo", WHEN)), "sent again after a lost answer"
    assert len(rows(tmp_path)) == 50


def add_for_ever(folder: Path, written: c_int) -> None:
    for number in range(100_000):
        add_rating(folder, Rating("sub-01", "doubt", f"comment {number}", "anna", WHEN))
        written.value = number + 1


def test_a_killed_process_loses_nothing_that_it_said_was_written(tmp_path: Path) -> None:
    context = get_context("spawn")
    for delay in (0.0, 0.03, 0.11):
        written = context.Value("i", 0, lock=False)
        folder = tmp_path / str(delay)
        writer = context.Process(target=add_for_ever, args=(folder, written))
        writer.start()
        while written.value == 0:
            assert writer.is_alive()
            time.sleep(0.001)
        time.sleep(delay)
        writer.kill()
        writer.join()
        assert [row[2] for row in rows(folder)][: written.value] == [f"comment {number}" for number in range(written.value)]
        add_rating(folder, Rating("sub-02", "accept", "after it", "bo", WHEN))
        assert rows(folder)[-1][2] == "after it"
        assert [path.name for path in folder.iterdir()] == ["qc.tsv"]


def test_kappa_is_that_of_r(shared: Path) -> None:
    entry = next(
        one for one in json.loads((shared / "stats_reference/reference.json").read_text())["entries"] if one["id"] == "cohen_kappa"
    )
    said = pd.read_csv(shared / "stats_reference" / entry["input"])
    near = {"rel": entry["tolerance"]["relative"], "abs": entry["tolerance"]["absolute"]}
    order = entry["numbers"]["order"]
    raters = [said[name].to_numpy(dtype=object) for name in ("rater_1", "rater_2")]
    for weights, name in (("none", "unweighted"), ("linear", "linear")):
        expected = entry["numbers"][name]
        found = cohen_kappa(*raters, levels=order, weights=weights)
        assert found == pytest.approx((expected["kappa"], expected["ci_low"], expected["ci_high"]), **near)
    words = dict(zip(order, LEVELS, strict=True))
    table = [
        {"scan": scan, "rating": words[word], "comment": "", "rater": rater, "time": WHEN}
        for rater in ("rater_1", "rater_2")
        for scan, word in zip(said["scan"], said[rater], strict=True)
    ]
    (agreement,) = rater_agreement(pd.DataFrame([*table, {**table[0], "scan": "of one only"}]))
    assert [list(row) for row in agreement.counts] == entry["numbers"]["table_rows_rater_1"]
    assert (agreement.scans, agreement.alike) == (90, 66)
    assert agreement.kappa.estimate == pytest.approx(entry["numbers"]["unweighted"]["kappa"], **near)


@pytest.mark.parametrize("weights", ["none", "linear"])
def test_kappa_has_no_interval_where_raters_agree_on_all(weights: Literal["none", "linear"]) -> None:
    """Shares of 0.7, 0.2 and 0.1 add up to a little less than 1."""
    said = np.repeat(LEVELS, (14, 4, 2))
    found = cohen_kappa(said, said, levels=LEVELS, weights=weights)
    assert found.estimate == 1
    assert np.isnan([found.low, found.high]).all()


def test_kappa_is_missing_where_there_is_none() -> None:
    one = np.array(["accept"] * 5, dtype=object)
    assert np.isnan(cohen_kappa(one, one, levels=LEVELS)).all()
    both = np.array(["accept", "reject", "reject"], dtype=object)
    perfect = cohen_kappa(both, both, levels=LEVELS)
    assert perfect.estimate == 1
    assert np.isnan(perfect[1:]).all(), "three scans alike do not prove an agreement without error"
    assert rater_agreement(pd.DataFrame(columns=list(RATING_COLUMNS))) == []


def test_a_row_without_a_column_in_the_table_gets_one() -> None:
    assert with_row(b"scan\tx\na\t1\n", {"scan": "b", "rating": "doubt"}, key="scan") == b"scan\tx\trating\na\t1\tn/a\nb\tn/a\tdoubt\n"
