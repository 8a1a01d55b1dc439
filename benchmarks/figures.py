"""Figures that were measured, each with its bar, in one JSON file that later commands add to and `benchmarks/scaling.py` reads."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil

PACKAGES: Final = ("hypojax", "jax", "zarr", "xarray", "dask", "numpy")


@dataclass(frozen=True)
class Figure:
    """One figure.

    Parameters
    ----------
    name
        What it goes by in the file.
    what
        What was measured, in words.
    value, unit
        The figure.
    least, most
        Its bar: at least, or at most, so much; None where there is none.
    detail
        What else was seen: other numbers by name.
    """

    name: str
    what: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether it meets its bar.

        >>> Figure("busy", "processors busy", 0.9, "", least=0.85).met
        True
        """
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def bar(self) -> str:
        """Its bar in words."""
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}" if self.most is not None else ""


def processor() -> str:
    """Name of the processor, and how many of its cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def machine() -> dict[str, Any]:
    """Hardware and versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    memory = psutil.virtual_memory().total
    return {"processor": processor(), "memory_gb": round(memory / 1e9), "python": platform.python_version(), "versions": versions}


def read(path: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"machine": machine(), "figures": {}}


def add(path: Path | None, figures: list[Figure]) -> None:
    """Print figures, and put them into the file in the place of older ones of the same names.

    Raises
    ------
    SystemExit
        The file is of another machine: figures of two machines are not to be compared.
    """
    for figure in figures:
        verdict = "" if not figure.bar else f"   bar {figure.bar}: {'met' if figure.met else 'MISSED'}"
        print(f"{figure.name:18} {figure.value:8.3g} {figure.unit:10} {figure.what}{verdict}", flush=True)
        for name, value in figure.detail.items():
            if not isinstance(value, list):
                print(f"{'':18}   {name}: {value:.4g}" if isinstance(value, float) else f"{'':18}   {name}: {value}", flush=True)
    if path is None:
        return
    held = read(path)
    if held["machine"]["processor"] != machine()["processor"]:
        raise SystemExit(f"{path} has figures of {held['machine']['processor']}; name another file with --out")
    new = {figure.name: {**asdict(figure), "met": figure.met} for figure in figures}
    path.write_text(json.dumps({"machine": machine(), "figures": {**held["figures"], **new}}, indent=1) + "\n", encoding="utf-8")
