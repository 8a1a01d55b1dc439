"""`hypojax plan`: what a run will take, before it is started."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from hypojax.cli.progress_bars import duration
from hypojax.cli.screen import Screen, of_plan
from hypojax.cli.verb import OK, SOME_FAILED, Verb
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings
from hypojax.tables.cells import counted

if TYPE_CHECKING:
    from hypojax.execute import Plan as Projection
    from hypojax.execute import Workers
    from hypojax.execute.calibration import Calibration


@dataclass(frozen=True)
class PlanVerb(Verb):
    """Estimate the time, memory and disk space of a run, and check that they suffice.

    It reads the headers of all scans, and processes a few scans into a temporary folder to measure them. OUT is the output folder of
    the run: the free space of its disk is checked, and scans that are finished in it are not counted. With one path, that is INPUT,
    and the disk is that of the current folder. Describe the workers of a cluster by options; by default the plan is for this machine.

    $ hypojax plan bids/ out/
    $ hypojax plan bids/ out/ --workers 8 --cores 4 --memory 16GB

    Exit code: 0 they suffice, 2 they do not, 1 no plan could be made.
    """

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="INPUT [INPUT ...] [OUT]", help_behavior_hint="")] = ()
    """Where the scans are, and last the folder for the results."""
    settings: OmitArgPrefixes[RunSettings] = field(default_factory=RunSettings)
    """How the scans would be processed."""
    workers: int = 1
    """Workers of the cluster, each a process with its own networks."""
    cores: int | None = None
    """Cores of one worker; default: all cores of this machine."""
    gpus: int = 0
    """GPUs of one worker."""
    sample: int = 4
    """Scans to measure, from the smallest to the largest."""
    walltime: FlagCreatePairsOff[bool] = False
    """Print only the minutes to request from a queue for the share of one worker, with a margin for slower nodes."""

    def __call__(self, screen: Screen) -> int:
        """Make the plan, show it, give the exit code."""
        if not self.paths or self.sample < 1:
            given = f"--sample {self.sample}" if self.paths else "nothing"
            message = f"hypojax plan needs INPUT and at least one sample, got {given}; for example: hypojax plan bids/ out/"
            raise RunError(Reason.USAGE, message)
        from hypojax import execute

        inputs, out = (list(self.paths[:-1]), self.paths[-1]) if len(self.paths) > 1 else (list(self.paths), None)
        screen.say("Reading headers, then measuring a few scans …")
        projection = execute.plan(inputs, out=out, settings=self.settings, workers=self._described(), sample=self.sample)
        if self.walltime:
            screen.answer(str(projection.walltime))
            for shortage in projection.shortages:
                screen.error(shortage)
            return OK
        screen.pairs("hypojax plan", facts(projection))
        screen.add(**of_plan(projection))
        for refusal in projection.refused:
            screen.say(f"refused: {refusal.message}")
        for note in projection.notes:
            screen.say(f"note: {note}")
        for shortage in projection.shortages:
            screen.error(shortage)
        return OK if projection.fits else SOME_FAILED

    def _described(self) -> "Workers":
        """The cluster that the options describe."""
        from hypojax.execute import Workers

        return Workers(count=self.workers, cores=self.cores, gpus=self.gpus, memory_bytes=self.settings.memory_bytes)


def facts(plan: "Projection") -> dict[str, str]:
    """What a plan says, by name."""
    from hypojax.execute.budget import amount

    aside = [f"{count} {what}" for count, what in ((len(plan.refused), "refused by their headers"), (plan.kept, "done before")) if count]
    found = {
        "scans": f"{len(plan.sizes):,}" + (f" ({', '.join(aside)})" if aside else ""),
        "voxels": f"median {plan.median_voxels / 1e6:.1f} million, largest {plan.largest.voxels / 1e6:.1f} million ({plan.largest.scan})",
        "measured on": measured_on(plan.calibration),
        "time": f"about {duration(plan.seconds.about)} ({duration(plan.seconds.low)} to {duration(plan.seconds.high)})",
        "one scan": f"{plan.scan_seconds:.2f} s on a worker, {plan.scan_cpu_seconds:.2f} s of processor time",
        "start of a worker": duration(plan.calibration.startup_s),
    }
    room = amount(plan.memory_available) if plan.memory_available else "not known how much"
    where = "a worker has" if plan.workers.count > 1 or plan.workers.memory_bytes else "free"
    most = amount(plan.workers.memory_limit) if plan.workers.memory_limit else "as much as a worker has"
    free = "as much as the bucket gives" if plan.disk_available is None else amount(plan.disk_available)
    crew = {"workers": f"{plan.workers.count:,}"} if plan.workers.count > 1 else {}
    return {
        **found,
        **crew,
        "memory": f"about {amount(plan.memory_bytes)} at the peak; {where}: {room}",
        "largest scan": f"{amount(plan.largest_bytes)} of memory with the network; a scan may take {most}",
        "device memory": device_memory(plan),
        "disk": f"about {amount(plan.disk_bytes)}; free: {free} ({plan.place.resolve()})",
    }


def measured_on(made: "Calibration") -> str:
    """Where the figures come from, in words."""
    sent, cores = counted(made.sent, "time"), counted(made.cores, "core")
    return f"{counted(len(made.good), 'scan')}, sent {sent}, {cores}, {made.batch} at once"


def device_memory(plan: "Projection") -> str:
    """What a device holds at the peak, in words."""
    from hypojax.execute.budget import amount

    made = plan.calibration
    if made.device_bytes is None:
        return "none: the networks run on the processor" if not plan.workers.gpus else "not known: no GPU here"
    return f"{amount(made.device_bytes)} at the peak" + (f" of {amount(made.device_available)}" if made.device_available else "")
