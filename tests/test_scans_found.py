"""Files of one name: each keeps a scan of its own, under an id that tells where it lies; folders of known layouts give each brain once."""

import os
from pathlib import Path
from typing import Final

import pytest

from hypojax.execute.inputs import adopt
from hypojax.execute.output import entries_of
from hypojax.reason import Reason, RunError
from hypojax.scans import discover

HCP: Final = (
    *(
        f"T1w/{name}.nii.gz"
        for name in ("T1w_acpc_dc", "T1w_acpc_dc_restore_brain", "T1wDividedByT2w", "BiasField_acpc_dc", "ribbon", "wmparc")
    ),
    "T1w/aparc+aseg.nii.gz",
    "MNINonLinear/T1w.nii.gz",
    "unprocessed/3T/T1w_MPR1/3T_AFI.nii.gz",
    "unprocessed/3T/T1w_MPR1/3T_BIAS_BC.nii.gz",
)
"""A subject of the Human Connectome Project."""

UKB: Final = (
    "T1.nii.gz",
    "T1_brain.nii.gz",
    "T1_unbiased_brain.nii.gz",
    "T1_fast/T1_brain_pve_0.nii.gz",
    "T1_first/T1_first_all_fast_firstseg.nii.gz",
)
"""A subject of UK Biobank."""


def touch(root: Path, *names: str) -> list[Path]:
    """Make empty files: finding opens none."""
    files = [root / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return files


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["p1/T1.nii", "p2/T1.nii.gz"], ["p1_T1", "p2_T1"]),
        (["T1.nii", "T1.nii.gz", "again/T1.nii"], ["T1.nii", "T1.nii.gz", "again_T1.nii"]),
        (["A/1/ses_1/anat_1/mprage.nii", "B/1/ses_1/anat_1/mprage.nii", "B/2/ses_1/anat_1/x.nii"], ["A_mprage", "B_mprage", "x"]),
        ([f"{who}/{name}" for who in ("10", "20") for name in HCP], ["10_T1w_acpc_dc", "20_T1w_acpc_dc"]),
        ([f"{who}_20252_2_0/T1/{name}" for who in ("1", "2") for name in UKB], ["1_20252_2_0_T1", "2_20252_2_0_T1"]),
        (["a_T1.nii", "a/T1.nii", "b/T1.nii"], ["a_T1", "a_T1-2", "b_T1"]),
        (["a.nii", "__MACOSX/a.nii", "@eaDir/a.nii", "#recycle/b.nii", "$RECYCLE.BIN/a.nii", "._a.nii"], ["a"]),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, files: list[str], expected: list[str]) -> None:
    touch(tmp_path, *files)
    found = discover([tmp_path])
    assert [scan.id for scan in found.scans] == sorted(expected)
    assert ("told apart by folders" in "\n".join(found.notes)) == (len(expected) > 1)
    for scan in found.scans:
        assert scan.path.is_relative_to(tmp_path)


def test_files_named_one_by_one_are_told_apart_and_ids_of_a_table_are_not(tmp_path: Path) -> None:
    files = touch(tmp_path, "one/T1.nii", "two/T1.nii.gz")
    assert [scan.id for scan in discover([*files, files[0]]).scans] == ["one_T1", "two_T1"]
    table = tmp_path / "list.tsv"
    table.write_text("scan\tpath\nT1\tone/T1.nii\nT1\ttwo/T1.nii.gz\n")
    with pytest.raises(RunError) as caught:
        discover([table])
    assert caught.value.reason is Reason.DUPLICATE_SCAN
    assert all(
        part in str(caught.value) for part in ("'T1'", *map(str, files), f"line 2 of table {table}", "line 3", "its own id in column")
    )
    table.write_text("path\none\\T1.nii\n")
    assert [scan.path for scan in discover([table]).scans] == [files[0]]


def test_two_forms_of_one_scan_of_a_dataset_are_said_and_keep_their_subject(tmp_path: Path) -> None:
    touch(tmp_path, "dataset_description.json", "sub-01/anat/sub-01_T1w.nii", "sub-01/anat/sub-01_T1w.nii.gz")
    found = discover([tmp_path])
    assert [scan.id for scan in found.scans] == ["sub-01_T1w.nii", "sub-01_T1w.nii.gz"]
    assert {scan.entities["subject"] for scan in found.scans} == {"01"}
    assert "sub-01 has 2 T1w images of one scan" in "\n".join(found.notes)


