"""The verb `hypojax app`: the page in the browser, for people who do not program."""

import importlib.util
from dataclasses import dataclass, field

from tyro.conf import OmitArgPrefixes

from hypojax.app.app_settings import AppSettings
from hypojax.cli.screen import Screen
from hypojax.cli.verb import OK, Verb
from hypojax.reason import Reason, RunError

Options = OmitArgPrefixes[AppSettings]


@dataclass(frozen=True)
class AppVerb(Verb):
    """Open the page in the browser: drop a scan on it, look at the result, download it.

    The page is served on this machine, by default to this machine alone; scans stay on it. Needs the extra `app`:
    python -m pip install 'hypojax[app]'.

    $ hypojax app
    $ hypojax app --no-browser                            # says the address, and how to reach it from another computer
    $ hypojax app --cohorts results/                      # also look at cohorts that `hypojax run` wrote into results/

    Exit code: 0 ended by Ctrl-C, 1 the page cannot be served.
    """

    settings: Options = field(default_factory=AppSettings)
    """Where and what is served."""

    def __call__(self, screen: Screen) -> int:
        """Serve until Ctrl-C."""
        if importlib.util.find_spec("gradio") is None:
            raise RunError(Reason.USAGE, "the page needs the extra `app`: python -m pip install 'hypojax[app]'")
        from hypojax.app.app_server import serve

        serve(self.settings, say=screen.say)
        return OK
