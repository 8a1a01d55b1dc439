"""Tables as people write them: cells, columns, ages, dates, ids; and what is written is read back."""

import csv
import io
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypojax.reason import Reason, RunError
from hypojax.tables import Table, read_table, text_of, typed_column
from hypojax.tables.cells import decoded, encoded
from hypojax.tables.dates import age_of, ages_of, span_of
from hypojax.tables.people import match_ids
from hypojax.tables.writer import markdown_table, tsv

numbers = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text() | st.text(alphabet="=+-@'\"\\\t\n\r xnabtu0159,;\u202e\x1b\u2028")


def read(folder: Path, content: str | bytes, name: str = "people.tsv") -> Table:
    """A table as somebody wrote it."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(folder / name)


def ages(table: Table) -> list[object]:
    """Its column of ages."""
    return [row["age"] for row in table.rows]


@given(st.lists(numbers, min_size=1))
def test_numbers_come_back_from_text_as_they_were(values: list[float]) -> None:
    assert typed_column([*map(repr, values), "n/a"]) == [*values, None]


@given(st.lists(st.text()))
def test_a_column_is_of_one_type_whatever_it_holds(cells: list[str]) -> None:
    column = typed_column(cells)
    assert len({type(value) for value in column if value is not None}) <= 1
    assert all(value is None or str(value) == cell or float(cell) == value for value, cell in zip(column, cells, strict=True))


@pytest.mark.parametrize("cell", ["007", "1_000", "inf", "3,5", ".", "1e999", "-", "0x1f", "١"])
def test_what_only_looks_like_a_number_stays_text(cell: str) -> None:
    assert typed_column([cell, "1"]) == [cell, "1"]


@given(texts)
def test_any_text_comes_back_from_a_cell_that_neither_terminal_nor_spreadsheet_obeys(text: str) -> None:
    cell = encoded(text)
    assert decoded(cell) == text
    assert not any(character < " " or character in "\x7f\x1b\u2028\u202e" for character in cell)
    assert cell[:1] not in "=@" or not cell
    assert not (cell[:1] in ("+", "-") and cell and not cell[1:2].isdigit() and cell[1:2] != ".")


@given(texts, texts)
def test_two_texts_are_never_one_cell(first: str, second: str) -> None:
    assert (encoded(first) == encoded(second)) == (first == second)


@given(st.lists(st.tuples(texts, st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_a_written_table_has_a_line_a_row_and_is_read_as_it_was(rows: list[tuple[str, float]]) -> None:
    content = tsv(pd.DataFrame(rows, columns=["subject", "=size"]))
    plain = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(plain) == len(content.decode().split("\n")) - 1 == len(rows) + 1
    cells = [decoded(cell) for cell, _ in plain[1:]]
    assert cells == [text or "n/a" for text, _ in rows]
    assert [float(size) for _, size in plain[1:]] == [size for _, size in rows]


def test_a_table_of_ours_is_read_back_by_the_reader_and_by_pandas(tmp_path: Path) -> None:
    names = ["a\tb", "a\nb", "a b", "=cmd()", "-5", "@x", '"quoted"', "'s-Hertogenbosch", "C:\\new", "01"]
    frame = pd.DataFrame({"scan": names, "x": np.arange(10) - 5})
    (tmp_path / "t.tsv").write_bytes(tsv(frame))
    assert [row["scan"] for row in read_table(tmp_path / "t.tsv").rows] == names
    assert pd.read_csv(tmp_path / "t.tsv", sep="\t", dtype=str).shape == (10, 2)
    assert (pd.read_csv(tmp_path / "t.tsv", sep="\t").x == frame.x).all()


def test_markdown_has_no_line_break_bar_or_html_in_a_cell() -> None:
    assert markdown_table([["a"], ["<b>|\n\x1b"]])[2] == "| &lt;b&gt;\\| \\x1b |"


@pytest.mark.parametrize(
    "content",
    [
        "participant_id\tage\nsub-01\t31\nsub-02\t42\n",
        "participant_id\tage\r\nsub-01\t31\r\nsub-02\t42",
        "participant_id\tage\rsub-01\t31\rsub-02\t42\r",
        "participant_id\tage\r\nsub-01\t31\n\n\t\nsub-02\t42\t\t\n",
        '"participant_id"\t"age"\n"sub-01"\t"31"\n"sub-02"\t42\n',
        " participant_id \t age\n sub-01 \t31 \nsub-02\t 42\n",
        "participant_id\tage\t\t\nsub-01\t31\nsub-02\t42\t\t\n",
        "\ufeffparticipant_id\tage\nsub-01\t31\nsub-02\t42\n",
    ],
)
def test_harmless_spellings_of_a_table_are_one_table(tmp_path: Path, content: str) -> None:
    found = read(tmp_path, content)
    assert found.rows == ({"participant_id": "sub-01", "age": 31}, {"participant_id": "sub-02", "age": 42})
    assert not found.faults


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"participant_id,age\nsub-01,31\nsub-02,42\n", "commas"),
        (b"participant_id;age\nsub-01;31\nsub-02;42\n", "semicolons"),
        (b"participant_id  age\nsub-01  31\nsub-02  42\n", "blanks"),
        (b"sep=;\nparticipant_id;age\nsub-01;31\nsub-02;42\n", "semicolons"),
        ("participant_id\tage\nsub-01\t31\nsub-02\t42\n".encode("utf-16"), "UTF-16"),
        ("participant_id\tage\nsub-01\t31\nsub-02\t42\n".encode("utf-16-be"), "UTF-16"),
        (b'"participant_id"\t"age"\n"1"\t"sub-01"\t31\n"2"\t"sub-02"\t42\n', "row numbers"),
    ],
)
def test_a_table_of_another_kind_is_read_as_it_is_meant_and_said(tmp_path: Path, content: bytes, said: str) -> None:
    found = read(tmp_path, content)
    assert found.rows == ({"participant_id": "sub-01", "age": 31}, {"participant_id": "sub-02", "age": 42})
    assert said in " ".join(found.faults)


def test_a_wrong_byte_costs_nothing_but_is_said_with_its_line(tmp_path: Path) -> None:
    found = read(tmp_path, "participant_id\tsite\nsub-01\tA\nsub-02\tMünchen\n".encode("latin-1"))
    assert found.rows[1]["site"] == "München"
    assert "line 3" in found.faults[0]
    both = read(tmp_path, "participant_id\tsite\nsub-01\tZürich\n".encode() + "sub-02\tMünchen\n".encode("latin-1"))
    assert [row["site"] for row in both.rows] == ["Zürich", "München"]


def test_decimal_commas_are_points_where_semicolons_stand_between_cells(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("participant_id;iq;tiv;site\n01;100,5;n/a;1,2\n02;98;1,234;a,b\n")
    found = read_table(tmp_path / "people.csv")
    assert [(row["iq"], row["tiv"], row["site"]) for row in found.rows] == [(100.5, None, "1,2"), (98.0, 1.234, "a,b")]
    assert "read as points: iq, tiv" in found.notes[0]
    (tmp_path / "people.tsv").write_text("participant_id\tiq\n01\t1,000\n")
    assert read_table(tmp_path / "people.tsv").rows[0]["iq"] == "1,000", "nobody knows which comma this is"


def test_a_ragged_row_costs_itself_alone(tmp_path: Path) -> None:
    found = read(tmp_path, "participant_id\tage\tsex\nsub-01\t31\tF\nsub-02\t42\nsub-03\t1\t2\tM\nsub-04\t50\tM\n")
    assert ages(found) == [31, None, None, 50]
    assert [row["participant_id"] for row in found.rows] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert "lines 3, 4" in found.faults[0]


def test_columns_named_twice_are_kept_where_they_agree(tmp_path: Path) -> None:
    found = read(tmp_path, "participant_id\tsex\tsex\tage\tage\tiq\nsub-01\tF\tF\t31\t32\t100\n")
    assert found.rows == ({"participant_id": "sub-01", "sex": "F", "iq": 100},)
    assert "line 1" in found.faults[0]
    assert "'age'" in found.faults[0]


def test_nul_costs_the_cells_and_lines_that_hold_it(tmp_path: Path) -> None:
    found = read(tmp_path, b"participant_id\tage\tiq\nsub-01\t3\x001\t99\nsub-02\t42\t98\n\0\0\0\0\n")
    assert ages(found) == [None, 42]
    assert [row["iq"] for row in found.rows] == [99, 98]
    assert "line 2" in " ".join(found.faults)
    assert "line 4" in " ".join(found.faults)


def test_quotes_and_line_breaks_in_cells(tmp_path: Path) -> None:
    """A quotation mark at the beginning of a cell is inches, unless another closes it; a quoted cell may have line breaks."""
    assert read(tmp_path, 'path\tnote\na.nii\t5" head\n').rows == ({"path": "a.nii", "note": '5" head'},)
    found = read(tmp_path, 'id\tnote\tage\n1\t"a\nb ""c"""\t31\n2\t"5 inches\t42\n3\t6"\t43\n')
    assert [row["note"] for row in found.rows] == ['a\nb "c"', '"5 inches', '6"']
    assert (ages(found), found.lines) == ([31, 42, 43], (2, 4, 5))
    stray = read(tmp_path, 'id\tage\tnote\n1\t31\t"a\n2\t42\tb\n3\t43\tc"\n')
    assert ages(stray) == [31, 42, 43]
    last = read(tmp_path, 'id\tage\tnote\n1\t31\t"a\nb"\n2\t42\tc\n')
    assert [row["note"] for row in last.rows] == ["a\nb", "c"]
    comma = read(tmp_path, 'id,note,age\n1,"a, b",31\n2,"c\n\nd",42\n', "t.csv")
    assert [row["note"] for row in comma.rows] == ["a, b", "c\n\nd"]


