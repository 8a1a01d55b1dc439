"""A connection of a browser that has to say what it wants: one that sends nothing, or never ends its headers, is closed.

The server answers a fixed number of connections at once; without a clock a few hundred silent ones would keep everybody else out.
"""

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS: Final = 20.0
"""How long the next request may take until its headers are there."""

OF_ONE_ADDRESS: Final = 200
"""Connections of one address at once; there may be a hospital behind it."""


class TimedConnection(H11Protocol):
    """HTTP/1.1 of uvicorn with a clock, and a number of connections of one address."""

    seconds = SECONDS
    most = OF_ONE_ADDRESS
    trusted: tuple[str, ...] = ()

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as uvicorn makes it
        super().__init__(*given, **named)
        self._clock: asyncio.TimerHandle | None = None

    @property
    def is_answering(self) -> bool:
        """Whether a request is here that has no whole answer yet."""
        return not getattr(self.cycle, "response_complete", True)

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio has other kinds than uvloop
        """Begin the clock, unless this address has enough."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if not is_trusted(address, self.trusted) and sum(1 for one in self.connections if _is_of(one, address)) > self.most:
            transport.abort()
            return
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a request is here."""
        super().data_received(data)
        if self.is_answering:
            self._stop()

    def on_response_complete(self) -> None:
        """Begin the clock for the next request, unless that is here already."""
        super().on_response_complete()
        if not self.is_answering:
            self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._stop()
        self._clock = self.loop.call_later(self.seconds, self._close)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _close(self) -> None:
        if not self.is_answering:
            self.transport.abort()


def timed(*, trusted: Iterable[str] = (), seconds: float = SECONDS, most: int = OF_ONE_ADDRESS) -> type[TimedConnection]:
    """The class of connections of a server.

    Parameters
    ----------
    trusted
        Addresses that may have any number of connections, as `is_trusted` takes them: this machine, and a proxy, which brings those of all.
    seconds
        How long the next request may take until its headers are there.
    most
        Connections of any other address at once.
    """
    values = {"trusted": tuple(trusted), "seconds": seconds, "most": most}
    return type("OurConnection", (TimedConnection,), values)


def is_trusted(address: str, trusted: Iterable[str]) -> bool:
    """Whether an address is one of those named: addresses, networks, several with commas between them, or ``*`` for all.

    >>> is_trusted("10.1.2.3", ["127.0.0.1, 10.0.0.0/8"]), is_trusted("10.1.2.3", ["*"]), is_trusted("10.1.2.3", ["127.0.0.1", ""])
    (True, True, False)
    """
    return any(_names(part.strip(), address) for text in trusted for part in text.split(","))


def _names(part: str, address: str) -> bool:
    try:
        return part in ("*", address) or ip_address(address) in ip_network(part)
    except ValueError:
        return False


def _is_of(connection: object, address: str) -> bool:
    """Whether a connection is one of an address."""
    client = getattr(connection, "client", None)
    return client is not None and client[0] == address
