"""A whole study: read, check, model, draw, write; all that ``hypojax study`` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import xarray as xr

from hypojax.pages import TextTable, html, markdown
from hypojax.reason import Reason, RunError, visible
from hypojax.storage import Disk, locate, on_disk, place
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.effect import Effect, effects_dataset, effects_table
from hypojax.study.models.group_model import ModelComparison, compare_models
from hypojax.study.models.sensitivity import head_size_table, mixed_table, other_people
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.people.sources import STORE
from hypojax.study.study_settings import StudySettings, check_settings
from hypojax.study.writing.earlier_study import refuse_file, replace_earlier
from hypojax.study.writing.study_change import change_study
from hypojax.study.writing.study_checks import check_sentences, diagnosed, diagnostics_table, influence_table, most_influential
from hypojax.study.writing.study_drawings import draw
from hypojax.study.writing.study_extras import Extra, Source, harmonised, scored
from hypojax.study.writing.study_findings import Findings
from hypojax.study.writing.study_methods import versions
from hypojax.study.writing.study_steps import (
    analysed_people,
    balance_table_of,
    contrasts_of,
    differs_in_sex,
    equivalence_sentences,
    flow_table,
    head_size_sentences,
    main_term,
    power_table,
)
from hypojax.study.writing.study_text import answer_sentences, screen_table, study_page, warnings
from hypojax.study.writing.wording import records
from hypojax.tables.cells import counted
from hypojax.tables.writer import tsv

Say = Callable[[str], None]


@dataclass(frozen=True)
class StudyResult:
    """What a study found and where it was written.

    Parameters
    ----------
    findings
        Everything, as tables and Datasets.
    effects
        ``effects.nc``: region, term, contrast, quantity, method.
    answers, warnings, notes
        Sentences: the answer of each region, groups that are not alike, what was left out or decided.
    brief
        The answer as a table for a terminal.
    paths
        Files that were written.
    """

    findings: Findings
    effects: xr.Dataset
    answers: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    brief: TextTable
    paths: tuple[Path, ...] = ()

    @property
    def formula(self) -> str:
        """The model that was fitted."""
        return self.findings.formula

    @property
    def analysed(self) -> dict[str, int]:
        """Group → people analysed; all together where there is no group."""
        return self.findings.counts or {"all": len(self.findings.sample.people)}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of ``effects.tsv``."""
        return records(self.findings.effects)


def write_study(
    source: Source, *, out: Disk | None = None, settings: StudySettings | None = None, callback: Say | None = None
) -> StudyResult:
    """Analyse a cohort or a table and write ``study/``: all that ``hypojax study`` does.

    Parameters
    ----------
    source
        Output folder of a run or its URL, a table file, the Dataset of `hypojax.open_cohort`, or a pandas table.
    out
        Folder for the results; by default that of `default_folder`.
    settings
        What is asked, and how.
    callback
        Is given a sentence at each step.

    Raises
    ------
    RunError
        ``USAGE``: the question cannot be answered with these data; the sentence says why. ``NOT_WRITABLE`` or ``DISK_FULL``.
    """
    folder = on_disk(out) if out is not None else default_folder(source)
    refuse_file(folder)
    found, models = _analysed(source, settings or StudySettings(), callback or _silent)
    figures, drawn, said = draw(found, models, folder)
    found = replace(found, figures=figures, notes=(*found.notes, *said))
    paths = (*write_findings(found, folder), *drawn)
    result = result_of(found)
    record, removed = replace_earlier(folder, paths, found.settings, dict(found.versions), answers=result.answers)
    return replace(result, notes=(*result.notes, *removed), paths=(*paths, record))


def analyse(source: Source, *, settings: StudySettings | None = None, callback: Say | None = None) -> StudyResult:
    """Everything that `write_study` finds, without writing and without figures.

    Parameters
    ----------
    source, settings, callback
        As there.
    """
    return result_of(_analysed(source, settings or StudySettings(), callback or _silent)[0])


def result_of(found: Findings) -> StudyResult:
    """Findings with their sentences."""
    effects = effects_dataset([Effect(**row) for row in records(found.effects)])
    said = tuple(answer_sentences(found))
    return StudyResult(found, effects, said, tuple(warnings(found)), found.notes, screen_table(found))


def write_findings(found: Findings, folder: Path) -> tuple[Path, ...]:
    """Write the tables, Datasets and pages of a study into a folder.

    Raises
    ------
    RunError
        ``NOT_WRITABLE`` or ``DISK_FULL``.
    """
    page = study_page(found)
    effects = result_of(found).effects
    contents = {
        "study.md": markdown(page).encode(),
        "study.html": html(page).encode(),
        "effects.tsv": tsv(found.effects),
        "effects.nc": netcdf(effects),
        **{f"{name}.tsv": tsv(table) for name, table in found.tables.items()},
        **{f"{name}.nc": netcdf(dataset) for name, dataset in found.datasets.items()},
    }
    for name, content in contents.items():
        place(folder / name, content)
    return tuple(folder / name for name in contents)


def netcdf(dataset: xr.Dataset) -> bytes:
    """A Dataset as netCDF 4."""
    return bytes(dataset.to_netcdf(engine="h5netcdf"))


def default_folder(source: Source) -> Path:
    """Where results go: beside the cohort, or in the current folder for a table and for a cohort in a bucket.

    >>> str(default_folder("volumes.tsv")), str(default_folder("s3://bucket/out"))
    ('study', 'study')
    """
    place = locate(source) if isinstance(source, str | Path) else None
    if not isinstance(place, Path) or not place.is_dir():
        return Path("study")
    return (place.parent if place.name == STORE else place) / "study"


