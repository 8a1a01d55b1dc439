"""The verb `hypojax app`: the page in the browser, for people who do not program."""

import importlib.util
from dataclasses import dataclass, field
from getpass import getpass

from tyro.conf import OmitArgPrefixes

from hypojax.app.app_settings import AppSettings
from hypojax.cli.screen import Screen
from hypojax.cli.verb import OK, Verb
from hypojax.reason import Reason, RunError, visible

Options = OmitArgPrefixes[AppSettings]


@dataclass(frozen=True)
class AppVerb(Verb):
    """Open the page in the browser: drop a scan on it, look at the result, download it.

    The page is served on this machine, by default to this machine alone; scans stay on it. Needs the extra `app`:
    python -m pip install 'hypojax[app]'.

    $ hypojax app
    $ hypojax app --no-browser                            # says the address, and how to reach it from another computer
    $ hypojax app --cohorts results/                      # also look at cohorts that `hypojax run` wrote into results/

    $ hypojax app --add-user anna --auth-file users       # asks for the password, and writes its hash (scrypt) into users
    $ hypojax app --host 0.0.0.0 --auth-file users        # for other computers too: whoever opens the page must log in

    Scans are deleted one hour after the last request or result of a visitor. Exit code: 0 ended by Ctrl-C, 1 the page cannot be served.
    """

    settings: Options = field(default_factory=AppSettings)
    """Where and what is served."""
    add_user: str = ""
    """Write a user with a password into --auth-file, and serve nothing; again for a new password. Delete a line to remove a user."""

    def __call__(self, screen: Screen) -> int:
        """Serve until Ctrl-C; or write a user."""
        if self.add_user:
            return self._add_user(screen)
        if importlib.util.find_spec("gradio") is None:
            raise RunError(Reason.USAGE, "the page needs the extra `app`: python -m pip install 'hypojax[app]'")
        from hypojax.app.app_server import serve

        serve(self.settings, say=screen.say)
        return OK

    def _add_user(self, screen: Screen) -> int:
        from hypojax.app.accounts import add_user

        file = self.settings.auth_file
        if file is None:
            raise RunError(Reason.USAGE, "--add-user needs --auth-file FILE, the file of users to write; add it")
        password = getpass(f"password of {visible(self.add_user)}: ")
        if getpass("the same again: ") != password:
            raise RunError(Reason.USAGE, "the two passwords differ, and nothing was written; run the command again")
        is_new = add_user(file, self.add_user, password)
        screen.answer(f"{'user' if is_new else 'a new password of'} {self.add_user} is in {visible(str(file))}")
        return OK
