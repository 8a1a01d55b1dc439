"""The verb `hypojax bids`: hypojax as a BIDS-App, with the arguments that all of these have (Gorgolewski et al. 2017)."""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from hypojax.cli.report_verb import show_report
from hypojax.cli.screen import Screen
from hypojax.cli.verb import USAGE, Verb, deaf_to, exit_code
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings

if TYPE_CHECKING:
    from hypojax.execute import Outcome

Level = Annotated[Positional[Literal["participant", "group"]], arg(metavar="participant|group")]
Labels = tuple[str, ...]


@dataclass(frozen=True)
class BidsVerb(Verb):
    """Run as a BIDS-App: `participant` measures scans, then `group` writes tables, a study where a column is named, and the report.

    INPUT is a BIDS dataset. OUT is one folder for all participants; often INPUT/derivatives/hypojax. Calls of `participant` for different
    people may run at the same time, also on different nodes, and all of them write into the one cohort in OUT. Call `participant` again
    after an interruption: it continues, and what is finished is kept. `group` comes last; call it again after more participants.

    $ hypojax bids bids/ out/ participant                               # everybody
    $ hypojax bids bids/ out/ participant --participant-label 01 02     # or sub-01 sub-02; the others in calls of their own
    $ hypojax bids bids/ out/ participant --participant-label 01 --session-label baseline --n-cpus 4
    $ hypojax bids bids/ out/ group --group-column diagnosis --cases AD # tables, study of diagnosis, report

    Every T1w image has a row of its own, also where a session has several. OUT/derivatives has the label maps. Options may be spelt with
    underscores, too (--participant_label, --n_cpus).

    Exit code: 0 all scans done, 2 some failed or are waiting, 3 none succeeded, 1 INPUT is not valid BIDS, a label is not there, or it
    could not start or continue.
    """

    dataset: Annotated[Positional[Path], arg(metavar="INPUT")]
    """The BIDS dataset."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for the results, the same for all participants."""
    level: Level
    """What to do: measure scans, or put together what was measured."""
    participant_label: Labels = ()
    """Labels of the people to measure, with or without sub-. Default: all."""
    session_label: Labels = ()
    """Labels of the sessions to measure, with or without ses-. Default: all."""
    group_column: str = ""
    """With group: column of participants.tsv whose groups are compared, as `hypojax study --group` does."""
    cases: tuple[str, ...] = ()
    """With --group-column: the group or groups of patients, where hypojax cannot tell from the names which group is the controls."""
    skip_bids_validation: Annotated[FlagCreatePairsOff[bool], arg(aliases=("--skip-bids-validator",))] = False
    """Do not check whether INPUT is valid BIDS."""
    n_cpus: int | None = None
    """Number of cores to use. Default: all that this process may use. It has an effect on Linux only."""
    work_dir: Annotated[Path | None, arg(aliases=("-w",))] = None
    """Folder for what may be deleted afterwards: temporary files, compiled networks. Default: those of the user."""
    settings: OmitArgPrefixes[RunSettings] = field(default_factory=RunSettings)
    """How the scans are processed."""

    def __call__(self, screen: Screen) -> int:
        """Check the dataset, do what the level says, give the exit code."""
        from hypojax.scans.bids_check import check_dataset

        self._refuse_useless()
        if self.work_dir is not None:
            use_work_dir(self.work_dir)
        if self.n_cpus is not None:
            use_cores(self.n_cpus)
        if not self.skip_bids_validation:
            check_dataset(self.dataset, say=screen.say)
        return self._participants(screen) if self.level == "participant" else self._group(screen)

    def _participants(self, screen: Screen) -> int:
        from hypojax import execute

        if sentence := deaf_to():
            screen.say(sentence)
        chosen = execute.choose(self.dataset, participants=self.participant_label, sessions=self.session_label)
        for note in chosen.notes:
            screen.say(f"note: {note}")
        with screen.progress() as watch:
            outcome = execute.run(chosen.files, out=self.out, settings=self.settings, shard=chosen.share, callback=watch)
        execute.describe_output(self.out)
        screen.outcome(outcome, self.out)
        return exit_code(outcome.done, outcome.failed + outcome.pending)

    def _group(self, screen: Screen) -> int:
        from hypojax import execute

        with screen.progress() as watch:
            outcome = execute.conclude_group(self.dataset, self.out, callback=watch)
        execute.describe_output(self.out)
        screen.outcome(outcome, self.out)
        self._tell_of_waiting(screen, outcome)
        answered = not self.group_column or self._study(screen)
        show_report(screen, self.out)
        return exit_code(outcome.done, outcome.failed + outcome.pending) if answered else USAGE

    def _study(self, screen: Screen) -> bool:
        """Whether the groups could be compared; where not, the sentence that says why is shown, and the report is still drawn."""
        from hypojax.study import write_study
        from hypojax.study.study_settings import StudySettings

        try:
            found = write_study(str(self.out), settings=StudySettings(group=self.group_column, cases=self.cases), callback=screen.say)
        except RunError as error:
            screen.error(str(error))
            return False
        for note in found.notes:
            screen.say(f"note: {note}")
        for sentence in (*found.warnings, *found.answers):
            screen.answer(sentence)
        screen.answer(f"written: {found.paths[0]}")
        return True

    def _tell_of_waiting(self, screen: Screen, outcome: "Outcome") -> None:
        waiting = [result.scan for result in outcome.results if result.status == "pending"]
        if waiting:
            shown = ", ".join(waiting[:5]) + (", …" if len(waiting) > 5 else "")
            screen.answer(f"Not finished: {shown}. Run participant for them again, then group")

    def _refuse_useless(self) -> None:
        """Refuse options that the level has no use for: whoever gives them expects something else."""
        labels = {"--participant-label": self.participant_label, "--session-label": self.session_label}
        given = [name for name, value in labels.items() if value]
        if self.level == "group" and given:
            raise RunError(Reason.USAGE, f"{' and '.join(given)} has no effect with group, which takes all that was measured; leave it out")
        if self.level == "participant" and self.group_column:
            raise RunError(Reason.USAGE, "--group-column has no effect with participant; give it to group")


def use_work_dir(folder: Path) -> None:
    """Put temporary files and compiled networks of this process, and of those it starts, below a folder.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``: it cannot be made.
    """
    from hypojax.segmenter.compile_cache import FOLDER, private_folder, use_compile_cache
    from hypojax.storage import writing

    temporary = folder.resolve() / "tmp"
    with writing(folder):
        temporary.mkdir(parents=True, exist_ok=True)
        os.environ[FOLDER] = str(private_folder(folder.resolve() / "compiled"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    use_compile_cache()


def use_cores(count: int) -> None:
    """Let this process, and those it starts, use so many cores; all where there are fewer. It must come before JAX starts.

    Raises
    ------
    RunError
        ``USAGE``: the number is below 1.
    """
    if count < 1:
        raise RunError(Reason.USAGE, f"--n-cpus is {count}, it must be 1 or more")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
