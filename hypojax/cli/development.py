"""Verbs for those who make or judge networks: `hypojax split`, `train`, `evaluate` and `drift`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg

from hypojax.cli.progress_bars import training_progress
from hypojax.cli.screen import Screen
from hypojax.cli.verb import NONE_SUCCEEDED, OK, SIGNALLED, SOME_FAILED, Verb, exit_code
from hypojax.matching.split_plan import SplitPlan
from hypojax.monitoring.limits import Choice, Limits


@dataclass(frozen=True)
class SplitVerb(Verb):
    """Split a table of participants by subject: a test set matched for age and sex, folds, or matched pairs.

    TABLE is a participants table (tsv, csv, parquet), one row or more a subject; a subject is never in two sets. OUT receives
    split.tsv, the table with the columns `set` or `fold` (and `pair`), and how balanced the sets are: balance.tsv, balance.md.
    The same seed gives the same sets, whatever the order of rows.

    $ hypojax split participants.tsv --size 0.2 --match age sex site
    $ hypojax split participants.tsv --folds 5
    $ hypojax split participants.tsv --group diagnosis --cases ALS --size all

    Exit code: 0 split, 1 the table cannot be read, or not split in this way.
    """

    table: Annotated[Positional[Path], arg(metavar="TABLE")]
    """Table of participants."""
    out: Path = Path("split")
    """Folder for the results."""
    strict_tables: FlagCreatePairsOff[bool] = False
    """Refuse a table with faults; by default the faulty values are left out."""
    plan: OmitArgPrefixes[SplitPlan] = field(default_factory=SplitPlan)
    """How the table is split."""

    def __call__(self, screen: Screen) -> int:
        """Split, write, and show the balance."""
        from hypojax.matching.splitter import balance_lines, split_table, verdict, write_split

        split = split_table(self.table, plan=self.plan, strict_tables=self.strict_tables)
        written = write_split(split, self.out)
        for note in split.notes:
            screen.say(f"note: {note}")
        subjects = ", ".join(f"{count} in {name}" for name, count in split.counts.items())
        screen.table(f"Subjects: {subjects}", *balance_lines(split))
        screen.answer(verdict(split))
        screen.add(subjects=split.counts, verdict=verdict(split), notes=split.notes)
        screen.written(written)
        return OK


@dataclass(frozen=True)
class TrainVerb(Verb):
    """Train a network with CONFIG: a TOML file, or `box`, the configuration of the released box network.

    Without --fold or --all it learns from all subjects, and OUT/weights receives what `hypojax run --weights` takes. OUT/all or
    OUT/fold0, ... receives state.safetensors (the same command continues from it to the same weights, bit for bit), log.jsonl,
    record.json, log.png and, with a fold, best.safetensors. Ctrl-C and SIGTERM or SIGHUP save first. It uses all local devices, and
    bfloat16 on a GPU or TPU that supports it. With --labels the examples are made first, of a tab-separated table of your own scans,
    of five subjects or more, with the columns name (of the subject), image, labels (1-5 left, 6-10 right) and, where known, mask, age,
    sex and dataset.

    $ hypojax train box --fold 0
    $ hypojax train box --all
    $ hypojax train box --labels scans.tsv --examples my-examples --out my-network --all
    $ hypojax train box --examples my-examples --out my-network
    $ hypojax run --weights my-network/weights bids/ out/

    Exit code: 0 trained to the end, 1 it could not, 130, 143 or 129 interrupted and saved.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG")]
    """Configuration file, or box."""
    fold: int | None = None
    """Train on all subjects outside this fold (0, 1, ...) and validate on it."""
    every_fold: Annotated[FlagCreatePairsOff[bool], arg(name="all")] = False
    """Train every fold, one after another."""
    labels: Path | None = None
    """Table of your own scans and label maps: make the examples of it."""
    examples: Path | None = None
    """Folder of examples, instead of that of CONFIG."""
    out: Path | None = None
    """Folder of the runs, instead of that of CONFIG."""
    steps: int | None = None
    """Optimiser steps, instead of those of CONFIG."""

    def __call__(self, screen: Screen) -> int:
        """Train, show progress, give the exit code."""
        from hypojax.training import read_config, train, write_weights

        config = read_config(self.config)
        if self.labels:
            from hypojax.labelled import write_examples

            screen.say(f"Making examples of {self.labels}, some seconds a scan …")
            screen.written(write_examples(self.labels, self.examples or config.examples))
        with training_progress(screen.messages) as callback:
            results = train(
                self.config,
                fold=self.fold,
                every_fold=self.every_fold,
                examples=self.examples,
                out=self.out,
                steps=self.steps,
                callback=callback,
            )
        if not results[-1].finished:
            return SIGNALLED + results[-1].signal
        if self.fold is None and not self.every_fold:
            weights = write_weights((self.out or config.out) / "weights", **{config.stage: results[-1].folder})
            screen.answer(f"to segment with this network: hypojax run --weights {weights} INPUT OUT")
        return OK


