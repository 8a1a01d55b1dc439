"""`hypojax.write_examples`: boxes and folds from anybody's scans and label maps, whatever way they are stored."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hypojax import write_examples
from hypojax.reason import HypojaxError, RunError
from hypojax.scans import write_nifti
from hypojax.training.examples import BOX_SIDE, held_out_names, load_boxes

AFFINE = np.diag([-1.5, 1.5, 1.5, 1.0])
"""Stored from right to left, voxels of 1.5 mm."""


def write_table(folder: Path, *, people: int, worst: int = 10) -> Path:
    """Heads of noise with a block of every label, left ones left; the first has a mask; a table of them all."""
    rng = np.random.default_rng(0)
    labels = np.zeros((50, 50, 50), np.uint8)
    for label in range(1, worst + 1):
        first = 28 if label <= 5 else 16  # the first axis runs to the left
        labels[first : first + 6, 10 + 6 * ((label - 1) % 5) : 16 + 6 * ((label - 1) % 5), 20:26] = label
    lines = ["name\timage\tlabels\tmask\tage"]
    write_nifti(folder / "labels.nii.gz", labels, AFFINE)
    write_nifti(folder / "mask.nii.gz", (labels > 0).astype(np.uint8), AFFINE)
    for number in range(people):
        write_nifti(folder / f"{number}.nii.gz", rng.normal(100, 5, labels.shape).astype(np.float32), AFFINE)
        lines.append(f"sub-{number}\t{number}.nii.gz\tlabels.nii.gz\t{'' if number else 'mask.nii.gz'}\t{20 + number}")
    (folder / "scans.tsv").write_text("\n".join(lines) + "\n")
    return folder / "scans.tsv"


def test_boxes_hold_the_labels_with_left_on_the_left(tmp_path: Path) -> None:
    write_examples(write_table(tmp_path, people=5), tmp_path / "out")
    boxes = load_boxes(tmp_path / "out", whole_heads=0.5)
    volumes = np.asarray(boxes.posteriors, np.float32).sum(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(volumes, 6**3 * 1.5**3, rtol=0.02)
    assert boxes.images.shape == (5, BOX_SIDE, BOX_SIDE, BOX_SIDE)
    right = np.arange(BOX_SIDE)
    sides = [np.average(right, weights=np.asarray(boxes.posteriors[0, ..., n]).sum((0, 1))) for n in range(10)]
    assert max(sides[:5]) < (BOX_SIDE - 1) / 2 < min(sides[5:])
    np.testing.assert_allclose(boxes.odds, [0.5, 0.125, 0.125, 0.125, 0.125])
    assert [len(held_out_names(tmp_path / "out", fold=fold, folds=5)) for fold in range(5)] == [1] * 5


@pytest.mark.parametrize(("worst", "said"), [(0, "scan 'sub-0'"), (11, "sub-0: labels are [0, 1")])
def test_no_labels_and_other_labels_are_named(tmp_path: Path, worst: int, said: str) -> None:
    with pytest.raises(HypojaxError) as error:
        write_examples(write_table(tmp_path, people=5, worst=worst), tmp_path / "out")
    assert said in str(error.value)


def test_too_few_subjects_for_five_folds_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    table = write_table(tmp_path, people=4)
    (tmp_path / "labels.nii.gz").unlink()
    with pytest.raises(RunError, match=r"scans.tsv has scans of 4 subjects: training needs 5 or more"):
        write_examples(table, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_without_its_columns_is_named(tmp_path: Path) -> None:
    (tmp_path / "scans.tsv").write_text("name\timage\na\tb.nii\n")
    with pytest.raises(RunError, match=r"scans.tsv is no tab-separated table with the columns name, image and labels"):
        write_examples(tmp_path / "scans.tsv", tmp_path / "out")


PIPELINES = sorted(path for path in (Path(__file__).parents[1] / "pipelines").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("script", PIPELINES, ids=lambda path: path.stem)
def test_a_pipeline_of_users_opens_with_its_command_is_short_and_starts(script: Path) -> None:
    opening = script.read_text(encoding="utf-8").split('"""')[1]
    assert f"    python pipelines/{script.name} " in opening
    assert len(script.read_text(encoding="utf-8").splitlines()) <= (60 if script.stem == "segment_cohort" else 80)
    shown = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, check=True, cwd=script.parents[1])
    assert shown.stdout.startswith("usage:")
