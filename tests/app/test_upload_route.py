"""Files that visitors send, honest and hostile ones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hypojax.app import upload_limits, upload_route
from hypojax.app.guard import Guard
from hypojax.app.refusal_answers import HANDLERS
from hypojax.app.upload_limits import UploadLimits
from hypojax.app.upload_route import clean_name, take_upload
from hypojax.app.visits import Session, Sessions
from hypojax.app.words import Words
from hypojax.reason import RunError

OWN = "http://127.0.0.1:7860"
PATH = "/gradio_api/upload"
EDGE = "xYz"
KIND = f"multipart/form-data; boundary={EDGE}"


class Desk:
    """A guarded server of uploads with one visitor."""

    def __init__(self, folder: Path) -> None:
        self.sessions = Sessions(folder / "sessions", cookie="c")
        self.limits = UploadLimits(self.sessions, session_bytes=100_000, disk_bytes=150_000, kept_free=0)
        self.session, self.secret = self.sessions.begin()

        async def upload(request: Request) -> Response:
            return await take_upload(request, self.sessions, self.limits)

        self.app = Guard(Starlette(routes=[Route(PATH, upload, methods=["POST"])], exception_handlers=HANDLERS), self.sessions, Words())

    def send(self, body: bytes | AsyncIterator[bytes], *, kind: str = KIND, secret: str = "") -> httpx.Response:
        async def sent() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=OWN) as client:
                headers = {"Content-Type": kind, "Cookie": f"c={secret or self.secret}"}
                return await client.post(PATH, content=body, headers=headers)

        return asyncio.run(sent())

    def left(self, session: Session | None = None) -> list[Path]:
        return sorted((session or self.session).uploads.rglob("*"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def part(name: str, data: bytes, *, field: str = "files") -> bytes:
    return f'--{EDGE}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{EDGE}--\r\n".encode()


def test_files_lie_in_the_session_under_clean_names(desk: Desk) -> None:
    answer = desk.send(form(part("../../a<b>.nii.gz", b"one"), part("a<b>.nii.gz", b"two"), part("Köpfe.nii", b"")))
    assert answer.status_code == 200
    paths = [Path(path) for path in answer.json()]
    assert [path.read_bytes() for path in paths] == [b"one", b"two", b""]
    assert [path.name for path in paths] == ["a_b_.nii.gz", "a_b_.nii.gz", "Köpfe.nii"]
    assert all(path.is_relative_to(desk.session.uploads) for path in paths)
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "a/", ".bashrc", "a\0b", "\u202egpj.nii", "x" * 300 + ".nii.gz", "C:\\a\\..", "a\r\nb", "-rf"]
)
def test_a_name_is_always_a_plain_name(name: str) -> None:
    clean = clean_name(name)
    assert clean
    assert not clean.startswith((".", " "))
    assert len(clean.encode()) <= 120
    assert not set(clean) & set("/\\\0\n\r<>\"'&:;|$`\u202e")
    assert name.endswith(".nii.gz") <= clean.endswith(".nii.gz")


def test_a_stranger_sends_nothing(desk: Desk) -> None:
    assert desk.send(form(part("a", b"x")), secret=OWN).status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (form(part("a", b"x"))[:-8], KIND, 400), (form(part("a", b"x"))[:60], KIND, 400), (b"", KIND, 400), (b"garbage", KIND, 400),
        (form(part("a", b"x"), part("b", b"y", field="other")), KIND, 400), (form(part("a", b"x")), "text/plain", 400),
        (form(part("a", b"x")), "multipart/form-data", 400), (form(part("a", b"x")), "multipart/form-data; boundary=" + "x" * 5000, 400),
        (form(part("a" * 20_000, b"x")), KIND, 400), (form(part("a", b"x" * 100_001)), KIND, 413),
    ],
)  # fmt: skip
def test_what_is_broken_or_too_large_leaves_nothing(desk: Desk, body: bytes, kind: str, status: int) -> None:
    answer = desk.send(body, kind=kind)
    assert (answer.status_code, desk.left()) == (status, [])
    assert str(desk.sessions.root) not in answer.text


def test_all_files_of_a_session_count_and_so_do_those_of_others(desk: Desk) -> None:
    assert desk.send(form(part("a", b"x" * 60_000))).status_code == 200
    assert desk.send(form(part("b", b"x" * 60_000))).status_code == 413
    other, secret = desk.sessions.begin()
    assert desk.send(form(part("b", b"x" * 95_000)), secret=secret).status_code == 507  # the disk of all
    assert desk.left(other) == []
    desk.sessions.end(desk.session)
    assert desk.send(form(part("b", b"x" * 95_000)), secret=secret).status_code == 200


def test_what_is_made_of_uploads_takes_from_the_disk_of_all(desk: Desk) -> None:
    with desk.limits.promised(100_000) as given, desk.limits.promised(100_000) as rest:
        assert (given, rest) == (100_000, 50_000)
        with pytest.raises(RunError, match="no room"), desk.limits.promised(1):
            pass
        assert desk.send(form(part("a", b"x"))).status_code == 507
        (desk.session.uploads / "unpacked").write_bytes(bytes(40_000))
    assert desk.limits.disk_left == 110_000
    room = desk.limits.begin(desk.session)
    with desk.limits.promised(100_000):  # while something is sent
        (desk.session.uploads / "more").write_bytes(bytes(10_000))
    assert desk.limits.disk_left <= 100_000
    desk.limits.end(room)
    assert desk.send(form(part("a", b"x"))).status_code == 200


def test_a_length_that_is_too_large_is_refused_before_anything_is_written(desk: Desk) -> None:
    seen: list[int] = []

    async def much() -> AsyncIterator[bytes]:
        for _ in range(3):
            seen.append(len(list(desk.session.uploads.iterdir())))
            yield b"x" * 1000

    async def sent() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(desk.app), base_url=OWN) as client:
            headers = {"Content-Type": KIND, "Cookie": f"c={desk.secret}", "Content-Length": str(10**12)}
            return (await client.post(PATH, content=much(), headers=headers)).status_code

    assert asyncio.run(sent()) == 413
    assert seen == [0, 0, 0]  # a browser sends all before it looks at the answer


def test_a_full_disk_is_said(desk: Desk) -> None:
    desk.limits.kept_free = 10**18
    assert desk.send(form(part("a", b"x"))).status_code == 507
    assert desk.left() == []


def test_too_many_files_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_limits, "FILES", 3)
    assert desk.send(form(part("a", b"x"), part("b", b"x"))).status_code == 200
    assert desk.send(form(part("a", b"x"), part("b", b"x"))).status_code == 413
    assert len(desk.left()) == 4  # two folders with a file each


def test_a_slow_upload_gives_up_and_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_route, "SECONDS", 0.1)

    async def slow() -> AsyncIterator[bytes]:
        yield part("a", b"x")[:-1]
        await asyncio.sleep(60)

    assert desk.send(slow()).status_code == 408
    assert desk.left() == []
    assert desk.send(form(part("a", b"x"))).status_code == 200  # its place is free again


def test_uploads_at_the_same_time_share_what_is_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = [desk.limits.begin(desk.session) for _ in range(2)]
    rooms[0].take(60_000)
    with pytest.raises(Exception, match="in all"):
        rooms[1].take(60_000)
    monkeypatch.setattr(upload_limits, "AT_ONCE", 2)
    assert desk.send(form(part("a", b"x"))).status_code == 503
    for room in rooms:
        desk.limits.end(room)
    assert desk.send(form(part("a", b"x" * 60_000))).status_code == 200
