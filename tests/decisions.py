"""Print, as JSON, what this processor decides where sums tie: run in processes whose BLAS and NumPy are told to be others.

python tests/decisions.py
"""

import json

import numpy as np
import pandas as pd

from hypojax.evaluation.summary import _bands
from hypojax.grid import coronal_view, model_directions
from hypojax.matching import balance_table, folds, hold_out, matched_pairs
from hypojax.matching.allocation import bands
from hypojax.monitoring.difference import ratio, superiority, typical_change
from hypojax.volumes.structure import label_voxels


def cohort(size: int, *, seed: int) -> pd.DataFrame:
    """People of two sites, ages in whole years: many draws and pairs of them tie."""
    random = np.random.default_rng(seed)
    site = random.choice(["here", "there"], size, p=[0.7, 0.3])
    age = random.normal(40, 12, size) + 20 * (site == "there")
    return pd.DataFrame({
        "id": [f"sub-{n}" for n in range(size)], "age": age, "years": age.round(), "sex": random.choice(["F", "M"], size), "site": site,
        "dx": random.choice(["ill", "well", "well"], size),
    })  # fmt: skip


def splits() -> dict[str, list]:
    """Folds, test sets and pairs of four tables."""
    found: dict[str, list] = {"folds": [], "test": [], "pairs": [], "bands": [], "worst": []}
    for seed in range(4, 8):
        table = cohort(60, seed=seed)
        for age in ("age", "years"):
            found["folds"].append(folds(table, subject="id", stratify=["site", "sex", age], seed=seed).tolist())
            found["test"].append(hold_out(table, subject="id", match=["site", "sex", age], seed=seed).tolist())
            pairs = matched_pairs(table, subject="id", group="dx", cases=["ill"], match=["sex", "age", "years"], caliper=0.5, size="all")
            found["pairs"].append(pairs["pair"].fillna(0).astype(int).tolist())
            found["bands"].append(bands(table[age]).tolist())
        table = balance_table(cohort(60, seed=seed)[["sex", "site"]], pd.Series(found["test"][-1]))
        found["worst"].append(table["smd_after"].round(9).tolist())
    return found


def tests() -> dict[str, object]:
    """P of tests on equal steps, on constants, and bands of an evaluation."""
    first = np.arange(1, 13) / 10
    steps = np.array([1, -1, 2, 2, -2, 3, 3, -1, 1, 2, 2, 3]) / 10
    constant = np.full(7, 0.1)
    return {
        "steps": round(typical_change(first, first + steps).p, 12),
        "constant": ratio(constant, np.full(3, 0.1)).p,
        "apart": round(superiority(constant, np.full(3, 0.2)).p, 12),
        "thirds": _bands("size", np.arange(1, 16) / 10).tolist(),
    }


def turned(degrees: float) -> np.ndarray:
    """An affine turned about the left-right axis."""
    angle, affine = np.radians(degrees), np.eye(4)
    affine[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return affine


def axes() -> dict[str, object]:
    """The order of axes of scans turned by exactly 45 degrees, and which grid scans at the limit get."""
    orders = [coronal_view(np.arange(24.0).reshape(2, 3, 4), turned(angle))[0].shape for angle in (45, -45, 135)]
    return {"orders": orders, "grids": [model_directions(turned(angle)).round(6).tolist() for angle in (25, -25, 45)]}


def labels() -> list[int]:
    """Labels of voxels whose subunits tie, or whose whole is exactly one half, up to the last digit."""
    halves = np.zeros((10, 6), np.float32)
    last = np.float32(2e-7)
    halves[0], halves[5] = [0.25, 0.3, 0.3 + last, 0.25 - last, 0.25 + last, 0.4], [0.25, 0.3 + last, 0.3, 0.25, 0.25, 0.2]
    return label_voxels(halves).tolist()


if __name__ == "__main__":
    print(json.dumps({"splits": splits(), "tests": tests(), "axes": axes(), "labels": labels()}))
