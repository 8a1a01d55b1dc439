"""Logging in and out: a page without scripts, and what `gradio_client` sends with ``auth=(user, password)``."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from markupsafe import Markup

from hypojax.app.accounts import Accounts
from hypojax.app.words import Words
from hypojax.pages.palette import css_properties

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LARGEST: Final = 10_000
"""Bytes of a form."""

FORM: Final = "application/x-www-form-urlencoded"

STYLE: Final = """
body{font:1rem/1.5 system-ui,sans-serif;background:var(--paper);color:var(--ink);margin:0 auto;max-width:26rem;padding:2rem 1rem}
label{display:block;margin-top:1rem}
input,button{font:inherit;box-sizing:border-box;width:100%;padding:.6rem;border:1px solid var(--line);border-radius:.3rem}
input{background:var(--panel);color:var(--ink)}
button{margin-top:1.5rem;background:var(--accent);color:var(--paper);cursor:pointer}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
[role=alert]{color:var(--bad)}
"""

PAGE: Final = Markup(
    '<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<link rel="icon" href="data:,"><title>{title}</title><style>{style}</style><main><h1>{title}</h1><p>{first_line}</p>{problem}'
    '<form method="post" action="/login"><label for="username">{user}</label><input id="username" name="username" autocomplete="username" '
    'required maxlength="64" autofocus><label for="password">{password}</label><input id="password" name="password" type="password" '
    'autocomplete="current-password" required maxlength="1024"><button>{log_in}</button></form></main></html>'
)


def login_page(words: Words, language: str, *, problem: str = "", status: HTTPStatus = HTTPStatus.OK) -> "Response":
    """The page that asks for user and password, in the language of the browser.

    Parameters
    ----------
    words
        All texts.
    language
        Code of the language.
    problem
        What was wrong with the last try.
    status
        Of HTTP.
    """
    from starlette.responses import HTMLResponse

    texts = {key: words.text(f"login.{key}", language) for key in ("title", "user", "password", "log_in")}
    said = Markup('<p role="alert">{}</p>').format(problem) if problem else ""
    style = Markup(css_properties() + STYLE)  # noqa: S704 - of ours
    page = PAGE.format(language=language, style=style, problem=said, first_line=words.text("frame.first_line", language), **texts)
    return HTMLResponse(str(page), status)


def form_fields(request: "Request", body: bytes) -> tuple[str, str] | None:
    """User and password of a form that was sent; None where it is none."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return None
    try:
        fields = parse_qs(body.decode(), max_num_fields=10, keep_blank_values=True)
        return fields["username"][0].strip(), fields["password"][0]
    except (ValueError, KeyError, IndexError):
        return None


def wrong_login(accounts: Accounts, user: str, address: str) -> tuple[HTTPStatus, str, int]:
    """What to say after a try that failed: status, key of the text, and seconds to wait."""
    wait = accounts.waiting(user, address)
    return (HTTPStatus.TOO_MANY_REQUESTS, "login.wait", wait) if wait else (HTTPStatus.UNAUTHORIZED, "login.wrong", 0)
