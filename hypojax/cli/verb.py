"""`Verb`: what every verb of the command line takes, and the exit codes."""

from dataclasses import dataclass, field
from typing import Final

from tyro.conf import FlagCreatePairsOff

from hypojax.cli.screen import Screen

OK: Final = 0
USAGE: Final = 1
SOME_FAILED: Final = 2
NONE_SUCCEEDED: Final = 3


@dataclass(frozen=True)
class Verb:
    """What every verb takes."""

    debug: FlagCreatePairsOff[bool] = field(default=False, kw_only=True)
    """Show where unexpected errors come from."""
    quiet: FlagCreatePairsOff[bool] = field(default=False, kw_only=True)
    """Show results and errors alone: no progress, no notes."""
    json: FlagCreatePairsOff[bool] = field(default=False, kw_only=True)
    """Print one JSON document to standard output instead of tables; its `exit_code` is that of the process."""

    def __call__(self, screen: Screen) -> int:
        """Do it and give the exit code."""
        raise NotImplementedError


def exit_code(good: int, bad: int) -> int:
    """Exit code for so many scans."""
    if not bad:
        return OK
    return SOME_FAILED if good else NONE_SUCCEEDED
