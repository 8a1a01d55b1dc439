"""`hypojax deploy`: recipes for clusters from one configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from hypojax.cli.screen import Screen
from hypojax.cli.verb import OK, Verb


@dataclass(frozen=True)
class Deploy(Verb):
    """Write scripts, manifests and image definitions that start a run on a cluster.

    CONFIG is a TOML file such as cluster/cluster.toml. FOLDER receives what CONFIG has a table for: a SLURM array, a Dask cluster and
    an indexed job for Kubernetes, TPU hosts, a Dockerfile and a definition for Apptainer. Nothing is started. No password is written:
    secrets are named, never copied.

    $ hypojax deploy cluster/cluster.toml recipes/

    Exit code: 0 written, 1 the configuration is wrong or the folder not writable.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG")]
    """Configuration file."""
    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Where the files go; those that are there already are replaced."""

    def __call__(self, screen: Screen) -> int:
        """Write, and say what was written."""
        from hypojax.execute.deploy import read_config, write_recipes

        written = write_recipes(read_config(self.config), self.folder)
        screen.add(paths=list(map(str, written)))
        for path in written:
            screen.answer(str(path))
        return OK
