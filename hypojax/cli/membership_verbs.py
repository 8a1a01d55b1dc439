"""The verbs that say which scans belong to a cohort: `hypojax remove` and `hypojax merge`."""

import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from hypojax.cli.screen import Screen
from hypojax.cli.verb import OK, Place, Verb
from hypojax.reason import Reason, RunError
from hypojax.tables.cells import counted


@dataclass(frozen=True)
class RemoveVerb(Verb):
    """Remove scans from OUT for good, for example when consent was withdrawn.

    Every byte of them goes: arrays, rows of all tables, label maps, recorded evaluations. The ledger keeps that scans were removed, and not
    which. Input files are left alone: delete them, or list them in a text file for `hypojax run --exclude FILE`. Results of studies in
    which the scans took part must be made again.

    $ hypojax remove out/ sub-017
    $ hypojax remove out/ sub-017 sub-018 --yes

    Exit code: 0 removed, 1 there is no such scan, it was not confirmed, or OUT is not writable.
    """

    out: Annotated[Positional[Place], arg(metavar="OUT")]
    """Folder that `hypojax run` wrote."""
    scans: Annotated[Positional[tuple[str, ...]], arg(metavar="SCAN [SCAN ...]", help_behavior_hint="")] = ()
    """Ids of the scans."""
    yes: FlagCreatePairsOff[bool] = False
    """Do not ask."""

    def __call__(self, screen: Screen) -> int:
        """Show what will go, ask, and remove it."""
        from hypojax import execute

        found = execute.holdings(self.out, self.scans)
        rows = [(one.scan, str(one.objects), str(one.label_maps), one.path) for one in found]
        screen.table("To be removed for good", ("scan", "objects", "label maps", "input file (stays)"), rows)
        if not self.yes:
            if not sys.stdin.isatty():
                raise RunError(Reason.USAGE, "nobody can be asked here; give --yes to remove without asking")
            if input(f"Remove {counted(len(found), 'scan')} from {self.out}? Type yes: ").strip() != "yes":
                raise RunError(Reason.USAGE, "not confirmed; nothing was removed")
        with screen.progress() as watch:
            execute.remove(self.out, self.scans, callback=watch)
        screen.add(removed=[one.scan for one in found], inputs=[one.path for one in found])
        screen.answer(f"{counted(len(found), 'scan')} removed from {self.out}")
        return OK


@dataclass(frozen=True)
class MergeVerb(Verb):
    """Make one cohort of several that were made apart with the same weights and version.

    The cohorts are left as they are. Where two have a scan of the same id, the ids of the later one's dataset begin with the name of that
    dataset. After an interruption the same command continues.

    $ hypojax merge site-a/out site-b/out both/

    Exit code: 0 merged, 1 the cohorts were not made alike, one is damaged, or NEW exists.
    """

    paths: Annotated[Positional[tuple[Place, ...]], arg(metavar="OUT OUT [OUT ...] NEW", help_behavior_hint="")] = ()
    """Folders that `hypojax run` wrote, and last a new folder."""

    def __call__(self, screen: Screen) -> int:
        """Merge, and show the cohort of all."""
        if len(self.paths) < 3:
            given = ", ".join(map(str, self.paths)) or "nothing"
            raise RunError(
                Reason.USAGE, f"hypojax merge needs two or more OUT and NEW, got {given}; for example: hypojax merge a/ b/ both/"
            )
        from hypojax import execute

        *outs, new = self.paths

        with screen.progress() as watch:
            outcome = execute.merge(outs, new, callback=watch)
        screen.outcome(outcome, new)
        return OK
