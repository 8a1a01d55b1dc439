"""The verbs of population statistics: `hypojax study` and `hypojax norms`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from hypojax.cli.screen import Screen
from hypojax.cli.verb import OK, Verb
from hypojax.reason import Reason, RunError
from hypojax.study.study_settings import ColumnSettings, StudySettings

Source = Annotated[Positional[str], arg(metavar="SOURCE", help_behavior_hint="")]
Options = OmitArgPrefixes[StudySettings]


@dataclass(frozen=True)
class StudyVerb(Verb):
    """Answer a question about a cohort: do volumes differ between groups, corrected for head size, age and sex.

    SOURCE is a folder or URL that `hypojax run` wrote, or a table of volumes made by any tool (TSV, CSV, Parquet): a row a scan with a
    column a region, or a row a scan and region. Columns of group, age, sex, head size and site are found by their usual names; what was
    taken is said first. Results go to SOURCE/study, or to ./study for a table or a cohort in a bucket: study.md and study.html (methods
    and results to read and to paste), effects.tsv and effects.nc (all numbers), further tables, and figures (with the extra `report`).

    $ hypojax study out/ --group group
    $ hypojax study out/ --formula "volume ~ group + age + sex + icv" --region hypothalamus subunits
    $ hypojax study out/ --group diagnosis --cases AD --cases MCI --pheno clinic.tsv      # each against all others together
    $ hypojax study out/ --group group --site scanner --harmonise                         # ComBat, then the model
    $ hypojax study out/ --group group --change years --subject subject                   # change per year, several scans a person
    $ hypojax study volumes.tsv --formula "hypothalamus ~ group + age + sex" --unit mm3 --out study/
    $ hypojax study out/ --norms norms.nc                                                 # centiles and z-scores of each person

    Sites that cannot share data about people: each writes sums alone, and one of them puts these together.

    $ hypojax study out/ --formula "volume ~ group + age + sex + icv" --summaries site-a.json
    $ hypojax study --from-summaries site-a.json site-b.json --out study/

    Exit code: 0 written, 1 the question cannot be answered with these data (one group only, a column that is not there, ...): a sentence
    says why and what to do.
    """

    source: Source = ""
    """Folder or URL of a run, or a table."""
    settings: Options = field(default_factory=StudySettings)
    """What is asked, and how."""
    out: Path | None = None
    """Folder for the results. Default: SOURCE/study for a folder, ./study for a table or a bucket."""
    summaries: Path | None = None
    """Write sums over all people to this file instead, nothing about one person; sums of fewer than 5 people are refused."""
    from_summaries: tuple[Path, ...] = ()
    """Files of --summaries, of several sites: the same estimates as from all their data together."""

    def __call__(self, screen: Screen) -> int:
        """Analyse, write, and say the answer."""
        if self.from_summaries or self.summaries is not None:
            return _federated(self, screen)
        if not self.source:
            raise RunError(Reason.USAGE, "hypojax study needs SOURCE, for example: hypojax study out/ --group group")
        from hypojax.study import write_study

        found = write_study(self.source, out=self.out, settings=self.settings, callback=screen.say)
        for note in found.notes:
            screen.say(f"note: {note}")
        shown = found.brief
        screen.table(shown.title, shown.header, shown.rows)
        for sentence in (*found.warnings, *found.answers):
            screen.answer(sentence)
        _show_written(screen, found.paths)
        screen.add(answers=list(found.answers), warnings=list(found.warnings), notes=list(found.notes), model=found.formula)
        screen.add(analysed=found.analysed, effects=found.rows)
        return OK


@dataclass(frozen=True)
class NormsVerb(Verb):
    """Make norms of a reference cohort: centiles of each volume by age and sex, with head size, in one netCDF file.

    SOURCE is as for `hypojax study`: people without the disease, some hundred of them over the ages that will be asked for.
    The file holds all that is needed to apply it; `hypojax study --norms` gives a centile and a z-score to each person of another cohort.

    $ hypojax norms reference/ --out norms.nc
    $ hypojax norms reference.csv --region hypothalamus --unit mm3 --out norms.nc
    $ hypojax study out/ --norms norms.nc

    Exit code: 0 written, 1 norms cannot be made of these data: a sentence says why and what to do.
    """

    source: Source = ""
    """Folder of a run, or a table."""
    settings: OmitArgPrefixes[ColumnSettings] = field(default_factory=ColumnSettings)
    """Which columns and regions are taken."""
    out: Path = Path("norms.nc")
    """File for the norms."""

    def __call__(self, screen: Screen) -> int:
        """Fit, write, and say how well calibrated the curves are."""
        if not self.source:
            raise RunError(Reason.USAGE, "hypojax norms needs SOURCE, for example: hypojax norms reference/ --out norms.nc")
        from hypojax.study import write_norms

        found = write_norms(self.source, out=self.out, settings=self.settings.as_study(), callback=screen.say)
        for note in found.notes:
            screen.say(f"note: {note}")
        shown = found.brief
        screen.table(shown.title, shown.header, shown.rows)
        screen.written(found.paths)
        screen.add(notes=list(found.notes), table={"header": shown.header, "rows": shown.rows})
        return OK


def _federated(verb: StudyVerb, screen: Screen) -> int:
    """Sums of one site, or the answer from the sums of several."""
    from hypojax.study.writing.study_federated import pooled_study, write_summaries
    from hypojax.study.writing.wording import records

    if verb.summaries is not None:
        written, notes = write_summaries(verb.source, verb.summaries, settings=verb.settings)
        for note in notes:
            screen.say(f"note: {note}")
        screen.written([written])
        return OK
    said, effects, paths = pooled_study(verb.from_summaries, out=verb.out or Path("study"), settings=verb.settings)
    for sentence in said:
        screen.answer(sentence)
    _show_written(screen, paths)
    screen.add(answers=said, effects=records(effects))
    return OK


def _show_written(screen: Screen, paths: Sequence[Path]) -> None:
    """The folder and the page to read; all files for programs."""
    screen.add(paths=list(map(str, paths)))
    screen.answer(f"written: {paths[0]}, and {len(paths) - 1} other files beside it")
