"""Norms on the page of a cohort: the centile curves of the hypothalamus by age, and the people of the cohort on them."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final

import xarray as xr

from hypojax.cohort.ratings import REJECT, latest_ratings
from hypojax.reason import HypojaxError, visible
from hypojax.reporting.report_data import ReportData
from hypojax.study.people.sample import Sample
from hypojax.tables.cells import counted

MAIN_REGION: Final = "hypothalamus"
"""The region that is shown, or the first one of norms that do not have it."""


@dataclass(frozen=True)
class NormsShown:
    """What the page shows of norms.

    Parameters
    ----------
    figure
        Address of the drawing, made for white paper; empty where there is none.
    sentences
        What the norms say of the people, or why they say nothing.
    """

    figure: str
    sentences: tuple[str, ...]


def norms_shown(data: ReportData) -> NormsShown | None:
    """The people of a cohort on the curves of the norms that the settings name; None where they name none.

    A fault of the norms, or of what they need to know of people, costs the drawing and no page. Scans rated as reject are left out.

    Raises
    ------
    HypojaxError
        USAGE: the extra ``report`` is not installed.
    """
    if data.settings.norms is None:
        return None
    from hypojax.study.writing.study_extras import norms_curves, norms_people, norms_sentences, scores_table
    from hypojax.study.writing.study_figures import figure_bytes, norms_figure

    try:
        norms, scores, sample, notes = _scored(data)
    except (HypojaxError, OSError, ValueError, KeyError) as error:
        return NormsShown("", (f"No norms are shown: {visible(' '.join(str(error).split()))}",))
    people = sample.people
    region, *_ = scores["region"].values.tolist()
    curves, points = norms_curves(norms), norms_people(norms, scores, people)
    points = points[points["volume"].notna()].sort_values("group", key=lambda names: names != sample.reference, kind="stable")
    if points.empty:
        return NormsShown("", ("No norms are shown: of no measured scan age, sex and head size are known.", *notes))
    drawn = norms_figure(curves[curves["region"] == region], points, unit=str(norms.attrs.get("unit", "")))
    address = f"data:image/svg+xml;base64,{b64encode(figure_bytes(drawn, 'norms')).decode()}"
    return NormsShown(address, (*norms_sentences(scores_table(scores, people), [region]), *notes))


def _scored(data: ReportData) -> tuple[xr.Dataset, xr.Dataset, Sample, list[str]]:
    """The norms, the scores of one region, the sample, and what was left out."""
    from hypojax.study import StudySettings, apply_norms
    from hypojax.study.people.whole_sample import whole_sample
    from hypojax.study.writing.study_extras import open_norms

    norms = open_norms(str(data.settings.norms))
    sample = whole_sample(_table(data), StudySettings())
    ratings = latest_ratings(data.ratings, sample.people.index.tolist())[0].to_numpy(object)
    sample = sample.part(ratings != REJECT)
    scores = apply_norms(norms, sample)
    regions = scores["region"].values.tolist()
    rejected = int((ratings == REJECT).sum())
    notes = [f"{counted(rejected, 'scan')} rated as reject left out."] if rejected else []
    return norms, scores.sel(region=[MAIN_REGION if MAIN_REGION in regions else regions[0]]), sample, notes


def _table(data: ReportData) -> xr.Dataset:
    """The cohort without its images, with the columns of people that may be shown."""
    table = data.cohort.drop_dims(["anterior", "head_anterior"], errors="ignore")
    return table.assign({str(name): ("scan", data.people[name].to_numpy()) for name in data.people if name not in table})
