"""The server of the page: the guard, our own addresses and Gradio's page as one ASGI app, at a free port of this machine.

A server that is ended or killed leaves its sessions on the disk; started again at the same address it finds those that are not too old.
"""

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from hypojax.app.accounts import Accounts
from hypojax.app.app_settings import FIRST_PORT, AppSettings
from hypojax.app.session_root import SessionRoot, open_root
from hypojax.app.visits import Sessions
from hypojax.app.words import Words
from hypojax.reason import Reason, RunError, visible

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from hypojax.app.page_layout import AppContext

PORTS: Final = 50
"""Ports that are tried."""

SWEEP: Final = 60.0
"""Seconds between two looks for sessions whose hour is over."""

WAITING: Final = 256
"""Calls of the page that wait at once."""

CONNECTIONS: Final = 500
"""Requests that are answered at once; each open page has two."""

ENDING: Final = 3
"""Seconds that requests have to end when the server ends."""

EVERYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104 - to know them

QUIET: Final = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""Environment of Gradio, read when it is imported: it asks nothing of any network."""

IN_FRONT: Final = """where the address begins with http:// passwords can be read on their way; let a proxy with TLS stand in front, such as
  caddy reverse-proxy --from NAME.example.org --to 127.0.0.1:{port}
and start this so: hypojax app --auth-file FILE --host-name NAME.example.org --proxy 127.0.0.1 --port {port}; docs/app.md says more"""


def serve(settings: AppSettings, *, say: Callable[[str], None] = print) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    settings
        Options.
    say
        Called with what the user should know.

    Raises
    ------
    RunError
        ``USAGE``: others could reach the page, and nobody needs a password; ``BUSY``: no port is free; others of its files and folders.
    """
    accounts = accounts_of(settings)
    say("the page is being prepared; its address follows in some seconds")
    os.environ.update(QUIET)
    with listening(settings) as listener:
        port = int(listener.getsockname()[1])
        root = open_root(settings.host, port)
        os.environ["GRADIO_TEMP_DIR"] = str(root.path)
        sessions = Sessions(root.sessions, cookie=f"hypojax-{port}")
        with context_of(settings, sessions) as context, sweeping(root, context):
            app = built_app(context, accounts)
            for sentence in greeting(settings, port):
                say(sentence)
            if settings.browser and has_screen():
                threading.Timer(1.0, webbrowser.open, [address(settings.host, port)]).start()
            _run(app, listener, settings, say)
        root.close()


def accounts_of(settings: AppSettings) -> Accounts | None:
    """Who may log in; None where everybody may use the page, who can only be on this machine.

    Raises
    ------
    RunError
        ``USAGE``: others could reach the page, and no file of users is named; others of `Accounts`.
    """
    if settings.auth_file is not None:
        return Accounts(settings.auth_file)
    if settings.is_local and not settings.proxy and not settings.host_name:
        return None
    where = settings.host if not settings.is_local else "a proxy in front"
    raise RunError(
        Reason.USAGE,
        f"others could open the page through {visible(where)}, so that it needs users: hypojax app --add-user NAME --auth-file FILE "
        f"writes one, and hypojax app --auth-file FILE asks for the password.\n{IN_FRONT.format(port=settings.port or FIRST_PORT)}",
    )


def built_app(context: "AppContext", accounts: Accounts | None) -> "ASGIApp":
    """The ASGI app: the guard, and behind it our addresses and Gradio's.

    Parameters
    ----------
    context
        What the page is made of.
    accounts
        Who may log in.
    """
    import gradio as gr
    from starlette.applications import Starlette

    from hypojax.app.file_routes import own_routes
    from hypojax.app.guard import Guard
    from hypojax.app.page_layout import build_page, page_look
    from hypojax.app.refusal_answers import HANDLERS

    settings: AppSettings = context.settings
    page = build_page(context)
    page.queue(max_size=WAITING)
    page.has_launched = True  # it looks at paths of files only then
    own = Starlette(routes=own_routes(context), exception_handlers=HANDLERS)
    app = gr.mount_gradio_app(
        own, page, path="/", footer_links=[], run_history=False, ssr_mode=False, mcp_server=False, enable_monitoring=False, pwa=False,
        show_error=False, allowed_paths=[], max_file_size=settings.upload_bytes, **page_look(context),
    )  # fmt: skip
    names = frozenset(name.lower() for name in (*settings.host_name, settings.host, socket.gethostname()))
    return Guard(app, context.sessions, context.words, accounts, names=names, any_number=settings.host in EVERYWHERE)


