"""A server that speaks S3 on the loopback (moto's), and what stands between it and the library when a test wants trouble.

The twin that looks into buckets is boto3, or the server's memory: nothing of the library is asked what the library wrote.
"""

import logging
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

SECRET = "not-to-be-seen"  # noqa: S105
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def serving() -> Iterator[str]:
    """A server without buckets; its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request takes as long as the request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@cache
def client(endpoint: str) -> Any:  # noqa: ANN401  (boto3 comes without types)
    """The twin's own client."""
    return boto3.Session("twin", SECRET, region_name="us-east-1").client("s3", endpoint_url=endpoint)


@dataclass(frozen=True)
class Bucket:
    """A bucket as boto3 sees it."""

    name: str
    endpoint: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def client(self) -> Any:  # noqa: ANN401  (boto3 comes without types)
        return client(self.endpoint)

    def upload(self, folder: Path, *, below: str = "") -> None:
        """Put every file of a folder."""
        client = self.client
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.put_object(Bucket=self.name, Key=f"{below}{path.relative_to(folder).as_posix()}", Body=path.read_bytes())

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def fill(self, keys: Iterable[str]) -> None:
        """Put empty objects straight into the server's memory."""
        for key in keys:
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(self.name, key, b"")

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def snapshot(self, below: str = "") -> dict[str, bytes]:
        """Every object below a prefix and its bytes, out of the server's own memory: a request each takes longer than most tests."""
        held = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_bucket(self.name)
        objects, _, _, _ = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].list_objects(held, below, None, None, None)
        return {entry.name.removeprefix(below): entry.value for entry in objects}


@dataclass
class Trouble:
    """What a proxy does to requests.

    Parameters
    ----------
    decide
        Told method, path and how often this request came before: what to do with it (`pass`, `drop_request`, `drop_answer`, `slow`,
        or an HTTP status, with a code behind it: ``403 AccessDenied``).
    answer
        What a refusal says instead of its code.
    seen
        Requests that came, by method and path.
    done
        What was done, and how often.
    """

    decide: Callable[[str, str, int], str]
    answer: str = ""
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def verdict(self, method: str, path: str) -> str:
        with self.lock:
            chosen = self.decide(method, path, self.seen[method, path])
            self.seen[method, path] += 1
            self.done[chosen] += 1
        return chosen


def first(what: str, *, times: int = 1) -> Callable[[str, str, int], str]:
    """The first tries of every request meet trouble."""
    return lambda _method, _path, before: what if before < times else "pass"


@contextmanager
def proxy(endpoint: str, trouble: Trouble) -> Iterator[str]:
    """A server before the server; its address."""
    host, port = endpoint.removeprefix("http://").split(":")
    methods = {f"do_{method}": Relay.relay for method in ("GET", "PUT", "POST", "DELETE", "HEAD")}
    handler = type("Handler", (Relay,), {**methods, "trouble": trouble, "behind": (host, int(port))})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Relay(BaseHTTPRequestHandler):
    """Hands a request on, or does something worse."""

    trouble: Trouble
    behind: tuple[str, int]
    protocol_version = "HTTP/1.1"

    def relay(self) -> None:
        what = self.trouble.verdict(self.command, self.path)
        length = int(self.headers.get("content-length", 0))
        if what == "drop_request":
            self.rfile.read(length // 2)
            self.cut()
            return
        body = self.rfile.read(length)
        if what[:3].isdigit():
            self.refuse(*what.split())
            return
        connection = HTTPConnection(*self.behind, timeout=30)
        connection.request(self.command, self.path, body=body, headers=dict(self.headers.items()))
        response = connection.getresponse()
        self.answer(response, response.read(), what)
        connection.close()

    def answer(self, response: HTTPResponse, data: bytes, what: str) -> None:
        """Pass the answer on, slowly or in part."""
        if what == "drop_answer" and (not data or self.command == "HEAD"):
            self.cut()
            return
        self.send_response_only(response.status)
        skipped = {"transfer-encoding", "connection", "content-length"}
        for name, value in response.getheaders():
            if name.lower() not in skipped:
                self.send_header(name, value)
        self.send_header("content-length", response.getheader("content-length") or str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if what == "drop_answer":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.cut()
            return
        pieces = 5 if what == "slow" else 1
        for number in range(pieces):
            self.wfile.write(data[len(data) * number // pieces : len(data) * (number + 1) // pieces])
            time.sleep(0.02 if what == "slow" else 0)

    def refuse(self, status: str, code: str = "SlowDown") -> None:
        """Answer for the server."""
        said = self.trouble.answer or f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        body = b"" if self.command == "HEAD" else said.encode()
        self.send_response_only(int(status))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        """End the connection as a pulled cable does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def environment(endpoint: str) -> Mapping[str, str]:
    """Variables under which the library asks this server."""
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}
