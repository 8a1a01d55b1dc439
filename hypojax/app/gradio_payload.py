"""What goes into Gradio and comes out of it: calls that name files, and the page it makes.

Gradio takes a file in a call by its path, and would copy any file that this process may read, or fetch any address of the network; what it
calls a session is a number that the browser drew. So every call is read before: a file must be one that this visitor sent, and nobody
takes part in a session of somebody else. Its page has pictures and links of its makers for other sites, which are left out.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from hypojax.app.visits import Session
from hypojax.reason import Reason, RunError

LARGEST: Final = 1_000_000
"""Bytes of a call."""

DEEPEST: Final = 50
"""Lists within lists of a call."""

REMEMBERED: Final = 20_000
"""Sessions of Gradio whose owners are remembered."""

NAMES_OF_SESSION: Final = re.compile(r"[A-Za-z0-9-]{6,64}")
ABROAD: Final = re.compile(rb"<meta\s[^>]*?(?:property|name)=\"(?:og|twitter):[^>]*>", re.DOTALL)
"""What pages say to sites that show a link to them."""

SCRIPT: Final = re.compile(rb"<script(?=[\s>])")


class SessionOwners:
    """Which visitor has which session of Gradio: whoever names it first."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, str] = OrderedDict()

    def is_of(self, name: str, session: Session) -> bool:
        """Whether a session of Gradio belongs to a visitor; it does where nobody had it before."""
        if not NAMES_OF_SESSION.fullmatch(name):
            return False
        owner = self._owners.setdefault(name, session.id)
        self._owners.move_to_end(name)
        while len(self._owners) > REMEMBERED:
            self._owners.popitem(last=False)
        return owner == session.id


def checked_call(body: bytes, session: Session, owners: SessionOwners) -> bytes:
    """A call as it may reach Gradio: files without addresses of the network.

    Parameters
    ----------
    body
        JSON.
    session
        Whose call it is.
    owners
        Of the sessions of Gradio.

    Returns
    -------
    The call, written anew.

    Raises
    ------
    RunError
        ``USAGE``: it is no call; ``NO_ACCESS``: a file is not one of this visitor, or the session of Gradio is another's.
    """
    try:
        call = json.loads(body)
        files = list(_files(call))
    except (ValueError, RecursionError):
        raise RunError(Reason.USAGE, "a call is JSON") from None
    if not isinstance(call, dict):
        raise RunError(Reason.USAGE, "a call is a table")
    name = call.get("session_hash")
    if name is not None and not (isinstance(name, str) and owners.is_of(name, session)):
        raise RunError(Reason.NO_ACCESS, "this session belongs to another page; load the page again")
    for file in files:
        file["url"] = None
        if file["path"] is not None:
            file["path"] = str(session.uploaded(str(file["path"])))
    return json.dumps(call).encode()


def home_page(body: bytes, nonce: str) -> bytes:
    """Gradio's page without what names other sites; its scripts have the nonce, and others do not run.

    >>> home_page(b'<meta property="og:image" content="https://a.example/b.jpg" /><script src="a.js"></script>', "1")
    b'<script nonce="1" src="a.js"></script>'
    """
    return SCRIPT.sub(b'<script nonce="%b"' % nonce.encode(), ABROAD.sub(b"", body))


def _files(value: object, depth: int = 0) -> Iterator[dict[str, Any]]:
    """All tables in a call that Gradio may take for a file."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    if isinstance(value, dict):
        if "path" in value:
            yield value
        for inner in value.values():
            yield from _files(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _files(inner, depth + 1)
