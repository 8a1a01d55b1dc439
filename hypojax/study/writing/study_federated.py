"""Studies of several sites that may not share people: sums of each site, and the answer from the sums of all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from hypojax.pages import Bullets, Heading, Page, Paragraph, TextTable, html, markdown
from hypojax.pages.page import Block
from hypojax.reason import Reason, RunError, visible
from hypojax.storage import Disk, on_disk, place
from hypojax.study.formulas.formula import parse
from hypojax.study.models.effect import effects_table
from hypojax.study.models.multiplicity import with_fdr
from hypojax.study.models.study_model import choose_model
from hypojax.study.people.grouping import grouping_of
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.sites.pooled_sums import PooledFit, pool_sums, pooled_effects
from hypojax.study.sites.site_sums import SiteSums, site_sums
from hypojax.study.study_settings import StudySettings
from hypojax.study.writing.earlier_study import refuse_file, replace_earlier
from hypojax.study.writing.study_answers import SHORT_HEADER, answers, short_rows
from hypojax.study.writing.study_extras import Source
from hypojax.study.writing.study_methods import versions
from hypojax.study.writing.study_steps import power_table
from hypojax.study.writing.wording import listed
from hypojax.tables.writer import tsv

HOW = (
    "Classical errors with t on people less coefficients: sums do not hold what robust errors need. Where a small "
    "group varies more than the others, classical errors are too small and find too much. Estimates are those of all people "
    "together, with a term for the site; nothing about one person was shared."
)


def write_summaries(source: Source, path: Disk, *, settings: StudySettings | None = None) -> tuple[Path, tuple[str, ...]]:
    """Write the sums of one site as a file that a person can read before giving it away.

    Parameters
    ----------
    source
        Output folder of a run, a table, a cohort or a pandas table: the people of one site.
    path
        The file, JSON.
    settings
        Formula, regions and columns. Without a formula the default model is taken, without the site.

    Returns
    -------
    The file, and notes on what was taken.

    Raises
    ------
    RunError
        ``USAGE``: there are too few people, or cells of fewer than five.
    """
    settings = settings or StudySettings()
    _check_sums(settings)
    if isinstance(source, str) and not source:
        raise RunError(Reason.USAGE, "hypojax study --summaries needs SOURCE, for example: hypojax study out/ --summaries site-a.json")
    sample = source if isinstance(source, Sample) else read_sample(source, settings)
    model = choose_model(sample, replace(settings, subject=None))
    formula = model.formula.without("site", sample.took.get("site", "site"))
    notes = list(sample.notes)
    regions = [str(region) for region in sample.volumes["region"].values if str(region) not in model.head_size & set(formula.names)]
    if len(regions) < sample.volumes.sizes["region"]:
        notes.append("the intracranial volume is a covariate of this model, so it is no region of the sums")
    made = site_sums(formula, sample.people, sample.volumes.sel(region=regions), site=_site_name(sample, on_disk(path)))
    where = on_disk(path)
    place(where, made.to_json().encode())
    return where, (*notes, f"site {made.site}: sums of {made.people} people, model {made.formula}")


def _check_sums(settings: StudySettings) -> None:
    """Refuse what a study of sums would pass over."""
    asked = {
        f"--head-size {settings.head_size}": settings.head_size not in ("covariate", "none"),
        "--harmonise": settings.harmonise,
        "--weights": settings.weights,
        "--norms": settings.norms is not None,
        "--change": settings.change is not None,
        "--permutations": settings.permutations > 0,
        "--equivalence": settings.equivalence is not None,
    }
    if wrong := [name for name, is_asked in asked.items() if is_asked]:
        raise RunError(Reason.USAGE, f"{' and '.join(wrong)} cannot be had from sums of sites, which hold a linear model: leave it out")


def read_summaries(paths: Sequence[Disk]) -> list[SiteSums]:
    """The sums of several sites.

    Raises
    ------
    RunError
        ``USAGE``: a file is not there or holds no sums, or two are of one site.
    """
    found = []
    for path in map(on_disk, paths):
        try:
            found.append(SiteSums.of_json(path.read_text(encoding="utf-8"), name=visible(str(path))))
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(
                Reason.USAGE, f"{visible(str(path))} cannot be read ({error}); write it with: hypojax study SOURCE --summaries FILE"
            ) from error
    return found


def pooled_study(
    paths: Sequence[Disk], *, out: Disk, settings: StudySettings | None = None
) -> tuple[list[str], pd.DataFrame, tuple[Path, ...]]:
    """The answer from the sums of several sites: paragraphs, effects, and the files that were written.

    Parameters
    ----------
    paths
        Files of `write_summaries`.
    out
        Folder for ``study.md``, ``study.html``, ``effects.tsv``, ``power.tsv`` and ``study.json``.
    settings
        ``cases`` names the groups that are no controls; ``confidence``.

    Raises
    ------
    RunError
        ``USAGE``: the sums do not fit together.
    """
    settings = settings or StudySettings()
    _check_sums(settings)
    folder = on_disk(out)
    refuse_file(folder)
    sites = read_summaries(paths)
    fitted = pool_sums(sites, references=_references(sites, settings))
    effects = effects_table(with_fdr(pooled_effects(fitted, confidence=settings.confidence)))
    term = next((one for one in ("group", *parse(sites[0].formula).names) if one in set(effects["term"])), str(effects["term"].iloc[0]))
    power = power_table(effects, term)
    said = answers(effects, term=term, detectable=power, counts={}, confidence=settings.confidence)
    page = _page(sites, fitted, effects, term, said)
    contents = {
        "study.md": markdown(page).encode(),
        "study.html": html(page).encode(),
        "effects.tsv": tsv(effects),
        "power.tsv": tsv(power),
    }
    for name, content in contents.items():
        place(folder / name, content)
    written = tuple(folder / name for name in contents)
    record, removed = replace_earlier(folder, written, settings, versions())
    return [*said, *removed], effects, (*written, record)


def _site_name(sample: Sample, path: Path) -> str:
    """The only site of the people, or the name of the file."""
    known = sample.people["site"].dropna().unique().tolist() if "site" in sample.people else list[object]()
    return str(known[0]) if len(known) == 1 else path.stem


def _references(sites: Sequence[SiteSums], settings: StudySettings) -> dict[str, str]:
    """The controls among the groups of all sites."""
    levels = sorted({level for one in sites for column in one.columns for name, level in column if name == "group" and level})
    if not levels:
        return {}
    found = grouping_of(pd.Series(levels), "group", settings.cases)
    if found.reference is None or found.reference not in levels:
        raise RunError(Reason.USAGE, f"{found.problem or 'several groups would be the controls'}; name all others with --cases")
    return {"group": found.reference}


def _page(sites: Sequence[SiteSums], fitted: PooledFit, effects: pd.DataFrame, term: str, said: Sequence[str]) -> Page:
    """What was pooled, and the answer."""
    people = ", ".join(f"{name} {count}" for name, count in fitted.people.items())
    blocks: list[Block] = [
        Heading("What was taken and assumed"),
        Bullets([f"Model: {sites[0].formula} + site.", f"People: {people}.", HOW, *fitted.notes]),
        Heading("Answer"),
        *(Paragraph(sentence, strong=number == 0) for number, sentence in enumerate(said)),
        TextTable(SHORT_HEADER, short_rows(effects, terms=[term])),
        Heading("Methods, to paste"),
        Paragraph(
            f"The model {sites[0].formula} + site was fitted to sums of {sum(fitted.people.values()):,} people of {len(sites)} sites. {HOW}"
        ),
        Paragraph(f"Software: {', '.join(f'{name} {version}' for name, version in versions().items())}."),
    ]
    return Page(f"Study of sites {listed([one.site for one in sites])}", blocks)
