"""The guard in front of everything that the server answers: who asks, from where, for what, and how much.

It stands outside of Gradio, which closes nothing but its login. A request that passes has the session of its cookie, or begins one at an
address where a visit may begin; with accounts nobody gets further than the page that asks for user and password.
"""

import asyncio
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from hypojax.app import login_page
from hypojax.app.accounts import Accounts
from hypojax.app.gradio_payload import LARGEST, SessionOwners, checked_call, home_page
from hypojax.app.refusal_answers import REFUSED, answer_of, refused
from hypojax.app.request_checks import ENTRANCES, HEALTH, LOGIN, LOGOUT, READING, UPLOAD, is_led_here, path_of, refusal
from hypojax.app.visitor_limits import OpenCalls, visitor_of
from hypojax.app.visits import Session, Sessions, cookie_value
from hypojax.app.words import Words
from hypojax.reason import Reason, RunError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS: Final = 60.0
"""How long a browser may take to send a call or a form; uploads have limits of their own."""

CALLS: Final = ("/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/call/", "/gradio_api/cancel", "/gradio_api/reset")
LISTENING: Final = "/gradio_api/queue/data"
NAMED_BY: Final = {LISTENING: "session_hash", UPLOAD: "upload_id", f"{UPLOAD}_progress": "upload_id"}
"""Addresses, and the word in them that names what the browser has a part in."""

BEATING, CALLED = "/gradio_api/heartbeat/", "/gradio_api/call/"

LED_ON: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">'
    '<link rel="icon" href="data:,"><title>hypojax</title><p><a href="/">hypojax</a></p></html>'
)
"""Page that leads on: a link of another site comes without the cookie, and would begin a second visit."""

POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
"""What pages may load: nothing of another site. Gradio makes functions from texts, and styles in every element."""

HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}

LASTING: Final = ("/assets/",)
"""Files of Gradio whose names change with their content."""

OF_THE_PAGE: Final = ("/assets/", "/static/", "/svelte/")
"""Scripts and styles: a browser asks for all of them at once."""

MOST_OPEN, MOST_OF_THE_PAGE = 60, 150
"""Requests of one visitor that are answered at once; each open page listens with two. The server answers a fixed number in all."""

TOO_MANY_OPEN: Final = "too many pages and downloads of yours are open at once; close some"

FROM_A_PROXY: Final = ("x-forwarded-", "forwarded", "x-gradio-", "x-real-ip", "x-direct-url", "origin-agent-")
"""Headers that say how a request came; uvicorn has taken what a trusted proxy says."""


