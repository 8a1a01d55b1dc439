"""`hypojax evaluate`: label maps against a reference."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

from hypojax.cli.screen import Screen
from hypojax.cli.verb import Verb, exit_code


@dataclass(frozen=True)
class Evaluate(Verb):
    """Score label maps against a reference: overlap, surface distance, agreement of volumes, failures.

    PREDICTED and REFERENCE are each an output folder of `hypojax run`, BIDS derivatives, a folder of images, or one image:
    hypothalamus label maps (1-5 left, 6-10 right) and intracranial masks. They are paired by dataset, subject, session and run, or
    by file name. A reference without a usable prediction is a failure that stays in the table. Predictions on another grid are
    brought to that of the reference by nearest neighbour. Scores of each scan are written to --out as evaluation.nc (for xarray)
    and evaluation.tsv, tables to read as evaluation.md and evaluation.html, and their numbers by stratum and region as summary.nc,
    summary.tsv (failure rate, agreement of volumes) and summary_metrics.tsv (mean with interval, median and worst of each metric).

    $ hypojax evaluate out/ manual-labels/
    $ hypojax evaluate out/ manual-labels/ --participants participants.tsv --by sex --by age
    $ hypojax evaluate out/ manual-labels/ --record out/

    Exit code: 0 every reference was scored, 2 some were not, 3 none was, 1 there is nothing to compare.
    """

    predicted: Annotated[Positional[Path], arg(metavar="PREDICTED")]
    """Label maps to judge."""
    reference: Annotated[Positional[Path], arg(metavar="REFERENCE")]
    """Label maps to hold them against."""
    out: Path = Path("evaluation")
    """Folder for the results."""
    participants: Path | None = None
    """Table with age, sex and the like, by participant_id or scan; an output folder of hypojax brings its own."""
    by: UseAppendAction[tuple[str, ...]] = field(default=())
    """Column to stratify by (sex, dataset, age, ...); give it once for each."""
    record: Path | None = None
    """Output folder of `hypojax run` whose evaluation history receives a record, which `hypojax drift` reads."""
    strict_tables: FlagCreatePairsOff[bool] = False
    """Refuse a table with a fault instead of leaving out the values concerned."""
    structure: Literal["hypothalamus", "icv"] | None = None
    """What all label maps are of, where their names do not say so."""

    def __call__(self, screen: Screen) -> int:
        """Evaluate, show the table, write the files."""
        from hypojax.evaluation import evaluate, record
        from hypojax.evaluation.evaluation_page import brief

        with screen.progress() as watch:
            found = evaluate(
                self.predicted,
                self.reference,
                out=self.out,
                participants=self.participants,
                by=self.by,
                structure=self.structure,
                strict_tables=self.strict_tables,
                callback=watch,
            )
        table = brief(found.summary)
        screen.table(table.title, table.header, table.rows)
        for note in found.notes:
            screen.say(f"note: {note}")
        if self.record is not None:
            screen.answer(f"recorded in {self.record}: {record(self.record, found.summary)}")
        screen.written(found.paths)
        scored = found.scores.sizes["scan"] - found.failed
        screen.add(scans={"scored": scored, "failed": found.failed}, notes=list(found.notes))
        screen.add(table={"header": table.header, "rows": table.rows})
        return exit_code(scored, found.failed)
