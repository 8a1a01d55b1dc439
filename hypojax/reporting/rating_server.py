"""Rating scans in the browser: the pages of a report on the loopback of this machine, and ratings written into ``qc.tsv`` at once.

Who may rate knows the token of the address that is printed. The first page that has it sets a cookie for that browser. Against pages of
other sites: the name in the ``Host`` header must be one of the loopback, so that no name of theirs can be led here; a rating must come
from a page of this server (``Origin``) and be JSON. Only files of the report are given out, after links are followed.
"""

import getpass
import hashlib
import hmac
import json
import logging
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from hypojax.cohort.ratings import RATING_COLUMNS, RATINGS, Rating, add_rating, read_ratings
from hypojax.reason import Reason, RunError, visible
from hypojax.reporting.rating_section import DATA_SCRIPT, served_script
from hypojax.reporting.report_data import output_folder
from hypojax.storage import Place, locate, remote

LOOPBACK: Final = "127.0.0.1"

PORT: Final = 8642
"""Where the search for a free port begins."""

PORTS: Final = 50
"""Ports that are tried."""

LARGEST: Final = 32_000
"""Bytes of a rating."""

SECONDS: Final = 20.0
"""How long a browser may take to say what it wants."""

NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
"""Endings of files that are given out; a report has no others that a page asks for."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

WELCOME: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/index.html">'
    '<link rel="icon" href="data:,">'
    '<title>hypojax</title><p><a href="/index.html">The report</a></p></html>'
)
"""Page that leads on: a redirection would come without the cookie where another site's page has the link."""

NO_NETWORK: Final = (b"connect-src 'none'", b"connect-src &#39;none&#39;")
"""How pages say that they ask for nothing; those given out here may ask here."""