def test_images_that_cannot_be_read_or_lie_astray_are_counted_and_said(tmp_path: Path) -> None:
    forms = ("a.nii.gz.gz", "b.nii.bz2", "c.NII.GZ.part", "d.nii.gz~", "e.img.gz", "f.mnc", "g.zip", "h.txt")
    touch(tmp_path, "loose/good.nii", *(f"loose/{name}" for name in forms))
    expected = {".nii.gz.gz": 1, ".nii.bz2": 1, ".nii.gz.part": 1, ".nii.gz~": 1, ".img.gz": 1, ".mnc": 1, ".zip": 1}
    assert discover([tmp_path / "loose"]).ignored == expected
    touch(
        tmp_path, "ds/dataset_description.json", "ds/sub-01/anat/sub-01_T1w.nii", "ds/sub-02/anat/sub-02_T1w.nii.bz2", "ds/sub-03_T1w.nii"
    )
    found = discover([tmp_path / "ds"])
    assert (len(found.scans), found.ignored) == (1, {".nii.bz2": 1})
    assert "1 image (sub-03_T1w.nii) of" in "\n".join(found.notes)


@pytest.mark.parametrize(
    "description",
    ["{}", '{"DatasetType": "derivative"}', '{"PipelineDescription": {"Name": "x"}}', '{"GeneratedBy": [{"Name": "fMRIPrep"}]}', "{broken"],
)
def test_a_dataset_that_a_pipeline_made_is_left_out_beside_its_source(tmp_path: Path, description: str) -> None:
    touch(tmp_path, *(f"{name}/sub-01/anat/sub-01_T1w.nii" for name in ("raw", "made")))
    (tmp_path / "raw/dataset_description.json").write_text('{"DatasetType": "raw", "GeneratedBy": [{"Name": "sMRIPrep"}]}')
    (tmp_path / "made/dataset_description.json").write_text(description)
    one = description not in ("{}", "{broken")
    assert [scan.id for scan in discover([tmp_path]).scans] == (["sub-01"] if one else ["made_sub-01", "raw_sub-01"])


@pytest.mark.parametrize("name", ["sub-01_T1w.nii", "sub-01/anat/T1.nii", "01/T1.nii"])
def test_a_table_of_people_that_says_nothing_of_the_scans_is_said(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t3\n")
    assert "participants.tsv says nothing of the scans" in "\n".join(discover([tmp_path]).notes)


def test_links_to_one_content_are_scans_of_their_own(tmp_path: Path) -> None:
    content = tmp_path / ".git/annex/objects/K.nii.gz"
    touch(tmp_path, ".git/annex/objects/K.nii.gz")
    for name in ("p1", "p2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "T1.nii.gz").symlink_to(content)
    assert [scan.id for scan in discover([tmp_path]).scans] == ["p1_T1", "p2_T1"]


def test_several_scans_of_one_content_are_all_known_again(tmp_path: Path) -> None:
    touch(tmp_path, "K.nii.gz")
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.nii.gz").symlink_to(tmp_path / "K.nii.gz")
    found = discover([tmp_path])
    assert [scan.id for scan in adopt(found, entries_of(found.scans)).scans] == ["K", "a", "b", "c"]


def test_links_in_circles_end_no_search(tmp_path: Path) -> None:
    touch(tmp_path, "s1/T1.nii")
    (tmp_path / "s1/up").symlink_to(tmp_path)
    (tmp_path / "loop.nii.gz").symlink_to(tmp_path / "loop.nii.gz")
    assert [scan.id for scan in discover([tmp_path]).scans] == ["T1", "loop"]


def test_a_scan_says_size_and_time_of_its_file_or_series(tmp_path: Path) -> None:
    series = tmp_path / "p02"
    series.mkdir()
    for number, name in enumerate(("p01_T1w.nii.gz", "p02/1.dcm", "p02/2.dcm"), start=1):
        (tmp_path / name).write_bytes(b"x" * number)
        os.utime(tmp_path / name, (1000 * number, 1000 * number + 0.5))
    (tmp_path / "p03_T1w.nii").symlink_to("/nowhere")
    found = {scan.id: (scan.size, scan.modified) for scan in discover(tmp_path).scans}
    assert found == {"p01": (1, 1000.5), "p02": (5, 3000.5), "p03": (0, 0.0)}
