"""Known right answers of R (`../shared/data/stats_reference`): an entry with its inputs, its numbers and its own tolerance.

known = entry(shared, "ols_cohort")
known.check(0.609460064076508, "r_squared")
known.check({"estimate": -67.52475, "se": 19.3844344}, "HC3", "grouppatient")  # only these keys, each by the tolerance of the entry
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LOOSER = {
    "ols_cohort": {"p": (1e-5, 0.0)},
    "hedges_g": {"ci_": (1e-5, 0.0)},
    "hedges_g_adjusted": {"ci_": (1e-5, 0.0)},
    "partial_eta_squared": {"ci95": (0.0, 1e-4)},
    "mixed_random_intercept": {"df": (1e-2, 0.0), "variance": (1e-3, 0.0), "loglik": (0.0, 1e-4)},
    "mixed_random_slope": {
        "df": (2e-2, 0.0), "estimate": (1e-3, 0.0), "se": (1e-3, 0.0), "variance": (1e-2, 0.0), "sd": (1e-2, 0.0), "loglik": (0.0, 1e-3),
    },
    "norms_ixi_normal": {"loglik": (0.0, 1e-3), "centile": (0.0, 0.05)},
    "norms_ixi_shash": {"loglik": (0.0, 1e-2), "centile": (0.0, 0.3)},
}  # fmt: skip
"""Tolerances (relative, absolute) that the notes of entries give in words, by what a key is or holds (``p`` and ``df`` whole)."""

WHOLE = {"p", "df", "se", "sd"}
"""Words of `LOOSER` that must be the whole key."""


@dataclass(frozen=True)
class Entry:
    """One known answer."""

    id: str
    numbers: Mapping[str, Any]
    relative: float
    absolute: float

    def at(self, *path: str | int) -> object:
        """What lies at a path into the numbers."""
        found: object = self.numbers
        for key in path:
            found = found[key]
        return found

    def tolerance(self, path: Sequence[str | int]) -> tuple[float, float]:
        """Relative and absolute tolerance of the number at a path."""
        for word, looser in LOOSER.get(self.id, {}).items():
            if any(str(key) == word if word in WHOLE else word in str(key) for key in path):
                return looser
        return self.relative, self.absolute

    def check(self, found: object, *path: str | int, relative: float | None = None, absolute: float | None = None) -> None:
        """Assert that numbers (one, or a mapping or sequence of them) are those at a path; a tolerance given by hand goes first."""
        if isinstance(found, Mapping):
            for key, value in found.items():
                self.check(value, *path, key, relative=relative, absolute=absolute)
        elif isinstance(found, Sequence | np.ndarray | pd.Series) and not isinstance(found, str) and np.ndim(found):
            assert len(found) == len(self.at(*path)), f"{self.id} {path}: {len(found)} numbers, {len(self.at(*path))} known"
            for number, value in enumerate(found):
                self.check(value, *path, number, relative=relative, absolute=absolute)
        else:
            own = self.tolerance(path)
            self._check_one(found, path, own[0] if relative is None else relative, own[1] if absolute is None else absolute)

    def _check_one(self, found: object, path: Sequence[str | int], relative: float, absolute: float) -> None:
        right = self.at(*path)
        if isinstance(right, str) and right != "NaN":
            assert found == right, f"{self.id} {path}: {found}, not {right}"
        elif right is None or right == "NaN":
            assert found is None or math.isnan(found), f"{self.id} {path}: {found} where nothing is known"
        else:
            off = abs(float(found) - float(right))
            assert off <= absolute + relative * abs(float(right)), f"{self.id} {path}: {found!r}, not {right!r} (off by {off:.3g})"


@cache
def entry(shared: Path, identity: str) -> Entry:
    """The known answer of this id; ``shared`` is the fixture of `conftest`."""
    entries = json.loads((shared / "stats_reference" / "reference.json").read_text(encoding="utf-8"))["entries"]
    (found,) = [one for one in entries if one["id"] == identity]
    return Entry(identity, found["numbers"], float(found["tolerance"]["relative"]), float(found["tolerance"]["absolute"]))


def known_input(shared: Path, name: str) -> pd.DataFrame:
    """A table of ``inputs/``: only empty cells and n/a are missing."""
    return pd.read_csv(shared / "stats_reference" / "inputs" / name, na_values=["", "n/a"], keep_default_na=False)


def ixi(shared: Path) -> pd.DataFrame:
    """IXI: 291 people with age, sex, site and the volumes brain, icv and hippocampus, mm3."""
    tables = shared / "tables"
    volumes = pd.read_csv(tables / "ixi_dlmuse_volumes.csv", usecols=["ID", "702", "701", "47", "48"])
    people = pd.read_csv(tables / "ixi_demographics.csv").merge(volumes, on="ID")
    parts = {"site": people["ID"].str.split("-").str[1], "hippocampus": people["47"] + people["48"]}
    return people.rename(columns={"Age": "age", "Sex": "sex", "702": "icv", "701": "brain"}).assign(**parts)