@dataclass(frozen=True)
class Desk:
    """What a rating server works with.

    Parameters
    ----------
    report
        Folder of the pages.
    ratings
        Folder of ``qc.tsv``.
    rater
        Who rates.
    scans
        Gives the scans that may be rated as they are now, since a run may go on; asked for each rating.
    token
        What the address has.
    cookie
        What the browser has instead, once it had the token.
    """

    report: Path
    ratings: Path
    rater: str
    scans: Callable[[], frozenset[str]]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def add(self, document: Mapping[str, Any]) -> None:
        """Write a rating that came in.

        Raises
        ------
        RunError
            It is not one, is of no scan of this cohort, or cannot be written.
        """
        if not all(isinstance(document.get(name, ""), str) for name in RATING_COLUMNS):
            raise RunError(Reason.USAGE, "a rating consists of texts")
        cells = {name: document.get(name, "") for name in RATING_COLUMNS}
        rating = Rating(**{**cells, "rater": cells["rater"] or self.rater})
        if rating.scan not in self.scans():
            raise RunError(Reason.NOTHING_FOUND, f"there is no scan {visible(rating.scan)!r} in this cohort; it may have been removed")
        add_rating(self.ratings, rating)

    def script(self) -> bytes:
        """The data script of the report, with the ratings as they are now."""
        path = self.report / DATA_SCRIPT
        mark = hashlib.sha256(str(self.ratings.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
        return served_script(path.read_bytes(), read_ratings(self.ratings)[0], cohort=mark, rater=self.rater)


class RatingServer(ThreadingHTTPServer):
    """The server; it answers from the moment it is made until `server_close`.

    Parameters
    ----------
    desk
        What it works with.
    port
        Port to begin with; those after it where it is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, desk: Desk, *, port: int = PORT) -> None:
        self.desk = desk
        self.writing = threading.Lock()
        super().__init__((LOOPBACK, _free_port(port)), RatingRequest)

    def server_bind(self) -> None:
        """Take the port, without asking any network for the name of this machine."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as the base class has it
        """Note what went wrong with one request: a browser that leaves a page while it is loaded is no fault to tell the user."""
        logging.getLogger(__name__).debug("request from %s", client_address, exc_info=sys.exc_info())

    @property
    def port(self) -> int:
        """The port that it has."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.port}/?token={self.desk.token}"


class RatingRequest(BaseHTTPRequestHandler):
    """One request."""

    server: RatingServer
    timeout = SECONDS

    def do_GET(self) -> None:
        """Give out a file of the report."""
        parts = urlsplit(self.path)
        if not self._from_here():
            return
        if given := parse_qs(parts.query).get("token"):
            self._welcome(given[0])
        elif not self._is_known():
            self._refuse(HTTPStatus.FORBIDDEN, "Open the address that hypojax printed: it has a token.")
        elif (path := file_of(self.server.desk.report, unquote(parts.path))) is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page in this report.")
        else:
            self._answer(HTTPStatus.OK, self._content(path), TYPES[path.suffix.lower()])

    def do_HEAD(self) -> None:
        """The same without its bytes."""
        self.do_GET()

    def do_POST(self) -> None:
        """Write a rating."""
        own = f"http://{self.headers.get('Host', '')}"
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        length = self.headers.get("Content-Length", "")
        if not self._from_here():
            return
        if not self._is_known() or self.headers.get("Origin") != own or self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            self._refuse(HTTPStatus.FORBIDDEN, "Ratings come from pages of this report only.")
        elif urlsplit(self.path).path != "/ratings" or kind != "application/json":
            self._refuse(HTTPStatus.NOT_FOUND, "Only ratings, as JSON, are taken here.")
        elif not length.isdecimal():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "A rating has a length.")
        elif int(length) > LARGEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A rating has at most {LARGEST} bytes; write a shorter comment.")
        else:
            self._rate(self.rfile.read(int(length)))

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - name of the base class
        """Say nothing: addresses hold the token, and headers what anybody sends."""

    def _rate(self, body: bytes) -> None:
        try:
            document = json.loads(body)
            with self.server.writing:
                self.server.desk.add(document if isinstance(document, dict) else {})
        except RunError as error:
            known = {Reason.USAGE: HTTPStatus.BAD_REQUEST, Reason.NOTHING_FOUND: HTTPStatus.NOT_FOUND}
            self._refuse(known.get(error.reason, HTTPStatus.INSUFFICIENT_STORAGE), visible(str(error)))
        except (ValueError, RecursionError):
            self._refuse(HTTPStatus.BAD_REQUEST, "A rating is JSON.")
        else:
            self._answer(HTTPStatus.OK, b"{}", TYPES[".json"])

    def _from_here(self) -> bool:
        """Whether the request is for a name of the loopback; refused otherwise."""
        host = self.headers.get("Host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if len(self.headers.get_all("Host") or ()) == 1 and name.lower() in NAMES:
            return True
        self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "This server is for 127.0.0.1 and localhost only.")
        return False

    def _is_known(self) -> bool:
        """Whether the browser has the cookie."""
        found = [part.strip().partition("=") for line in self.headers.get_all("Cookie") or () for part in line.split(";")]
        wanted = self.server.desk.cookie
        return any(name == self._cookie_name() and hmac.compare_digest(value.encode(), wanted.encode()) for name, _, value in found)

    def _cookie_name(self) -> str:
        """Browsers send cookies to all ports of a host: each server has a name of its own."""
        return f"hypojax-{self.server.port}"

    def _welcome(self, token: str) -> None:
        """Give a browser with the token its cookie."""
        if not hmac.compare_digest(token.encode(), self.server.desk.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "The token is another: hypojax was started anew. Open the address that it printed.")
            return
        cookie = f"{self._cookie_name()}={self.server.desk.cookie}; HttpOnly; SameSite=Strict; Path=/"
        self._answer(HTTPStatus.OK, WELCOME.encode(), TYPES[".html"], {"Set-Cookie": cookie})

    def _content(self, path: Path) -> bytes:
        """Bytes of a file, as it is to be seen here."""
        if path == (self.server.desk.report / DATA_SCRIPT).resolve():
            return self.server.desk.script()
        data = path.read_bytes()
        if path.suffix.lower() == ".html":
            for policy in NO_NETWORK:
                data = data.replace(policy, policy.replace(b"none", b"self"), 1)
        return data

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(status, why.encode("utf-8", "replace"), TYPES[".txt"])

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **(headers or {}), "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """Name of the server, without the version of Python."""
        return "hypojax"


def file_of(report: Path, path: str) -> Path | None:
    """The file of a report that an address names, without links; None where there is none, or it lies elsewhere or is hidden.

    >>> file_of(Path("report"), "/../secret.html") is None
    True
    """
    names = (path or "/").removeprefix("/").split("/") if path not in ("", "/") else ["index.html"]
    if any(name in ("", ".", "..") or name.startswith(".") or set(name) & set("\\\0:") for name in names):
        return None
    try:
        found, folder = report.joinpath(*names).resolve(), report.resolve()
        is_given = found.is_relative_to(folder) and found.is_file() and found.suffix.lower() in TYPES
    except (OSError, ValueError, RuntimeError):
        return None
    return found if is_given else None


def serve(report: Path, place: Place, *, rater: str = "", port: int = 0, say: Callable[[str], None] = print) -> None:
    """Give out a report and take ratings until Ctrl-C.

    Parameters
    ----------
    report
        Folder of the pages.
    place
        The cohort. Ratings go into its folder; of one in a bucket into that of the pages.
    rater
        Who rates. Default: the login name.
    port
        Port to begin with. Default: `PORT`.
    say
        Called with what the user should know.

    Raises
    ------
    RunError
        ``BUSY``: no port is free.
    """
    folder = ratings_folder(place, report)
    server = RatingServer(Desk(report, folder, rater or login_name(), known_scans(place)), port=port or PORT)
    with server:
        if port not in (0, server.port):
            say(f"port {port} is taken by another program: this is port {server.port}")
        say(f"rate scans as {visible(server.desk.rater)} in a browser: {server.address}")
        say(f"on another computer, first: ssh -N -L {server.port}:{LOOPBACK}:{server.port} {visible(login_name())}@{socket.gethostname()}")
        if remote(where := locate(place)):
            say(f"hypojax study reads ratings beside the cohort: copy {RATINGS} to {visible(str(where))} when you have rated")
        say(f"ratings are written to {visible(str(folder / RATINGS))}; Ctrl-C ends this")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt as asked:
            with server.writing:  # what is being written is written whole
                say("ended; ratings that were taken are written")
            if type(asked) is not KeyboardInterrupt:  # not Ctrl-C, but a signal of the system
                raise


def ratings_folder(place: Place, report: Path) -> Path:
    """Where ratings of a cohort are kept: in its folder on a disk; beside the pages where it lies in a bucket."""
    where = locate(place)
    if remote(where):
        return report
    return Path(str(output_folder(where)))


def known_scans(place: Place) -> Callable[[], frozenset[str]]:
    """Gives the scans of a cohort, as the store has them now."""
    from hypojax.reporting.snapshot import store_root
    from hypojax.store import CohortStore

    return lambda: frozenset(CohortStore.open(store_root(place)).index.ids)


def login_name() -> str:
    """The login name; ``rater`` where the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "rater"


def _free_port(first: int) -> int:
    """The first port that nobody has, from one on; any where those are taken."""
    for port in (*range(first, min(first + PORTS, 65536)), 0):
        with socket.socket() as tried:
            try:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind((LOOPBACK, port))
            except (OSError, OverflowError):
                continue
            return int(tried.getsockname()[1])
    raise RunError(Reason.BUSY, f"no port of {LOOPBACK} is free; end another program, or give one by --port")