class _Answer(NamedTuple):
    """A comparison, and its effects as they are reported."""

    compared: ModelComparison
    formula: str
    effects: pd.DataFrame
    term: str
    contrasts: dict[str, tuple[str, str]]


def _analysed(source: Source, settings: StudySettings, say: Say) -> tuple[Findings, Sequence[FittedModel]]:
    """Effects and all that belongs to them, and the models that they come from."""
    check_settings(settings)
    measured = _without_constants(source if isinstance(source, Sample) else read_sample(source, settings))
    say(f"{counted(len(measured.people), 'scan')}, {counted(measured.volumes.sizes['region'], 'region')}")
    if settings.change:
        _check_change(settings)
        return change_study(measured, settings), ()
    sample, sites = harmonised(source, measured, settings) if settings.harmonise else (measured, Extra())
    answer = _answered(sample, settings)
    say("effects estimated; repeating them with other people and other corrections for head size")
    norms = scored(source, measured, settings) if settings.norms else Extra()
    return _found(sample, settings, answer, sites=sites, norms=norms), answer.compared.models


def _answered(sample: Sample, settings: StudySettings) -> _Answer:
    """Fit the model, and find the question in its effects."""
    compared = compare_models(sample, settings)
    formula, effects = str(compared.model.formula), effects_table(compared.effects)
    if settings.harmonise:
        effects["method"] = "ComBat + " + effects["method"]
    term = main_term(effects, formula, sample)
    return _Answer(compared, formula, effects, term, contrasts_of(effects, term))


def _found(sample: Sample, settings: StudySettings, answer: _Answer, *, sites: Extra, norms: Extra) -> Findings:
    """The answer with all that is reported beside it."""
    (compared, formula, effects, term, contrasts), models = answer, answer.compared.models
    checks = diagnosed(models, term, repeated=compared.model.repeated)
    first = sample.people.drop_duplicates("subject") if compared.model.repeated else None  # people are compared, not scans
    balance = balance_table_of(sample, contrasts, term=term, formula=formula, people=first)
    tables, not_made = _other_choices(sample, settings, answer, influential=most_influential(checks), by_sex=differs_in_sex(balance))
    tables |= {"flow": flow_table(sample), "balance": balance, "power": power_table(effects, term)}
    tables |= {"diagnostics": diagnostics_table(checks), "influence": influence_table(checks), **sites.tables, **norms.tables}
    remarks = {"sensitivity": not_made, "head_size": head_size_sentences(sample, formula, settings.head_size)}
    remarks |= {"harmonisation": sites.sentences, "norms": norms.sentences}
    if settings.equivalence is not None:
        remarks["equivalence"] = tuple(equivalence_sentences(effects, term, settings.equivalence))
    analysed = analysed_people(models, term)
    smallest = min((size.people for sizes in analysed.values() for size in sizes.values()), default=0) if contrasts else 0
    unit = "1" if compared.model.formula.is_log else str(sample.volumes.attrs.get("units", ""))
    return Findings(
        sample, settings, formula, term, effects, contrasts,
        tables={name: table for name, table in tables.items() if len(table)}, datasets={**sites.datasets, **norms.datasets},
        checks=tuple(check_sentences(checks, unit=unit, smallest=smallest, repeated=compared.model.repeated)),
        remarks=remarks, notes=tuple(dict.fromkeys((*sample.notes, *compared.notes))), versions=versions(), analysed=analysed,
    )  # fmt: skip


def _other_choices(
    sample: Sample, settings: StudySettings, answer: _Answer, *, influential: Sequence[str], by_sex: bool
) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """The same effects with other people, another model or correction for head size; and what could not be made."""
    people, not_made = other_people(sample, settings, term=answer.term, influential=influential, by_sex=by_sex)
    mixed, not_mixed = mixed_table(sample, settings, answer.compared.model, term=answer.term)
    sizes, not_sized = head_size_table(sample, settings, term=answer.term)
    both = pd.concat([one for one in (people, mixed) if len(one)] or [people], ignore_index=True)
    return {"sensitivity": both, "head_size": sizes}, (*not_made, *not_mixed, *not_sized)


def _check_change(settings: StudySettings) -> None:
    """Refuse what a study of change would pass over."""
    asked = {
        "--permutations": settings.permutations > 0,
        "--harmonise": settings.harmonise,
        "--weights": settings.weights,
        "--norms": settings.norms is not None,
        f"--head-size {settings.head_size}": settings.head_size not in ("covariate", "none"),
    }
    if wrong := [name for name, is_asked in asked.items() if is_asked]:
        raise RunError(
            Reason.USAGE, f"{' and '.join(wrong)} cannot be had with --change, which compares the change per year of people; leave out"
        )


def _without_constants(sample: Sample) -> Sample:
    """The sample without regions whose volume is the same in all scans, which no model can be fitted to; refused where none is left."""
    kept, said = [], []
    for region in sample.volumes["region"].values.tolist():
        known = sample.volumes.sel(region=region).dropna("scan").values
        if known.size > 1 and known.min() == known.max():
            why = f"all {known.size} scans have the volume {known[0]:g}, so there is nothing to compare"
            said.append(f"region {visible(str(region))}: {why}")
        else:
            kept.append(region)
    if not kept:
        raise RunError(Reason.USAGE, f"{said[0]}; correct the column, or name other regions with --region")
    return replace(sample, volumes=sample.volumes.sel(region=kept), notes=(*sample.notes, *said)) if said else sample


def _silent(_: str) -> None:
    pass
