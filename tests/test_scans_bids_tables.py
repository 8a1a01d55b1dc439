"""What the tables of a dataset say of each scan, and what is said of tables that are not as they should be."""

import json
from pathlib import Path

import pytest

from hypojax.reason import Reason, RunError
from hypojax.scans import Discovery, discover


def dataset(root: Path, *scans: str, **tables: str) -> Path:
    """A dataset of empty images (``sub-01``, ``sub-01/ses-1``) with tables; ``_`` in their names stands for a slash, blanks for tabs."""
    for scan in scans:
        (folder := root / scan / "anat").mkdir(parents=True)
        (folder / f"{scan.replace('/', '_')}_T1w.nii.gz").touch()
    (root / "dataset_description.json").write_text("{}")
    for name, content in tables.items():
        write(root / f"{name}.tsv", content)
    return root


def write(path: Path, content: str) -> None:
    """A table; blanks stand for tabs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content.replace(" ", "\t"))


def columns(found: Discovery, name: str) -> list[object]:
    """One column of all scans."""
    return [scan.columns.get(name) for scan in found.scans]


@pytest.mark.parametrize(
    ("scans", "rows", "ages"),
    [
        (["sub-01", "sub-02"], "1 31\n2 42", [31, 42]),
        (["sub-01", "sub-02"], "01 31\nsub-02 42", [31, 42]),
        (["sub-A", "sub-B"], "Sub-a 31\nSUB-B 42", [31, 42]),
        (["sub-01", "sub-02"], "1.0 31\n2.0 42", [31, 42]),
        (["sub-01", "sub-02"], "1 31\n2 42\n3 43", [31, 42]),
        (["sub-01", "sub-02"], "sub_01 31\nSubject_2 42", [31, 42]),
        (["sub-01", "sub-1"], "1 31\n2 42", [None, 31]),
    ],
)
def test_rows_find_their_scans_where_there_is_one_way(tmp_path: Path, scans: list[str], rows: str, ages: list[int | None]) -> None:
    found = discover([dataset(tmp_path, *scans, participants=f"participant_id age\n{rows}\n")])
    assert columns(found, "age") == ages


def test_what_was_matched_and_what_was_not_is_said_with_examples(tmp_path: Path) -> None:
    (note,) = discover([dataset(tmp_path / "one", "sub-01", "sub-02", participants="participant_id age\n1 31\n2 42\n")]).notes
    assert "2 ids spelled differently" in note
    assert "'1' is sub-01" in note
    found = discover([dataset(tmp_path / "two", "sub-01", "sub-02", "sub-03", participants="participant_id age\n1 31\n2 42\n4 9\n")])
    assert "3 of 3 scans without a row (sub-01, sub-02); 3 rows without a scan ('1', '2')" in found.notes[0]


def test_a_missing_value_hides_nothing(tmp_path: Path) -> None:
    root = dataset(tmp_path, "sub-01/ses-1", participants="participant_id age sex\nsub-01 31 F\n")
    write(root / "sub-01/sub-01_sessions.tsv", "session_id age sex\nses-1 n/a M\n")
    (scan,) = discover([root]).scans
    assert scan.columns == {"age": 31, "sex": "M"}
    (again,) = discover([root, scan.path]).scans
    assert again.columns == scan.columns


def test_the_time_of_a_scan_is_read_from_either_table_of_scans(tmp_path: Path) -> None:
    root = dataset(tmp_path, "sub-01/ses-1", "sub-02")
    write(root / "sub-01/ses-1/sub-01_ses-1_scans.tsv", "filename acq_time\nanat/sub-01_ses-1_T1w.nii.gz 2009-06-15T13:45:30\n")
    write(root / "sub-02/sub-02_scans.tsv", "filename acq_time\n./anat/sub-02_T1w.nii 2010-01-01\nanat/sub-02_bold.nii.gz 2011-01-01\n")
    assert columns(discover([root]), "acq_time") == ["2009-06-15T13:45:30", "2010-01-01"]
    write(root / "sub-02/sub-02_scans.tsv", "filename acq_time\nanat/sub-02_T1w.nii.gz n/a\n")
    assert columns(discover([root]), "acq_time") == ["2009-06-15T13:45:30", None]


def test_a_table_of_a_subject_that_does_not_know_a_scan_is_said(tmp_path: Path) -> None:
    root = dataset(tmp_path, "sub-01/ses-1", "sub-02")
    write(root / "sub-01/sub-01_sessions.tsv", "session_id age\nses-9 31\n")
    write(root / "sub-02/sub-02_scans.tsv", "filename acq_time\nanat/sub-2_T1w.nii.gz 2010\n")
    first, second = discover([root]).notes
    assert "sub-01_sessions.tsv has no row for ses-1" in first
    assert "sub-02_scans.tsv has no row for sub-02_T1w.nii.gz" in second


def test_one_row_a_visit(tmp_path: Path) -> None:
    """By its session where the table names it; else what all rows agree on, and what they differ in is said."""
    rows = "sub-01 ses-1 31 F\nsub-01 ses-2 33 F\n"
    root = dataset(tmp_path / "a", "sub-01/ses-1", "sub-01/ses-2", participants=f"participant_id session_id age sex\n{rows}")
    assert columns(discover([root]), "age") == [31, 33]
    root = dataset(tmp_path / "b", "sub-01", "sub-02", participants="participant_id age sex\nsub-01 31 F\nsub-01 33 F\nsub-02 40 M\n")
    found = discover([root])
    assert (columns(found, "age"), columns(found, "sex")) == ([None, 40], ["F", "M"])
    assert "sub-01 2 times (lines 2, 3): they differ in age" in found.notes[0]
    root = dataset(tmp_path / "c", "sub-01", participants="participant_id age sex\nsub-01 31 n/a\nsub-01 31 F\n")
    assert discover([root]).scans[0].columns == {"age": 31, "sex": "F"}


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("participants.csv", True),
        ("Participants.tsv", True),
        ("participants.TSV", True),
        ("participants.xlsx", False),
        ("participants.tsv/x", False),
    ],
)
def test_a_table_of_people_under_another_name_is_never_passed_over_in_silence(tmp_path: Path, name: str, *, read: bool) -> None:
    root = dataset(tmp_path, "sub-01")
    write(root / name, "participant_id,age\nsub-01,31\n" if name.endswith("csv") else "participant_id age\nsub-01 31\n")
    found = discover([root])
    assert columns(found, "age") == [31 if read else None]
    assert name.split("/", maxsplit=1)[0] in found.notes[0]
    with pytest.raises(RunError, match=r"participants\.tsv"):
        discover([root], strict_tables=True)


def test_a_table_of_all_sessions_and_ids_with_their_session_tell_visits_apart(tmp_path: Path) -> None:
    both = ("sub-01/ses-01", "sub-01/ses-02")
    root = dataset(tmp_path / "a", *both)
    write(root / "sessions.tsv", "participant_id session_id age\nsub-01 1 30\nsub-01 2 31\n")
    assert columns(discover([root]), "age") == [30, 31]
    root = dataset(tmp_path / "c", *both, participants="ID visit age\nsub-01 1 30\nsub-01 2 31\n")
    assert columns(discover([root]), "age") == [30, 31]
    root = dataset(tmp_path / "b", *both, participants="participant_id age\nsub-01_ses-01 30\nsub-01_ses-02 31\n")
    assert columns(discover([root]), "age") == [30, 31]


@pytest.mark.parametrize(
    ("unit", "cells", "expected"),
    [("months", ("30", "144"), [2.5, 12.0]), ("days", ("3652.5", "7305"), [10, 20]), ("weeks", ("52.1775", "n/a"), [1, None]),
     ("years", ("30", "144"), [30, None]), ("Month", ("2 years", "-9999"), [2, None]), (None, ("30", "40"), [30, 40])],
)  # fmt: skip
def test_ages_are_in_the_unit_that_the_description_names(
    tmp_path: Path, unit: str | None, cells: tuple[str, str], expected: list[float | None]
) -> None:
    root = dataset(tmp_path, "sub-01", "sub-02")
    (root / "participants.tsv").write_text(f"participant_id\tage\nsub-01\t{cells[0]}\nsub-02\t{cells[1]}\n")
    (root / "participants.json").write_text(json.dumps({"age": {"Units": unit}, "sex": "no description"}))
    found = discover([root])
    assert columns(found, "age") == [None if age is None else pytest.approx(age) for age in expected]
    assert any("its description names" in note for note in found.notes) == (unit not in ("years", None))


FAULTY = {
    "ragged": "participant_id age\nsub-01 31\nsub-02\n",
    "twice": "participant_id age\nsub-01 31\nsub-01 33\nsub-02 42\n",
    "nobody": "participant_id age\nsub-01 31\nn/a 33\nsub-02 42\n",
    "names": "participant_id age age\nsub-01 31 32\nsub-02 33 33\n",
    "no ids": "name age\nx 31\n",
    "no row": "participant_id age\nsub-01 31\n",
    "no age": "participant_id age\nsub-01 old\nsub-02 42\n",
    "empty": "",
    "nameless": 'participant_id age ""\nsub-01 31 x\nsub-02 42 y\n',
    "comment": "# made by hand, 2024\nparticipant_id age\nsub-01 31\nsub-02 42\n",
}


@pytest.mark.parametrize("kind", list(FAULTY))
def test_a_fault_of_a_table_is_said_and_ends_no_run_unless_that_is_asked_for(tmp_path: Path, kind: str) -> None:
    root = dataset(tmp_path, "sub-01", "sub-02", participants=FAULTY[kind])
    found = discover([root])
    assert len(found.scans) == 2
    assert "participants.tsv" in found.notes[0]
    with pytest.raises(RunError, match=r"participants\.tsv") as error:
        discover([root], strict_tables=True)
    assert error.value.reason is Reason.USAGE


def test_tables_that_are_links_to_nothing_are_said_to_be_that(tmp_path: Path) -> None:
    root = dataset(tmp_path, "sub-01/ses-1")
    for name in ("participants.tsv", "sub-01/sub-01_sessions.tsv"):
        (root / name).symlink_to(".git/annex/objects/x")
    notes = discover([root]).notes
    assert ["datalad get participants.tsv" in notes[0], "datalad get sub-01_sessions.tsv" in notes[1]] == [True, True]
    (root / "dataset_description.json").unlink()
    assert "datalad get participants.tsv" in discover([root / "sub-01/ses-1/anat"]).notes[0]


def test_faults_of_many_small_tables_are_said_in_few_sentences(tmp_path: Path) -> None:
    root = dataset(tmp_path, *(f"sub-{number:02d}/ses-1" for number in range(9)))
    for number in range(9):
        write(root / f"sub-{number:02d}/sub-{number:02d}_sessions.tsv", "session_id age\nses-1\n")
    notes = discover([root]).notes
    assert len(notes) == 4
    assert notes[-1].startswith("6 more")


def test_a_sound_table_says_nothing_and_passes_strictly(tmp_path: Path) -> None:
    root = dataset(tmp_path, "sub-01", "sub-02", participants="participant_id age sex\nsub-01 31 F\nsub-02 2.5 M\n")
    assert discover([root], strict_tables=True).notes == ()