def test_stray_quotation_marks_in_every_row_cost_no_time(tmp_path: Path) -> None:
    """Each line is looked at a few times, not once for each line near it."""
    wide = "\t".join(f"{n}" for n in range(20))
    found = read(tmp_path, f"id\tnote\t{wide}\n" + "".join(f'{n}\t"5 in\t{wide}\n' for n in range(100)))
    assert len(found.rows) == 100
    ragged = read(tmp_path, f"id\tnote\t{wide}\n" + "".join(f'{n}\t"5 in\n' for n in range(100)))
    assert len(ragged.rows) == 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"/annex/objects/MD5E-s1--x.tsv\n", "datalad get"),
        (b"PK\x03\x04...", "is a spreadsheet"),
        (b"version https://git-lfs.github\n", "git lfs"),
    ],
)
def test_a_table_that_holds_none_says_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(RunError, match=said) as error:
        read(tmp_path, content)
    assert error.value.reason is Reason.USAGE


def test_a_link_to_content_that_was_not_fetched_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "people.tsv").symlink_to(".git/annex/objects/x/people.tsv")
    with pytest.raises(RunError, match="datalad get people"):
        read_table(tmp_path / "people.tsv")


@pytest.mark.parametrize("ids", [["01", "02"], ["1", "2"], ["10000000", "2"], ["1e5", "2"], ["001", "x"]])
def test_ids_are_text_from_reading_to_writing(tmp_path: Path, ids: list[str]) -> None:
    frame = pd.DataFrame({"participant_id": ids, "session": ["01", "2"], "age": [31, 42]})
    (tmp_path / "t.tsv").write_bytes(tsv(frame))
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for suffix in ("tsv", "csv", "parquet"):
        found = read_table(tmp_path / f"t.{suffix}")
        assert [row["participant_id"] for row in found.rows] == ids
        assert [row["session"] for row in found.rows] == ["01", "2"]


