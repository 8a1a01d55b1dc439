"""How label maps are found, read and paired: every reference is listed, no prediction serves two, and doubt makes no pair."""

from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import UInt8
from sample_store import DONE, FAILED, PENDING, STRIPPED, UNTOUCHED, segmented, small_store

from hypojax.cohort.derivatives import scan_stem
from hypojax.evaluation import compare, score_mask
from hypojax.evaluation.maps import LabelMap, find_maps, load, structure_of
from hypojax.evaluation.pairs import find_pairs, match
from hypojax.grid import Affine
from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans import write_nifti

AFFINE: Final = np.array([[-1.0, 0.1, 0.0, 30.0], [0.1, 1.2, 0.0, -40.0], [0.0, 0.0, 1.5, 7.0], [0.0, 0.0, 0.0, 1.0]])
STORED: Final = 1e-5
"""Relative; affines of files are float32."""

LabelVoxels = UInt8[np.ndarray, "i j k"]


def labels(seed: int = 0, *, shape: tuple[int, int, int] = (7, 6, 5)) -> LabelVoxels:
    return np.random.default_rng(seed).integers(0, 11, shape, np.uint8)


def put(path: Path, voxels: np.ndarray, affine: Affine = AFFINE) -> Path:
    write_nifti(path, voxels, affine)
    return path


def maps(*names: str, structure: str = "hypothalamus") -> list[LabelMap]:
    """Label maps called ``dataset/scan``."""
    found = [name.rpartition("/") for name in names]
    return [LabelMap(scan, structure, Path(f"{number}.nii"), dataset) for number, (dataset, _, scan) in enumerate(found)]


def paired(predicted: list[LabelMap], reference: list[LabelMap]) -> list[str | None]:
    """For each reference, the file of its prediction."""
    return [pair.predicted.path.stem if pair.predicted else None for pair in match(predicted, reference)]


# Finding and reading


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("sub-01_space-orig_seg-hypothalamus_dseg.nii.gz", "hypothalamus"),
        ("sub-01_space-orig_label-ICV_mask.nii.gz", "icv"),
        ("Subj01_dlmuse.nii.gz", "icv"),
        ("sub-01_desc-brain_mask.nii.gz", "icv"),
        ("017.nii", "hypothalamus"),
        ("colin27_dseg.nii.gz", "hypothalamus"),
        ("sub-01_T1w.nii.gz", None),
        ("sub-01_probseg.nii.gz", None),
        ("sub-01_seg-hypothalamus_probseg.nii.gz", None),
        ("sub-01_label-GM_mask.nii.gz", None),
        ("sub-01_desc-aparcaseg_dseg.nii.gz", None),
    ],
)
def test_names_say_what_a_map_shows(name: str, structure: str | None) -> None:
    assert structure_of(Path(name)) == structure


def test_label_maps_in_a_folder(tmp_path: Path) -> None:
    inner = tmp_path / "ds1" / "sub-01" / "ses-2" / "anat"
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t33\n")
    for name in ("sub-01_ses-2_run-02_space-orig_seg-hypothalamus_dseg.nii.gz", "sub-01_ses-2_T1w.nii.gz"):
        put(inner / name, labels())
    (found,) = find_maps(tmp_path)
    assert (found.scan, found.dataset, dict(found.columns)) == ("sub-01_ses-2_run-2", "ds1", {"age": 33})
    assert len(find_maps(tmp_path, structure="icv")) == 2
    with pytest.raises(RunError, match="does not exist"):
        find_maps(tmp_path / "nowhere")


def test_what_is_read_is_labels(tmp_path: Path) -> None:
    as_float = put(tmp_path / "a.nii.gz", labels().astype(np.float32))
    (found,) = find_maps(as_float)
    assert (load(found).voxels == labels()).all()
    assert load(found).affine == pytest.approx(AFFINE, rel=STORED)
    (mask,) = find_maps(put(tmp_path / "b_icv.nii.gz", labels() * np.int16(20)))
    assert (load(mask).voxels == (labels() > 0)).all()
    for wrong in (labels().astype(np.float32) / 2, labels().astype(np.int16) + 1, labels().astype(np.int16) - 1):
        (found,) = find_maps(put(tmp_path / "c.nii.gz", wrong))
        with pytest.raises(ScanError, match="whole numbers from 0 to 10") as error:
            load(found)
        assert error.value.reason is Reason.OTHER_LABELS


