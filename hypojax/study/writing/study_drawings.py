"""Which figures a study gets, drawn from its findings and models, written as SVG and PNG, and shown on its page."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from hypojax.pages import Figure
from hypojax.study.models.adjusted import FittedModel, adjusted_means, adjusted_volumes, age_lines
from hypojax.study.models.adjusted_means import levels_in
from hypojax.study.writing.study_figures import (
    age_figure,
    checks_figure,
    forest_figure,
    groups_figure,
    norms_figure,
    save_figure,
    sites_figure,
)
from hypojax.study.writing.study_findings import Findings
from hypojax.study.writing.study_steps import column_of
from hypojax.study.writing.wording import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

NO_FIGURES: Final = "No figures: matplotlib is not installed; run: python -m pip install 'hypojax[report]'"

FOLDER: Final = "figures"

Drawn = tuple[str, str, Callable[[], "Drawing"]]
"""Name of a file, caption, and what draws it."""


def draw(found: Findings, models: Sequence[FittedModel], folder: Path) -> tuple[tuple[Figure, ...], tuple[Path, ...], tuple[str, ...]]:
    """Draw and write the figures of a study into ``figures/`` of a folder.

    Returns
    -------
    The figures for the page, the files, and a sentence where there are none.
    """
    if find_spec("matplotlib") is None:
        return (), (), (NO_FIGURES,)
    blocks, paths = list[Figure](), list[Path]()
    for name, caption, drawing in _wanted(found, models):
        files = save_figure(drawing(), folder / FOLDER, name)
        shown = b64encode(files[0].read_bytes()).decode()
        image = f'<img class="plate" alt="{escape(caption)}" style="max-width:100%" src="data:image/svg+xml;base64,{shown}">'
        blocks.append(Figure(image, file=f"{FOLDER}/{name}.svg", caption=caption))
        paths += files
    return tuple(blocks), tuple(paths), ()


def _wanted(found: Findings, models: Sequence[FittedModel]) -> Iterator[Drawn]:
    """The figures that these findings give."""
    unit = str(found.sample.volumes.attrs.get("units", ""))
    asked = found.effects[found.effects["term"] == found.term]
    quantity = next((name for name in ("percent", "difference", "change_difference") if (asked["quantity"] == name).any()), "")
    if quantity:
        caption = f"Adjusted differences of every region with {100 * found.settings.confidence:g} % intervals"
        yield "differences", caption, lambda: forest_figure(asked, quantity=quantity)
    column = column_of(found.term)
    groups = [model for model in models if found.contrasts and levels_in(model.design, column)]
    if groups:
        people = pd.concat([adjusted_volumes(model, column) for model in groups])
        means = pd.concat([adjusted_means(model, column) for model in groups])
        others = listed([name for name in groups[0].design.formula.names if name != column]) or "nothing"
        caption = f"Volumes adjusted for {others}: each person, mean and 95 % interval of each group"
        yield "groups", caption, lambda: groups_figure(people, means, unit=unit, adjusted_for=others)
    yield from _by_age(found, models, unit)
    if models:
        tables = {region: checks_of(model, number) for model in models for number, region in enumerate(model.regions)}
        yield "checks", "Checks of the model: residuals, normality, influence of single people", lambda: checks_figure(tables)
    if not found.table("site_residuals").empty:
        sites = found.table("site_residuals")
        before, after = (sites[sites["volumes"] == name] for name in ("measured", "harmonised"))
        yield "sites", "Residuals by site before and after harmonisation", lambda: sites_figure(before, after, unit=unit)
    curves, known = found.table("norms_curves"), found.table("norms_people")
    if not curves.empty:
        yield "norms", "Centiles of the norms by age, with the people of this study", lambda: norms_figure(curves, known, unit=unit)


def _by_age(found: Findings, models: Sequence[FittedModel], unit: str) -> Iterator[Drawn]:
    column = column_of(found.term) if found.contrasts else None
    aged = [model for model in models if "age" in model.design.formula.names and "age" in model.people]
    if aged:
        people = pd.concat([adjusted_volumes(model, column, keep_age=True) for model in aged])
        bands = pd.concat([age_lines(model, column) for model in aged])
        yield "age", "Volumes against age with the line of the model and its 95 % band", lambda: age_figure(people, bands, unit=unit)


def checks_of(model: FittedModel, number: int) -> pd.DataFrame:
    """Residuals of one region: fitted value, residual, externally studentised residual, leverage, Cook's distance (Cook 1977)."""
    fit, rows, columns = model.fit, *model.fit.design.shape
    residual, leverage = fit.residuals[:, number] * np.sqrt(fit.weights), fit.leverage
    room = np.clip(1 - leverage, 1e-12, None)
    internal = residual / (fit.sigma[number] * np.sqrt(room))
    left = np.clip((rows - columns - internal**2) / max(1, rows - columns - 1), 1e-12, None)
    cook = internal**2 * leverage / (room * columns)
    found = {"fitted": fit.fitted[:, number], "residual": fit.residuals[:, number], "studentised": internal / np.sqrt(left)}
    return pd.DataFrame({**found, "leverage": leverage, "cook": cook}, index=model.people.index)
