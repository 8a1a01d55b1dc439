"""Connections that say nothing are closed, and one address does not have them all."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="the extra 'app' is not installed")

from starlette.types import Receive, Scope, Send  # noqa: E402

from hypojax.app.timed_connection import TimedConnection, timed  # noqa: E402

WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WAIT = 60.0


@contextmanager
def serving(connection: type[TimedConnection], may_answer: threading.Event, asked: threading.Event | None = None) -> Iterator[int]:
    """A server that answers once it may, and says when it was asked; its port."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if asked is not None:
            asked.set()
        await asyncio.to_thread(may_answer.wait, WAIT)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(answering, http=connection, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            may_answer.set()
            server.should_exit = True
            thread.join(WAIT)


@pytest.fixture
def connect() -> Iterator[Callable[..., socket.socket]]:
    """Opens connections, which are closed after the test."""
    with ExitStack() as held:

        def connected(port: int, said: bytes = b"") -> socket.socket:
            found = held.enter_context(socket.create_connection(("127.0.0.1", port), WAIT))
            found.sendall(said)
            return found

        yield connected


def heard(connection: socket.socket) -> bytes:
    """What comes first; empty where the connection is closed."""
    try:
        return connection.recv(4096)
    except ConnectionResetError:
        return b""


def test_who_does_not_say_what_it_wants_is_sent_away_and_who_waits_for_an_answer_is_not(connect: Callable[..., socket.socket]) -> None:
    may_answer, asked, connection = threading.Event(), threading.Event(), timed(seconds=WAIT)
    with serving(connection, may_answer, asked) as port:
        waiting = connect(port, WHOLE)
        assert asked.wait(WAIT)
        connection.seconds = 0.2
        for said in (b"", WHOLE[:20]):
            assert heard(connect(port, said)) == b""
        connection.seconds = 3.0  # time for this test to read the answer
        may_answer.set()
        assert heard(waiting).startswith(b"HTTP/1.1 200")
        with suppress(OSError):
            waiting.sendall(WHOLE[:20])
        assert b"HTTP" not in heard(waiting)
        assert heard(waiting) == b""


def test_one_address_does_not_have_all_connections_but_a_trusted_one_may(connect: Callable[..., socket.socket]) -> None:
    may_answer = threading.Event()
    may_answer.set()
    with serving(timed(most=2), may_answer) as port:
        held = [connect(port) for _ in range(2)]
        assert heard(connect(port, WHOLE)) == b""
        held[0].close()
        assert any(heard(connect(port, WHOLE)) for _ in range(100))
    may_answer = threading.Event()
    may_answer.set()
    with serving(timed(most=2, trusted=["::1", "127.0.0.0/8"]), may_answer) as port:
        held = [connect(port) for _ in range(3)]
        assert heard(connect(port, WHOLE))
