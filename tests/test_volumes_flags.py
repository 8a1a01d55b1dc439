"""A voxel size or a head that one scan of a dataset alone has is flagged, and both values are said; ordinary cohorts are left alone."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from hypojax import cohort
from hypojax.reason import Reason
from hypojax.schema import REGIONS
from hypojax.store import ScanEntry, ScanRecord
from hypojax.store.ledger import regions_of_record, row_of_record
from hypojax.volumes import FLAGS
from hypojax.volumes.flags import peer_notes

SIZE, HEAD = "voxel_size_unlike_others", "icv_unlike_others"


def table(edges: list[float], *, icv: list[float] | None = None, matrix: int = 256, datasets: str = "a") -> xr.Dataset:
    """The flags and notes of a cohort of such scans."""
    names = [f"{number:03d}" for number in range(len(edges))]
    heads = icv or [1.4e6] * len(edges)
    records = [
        ScanRecord(scan=name, slot=0, status="done", reason="", message="", files={}, settings_sha256="",
            row=row_of_record({"voxel_size_mm": [edge, 1.0, 1.2], "matrix": [matrix, 256, 160], "flags": "noisy"}),
            regions=regions_of_record(
                {region: {"volume_mm3": head if region == "icv" else 900.0, "missing_reason": Reason.NONE} for region in REGIONS},
                status="done",
            ),
        )
        for name, edge, head in zip(names, edges, heads, strict=True)
    ]  # fmt: skip
    entries = [
        ScanEntry(scan=name, path=f"{name}.nii", entities={}, columns={}, dataset=datasets[number % len(datasets)])
        for number, name in enumerate(names)
    ]
    return cohort.build(records, entries)


def flagged(found: xr.Dataset, flag: str) -> list[int]:
    """Numbers of the scans that carry a flag."""
    return np.flatnonzero(found["flagged"].sel(flag=flag)).tolist()


@pytest.mark.parametrize("edge", [0.9, 1.1, 1.05, 2.0])
def test_a_voxel_size_that_one_scan_alone_has_is_flagged_and_both_are_said(edge: float) -> None:
    found = table([1.0, 1.0, edge, 1.0, 1.002, 1.0])
    assert flagged(found, SIZE) == [2]
    assert f"its voxels are {edge:g} × 1 × 1.2 mm, those of 5 of 5 other scans" in str(found["notes"].values[2])
    assert found["flag"].values[found["flagged"].values[2]].tolist() == ["noisy", SIZE]
    assert SIZE in FLAGS


def test_few_scans_and_scans_that_do_not_agree_say_nothing() -> None:
    assert flagged(table([1.0, 1.0, 0.9, 1.0, 1.0]), SIZE) == []  # four others
    assert flagged(table([0.95, 1.0, 1.05, 1.1, 0.9, 1.0, 1.15]), SIZE) == []  # the field of view follows the head
    assert flagged(table([1.0] * 5 + [0.9] * 5), SIZE) == []  # two protocols
    assert flagged(table([1.0, 0.9] * 6, datasets="ab"), SIZE) == []  # two datasets


def test_another_matrix_is_another_protocol() -> None:
    other = table([0.5], matrix=512)
    assert flagged(other, SIZE) == []
    assert other["matrix"].values.tolist() == [[512, 256, 160]]


@settings(deadline=None, max_examples=20)
@given(st.floats(0.3, 5.0), st.integers(1, 12))
def test_scans_of_one_size_raise_nothing(edge: float, count: int) -> None:
    assert flagged(table([edge] * count), SIZE) == flagged(table([edge] * count), HEAD) == []


def test_a_head_far_from_those_of_its_dataset_is_flagged() -> None:
    heads = np.random.default_rng(0).normal(1.5e6, 1.2e5, 40).clip(1.2e6, 1.8e6).tolist()
    found = table([1.0] * 41, icv=[*heads, 0.95e6])
    assert flagged(found, HEAD) == [40]
    assert "its intracranial volume is 950 mL" in str(found["notes"].values[40])
    assert flagged(table([1.0] * 10, icv=[*heads[:9], 0.95e6]), HEAD) == []  # too few to say so


def test_rows_of_older_stores_and_failed_scans_are_left_alone() -> None:
    records = [
        ScanRecord(
            scan=f"{n}", slot=0, status="failed", reason="truncated", message="it ends", row={}, regions={}, files={}, settings_sha256=""
        )
        for n in range(8)
    ]
    found = cohort.build(records, [ScanEntry(scan=f"{n}", path="", entities={}, columns={}) for n in range(8)])
    assert not found["flagged"].any()


def test_a_cohort_of_thousands_takes_seconds() -> None:
    """Held against all others each, twenty thousand scans would take minutes."""
    heads = np.random.default_rng(1).normal(1.5e6, 1.2e5, 20_000).tolist()
    rows = [{"status": "done", "voxel_size_mm": [1.0] * 3, "matrix": [256] * 3, "volume_mm3": [head]} for head in heads]
    rows[7] = {**rows[7], "voxel_size_mm": [0.9] * 3}
    found = peer_notes(rows, datasets=["a"] * len(rows))
    assert SIZE in found[7]
    assert sum(bool(notes) for notes in found) < 100
