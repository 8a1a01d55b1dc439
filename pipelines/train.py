"""Train the network of a configuration: the same as ``hypojax train``, through the library.

    python pipelines/train.py pipelines/box.toml runs/box 0 1 2 3 4     # five folds
    python pipelines/train.py pipelines/distil.toml runs/distil         # all subjects

Each run goes on where it stopped. ``pipelines/box.toml``, ``distil.toml`` and ``head.toml`` say what they took and gave.
"""

import sys
from dataclasses import replace
from pathlib import Path

from hypojax.training.config import read_config
from hypojax.training.history import Entry
from hypojax.training.run import train_network
from hypojax.training.watch import Quiet


class Lines(Quiet):
    """Prints every line of the log."""

    def saved(self, entry: Entry) -> None:
        """One line."""
        print(entry, flush=True)


def main(path: Path, out: Path, *folds: int) -> None:
    """Train every fold named, or on all subjects when none is."""
    config = replace(read_config(path), out=out)
    for fold in folds or [None]:
        print(train_network(config, fold=fold, watch=Lines()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
