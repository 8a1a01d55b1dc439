"""Who counts in a drift check: people of two datasets with the same labels are several, one head under several names is one."""

from pathlib import Path

import numpy as np
import xarray as xr
from generated_cohort import generated, stored

from hypojax.evaluation.summary import subjects_of
from hypojax.monitoring import drift
from hypojax.monitoring.measures import repeats


def labelled(dataset: xr.Dataset, *, sites: int) -> xr.Dataset:
    """The same scans as those of so many datasets, each with the labels 00, 01, ..."""
    numbers = np.arange(dataset.sizes["scan"])
    each = len(numbers) // sites
    labels = np.array([f"{number % each:02d}" for number in numbers], object)
    return dataset.assign_coords(subject=("scan", labels), dataset=("scan", np.array([f"site{n // each}" for n in numbers], object)))


def test_people_of_two_datasets_with_the_same_labels_stay_apart() -> None:
    cohort = labelled(generated(80, seed=1), sites=2)
    assert len(set(subjects_of(cohort))) == 80
    assert repeats(reference=cohort) == ()
    merged = cohort.drop_vars("dataset")
    assert repeats(reference=merged)[0].startswith("reference: 80 scans of 40 subjects")


def test_one_head_under_several_names_counts_once(tmp_path: Path) -> None:
    first, second = generated(60, seed=1), generated(60, seed=2, name="new")
    for cohort in (first, second):
        cohort["voxels_checksum"] = ("scan", np.array([f"{scan}" for scan in cohort.scan.values], object))
    copies = np.array(["" if number < 40 else f"sub-{number - 40:04d}" for number in range(60)], object)
    first["duplicate_of"] = ("scan", copies)
    second["voxels_checksum"][0] = "sub-0003"
    found = drift(stored(tmp_path / "a", first), stored(tmp_path / "b", second))
    assert found.scans == (40, 60)
    assert "20 scans of the reference have the same voxels as another (sub-0040, sub-0041, sub-0042, …): counted once" in found.notes
    assert "of 60 in the new batch 1 scan has the same voxels as scans of the reference: counted in both" in found.notes
