"""Shell scripts: what stands at the top of each, and the folder of compiled code that is nobody else's."""

from collections.abc import Iterable
from typing import Final

MADE_BY: Final = "Made by `hypojax deploy`: change the configuration instead of this file."

CACHE_LINES: Final = (
    'export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hypojax/jax}"',
    'install -d -m 700 "$JAX_COMPILATION_CACHE_DIR"',
)
"""Where compiled code lies between starts. What lies there is executed, so that nobody else may write it."""

ALLOWED_FAILURES: Final = 0
"""Workers that a batch may take down before its scheduler gives it back: `hypojax.execute.dispatch` decides what to do then, by the marks
of the scans. One number for every scheduler that we start."""

WORKER_TTL: Final = "2 minutes"
"""Time after which a scheduler gives up a worker that nothing is heard of, such as one whose cable was pulled."""

KEEP_MEMORY: Final = {
    "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON": "{'MALLOC_TRIM_THRESHOLD_': 268435456, 'MALLOC_MMAP_THRESHOLD_': 33554432}",
}
"""Variables of workers: Dask has memory given back at once; arrays then come from fresh pages each time, a third slower."""


def script(what: str, lines: Iterable[str], *, directives: Iterable[str] = ()) -> str:
    """A script of bash that ends at the first error.

    Parameters
    ----------
    what
        A sentence for whoever opens it.
    lines
        Its commands.
    directives
        Lines for a queue, which must come before all commands.
    """
    return "\n".join(["#!/usr/bin/env bash", f"# {what}", f"# {MADE_BY}", *directives, "set -eo pipefail", *lines]) + "\n"
