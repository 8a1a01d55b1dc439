"""The command line: ``hypojax run INPUT OUT`` and its parts. One frozen dataclass a verb, in `hypojax.cli.verbs`."""

import atexit
import gc
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import metadata

import tyro

from hypojax.cli.screen import Screen
from hypojax.cli.terminal import spelled_out, standard_streams
from hypojax.cli.verb import USAGE, Terminated, Verb, terminable
from hypojax.cli.verbs import OVERVIEW, VERBS
from hypojax.reason import HypojaxError, Reason, RunError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

STORE_THREADS = 2
"""Chunks encoded at once; the pipeline has its own threads."""

ABOUT = """Hypothalamus and intracranial volume of T1-weighted MRI scans, as xarray.

$ hypojax run bids/ out/

hypojax VERB --help explains a verb and its exit codes. For all verbs: 0 success, 1 wrong usage or the command could not continue,
2 some scans failed, 3 no scan succeeded, 130 interrupted (Ctrl-C), 143 or 129 ended by SIGTERM or SIGHUP.
hypojax --version shows the version, hypojax completion SHELL makes a shell complete verbs and options."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code.

    Parameters
    ----------
    arguments
        Arguments behind ``hypojax``; that of the process when left out.

    Returns
    -------
    0 success, 2 some scans failed, 3 no scan succeeded, 1 wrong usage or the command could not continue, 130 interrupted (Ctrl-C), 143
    or 129 ended by SIGTERM or SIGHUP. The code does not depend on whether the output can be written or is read.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    atexit.register(gc.freeze)  # else the end of the process takes half a second to look for garbage in memory that goes with it
    with standard_streams():
        try:
            with spelled_out(given):
                verb = parse(given)
        except SystemExit as exit_:
            return USAGE if exit_.code else 0
        except HypojaxError as error:
            Screen().error(str(error))
            return USAGE
        screen = Screen(quiet=verb.quiet, as_json=verb.json)
        code = call(verb, screen)
        screen.finish(next(name for name, kind in VERBS.items() if kind is type(verb)), code)
        return code


def parse(arguments: list[str]) -> Verb:
    """The verb that a command line asks for.

    Raises
    ------
    SystemExit
        With code 0 after help, another after wrong usage; the text is on the screen by then.
    RunError
        There is no such verb, or an argument has a value that cannot be.
    """
    if os.environ.get("NO_COLOR"):
        tyro._experimental_options["ansi_codes"] = False  # tyro does not look at the variable itself
    name = arguments[0] if arguments else ""
    if arguments[1:] in (["--version"], ["-V"], ["-v"]):  # as BIDS-Apps are asked: docker run IMAGE --version
        name = "--version"
    if name in VERBS:
        return tyro.cli(VERBS[name], args=arguments[1:], prog=f"hypojax {name}")
    if name in ("--version", "-V"):
        Screen().answer(f"hypojax {metadata.version('hypojax')}")
        raise SystemExit(0)
    if name and not name.startswith("-"):
        raise RunError(Reason.USAGE, no_such_verb(name))
    chosen: Verb = tyro.cli(OVERVIEW, args=arguments or ["--help"], prog="hypojax", description=ABOUT)
    return chosen


def no_such_verb(name: str) -> str:
    """What to say of a word that is no verb, with the verb that was most likely meant.

    >>> no_such_verb("segmnet")
    "hypojax has no verb 'segmnet'; did you mean `segment`? hypojax --help shows all"
    """
    close = get_close_matches(name.casefold(), VERBS, n=1)
    meant = f"did you mean `{close[0]}`? " if close else "for example: hypojax run bids/ out/; "
    return f"hypojax has no verb {name!r}; {meant}hypojax --help shows all"


def call(verb: Verb, screen: Screen) -> int:
    """Do what a verb says; errors become one sentence on the screen, never a traceback unless asked for."""
    if verb.debug:
        logging.basicConfig()
        logging.getLogger("hypojax").setLevel(logging.DEBUG)
    try:
        from hypojax.segmenter.compile_cache import collector_paused, use_compile_cache

        with collector_paused():
            from hypojax.store import limit_threads
        gc.freeze()  # what was loaded stays: to look through it once more takes as long as to measure a scan
        limit_threads(STORE_THREADS)
        use_compile_cache()
        with terminable():
            return verb(screen)
    except Terminated as ended:
        screen.error(f"{ended}; run the same command again to continue")
        return ended.exit_code
    except KeyboardInterrupt:
        screen.error("interrupted; run the same command again to continue")
        return INTERRUPTED
    except HypojaxError as error:
        screen.error(str(error))
    except Exception as error:  # noqa: BLE001 - a user sees a sentence, --debug the traceback
        screen.error(f"unexpected {type(error).__name__}: {error}; run again with --debug for details, and report them")
        if verb.debug:
            screen.detail(traceback.format_exc())
    return USAGE
