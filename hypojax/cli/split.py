"""`hypojax split`: sets of subjects that are alike."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from hypojax.cli.screen import Screen
from hypojax.cli.verb import OK, Verb
from hypojax.matching.split_plan import SplitPlan


@dataclass(frozen=True)
class Split(Verb):
    """Split a table of participants by subject: a test set matched for age and sex, folds, or matched pairs.

    TABLE is a participants table (tsv, csv, parquet), one row or more a subject; a subject is never in two sets. OUT receives
    split.tsv, the table with the columns `set` or `fold` (and `pair`), and how balanced the sets are: balance.tsv, balance.md.
    The same seed gives the same sets, whatever the order of rows.

    $ hypojax split participants.tsv --size 0.2 --match age sex site
    $ hypojax split participants.tsv --folds 5
    $ hypojax split participants.tsv --group diagnosis --cases ALS --size all

    Exit code: 0 split, 1 the table cannot be read or split so.
    """

    table: Annotated[Positional[Path], arg(metavar="TABLE")]
    """Table of participants."""
    out: Path = Path("split")
    """Folder for the results."""
    strict_tables: FlagCreatePairsOff[bool] = False
    """Refuse a table with a fault instead of leaving out the values concerned."""
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