def test_numbers_as_ids_of_parquet_become_text_without_point_or_exponent(tmp_path: Path) -> None:
    for ids in ([1, 10_000_000], [1.0, 10_000_000.0], np.array([1, 10_000_000], np.float32)):
        pd.DataFrame({"subject_id": ids, "age": [31, None]}).to_parquet(tmp_path / "t.parquet")
        found = read_table(tmp_path / "t.parquet")
        assert [row["subject_id"] for row in found.rows] == ["1", "10000000"]
    pd.DataFrame({"subject_id": [1.0, None], "age": [31, 32]}).to_parquet(tmp_path / "t.parquet")
    assert [row["subject_id"] for row in read_table(tmp_path / "t.parquet").rows] == ["1", None]


@given(st.integers(-(10**15), 10**15))
def test_a_whole_number_is_the_same_text_as_integer_and_float(number: int) -> None:
    assert text_of(float(number)) == text_of(number) == str(number)


@pytest.mark.parametrize(
    ("cell", "age"),
    [
        ("31", 31), ("0", 0), ("2.5", 2.5), ("31,5", 31.5), (".5", 0.5), ("034", 34), ("034Y", 34), ("018M", 1.5), ("34 y", 34),
        ("P34Y", 34), ("P1Y6M", 1.5), ("p", None),
        ("34y", 34), ("34 years", 34), ("34 yrs old", 34), ("34 years of age", 34), ("18 months", 1.5), ("18 mo", 1.5), ("1y 6m", 1.5),
        ("2 years, 6 months", 2.5), ("2 years and 6 months", 2.5), ("89+", 89), ("89 +", 89), (">89", 89), (">=89", 89),
        ("> 89 years", 89), ("90+", 90), ("89 or older", 89), ("over 89", 89), ("31\u00a0y", 31), ("old", None), ("30-34", None),
        ("12/05/1980", None), ("31 or 32", None), ("y", None), ("1980-05-12", None), ("٣", None), ("nan", None),
    ],
)  # fmt: skip
def test_ages_as_people_write_them(cell: str, age: float | None) -> None:
    assert age_of(cell) == (None if age is None else pytest.approx(age))


