"""The verb `hypojax report`: what a cohort looks like, as pages to look at and to rate scans on."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from hypojax.cli.progress_bars import PAGE_WORDS
from hypojax.cli.screen import Screen
from hypojax.cli.verb import OK, Place, Verb
from hypojax.reason import Reason, RunError
from hypojax.reporting.report_settings import ReportSettings
from hypojax.storage import Location
from hypojax.tables.cells import counted

Out = Annotated[Positional[Place], arg(metavar="OUT")]
Options = OmitArgPrefixes[FlagCreatePairsOff[ReportSettings]]


@dataclass(frozen=True)
class ReportVerb(Verb):
    """Show what a cohort looks like: pages to open in a browser, the doubtful scans first.

    OUT is a folder that `hypojax run` wrote, also while it runs. OUT/report/index.html opens by a double click and needs no network: how
    many scans were measured and why others were not, distributions and outliers, a table of all scans, the results of `hypojax study`
    where there are some, methods and citations. Each scan has a page with sections, outlines, its volumes among those of the others, and
    a viewer. Needs the extra `report`: python -m pip install 'hypojax[report]'.

    $ hypojax report out/
    $ hypojax report out/ --scans flagged                 # pages of doubtful scans only; default beyond 500 scans
    $ hypojax report out/ --scans sub-01 sub-02           # pages of these scans only
    $ hypojax report out/ --serve                         # rate scans by keys a, d and r; ratings go to OUT/qc.tsv
    $ hypojax report s3://bucket/out --out report/        # a bucket needs a folder for the pages
    $ hypojax report out/ --share --columns age sex       # to pass on: no names, dates and paths, only these columns
    $ hypojax report out/ --figure sub-01                 # the sections of one scan as SVG and PNG, for a paper

    Run it again after more scans are measured: pages of which nothing changed are kept.

    Exit code: 0 written, 1 there is no cohort or the report cannot be written.
    """

    place: Out
    """Folder of a run."""
    settings: Options = field(default_factory=ReportSettings)
    """Which scans get a page, and what is shown."""
    out: Path | None = None
    """Folder for the pages. Default: OUT/report; OUT/report-shared with --share."""
    figure: str = ""
    """Only draw the sections of this scan, as SVG and as PNG of 300 dpi, into the folder figures/ of the report."""
    serve: FlagCreatePairsOff[bool] = False
    """Open the report on this machine so that scans can be rated; Ctrl-C ends it."""
    rater: str = ""
    """Name that ratings are written under. Default: the login name."""
    port: int = 0
    """Port of --serve on this machine; the next free one where it is taken. Default: 8642."""

    def __call__(self, screen: Screen) -> int:
        """Draw, and say where the pages are; serve them where that is asked for."""
        from hypojax.reporting import report_run

        if self.serve and self.settings.share:
            raise RunError(Reason.USAGE, "--serve and --share exclude each other: ratings need the names of scans")
        if self.figure:
            return self._draw_figure(screen)
        with screen.progress(PAGE_WORDS) as watch:
            found = report_run.report(self.place, out=self.out, settings=self.settings, callback=watch)
        for sentence in (*(f"note: {note}" for note in found.notes), *found.sentences):
            screen.say(sentence)
        kept = f" ({found.unchanged} of them kept: nothing changed)" if found.unchanged else ""
        screen.answer(f"written: {found.index}, with {counted(found.pages + found.unchanged, 'page')} of scans{kept}")
        screen.add(index=str(found.index), pages=found.pages, unchanged=found.unchanged, waiting=found.waiting, notes=list(found.notes))
        screen.add(failed=[{"scan": result.scan, "message": result.message} for result in found.failed])
        if self.serve:
            self._serve(screen, found.index.parent)
        return OK

    def _draw_figure(self, screen: Screen) -> int:
        from hypojax.reporting import report_run
        from hypojax.reporting.paper_figures import write_figures
        from hypojax.reporting.report_data import read_report_data

        folder = report_run.report_folder(self.place, out=self.out, share=self.settings.share)
        data = read_report_data(self.place, replace(self.settings, scans=(self.figure,)))  # with --share, its name as pages show it
        report_run.claim_folder(folder, share=self.settings.share)
        screen.written(write_figures(data, data.settings.scans[0], folder / report_run.FIGURES))
        return OK

    def _serve(self, screen: Screen, folder: Path) -> None:
        from hypojax.reporting import report_run
        from hypojax.reporting.rating_server import serve

        serve(folder, self.place, rater=self.rater, port=self.port, say=screen.say)
        found = report_run.report(self.place, out=self.out, settings=self.settings)
        screen.say(f"{found.index} has the ratings that were taken")


def show_report(screen: Screen, results: Location) -> None:
    """Draw the report of a run and give the link to it; or the command that installs what it needs."""
    from hypojax.reporting import report_run

    try:
        with screen.progress(PAGE_WORDS) as watch:
            found = report_run.report(results, callback=watch)
    except RunError as error:
        screen.answer(f"No report: {error}")
        return
    screen.add(index=str(found.index))
    screen.answer(f"Look at the scans: open {found.index.resolve().as_uri()} in a browser")