@contextmanager
def context_of(settings: AppSettings, sessions: Sessions) -> "Iterator[AppContext]":
    """What the page is made of; sessions of an earlier server are taken up, and the engine ends with the block."""
    from hypojax.app.batch_run import BatchRuns
    from hypojax.app.cohort_choice import CohortChoice
    from hypojax.app.page_layout import AppContext
    from hypojax.app.scan_service import ScanService
    from hypojax.app.upload_limits import UploadLimits

    limits = UploadLimits(sessions, session_bytes=settings.upload_bytes, disk_bytes=settings.disk_bytes)
    service = ScanService(weights=settings.weights, norms=settings.norms, room=limits.promised)
    sessions.is_busy, sessions.forget = service.is_busy, service.forget
    for session in sessions.all():
        service.adopt(session)
    try:
        batches = BatchRuns(inputs=settings.inputs, cohorts=settings.cohorts, weights=settings.weights)
        cohorts = CohortChoice(settings.cohorts)
        yield AppContext(settings, sessions, limits, service, Words(), cohorts, batches)
    finally:
        service.close()


@contextmanager
def sweeping(root: SessionRoot, context: "AppContext") -> Iterator[None]:
    """Remove sessions whose hour is over, and what Gradio leaves, while the block runs."""
    ended = threading.Event()

    def sweep() -> None:
        while not ended.wait(SWEEP):
            with suppress(OSError):
                root.sweep()
                context.sessions.clean()

    thread = threading.Thread(target=sweep, name="sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def greeting(settings: AppSettings, port: int) -> Iterator[str]:
    """What the user should know when the server begins."""
    if settings.port not in (0, port):
        yield f"port {settings.port} is taken by another program: this is port {port}"
    yield f"open {address(settings.host, port)} in a browser; Ctrl-C ends this"
    if settings.is_local and not (settings.browser and has_screen()):
        yield f"from another computer, first: ssh -N -L {port}:127.0.0.1:{port} {_login()}@{socket.gethostname()}"
    if not settings.is_local:
        yield IN_FRONT.format(port=port)


def address(host: str, port: int) -> str:
    """What to open in a browser.

    >>> address("127.0.0.1", 7860), address("::1", 7860)
    ('http://127.0.0.1:7860/', 'http://[::1]:7860/')
    """
    name = socket.gethostname() if host in EVERYWHERE else host
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def has_screen() -> bool:
    """Whether a browser can be opened on this machine, and not one within the terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def listening(settings: AppSettings) -> socket.socket:
    """A socket at the first free port.

    Raises
    ------
    RunError
        ``BUSY``: no port is free; ``USAGE``: this machine does not have the address.
    """
    first = settings.port or FIRST_PORT
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        where = socket.getaddrinfo(settings.host or None, first, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][4][0]
    except OSError as error:
        raise RunError(Reason.USAGE, f"--host {visible(settings.host)} is no address of this machine ({error.strerror})") from error
    for port in range(first, min(first + PORTS, 65536)):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((where, port))
            listener.listen(128)
        except OSError:
            listener.close()
        else:
            return listener
    raise RunError(Reason.BUSY, f"no port from {first} on can be had at {visible(settings.host)}; name another with --port, or --host")


def _run(app: "ASGIApp", listener: socket.socket, settings: AppSettings, say: Callable[[str], None]) -> None:
    """Answer requests until Ctrl-C."""
    import uvicorn

    from hypojax.app.server_log import log_quietly
    from hypojax.app.timed_connection import timed

    log_quietly(say)
    config = uvicorn.Config(
        app, http=timed(trusted=("127.0.0.1", "::1", settings.proxy)), log_config=None, access_log=False, ws="none", server_header=False,
        limit_concurrency=CONNECTIONS, timeout_keep_alive=30, timeout_graceful_shutdown=ENDING,
        proxy_headers=bool(settings.proxy), forwarded_allow_ips=settings.proxy or "none",
    )  # fmt: skip
    try:
        uvicorn.Server(config).run([listener])
    except KeyboardInterrupt as asked:
        say("ended; scans stay for an hour, and are deleted when this is started again after that")
        if type(asked) is not KeyboardInterrupt:  # not Ctrl-C, but a signal of the system
            raise


def _login() -> str:
    from hypojax.reporting.rating_server import login_name

    return visible(login_name())