@dataclass
class Guard:
    """The middleware.

    Parameters
    ----------
    app
        What is guarded.
    sessions
        All sessions.
    words
        All texts.
    accounts
        Who may log in; None where everybody on this machine may use the page.
    names
        Names that the server is reached by, in small letters.
    any_number
        Whether it is served at all addresses of the machine.
    """

    app: "ASGIApp"
    sessions: Sessions
    words: Words
    accounts: Accounts | None = None
    names: Iterable[str] = ()
    any_number: bool = False
    owners: SessionOwners = field(default_factory=SessionOwners)
    open: OpenCalls = field(default_factory=lambda: OpenCalls(MOST_OPEN, TOO_MANY_OPEN))
    page_files: OpenCalls = field(default_factory=lambda: OpenCalls(MOST_OF_THE_PAGE, TOO_MANY_OPEN))

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        request = Request(scope, receive)
        nonce = secrets.token_urlsafe(16)
        begun: list[str] = []

        async def noting(message: "Message") -> None:
            begun.append(message["type"])
            await send(message)

        guarded = _with_headers(request, noting, nonce)
        try:
            answer = await self._answered_here(request)
            if answer is not None:
                await answer(scope, receive, guarded)
                return
            await self._let_through(request, receive, guarded, nonce)
        except Exception as error:
            if not isinstance(error, REFUSED):
                logging.getLogger(__name__).exception("a request failed")
            if not begun:
                await answer_of(error)(scope, receive, guarded)

    async def _answered_here(self, request: Request) -> Response | None:
        """The answer that needs no session; None where a session is needed."""
        if found := refusal(request, self.names, any_number=self.any_number):
            return refused(found.status, found.sentence)
        if path_of(request) == HEALTH:
            return PlainTextResponse("ok")
        if path_of(request) == LOGIN:
            return await self._log_in(request)
        if path_of(request) == LOGOUT:
            return self._log_out(request)
        return None

    async def _let_through(self, request: Request, receive: "Receive", send: "Send", nonce: str) -> None:
        """Give the request to the app with its session."""
        session = self._session(request)
        path = path_of(request)
        if session is None and path == "/" and is_led_here(request):
            await HTMLResponse(LED_ON)(request.scope, receive, send)
            return
        if session is None and (self.accounts is not None or path not in ENTRANCES or request.method not in READING):
            await self._stranger(path)(request.scope, receive, send)
            return
        if session is None:
            session, secret = self.sessions.begin()
            send = self._with_cookie(request, send, secret)
        session.touch()
        calls = self.page_files if path.startswith(OF_THE_PAGE) else self.open
        with calls.held(visitor_of(session)):
            replaced = await self._checked(request, session)
            _drop_headers(request.scope)
            if path == "/" and request.method == "GET":
                await self._home(request.scope, receive, send, nonce)
            else:
                await self.app(request.scope, replaced or receive, send)

    async def _checked(self, request: Request, session: Session) -> "Receive | None":
        """Look at what Gradio is called with; what to give it in place of what was sent, None for that itself."""
        path = path_of(request)
        name = _named(request)
        if name is not None and not self.owners.is_of(name, session):
            raise RunError(Reason.NO_ACCESS, "this session belongs to another page; load the page again")
        if request.method in READING or path == UPLOAD:
            return None
        if not path.startswith(CALLS):
            raise RunError(Reason.USAGE, "nothing is taken at this address")
        body = checked_call(await whole_body(request, LARGEST), session, self.owners)
        headers = MutableHeaders(scope=request.scope)
        headers["content-length"] = str(len(body))
        return _once(body, request.receive)

    async def _home(self, scope: "Scope", receive: "Receive", send: "Send", nonce: str) -> None:
        """Gradio's page, as `home_page` makes it."""
        del MutableHeaders(scope=scope)["accept-encoding"]
        begun: list[Message] = []
        pieces: list[bytes] = []

        async def collect(message: "Message") -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                body = home_page(b"".join(pieces), nonce)
                MutableHeaders(raw=begun[0]["headers"])["content-length"] = str(len(body))
                await send(begun[0])
                await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, collect)

    def _session(self, request: Request) -> Session | None:
        """The session of a request, where its user may still use the page."""
        session = self.sessions.find(cookie_value(request.headers.get("cookie", ""), self.sessions.cookie))
        if session is None or self.accounts is None:
            return session
        user, mark = session.user
        return session if user and secrets.compare_digest(mark, self.accounts.mark(user)) else None

    def _stranger(self, path: str) -> Response:
        """What a request without a session gets."""
        if self.accounts is not None and path == "/":
            return RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER)
        if self.accounts is not None:
            return JSONResponse({"detail": "Not authenticated"}, HTTPStatus.UNAUTHORIZED)
        return refused(HTTPStatus.FORBIDDEN, "This session has ended, and its files were deleted; load the page again.")

    async def _log_in(self, request: Request) -> Response:
        """Show the page, or look at what was typed on it."""
        if self.accounts is None:
            return RedirectResponse("/", HTTPStatus.SEE_OTHER) if request.method in READING else JSONResponse({"success": True})
        language = self.words.language_of(request)
        if request.method in READING:
            return login_page.login_page(self.words, language)
        fields = login_page.form_fields(request, await whole_body(request, login_page.LARGEST))
        if fields is None:
            return refused(HTTPStatus.BAD_REQUEST, "User and password are sent as a form.")
        user, password, address = *fields, request.client.host if request.client else ""
        if await asyncio.to_thread(self.accounts.log_in, user, password, address):
            return self._logged_in(request, user)
        status, key, wait = login_page.wrong_login(self.accounts, user, address)
        problem = self.words.text(key, language, seconds=wait)
        answer = login_page.login_page(self.words, language, problem=problem, status=status)
        if wait:
            answer.headers["Retry-After"] = str(wait)
        return answer

    def _logged_in(self, request: Request, user: str) -> Response:
        """A new session; a browser goes to the page, a script has its cookie."""
        assert self.accounts is not None  # noqa: S101 - for the type
        session, secret = self.sessions.begin(user, self.accounts.mark(user))
        session.touch()
        is_browser = "text/html" in request.headers.get("accept", "")
        answer: Response = RedirectResponse("/", HTTPStatus.SEE_OTHER) if is_browser else JSONResponse({"success": True})
        answer.headers["Set-Cookie"] = self._cookie(request, secret)
        return answer

    def _log_out(self, request: Request) -> Response:
        if session := self._session(request):
            session.log_out()
        answer = RedirectResponse(LOGIN if self.accounts else "/", HTTPStatus.SEE_OTHER)
        answer.headers["Set-Cookie"] = self._cookie(request, "") + "; Max-Age=0"
        return answer

    def _cookie(self, request: Request, secret: str) -> str:
        secure = "; Secure" if request.url.scheme == "https" else ""
        return f"{self.sessions.cookie}={secret}; HttpOnly; SameSite=Strict; Path=/{secure}"

    def _with_cookie(self, request: Request, send: "Send", secret: str) -> "Send":
        """Answer with a cookie, and let the app see it in the request already."""
        MutableHeaders(scope=request.scope)["cookie"] = f"{self.sessions.cookie}={secret}"

        async def sending(message: "Message") -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"]).append("set-cookie", self._cookie(request, secret))
            await send(message)

        return sending


