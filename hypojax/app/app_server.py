"""The server of the page: an ASGI app with the page at ``/``, at a free port of this machine."""

import os
import socket
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypojax.app.app_settings import FIRST_PORT, AppSettings
from hypojax.reason import Reason, RunError

if TYPE_CHECKING:
    from starlette.applications import Starlette

PORTS: Final = 50
"""Ports that are tried."""

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


def built_app() -> "Starlette":
    """The ASGI app."""
    import gradio as gr
    from starlette.applications import Starlette

    with gr.Blocks(title="hypojax", analytics_enabled=False) as page:
        gr.Markdown("hypojax")
    return gr.mount_gradio_app(Starlette(), page, path="/", footer_links=[], run_history=False, ssr_mode=False, mcp_server=False)


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
        ``BUSY``: no port is free.
    """
    os.environ.update(QUIET)
    listener = listening(settings)
    port = int(listener.getsockname()[1])
    root = Path(tempfile.mkdtemp(prefix=f"hypojax-app-{port}-"))
    os.environ["GRADIO_TEMP_DIR"] = str(root)
    import uvicorn

    address = f"http://{settings.host}:{port}"
    server = uvicorn.Server(uvicorn.Config(built_app(), log_level="warning", access_log=False))
    say(f"open {address} in a browser; Ctrl-C ends this")
    if settings.browser:
        webbrowser.open(address)
    with listener:
        server.run([listener])


def listening(settings: AppSettings) -> socket.socket:
    """A socket at the first free port.

    Raises
    ------
    RunError
        ``BUSY``: no port is free.
    """
    first = settings.port or FIRST_PORT
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    for port in range(first, min(first + PORTS, 65536)):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, port))
            listener.listen(128)
        except OSError:
            listener.close()
        else:
            return listener
    raise RunError(Reason.BUSY, f"no port from {first} on is free at {settings.host}; name another with --port")