def test_label_maps_of_a_store_with_the_reasons_of_its_failures(tmp_path: Path) -> None:
    small_store(tmp_path / "out" / "cohort.zarr")
    found = {(one.scan, one.structure): one for one in find_maps(tmp_path / "out")}
    assert len(found) == 10
    assert (load(found[DONE, "hypothalamus"]).voxels == segmented(0).hypothalamus).all()
    assert (load(found[DONE, "icv"]).voxels == segmented(0).intracranial).all()
    assert (load(found[DONE, "icv"]).affine == segmented(0).affine).all()
    assert found[DONE, "icv"].columns["age"] == 31
    expected = {(STRIPPED, "icv"): Reason.SKULL_STRIPPED, (FAILED, "icv"): Reason.TRUNCATED, (PENDING, "icv"): Reason.NO_PREDICTION}
    for key, reason in {**expected, (UNTOUCHED, "hypothalamus"): Reason.NO_PREDICTION}.items():
        with pytest.raises(ScanError) as error:
            load(found[key])
        assert error.value.reason is reason


# Pairing


def test_names_pair() -> None:
    assert paired(maps("sub-02", "sub-01"), maps("sub-01", "sub-02", "sub-03")) == ["1", "0", None]
    assert paired(maps("ds1/sub-01", "ds2/sub-01"), maps("ds2/sub-01", "ds1/sub-01")) == ["1", "0"]
    assert paired(maps("predicted/sub-01"), maps("manual/sub-01")) == ["0"]


def test_names_that_fit_several_maps_make_no_pair() -> None:
    assert paired(maps("ds1/sub-01", "ds2/sub-01"), maps("sub-01")) == [None]
    assert paired(maps("sub-01"), maps("ds1/sub-01", "ds2/sub-01")) == [None, None]
    (pair,) = match(maps("sub-01", "sub-01"), maps("sub-01"))
    assert pair.reason is Reason.AMBIGUOUS_PAIR
    assert "0.nii, 1.nii" in pair.message


def test_where_datasets_have_names_they_are_not_mixed_up() -> None:
    assert paired(maps("ds1/sub-01", "ds2/sub-02"), maps("ds1/sub-01", "ds3/sub-02")) == ["0", None]


def test_derivatives_of_scans_whose_id_is_none_of_bids_are_found() -> None:
    stems = [scan_stem(scan).rpartition("/")[2] for scan in ("colin27", "ds1_sub-01")]
    assert paired(maps(*stems), maps("colin27", "ds1/sub-01")) == ["0", "1"]
    assert paired(maps("colin27", "ds1/sub-01"), maps(*stems)) == ["0", "1"]


def test_subject_session_and_run_are_enough_where_nothing_else_tells(tmp_path: Path) -> None:
    put(tmp_path / "a" / "sub-01_ses-1_acq-mprage_run-01_desc-x_dseg.nii.gz", labels())
    put(tmp_path / "a" / "sub-01_ses-1_acq-mprage_run-01_dseg.nii.gz", labels())
    put(tmp_path / "b" / "sub-01_ses-1_run-1_dseg.nii.gz", labels())
    (pair,) = find_pairs(tmp_path / "a", tmp_path / "b").pairs
    assert pair.predicted is not None
    assert pair.predicted.path.name == "sub-01_ses-1_acq-mprage_run-01_dseg.nii.gz"


names = st.lists(st.builds("{}/sub-{}".format, st.sampled_from(["", "a", "b"]), st.integers(1, 3)), max_size=6)


@given(names, names)
def test_every_reference_is_listed_and_no_prediction_serves_two(predicted: list[str], reference: list[str]) -> None:
    wanted = maps(*reference)
    pairs = match(maps(*predicted), wanted)
    assert [pair.reference for pair in pairs] == wanted
    used = [id(pair.predicted) for pair in pairs if pair.predicted]
    assert len(used) == len(set(used))
    for pair in pairs:
        assert (pair.predicted is None) == (pair.reason is not Reason.NONE) == bool(pair.message)
        assert pair.predicted is None or pair.predicted.scan == pair.reference.scan


def test_two_files_are_a_pair_whatever_they_are_called(tmp_path: Path) -> None:
    first, second = put(tmp_path / "x.nii.gz", labels(1)), put(tmp_path / "manual_label-ICV_mask.nii.gz", labels(2))
    found = compare(first, second)
    assert found.region.values.tolist() == ["icv"]
    assert found.dice.item() == score_mask(labels(1) > 0, labels(2) > 0, affine=AFFINE)["dice"]


def test_two_references_of_one_scan_are_refused(tmp_path: Path) -> None:
    for name in ("sub-01_dseg.nii.gz", "sub-01_space-orig_dseg.nii.gz"):
        put(tmp_path / name, labels())
    with pytest.raises(RunError, match="two references are of scan 'sub-01'"):
        find_pairs(tmp_path, tmp_path)


def test_nothing_to_compare_says_what_was_seen(tmp_path: Path) -> None:
    put(tmp_path / "a" / "sub-01_dseg.nii.gz", labels())
    (tmp_path / "b").mkdir()
    with pytest.raises(RunError, match=r"found: 1 in .*a, 0 in .*b"):
        compare(tmp_path / "a", tmp_path / "b")
