"""Cohorts whose truth is known, made of numbers alone: head sizes, volumes that follow them, image quality, failures."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypojax import cohort
from hypojax.schema import REGIONS, SCORED, TABLE
from hypojax.store import CohortStore, ScanEntry
from hypojax.volumes import FLAGS

SPREAD = 0.085
"""Of a hypothalamus at equal head size, as published for small structures: near 10 % with that of heads."""


def generated(
    scans: int,
    *,
    seed: int,
    factor: float = 1.0,
    head: float = 1.0,
    noise: float = 1.0,
    failing: float = 0.02,
    name: str = "sub",
    ages: tuple[float, float] = (50.0, 15.0),
) -> xr.Dataset:
    """A cohort: volumes times ``factor``, heads times ``head``, noise times ``noise``, a share of scans ``failing``."""
    random = np.random.default_rng(seed)
    sex = random.choice(["F", "M"], scans)
    age = random.normal(*ages, scans)
    icv = 1.45e6 * head * np.exp(random.normal(0, 0.09, scans) + 0.06 * (sex == "M"))
    whole = 900 * factor * (icv / 1.45e6) ** 0.6 * np.exp(random.normal(0, SPREAD, scans) - 0.002 * (age - 50))
    parts = random.dirichlet(np.full(10, 200.0), scans) * whole[:, None]
    volume = np.column_stack([icv, whole, parts[:, :5].sum(axis=1), parts[:, 5:].sum(axis=1), parts])
    failed = random.random(scans) < failing
    columns: dict[str, Any] = {
        "volume_mm3": volume,
        "volume_hard_mm3": volume,
        "uncertainty_mm3": volume * 0.02 * np.exp(random.normal(0, 0.2, volume.shape)),
        "quality_location": random.beta(40, 2, scans),
        "quality_score": np.where(np.isin(REGIONS, SCORED), random.beta(20, 2, scans)[:, None], np.nan),
        "quality_certainty": random.normal(0.88, 0.01, scans),
        "quality_asymmetry": random.normal(0.01, 0.027, scans),
        "quality_contrast": random.normal(6, 0.8, scans),
        "quality_noise": 0.1 * noise * np.exp(random.normal(0, 0.3, scans)),
        "extracranial_signal": random.beta(8, 2, scans),
        "icv_cut_off": np.where(random.random(scans) < 0.9, 0.0, random.random(scans) * 0.01),
        "nonfinite_voxels": np.zeros(scans),
        "voxel_size_mm": np.ones((scans, 3)),
        "seconds": np.ones(scans),
        "status": np.where(failed, "failed", "done"),
        "reason": np.where(failed, "truncated", ""),
        "flagged": (random.random(scans) < 0.03)[:, None] & (np.array([*FLAGS]) == "noisy"),
        "path": np.array([f"/data/{name}-{number:04d}_T1w.nii.gz" for number in range(scans)]),
    }
    variables = {}
    shape = {"scan": scans, "region": len(REGIONS), "axis": 3, "direction": 3, "flag": len(FLAGS), "world": 4, "voxel": 4}
    for variable in TABLE:
        if variable.name == "flagged":
            variables[variable.name] = xr.Variable(variable.dims, columns[variable.name])
            continue
        text = variable.dtype == "str"
        blank = np.full([shape[dim] for dim in variable.dims], "" if text else np.nan, object if text else float)
        values = np.asarray(columns.get(variable.name, blank)).astype(object if text else float)
        if not text:
            values[failed] = np.nan
        variables[variable.name] = xr.Variable(variable.dims, values)
    index = {
        "scan": [f"{name}-{number:04d}" for number in range(scans)],
        "region": list(REGIONS),
        "axis": ["i", "j", "k"],
        "flag": list(FLAGS),
    }
    people = {"age": ("scan", age), "sex": ("scan", sex.astype(object)), "scanner": ("scan", np.full(scans, "Trio", object))}
    coordinates = {key: np.array(values, object) for key, values in index.items()}
    return xr.Dataset({**variables, **people}, coords={**coordinates, "dataset": ("scan", np.full(scans, "", object))})


def stored(out: Path, dataset: xr.Dataset, *, weights: str = "ab12") -> Path:
    """The same as the output of a run: a store whose table it is."""
    scans = [
        ScanEntry(scan=str(scan), path=str(path), entities={}, columns={})
        for scan, path in zip(dataset["scan"].values, dataset["path"].values, strict=True)
    ]
    made = {"hypojax": "0.1.0", "weights_head_sha256": weights, "weights_box_sha256": weights}
    CohortStore.create(out / "cohort.zarr", scans=scans, settings={"weights": weights}, provenance=made).write_table(dataset)
    assert cohort.open_cohort(out).sizes["scan"] == dataset.sizes["scan"]
    return out
