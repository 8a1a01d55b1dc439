"""`hypojax drift`: whether new scans, or new weights, measure what the reference measured."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from hypojax.cli.screen import Screen
from hypojax.cli.verb import NONE_SUCCEEDED, OK, SOME_FAILED, Verb
from hypojax.monitoring.limits import Choice, Limits


@dataclass(frozen=True)
class Drift(Verb):
    """Compare a new batch of scans, or the same scans with other weights, with a reference, and say what moved.

    REFERENCE and NEW are folders that `hypojax run` wrote; with --since or --select a part of NEW, or of REFERENCE alone, is
    the new batch. Compared are volumes (also at equal head size, age and sex), uncertainty, quality, flags and failures.
    OUT receives drift.tsv, drift.md and drift.html.

    $ hypojax drift reference/ new/
    $ hypojax drift out/ --since 2024-06-30
    $ hypojax drift old-weights/ new-weights/

    Exit code: 0 nothing moved beyond its limits, 2 something did, 3 too few scans to say, 1 wrong usage.
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
    """What counts as moved."""

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
