"""Scores of pairs against slow twins, and the evaluation of two places: every reference keeps a row."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8

from hypojax.evaluation import ScanScores, compare, score_mask, score_pair, tabulate
from hypojax.evaluation.scores import METRICS, ROWS, nearest
from hypojax.grid import Affine, Grid, to_voxel, to_world
from hypojax.reason import Reason, RunError
from hypojax.scans import read, write_nifti
from hypojax.schema import LABELS, PARTS
from hypojax.store import ScanEntry

AFFINE: Final = np.array([[-1.0, 0.1, 0.0, 30.0], [0.1, 1.2, 0.0, -40.0], [0.0, 0.0, 1.5, 7.0], [0.0, 0.0, 0.0, 1.0]])

LabelVoxels = UInt8[np.ndarray, "i j k"]


def labels(seed: int = 0, *, shape: tuple[int, int, int] = (7, 6, 5)) -> LabelVoxels:
    return np.random.default_rng(seed).integers(0, 11, shape, np.uint8)


def put(path: Path, voxels: np.ndarray, affine: Affine = AFFINE) -> Path:
    write_nifti(path, voxels, affine)
    return path


# Scores of arrays


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_scores_against_sets_of_voxels(first: int, second: int) -> None:
    predicted, reference = labels(first), labels(second)
    scores = score_pair(predicted, reference, affine=AFFINE)
    voxel = float(abs(np.linalg.det(AFFINE)))
    for region, values in PARTS.items():
        ours, theirs = ({tuple(index) for index in np.argwhere(np.isin(one, values))} for one in (predicted, reference))
        assert scores[region]["dice"] == pytest.approx(2 * len(ours & theirs) / (len(ours) + len(theirs)))
        assert scores[region]["volume_predicted_mm3"] == pytest.approx(len(ours) * voxel)
        assert scores[region]["volume_error_mm3"] == pytest.approx((len(ours) - len(theirs)) * voxel)
    assert [*scores["hypothalamus"]] == [variable.name for variable in METRICS]


def test_a_prediction_on_finer_voxels_or_stored_the_other_way_round_scores_the_same() -> None:
    reference = labels()
    fine = reference.repeat(2, 0).repeat(3, 1)
    affine = AFFINE @ np.diag([1 / 2, 1 / 3, 1.0, 1.0])
    affine[:3, 3] = to_world(AFFINE, np.array([-1 / 4, -1 / 3, 0.0]))
    turned = AFFINE @ np.array([[0, -1, 0, 6.0], [0, 0, 1.0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
    rolled = np.roll(reference, 1, 1)
    for voxels, own in ((fine, affine), (reference[::-1].transpose(2, 0, 1), turned)):
        scores = score_pair(voxels, reference, affine=AFFINE, predicted_affine=own)
        assert all(one["dice"] == 1.0 and one["hd95_mm"] == 0.0 for one in scores.values())
        assert all(one["volume_error_mm3"] == pytest.approx(0.0, abs=1e-9) for one in scores.values())
    there = score_pair(rolled[::-1].transpose(2, 0, 1), reference, affine=AFFINE, predicted_affine=turned)
    assert there["hypothalamus"] == pytest.approx(score_pair(rolled, reference, affine=AFFINE)["hypothalamus"])


def test_volume_is_counted_on_the_own_grid_also_outside_of_the_reference() -> None:
    reference, predicted = np.zeros((4, 4, 4), np.uint8), np.zeros((8, 4, 4), np.uint8)
    reference[1:3, 1:3, 1:3] = 1
    predicted[1:3, 1:3, 1:3] = predicted[6, 1, 1] = 1
    scores = score_pair(predicted, reference, affine=np.eye(4), predicted_affine=np.eye(4))["left_anterior_inferior"]
    assert (scores["volume_predicted_mm3"], scores["volume_reference_mm3"], scores["dice"]) == (9.0, 8.0, 1.0)


def test_maps_of_different_shape_need_their_affine() -> None:
    with pytest.raises(ValueError, match="give predicted_affine"):
        score_pair(labels(shape=(7, 6, 4)), labels(), affine=AFFINE)


def test_a_mask_is_scored_as_a_region_is() -> None:
    predicted, reference = labels(1), labels(2)
    whole = score_pair(predicted, reference, affine=AFFINE)["hypothalamus"]
    assert score_mask(predicted > 0, reference > 0, affine=AFFINE) == whole


def test_empty_maps() -> None:
    nothing, something = np.zeros((4, 4, 4), np.uint8), np.full((4, 4, 4), 7, np.uint8)
    both = score_pair(nothing, nothing, affine=np.eye(4))["hypothalamus"]
    assert (both["dice"], both["nsd_1mm"], both["hd95_mm"], both["volume_error_mm3"]) == (1.0, 1.0, 0.0, 0.0)
    one = score_pair(nothing, something, affine=np.eye(4))["hypothalamus"]
    assert (one["dice"], one["nsd_1mm"], one["assd_mm"], one["relative_volume_error"]) == (0.0, 0.0, np.inf, -1.0)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_nearest_against_looking_up_every_voxel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    voxels = labels(seed)
    affine = AFFINE.copy()
    affine[:3, :3] += rng.normal(0, 0.2, (3, 3))
    grid = Grid((6, 5, 7), np.diag([*rng.uniform(0.7, 2, 3), 1.0]))
    grid.affine[:3, 3] = to_world(affine, rng.uniform(-1, 3, 3))
    found = nearest(voxels, affine, grid)
    for index in itertools.product(*map(range, grid.shape)):
        place = to_voxel(affine, to_world(grid.affine, np.array(index)))
        if (np.abs(place - np.floor(place) - 0.5) > 1e-6).all():  # two labels are equally near otherwise
            at = np.floor(place + 0.5).astype(int)
            inside = (at >= 0).all() and (at < voxels.shape).all()
            assert found[index] == (voxels[tuple(at)] if inside else 0)


# The evaluation


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and references: good, on another grid, moved, absent, junk, of other labels, constant; and one of each left over."""
    predicted, reference = tmp_path / "predicted", tmp_path / "reference"
    for number in range(1, 8):
        put(reference / f"sub-{number}_dseg.nii.gz", labels(number))
    put(predicted / "sub-1_dseg.nii.gz", labels(1))
    put(
        predicted / "sub-2_dseg.nii.gz",
        labels(2).repeat(2, 2),
        AFFINE @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, -0.25], [0, 0, 0, 1]]),
    )
    put(predicted / "sub-3_dseg.nii.gz", np.roll(labels(3), 1, 0))
    (predicted / "sub-5_dseg.nii.gz").write_bytes(b"junk")
    put(predicted / "sub-6_dseg.nii.gz", labels(6).astype(np.int16) * 100)
    put(predicted / "sub-7_dseg.nii.gz", np.zeros((7, 6, 5), np.uint8))
    put(predicted / "sub-8_dseg.nii.gz", labels(8))
    return predicted, reference


