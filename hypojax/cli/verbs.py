"""The verbs: one frozen dataclass each, whose fields are its arguments and whose docstring is its help.

Nothing heavy is imported before a verb is called, so that help comes at once.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Union

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg, subcommand

from hypojax.cli.app_verb import AppVerb
from hypojax.cli.bids_verb import BidsVerb
from hypojax.cli.completion import Shell, script
from hypojax.cli.development import DriftVerb, EvaluateVerb, SplitVerb, TrainVerb
from hypojax.cli.membership_verbs import MergeVerb, RemoveVerb
from hypojax.cli.planning import PlanVerb
from hypojax.cli.report_verb import ReportVerb, show_report
from hypojax.cli.screen import Screen
from hypojax.cli.study_verbs import NormsVerb, StudyVerb
from hypojax.cli.verb import OK, SOME_FAILED, Place, Verb, deaf_to, exit_code
from hypojax.reason import Reason, RunError
from hypojax.settings import ClusterSettings, RunSettings
from hypojax.storage import Location

Out = Annotated[Positional[Place], arg(metavar="OUT")]
Paths = Annotated[Positional[tuple[Place, ...]], arg(metavar="INPUT [INPUT ...] OUT", help_behavior_hint="")]
Dataset = Annotated[str, arg(metavar="NAME")]
Settings = OmitArgPrefixes[RunSettings]
Where = OmitArgPrefixes[ClusterSettings]


@dataclass(frozen=True)
class RunVerb(Verb):
    """Find, read, segment, measure and export every scan.

    INPUT is a BIDS dataset, a folder, image files (.nii, .nii.gz, .mgz), DICOM series folders, or a table (tsv, csv,
    parquet) with a column `path`; each, like OUT, may be a URL (s3://, gs://, az://). OUT receives cohort.zarr,
    volumes.parquet, volumes.tsv and derivatives/. A scan that cannot be used keeps its row, with a
    reason, and the others continue. Run the same command again to continue after an interruption, or to add new scans.

    $ hypojax run bids/ out/
    $ hypojax run site-a/ site-b/ extra_T1w.nii.gz out/
    $ hypojax run bids/ out/ --cluster local              # several processes; cuda, slurm and kubernetes are others
    $ hypojax run bids/ out/ --shard 3/100                # the third of a hundred array jobs

    Ctrl-C, SIGTERM and SIGHUP end it cleanly: the table of the finished scans is written. Signals that were ignored at the start
    stay ignored: nohup blocks SIGHUP, and a job that a script starts with & does not receive Ctrl-C.

    Exit code: 0 all scans done, 2 some failed, 3 none succeeded, 1 the run could not start or continue, 130, 143 or 129 ended by
    Ctrl-C, SIGTERM or SIGHUP. It does not depend on whether the output is read, as in hypojax run bids/ out/ | head.
    """

    paths: Paths = ()
    """Where the scans are, and last the folder for the results."""
    settings: Settings = field(default_factory=RunSettings)
    """How the scans are processed."""
    where: Where = field(default_factory=ClusterSettings)
    """Where the scans are processed."""
    shard: Annotated[str, arg(metavar="I/N")] = ""
    """Process only every N-th scan, from the I-th: N such processes may write into one OUT, and each writes the table."""
    dataset: Dataset = ""
    """Name of the dataset of all scans, in the cohort's column `dataset`; default: the name of the folder."""
    report: FlagCreatePairsOff[bool] = False
    """Also draw the pages of `hypojax report` when the scans are through."""

    def __call__(self, screen: Screen) -> int:
        """Run, show progress and a summary, give the exit code."""
        inputs, out = _inputs_and_out(self.paths, "run")
        from hypojax import execute

        if sentence := deaf_to():
            screen.say(sentence)
        with screen.progress() as watch:
            shard = execute.parse_shard(self.shard) if self.shard else None
            outcome = execute.run(
                inputs, out=out, settings=self.settings, where=self.where, shard=shard, callback=watch, dataset=self.dataset
            )
        screen.outcome(outcome, out)
        if self.report:
            show_report(screen, out)
        return exit_code(outcome.done, outcome.failed)


@dataclass(frozen=True)
class IngestVerb(Verb):
    """Only find and read scans: copy their voxels, as they are, into OUT/cohort.zarr.

    $ hypojax ingest bids/ out/
    $ hypojax segment out/

    Exit code: 0 all scans read, 2 some failed, 3 none succeeded, 1 it could not start or continue.
    """

    paths: Paths = ()
    """Where the scans are, and last the folder for the results."""
    settings: Settings = field(default_factory=RunSettings)
    """How the scans are processed."""
    dataset: Dataset = ""
    """Name of the dataset of all scans, in the cohort's column `dataset`; default: the name of the folder."""

    def __call__(self, screen: Screen) -> int:
        """Ingest, show progress and a summary, give the exit code."""
        inputs, out = _inputs_and_out(self.paths, "ingest")
        from hypojax import execute

        with screen.progress() as watch:
            outcome = execute.ingest(inputs, out=out, settings=self.settings, callback=watch, dataset=self.dataset)
        screen.outcome(outcome, out)
        return exit_code(outcome.done + outcome.pending, outcome.failed)


@dataclass(frozen=True)
class SegmentVerb(Verb):
    """Only segment and measure the scans in OUT/cohort.zarr that are not segmented yet.

    $ hypojax segment out/

    Exit code: 0 all scans done, 2 some failed or are waiting, 3 none succeeded, 1 it could not start or continue.
    """

    out: Out
    """Folder that `hypojax ingest` or `hypojax run` wrote."""
    settings: Settings = field(default_factory=RunSettings)
    """How the scans are processed."""

    def __call__(self, screen: Screen) -> int:
        """Segment, show progress and a summary, give the exit code."""
        from hypojax import execute

        with screen.progress() as watch:
            outcome = execute.segment_store(self.out, settings=self.settings, callback=watch)
        screen.outcome(outcome, self.out)
        return exit_code(outcome.done, outcome.failed + outcome.pending)


@dataclass(frozen=True)
class ExportVerb(Verb):
    """Only write the tables and BIDS derivatives again, from OUT/cohort.zarr.

    $ hypojax export out/

    Exit code: 0 written, 2 some scans failed, 3 none succeeded, 1 there is no store, or OUT cannot be written.
    """

    out: Out
    """Folder that `hypojax run` wrote."""

    def __call__(self, screen: Screen) -> int:
        """Export and say what was written."""
        from hypojax import execute

        with screen.progress() as watch:
            outcome = execute.export(self.out, callback=watch)
        screen.outcome(outcome, self.out)
        return exit_code(outcome.done, outcome.failed)


@dataclass(frozen=True)
class StatusVerb(Verb):
    """Show how many scans of OUT are done, failed or waiting, and why scans failed.

    $ hypojax status out/
    $ hypojax status out/ --watch                         # from another shell, while runs write into it

    Exit code: 0 all scans done, 2 some failed or are waiting, 3 none is done, 1 there is no store.
    """

    out: Out
    """Folder that `hypojax run` wrote, also while it runs."""
    watch: FlagCreatePairsOff[bool] = False
    """Repeat every few seconds, until no scan is waiting or Ctrl-C."""
    every: float = 5.0
    """Seconds between two updates."""

    def __call__(self, screen: Screen) -> int:
        """Show the state; the exit code is that of a run that ended here."""
        from hypojax import execute

        if self.watch:
            with screen.progress() as watch:
                execute.follow(self.out, every=self.every, callback=watch)
        outcome = execute.status(self.out)
        screen.outcome(outcome, self.out)
        return exit_code(outcome.done, outcome.failed + outcome.pending)


@dataclass(frozen=True)
class VerifyVerb(Verb):
    """Check every stored byte of OUT (store, label maps, tables) against its checksum, and list what is damaged.

    Nothing is changed. Each line says how to repair it: `hypojax repair`, or the same `hypojax run` again (with --check for voxels).

    $ hypojax verify out/

    Exit code: 0 intact, 2 damaged, 1 there is no store.
    """

    out: Out
    """Folder that `hypojax run` wrote."""

    def __call__(self, screen: Screen) -> int:
        """Check and show what was found."""
        from hypojax import execute

        problems = execute.verify(self.out)
        screen.problems(problems, self.out)
        return SOME_FAILED if problems else OK


@dataclass(frozen=True)
class RepairVerb(Verb):
    """Rebuild what is damaged or lost in OUT from what else is stored there; no scan is read.

    The index of the cohort is rebuilt from the records of its scans; documents of groups and arrays, label maps, the table,
    volumes.parquet and volumes.tsv are written again; files that belong to nothing are moved to OUT/set-aside/. Volumes are in the
    records and are not changed. What cannot be rebuilt (damaged voxels, a lost record) is listed: `hypojax run INPUT OUT --check`
    processes those scans again.

    $ hypojax verify out/
    $ hypojax repair out/
    $ hypojax run bids/ out/ --check

    Exit code: 0 all is as it was written, 2 something could not be rebuilt, 1 there is no store, or no record in it is intact.
    """

    out: Out
    """Folder that `hypojax run` wrote."""

    def __call__(self, screen: Screen) -> int:
        """Repair, show what was rebuilt and what could not be."""
        from hypojax import execute

        with screen.progress() as watch:
            repaired = execute.repair(self.out, callback=watch)
        screen.repaired(repaired.done)
        screen.problems(repaired.left, self.out)
        return SOME_FAILED if repaired.left else OK


@dataclass(frozen=True)
class InfoVerb(Verb):
    """Show versions, devices and weights.

    $ hypojax info

    Exit code: 0 a run could start, 1 it could not (weights missing or damaged).
    """

    weights: Path | None = None
    """Folder of weights; default: the released weights, which come with hypojax."""

    def __call__(self, screen: Screen) -> int:
        """Show what a run would use; 1 when it could not run."""
        from hypojax import execute

        info = execute.info(self.weights)
        screen.pairs("hypojax info", info.facts)
        screen.add(facts=info.facts)
        if info.problem is not None:
            raise info.problem
        return OK


@dataclass(frozen=True)
class DemoVerb(Verb):
    """Make a small cohort with known volumes from the sample scan of hypojax, run on it, compare, and show it as pages.

    $ hypojax demo
    $ hypojax demo /tmp/demo

    Exit code: 0 all scans done, 2 some failed, 3 none succeeded, 1 it could not start or continue.
    """

    out: Annotated[Positional[Path], arg(metavar="[OUT]")] = Path("hypojax-demo")
    """Folder for the cohort (OUT/bids) and the results (OUT/results)."""

    def __call__(self, screen: Screen) -> int:
        """Make the cohort, run, compare, and say where the outputs lie."""
        from hypojax.demonstration import COHORT, GROUP_FACTOR, demo

        screen.say(f"Making {len(COHORT)} scans from Colin27 with known volumes …")
        with screen.progress() as callback:
            made = demo(self.out, callback=callback)
        screen.outcome(made.outcome, made.results)
        if made.measured is not None:
            ratio = {"measured": made.measured, "known": GROUP_FACTOR}
            screen.add(ratio=ratio)
            screen.comparison(made.comparisons, **ratio)
        screen.answer(f"The scans are in {made.bids}; volumes.tsv, volumes.parquet, cohort.zarr and derivatives/ in {made.results}")
        show_report(screen, made.results)
        return exit_code(made.outcome.done, made.outcome.failed)


@dataclass(frozen=True)
class DeployVerb(Verb):
    """Write scripts, manifests and container definitions that start a run on a cluster.

    CONFIG is a TOML file, or `example`: that is written to FOLDER/cluster.toml, with all settings explained, to change and use as
    CONFIG. FOLDER receives what CONFIG has a table for: a SLURM array, a Dask cluster and an indexed job for Kubernetes, TPU hosts,
    a Dockerfile and a definition for Apptainer. Nothing is started. No password is written: secrets are named, never copied.

    $ hypojax deploy example recipes/
    $ hypojax deploy recipes/cluster.toml recipes/

    Exit code: 0 written, 1 the configuration is wrong or the folder not writable.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG")]
    """Configuration file, or example."""
    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Folder for the files; existing ones are replaced, but for cluster.toml."""

    def __call__(self, screen: Screen) -> int:
        """Write, and say what was written."""
        from hypojax.execute.deploy import read_config, write_example, write_recipes

        example = write_example(self.folder) if self.config == Path("example") and not self.config.exists() else []
        written = [*example, *write_recipes(read_config(*example or [self.config]), self.folder)]
        screen.add(paths=list(map(str, written)))
        for path in written:
            screen.answer(str(path))
        return OK


@dataclass(frozen=True)
class CompletionVerb(Verb):
    """Print the script with which a shell completes verbs, options and file names of hypojax.

    Put the line for your shell into its start-up file: ~/.bashrc, ~/.zshrc (after compinit) or ~/.config/fish/config.fish.

    $ eval "$(hypojax completion bash)"
    $ eval "$(hypojax completion zsh)"
    $ hypojax completion fish | source

    Exit code: 0 printed, 1 wrong usage.
    """

    shell: Annotated[Positional[Shell], arg(metavar="bash|zsh|fish")]
    """Shell that will read it."""

    def __call__(self, screen: Screen) -> int:
        """Print the script."""
        for line in script(self.shell, VERBS).splitlines():
            screen.answer(line)
        return OK


VERBS: Final[dict[str, type[Verb]]] = {
    "run": RunVerb,
    "bids": BidsVerb,
    "plan": PlanVerb,
    "ingest": IngestVerb,
    "segment": SegmentVerb,
    "export": ExportVerb,
    "status": StatusVerb,
    "verify": VerifyVerb,
    "repair": RepairVerb,
    "remove": RemoveVerb,
    "merge": MergeVerb,
    "info": InfoVerb,
    "demo": DemoVerb,
    "split": SplitVerb,
    "app": AppVerb,
    "report": ReportVerb,
    "study": StudyVerb,
    "norms": NormsVerb,
    "drift": DriftVerb,
    "evaluate": EvaluateVerb,
    "train": TrainVerb,
    "deploy": DeployVerb,
    "completion": CompletionVerb,
}

OVERVIEW: Any = Union[  # noqa: UP007 - made from a table, which | cannot be
    tuple(Annotated[verb, subcommand(name, description=str(verb.__doc__).partition("\n")[0])] for name, verb in VERBS.items())
]
"""All verbs as one type: what ``hypojax --help`` shows, with the first line of each."""


def _inputs_and_out(paths: tuple[Location, ...], verb: str) -> tuple[list[Location], Location]:
    """Split the arguments of the command line."""
    if len(paths) < 2:
        given = ", ".join(map(str, paths)) or "nothing"
        raise RunError(Reason.USAGE, f"hypojax {verb} needs INPUT and OUT, got {given}; for example: hypojax {verb} bids/ out/")
    return list(paths[:-1]), paths[-1]