def test_a_column_of_ages_stays_numeric_and_says_what_it_read_and_what_not(tmp_path: Path) -> None:
    found = read(tmp_path, "participant_id\tage\nsub-01\t31,5\nsub-02\t89+\nsub-03\told\nsub-04\t999\nsub-05\t-1\nsub-06\tn/a\n")
    assert ages(found) == [31.5, 89.0, None, None, None, None]
    assert "2 ages" in found.notes[0]
    assert "missing in 3 rows (line 4, sub-03" in found.faults[0]
    months = read(tmp_path, "participant_id\tage_months\nsub-01\t18\nsub-02\t2 y\n")
    assert [row["age_months"] for row in months.rows] == [18, 24]
    days = read(tmp_path, "participant_id\tage\nsub-01\t9000\nsub-02\t12000\n")
    assert ages(days) == [9000, 12000], "numbers that are no years are kept: nobody knows what they are"
    assert "most numbers, such as '9000', are no ages: kept as they are" in days.faults[0]
    assert not months.faults


def test_a_column_without_a_single_age_is_no_column_of_ages(tmp_path: Path) -> None:
    found = read(tmp_path, "participant_id\tage\tage_group\nsub-01\t30-34\t1\nsub-02\t35-39\t2\n")
    assert ages(found) == ["30-34", "35-39"]
    assert "stays text" in found.notes[0]
    assert [row["age_group"] for row in found.rows] == [1, 2]


@given(st.lists(st.sampled_from(["31", "2.5", "89+", "34 y", "n/a", "", "old", "999"]), min_size=1))
def test_no_spelling_of_one_person_changes_the_age_of_another(cells: list[str]) -> None:
    alone = [ages_of([cell, "31"], "age").values[0] for cell in cells]
    together = ages_of([*cells, *["31"] * len(cells)], "age").values[: len(cells)]
    assert list(together) == alone


def test_a_column_of_numbers_and_words_stays_text_and_says_so_once(tmp_path: Path) -> None:
    found = read(tmp_path, "participant_id\tdose\tsex\nsub-01\t1\tM\nsub-02\thigh\tf\nsub-03\t2\tmale\n")
    assert [row["dose"] for row in found.rows] == ["1", "high", "2"]
    assert [row["sex"] for row in found.rows] == ["M", "f", "male"]
    (note,) = found.notes
    assert "'dose' mixes 2 numbers and 1 word ('high'; line 3, sub-02)" in note


@given(st.datetimes(datetime(1850, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - tables have no zones
def test_a_date_is_the_same_however_much_of_it_is_written(moment: datetime) -> None:
    exact = span_of(moment.isoformat())
    assert exact is not None
    for partial in (f"{moment:%Y-%m-%d}", f"{moment:%Y%m%d}", f"{moment:%Y-%m}", f"{moment:%Y}"):
        span = span_of(partial)
        assert span is not None
        assert span[0] <= exact[0] < span[1]
    day = span_of(f"{moment:%Y-%m-%d}")
    assert day is not None
    assert day[1] - day[0] == timedelta(days=1)


def test_ids_match_only_where_there_is_one_way() -> None:
    assert match_ids(["01", "02", "03"], ["1", "2", "3"])[0] == {"01": "1", "02": "2", "03": "3"}
    assert match_ids(["01", "02"], ["1", "2", "3"])[0] == {"01": "1", "02": "2"}, "a part of the table"
    assert match_ids(["01", "02", "03"], ["1", "2"])[0] == {"01": "1", "02": "2"}, "a part of the scans"
    assert match_ids(["01", "02", "03"], ["1", "2", "4"])[0] == {}, "neither side is matched whole"
    assert match_ids(["01", "1"], ["1"])[0] == {}, "1 is somebody else"
    assert match_ids(["01", "001"], ["1"])[0] == {}, "two could be meant"
    assert match_ids(["001"], ["1", "01"])[0] == {}, "two could be meant"
    assert match_ids(["P01", "P02"], ["p1", "p2"])[0] == {"P01": "p1", "P02": "p2"}
    assert match_ids(["P01"], ["P_01"])[0] == {"P01": "P_01"}
    assert match_ids(["A", "B"], ["a", "c"])[0] == {"A": "a"}, "case is forgiven one by one"
    assert match_ids(["a", "A"], ["A"])[0] == {}
    assert match_ids(["01"], ["1.0"])[0] == {"01": "1.0"}


@given(st.sets(st.from_regex("[aA]?0{0,2}[1-3]", fullmatch=True)), st.sets(st.from_regex("[aA]?0{0,2}[1-3]", fullmatch=True)))
def test_no_row_is_given_to_two_and_none_to_one_who_has_his_own(wanted: set[str], known: set[str]) -> None:
    found, _ = match_ids(wanted, known)
    assert len(set(found.values())) == len(found)
    assert not set(found) & known
    assert not set(found.values()) & wanted
