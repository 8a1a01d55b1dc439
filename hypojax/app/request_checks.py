"""What a request must be before anything looks at it: for a name of this server, from a page of it, and for an address that is open.

Against pages of other sites that a visitor has open: the name in ``Host`` must be one of ours, so that no name of theirs can be led here
(DNS rebinding); what changes something must come from our own page (``Origin``, ``Sec-Fetch-Site``). Of Gradio's addresses those are open
that the page and `gradio_client` need; its files, deep links, proxies, recordings and monitoring are not.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import Request

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:/?#@\[\]\\\s]+)(:[0-9]{1,5})?", re.ASCII)
"""Name and port: what else stands in ``Host`` would become a part of the address that is looked at."""

HEALTH: Final = "/health"
"""Answers without a login: for who watches whether the server runs."""

LOGIN, LOGOUT = "/login", "/logout"
UPLOAD: Final = "/gradio_api/upload"
ENTRANCES: Final = frozenset({"/", "/config", "/config/"})
"""Addresses at which a visit may begin."""

OPEN: Final = frozenset(
    {
        *ENTRANCES, HEALTH, LOGIN, LOGOUT, UPLOAD, "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt",
        "/gradio_api/info", "/gradio_api/info/", "/gradio_api/app_id", "/gradio_api/startup-events", "/gradio_api/theme.css",
        "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/run/predict", "/gradio_api/cancel", "/gradio_api/reset",
        "/gradio_api/upload_progress", "/gradio_api/login_check",
    }
)  # fmt: skip
"""Addresses that are answered."""

OPEN_BELOW: Final = ("/assets/", "/static/", "/svelte/", "/mine/", "/cohort-files/", "/gradio_api/heartbeat/", "/gradio_api/call/")
"""Addresses whose beginning is answered."""

READING: Final = frozenset({"GET", "HEAD"})
METHODS: Final = frozenset({*READING, "POST"})


@dataclass(frozen=True)
class RequestRefusal:
    """Why a request is not answered.

    Parameters
    ----------
    status
        Of HTTP.
    sentence
        For who sent it.
    """

    status: HTTPStatus
    sentence: str


def refusal(request: "Request", names: Iterable[str], *, any_number: bool) -> RequestRefusal | None:
    """Why a request is not to be answered, whoever sent it; None where nothing speaks against it.

    Parameters
    ----------
    request
        The request.
    names
        Names of this server, in small letters.
    any_number
        Whether any number of an address is one of its names as well: it is served at all addresses of the machine.
    """
    host = request.headers.getlist("host")
    if len(host) != 1 or not is_ours(host[0], names, any_number=any_number):
        sentence = "This server does not have the name that you used. Who runs it may allow the name: hypojax app --host-name NAME"
        return RequestRefusal(HTTPStatus.MISDIRECTED_REQUEST, sentence)
    if request.method not in METHODS:
        return RequestRefusal(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET, HEAD and POST are answered here.")
    if not is_open(path_of(request)):
        return RequestRefusal(HTTPStatus.NOT_FOUND, "There is nothing at this address.")
    return _from_elsewhere(request)


def path_of(request: "Request") -> str:
    """The address that a request is routed by; `Request.url` reads it anew from a text in which ``?`` may stand anywhere."""
    return str(request.scope["path"])


def is_ours(host: str, names: Iterable[str], *, any_number: bool) -> bool:
    """Whether a header ``Host`` names this server.

    >>> is_ours("127.0.0.1:7860", [], any_number=False), is_ours("evil.example:7860", [], any_number=True)
    (True, False)
    >>> is_ours("192.168.0.7:7860", [], any_number=True), is_ours("192.168.0.7", [], any_number=False)
    (True, False)
    >>> is_ours("localhost:/health?", [], any_number=False)
    False
    """
    found = HOST.fullmatch(host)
    if found is None:
        return False
    name = found["name"].lower().removesuffix(".")
    if name in LOCAL_NAMES or name in names:
        return True
    if not any_number:
        return False
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_open(path: str) -> bool:
    """Whether anything is answered at an address.

    >>> is_open("/gradio_api/queue/join"), is_open("/gradio_api/file=/etc/passwd"), is_open("/assets/../config")
    (True, False, False)
    """
    parts = path.split("/")
    if ".." in parts or "." in parts or "" in parts[1:-1] or "\\" in path or "\0" in path:
        return False
    return path in OPEN or path.startswith(OPEN_BELOW)


def is_led_here(request: "Request") -> bool:
    """Whether a link of another site led a browser here: it sends no cookie then, although it may have one."""
    return request.headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")


def _from_elsewhere(request: "Request") -> RequestRefusal | None:
    """Why a request that another site had a browser send is not answered."""
    origin = request.headers.getlist("origin")
    own = f"{request.url.scheme}://{request.headers['host']}"
    if len(origin) > 1 or (origin and origin[0].lower() != own.lower()):
        sentence = "This request comes from a page of another site."
        if origin and origin[0].lower() == f"https://{request.headers['host']}".lower():
            sentence = "TLS ends in front of this server, and it was not told: hypojax app --proxy ADDRESS names who does that."
        return RequestRefusal(HTTPStatus.FORBIDDEN, sentence)
    is_visit = request.method in READING and request.headers.get("sec-fetch-mode") == "navigate" and path_of(request) in ("/", LOGIN)
    if is_led_here(request) and not (is_visit and request.headers.get("sec-fetch-dest") == "document"):
        return RequestRefusal(HTTPStatus.FORBIDDEN, "This request comes from a page of another site.")
    return None
