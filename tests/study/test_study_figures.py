"""Figures of a study: everybody is in them, and the same study gives the same bytes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hypojax.study.models.effect import Effect, effects_table
from hypojax.study.writing.study_figures import (
    age_figure,
    checks_figure,
    forest_figure,
    groups_figure,
    norms_figure,
    save_figure,
    sites_figure,
)

pytest.importorskip("matplotlib")

RANDOM = np.random.default_rng(0)


def people(n: int = 12) -> pd.DataFrame:
    one = pd.DataFrame({"group": ["control", "case"] * (n // 2), "age": np.linspace(20, 70, n), "adjusted": RANDOM.normal(900, 50, n)})
    return pd.concat([one.assign(region=region) for region in ("hypothalamus", "left_posterior")])


def test_everybody_is_a_point(tmp_path: Path) -> None:
    means = pd.DataFrame({"region": "hypothalamus", "group": ["control", "case"], "mean": 900.0, "ci_low": 880.0, "ci_high": 920.0})
    figure = groups_figure(people(), means, unit="mm3", adjusted_for="age")
    points = [len(drawn.get_offsets()) for drawn in figure.axes[0].collections if hasattr(drawn, "get_offsets")]
    assert sum(points[:4:1]) >= 12
    assert save_figure(figure, tmp_path, "groups")[1].read_bytes()[:4] == b"\x89PNG"


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    rows = [Effect("hypothalamus", "group", "a - b", "percent", "m", -5.0, "%", 1.0, -5.0, 9.0, 0.01, -7.0, -3.0, 20)]
    for name in ("first", "second"):
        save_figure(forest_figure(effects_table(rows)), tmp_path / name, "differences")
    assert all(
        (tmp_path / "first" / f"differences.{kind}").read_bytes() == (tmp_path / "second" / f"differences.{kind}").read_bytes()
        for kind in ("svg", "png")
    )


def test_all_kinds_are_drawn_also_of_nothing(tmp_path: Path) -> None:
    bands = pd.DataFrame(
        {"region": "hypothalamus", "group": "control", "age": [20.0, 70.0], "fit": 900.0, "ci_low": 880.0, "ci_high": 920.0}
    )
    checks = pd.DataFrame(RANDOM.normal(size=(9, 5)), columns=["fitted", "residual", "studentised", "leverage", "cook"])
    sites = pd.DataFrame({"region": "hypothalamus", "site": ["A", "B"] * 6, "residual": RANDOM.normal(size=12)})
    curves = pd.DataFrame({"region": "icv", "sex": "F", "age": [20.0, 70.0] * 3, "centile": [5, 5, 50, 50, 95, 95], "volume": 1.5e6})
    known = pd.DataFrame({"region": "icv", "sex": "F", "age": [30.0], "volume": [1.4e6], "group": ["case"]})
    figures = {
        "age": age_figure(people(), bands, unit="mm3"),
        "checks": checks_figure({"hypothalamus": checks}),
        "sites": sites_figure(sites, sites, unit="mm3"),
        "norms": norms_figure(curves, known, unit="mm3"),
        "empty": forest_figure(effects_table([])),
        "nobody": checks_figure({}),
    }
    for name, figure in figures.items():
        assert save_figure(figure, tmp_path, name)[0].stat().st_size > 1000