def test_every_reference_keeps_a_row(places: tuple[Path, Path]) -> None:
    predicted, reference = places
    found = compare(predicted, reference)
    reasons: Mapping[str, str] = dict(zip(found.scan.values, found.reason.values, strict=True))
    assert reasons == {
        "sub-1": "", "sub-2": "", "sub-3": "", "sub-4": Reason.NO_PREDICTION, "sub-5": Reason.NOT_AN_IMAGE, "sub-6": Reason.OTHER_LABELS,
        "sub-7": Reason.CONSTANT_IMAGE,
    }  # fmt: skip
    assert (found.status.values == ["done"] * 3 + ["failed"] * 4).all()
    assert (found.missing_reason.sel(scan="sub-5") == Reason.NOT_AN_IMAGE).all()
    assert found.dice.sel(scan=["sub-1", "sub-2"]).values == pytest.approx(1.0)
    assert (found.dice.sel(scan="sub-3") < 1).all()
    assert found.dice.sel(scan="sub-4").isnull().all()
    assert "sub-4" in found.message.sel(scan="sub-4").item()
    assert found.attrs["unused_predictions"] == "1"


def test_a_reference_that_cannot_be_read_is_no_failure_of_the_prediction(places: tuple[Path, Path]) -> None:
    predicted, reference = places
    (reference / "sub-1_dseg.nii.gz").write_bytes(b"junk")
    found = compare(predicted, reference).sel(scan="sub-1")
    assert (found.status, found.reason) == ("failed", Reason.NOT_AN_IMAGE)
    assert (found.missing_reason == Reason.NO_REFERENCE).all()