def _named(request: Request) -> str | None:
    """What an address names that belongs to one visitor; None where it names nothing of the kind."""
    path = path_of(request)
    if path in NAMED_BY:
        return request.query_params.get(NAMED_BY[path]) or ("" if path == LISTENING else None)
    if path.startswith(BEATING):
        return path.removeprefix(BEATING)
    return path.rpartition("/")[2] if path.startswith(CALLED) and request.method in READING else None


async def whole_body(request: Request, largest: int) -> bytes:
    """All that a request sends.

    Raises
    ------
    RunError
        ``TOO_LARGE``: it is more than that.
    TimeoutError
        It did not come to its end within `SECONDS`.
    """
    body = bytearray()
    async with asyncio.timeout(SECONDS):
        async for piece in request.stream():
            body += piece
            if len(body) > largest:
                raise RunError(Reason.TOO_LARGE, f"a request of this kind has at most {largest} bytes")
    return bytes(body)


def _with_headers(request: Request, send: "Send", nonce: str) -> "Send":
    """Add what browsers should know to every answer, and take out what lets other sites in."""
    path = path_of(request)
    is_report = path.startswith(("/mine/", "/cohort-files/"))

    async def sending(message: "Message") -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            message["headers"] = [pair for pair in message["headers"] if not pair[0].lower().startswith((b"access-control-", b"server"))]
            headers = MutableHeaders(raw=message["headers"])
            headers.update(HEADERS)
            headers["Content-Security-Policy"] = POLICY.format(scripts="'unsafe-inline'" if is_report else f"'nonce-{nonce}'")
            if request.url.scheme == "https":
                headers["Strict-Transport-Security"] = "max-age=31536000"
            if path.startswith(LASTING) and message["status"] == HTTPStatus.OK:
                headers["Cache-Control"] = "private, max-age=31536000, immutable"
            elif "cache-control" not in headers or not path.startswith("/static/"):
                headers["Cache-Control"] = "no-store"
        await send(message)

    return sending


def _drop_headers(scope: "Scope") -> None:
    """Take out headers that Gradio would believe."""
    scope["headers"] = [pair for pair in scope["headers"] if not pair[0].decode("latin-1").lower().startswith(FROM_A_PROXY)]


def _once(body: bytes, receive: "Receive") -> "Receive":
    """What gives a body in one piece, and then what comes after it: that the browser left."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> "Message":
        return left.pop() if left else await receive()

    return receiving