@dataclass(frozen=True)
class EvaluateVerb(Verb):
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
    """Label maps to score."""
    reference: Annotated[Positional[Path], arg(metavar="REFERENCE")]
    """Label maps to compare them with."""
    out: Path = Path("evaluation")
    """Folder for the results."""
    participants: Path | None = None
    """Table with age, sex and the like, by participant_id or scan; an output folder of hypojax brings its own."""
    by: UseAppendAction[tuple[str, ...]] = field(default=())
    """Column to stratify by (sex, dataset, age, ...); repeat it for several."""
    record: Path | None = None
    """Output folder of `hypojax run` whose evaluation history receives a record, which `hypojax drift` reads."""
    strict_tables: FlagCreatePairsOff[bool] = False
    """Refuse a table with faults; by default the faulty values are left out."""
    structure: Literal["hypothalamus", "icv"] | None = None
    """Structure of all label maps, where their names do not say it."""

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


@dataclass(frozen=True)
class DriftVerb(Verb):
    """Compare new scans, or the same scans with new weights, with a reference, and show what changed.

    REFERENCE and NEW are folders that `hypojax run` wrote; with --since or --select a part of NEW, or of REFERENCE alone, is
    the new batch. Compared are volumes (also at equal head size, age and sex), uncertainty, quality, flags and failures.
    OUT receives drift.tsv, drift.md and drift.html.

    $ hypojax drift reference/ new/
    $ hypojax drift out/ --since 2024-06-30
    $ hypojax drift old-weights/ new-weights/

    Exit code: 0 no change beyond the limits, 2 a change, 3 too few scans to decide, 1 wrong usage.
    """

    reference: Annotated[Positional[Path], arg(metavar="REFERENCE")]
    """Folder of the reference."""
    new: Annotated[Positional[Path | None], arg(metavar="[NEW]")] = None
    """Folder of the new batch, or of the same scans with other weights."""
    out: Path = Path("drift")
    """Folder for the results."""
    choice: OmitArgPrefixes[Choice] = field(default_factory=Choice)
    """Which scans are new."""
    limits: OmitArgPrefixes[Limits] = field(default_factory=Limits)
    """What counts as a change."""

    def __call__(self, screen: Screen) -> int:
        """Compare, write, and say what moved."""
        from hypojax.monitoring import drift
        from hypojax.monitoring.drift_page import screen_rows, sentences, verdict
        from hypojax.monitoring.finding import trend_sentences

        found = drift(self.reference, self.new, out=self.out, choice=self.choice, limits=self.limits)
        for note in (*found.notes, *trend_sentences(found.trend)):
            screen.say(f"note: {note}")
        if found.moved:
            screen.table("Moved", *screen_rows(found.moved))
        for text in (*sentences(found), verdict(found)):
            screen.answer(text)
        screen.written(found.paths)
        screen.add(compared=len(found.compared), moved=[one.measure.name for one in found.moved], scans=found.scans)
        screen.add(verdict=verdict(found), sentences=sentences(found), notes=found.notes)
        if found.moved:
            return SOME_FAILED
        return OK if found.compared else NONE_SUCCEEDED