def test_an_unforeseen_error_is_a_row_too(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no such thing")

    monkeypatch.setattr("hypojax.evaluation.evaluation.score_pair", broken)
    found = compare(*places).sel(scan="sub-1")
    assert (found.status, found.reason) == ("failed", Reason.UNEXPECTED)
    assert "no such thing" in str(found.message.values)


def test_what_is_declared_is_what_is_there(places: tuple[Path, Path]) -> None:
    found = compare(*places)
    for variable in (*METRICS, *ROWS):
        assert found[variable.name].dims == variable.dims
        assert found[variable.name].attrs == variable.attributes
    assert [*found.data_vars] == [variable.name for variable in (*METRICS, *ROWS)]


def test_a_callback_is_called_for_every_scan(places: tuple[Path, Path]) -> None:
    class Tally:
        def __init__(self) -> None:
            self.total = 0
            self.results: list[ScanScores] = []

        def started(self, *, total: int, kept: int) -> None:
            self.total = total

        def finished(self, result: ScanScores) -> None:
            self.results.append(result)

    callback = Tally()
    compare(*places, callback=callback)
    assert callback.total == len(callback.results) == 7
    assert sum(result.failed for result in callback.results) == 4


def test_participants_of_a_table(places: tuple[Path, Path], tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text("participant_id,age,sex,dice\nsub-1,31,F,a\n2,52,M,b\nsub-9,1,F,c\n")
    found = compare(*places, participants=table)
    assert found.age.values[:2].tolist() == [31, 52]
    assert found.sex.values[:3].tolist() == ["F", "M", ""]
    assert found.dice_participant.values[0] == "a"
    table.write_text("name,age\nsub-1,31\n")
    with pytest.raises(RunError, match="has no column"):
        compare(*places, participants=table)
    table.write_text("participant_id,age,sex\nsub-1,31,F\n1,32,F\n")
    twice = compare(*places, participants=table)
    assert np.isnan(twice.age.values[0])
    assert twice.sex.values[0] == "F"
    assert "sub-1 2 times (lines 2, 3): they differ in age" in twice.attrs["tables"]
    with pytest.raises(RunError, match=r"they differ in age.*refused because of --strict-tables"):
        compare(*places, participants=table, strict_tables=True)


def test_a_session_of_a_participant_is_told_from_another(tmp_path: Path) -> None:
    for session in "12":
        put(tmp_path / f"sub-01_ses-{session}_dseg.nii.gz", labels())
    table = tmp_path / "people.tsv"
    table.write_text("participant_id\tsession_id\tage\nsub-01\tses-1\t40\nsub-01\tses-2\t42\n")
    assert compare(tmp_path, tmp_path, participants=table).age.values.tolist() == [40, 42]


def test_scores_made_elsewhere_become_the_same_table() -> None:
    scores = {**score_pair(labels(1), labels(2), affine=AFFINE), "icv": score_mask(labels(1) > 0, labels(2) > 0, affine=AFFINE)}
    entries = [ScanEntry(scan=scan, path="", entities={}, columns={}) for scan in ("b", "a")]
    found = tabulate([ScanScores("b", scores), ScanScores("a", {"icv": scores["icv"]})], entries)
    assert found.scan.values.tolist() == ["a", "b"]
    assert found.region.values.tolist() == ["icv", *PARTS]
    assert (found.missing_reason.sel(scan="a").values[1:] == Reason.NO_REFERENCE).all()
    assert (found.missing_reason.sel(scan="b") == "").all()
    assert found.dice.sel(scan="b", region="hypothalamus").item() == scores["hypothalamus"]["dice"]


def test_real_labels_moved_by_one_voxel(shared: Path, tmp_path: Path) -> None:
    teacher = shared / "labels" / "hypothalamus_teacher"
    for dataset in ("ds000011", "ds002748"):
        for path in sorted((teacher / dataset).glob("sub-0[123]_dseg.nii.gz")):
            image = read(path.name, path)
            put(tmp_path / dataset / path.name, np.roll(image.voxels, 1, 2), image.affine)
    found = compare(tmp_path, teacher)
    done = found.isel(scan=np.flatnonzero(found.status == "done"))
    assert done.scan.values.tolist() == [f"{dataset}_sub-0{n}" for dataset in ("ds000011", "ds002748") for n in (1, 2, 3)]
    assert (found.reason.values[found.status.values == "failed"] == Reason.NO_PREDICTION).all()
    # Faces are half a voxel, its diagonal or a voxel from one another: thin subunits stay below one voxel.
    assert np.isin(done.hd95_mm.values.round(3), [0.5, 0.707, 1.0]).all()
    assert (done.nsd_1mm == 1).all()
    assert done.volume_error_mm3.values == pytest.approx(0.0, abs=1e-3)
    assert ((done.dice.sel(region="hypothalamus") > 0.6) & (done.dice.sel(region="hypothalamus") < 0.9)).all()
    itself = compare(teacher / "ds000011", teacher / "ds000011")
    assert (itself.dice == 1).all()
    assert set(itself.region.values) == {*LABELS.values(), "hypothalamus", "hypothalamus_left", "hypothalamus_right"}


def test_real_intracranial_masks(shared: Path) -> None:
    found = compare(shared / "icv_reference" / "Subj01_dlmuse.nii.gz", shared / "icv_reference" / "Subj01_dlmuse.nii.gz")
    assert isinstance(found, xr.Dataset)
    assert found.region.values.tolist() == ["icv"]
    assert 1.2e6 < found.volume_reference_mm3.item() < 1.9e6
