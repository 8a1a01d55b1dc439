"""The guard, with requests that a stranger, another site or another visitor would send; what it guards says what reached it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from hypojax.app import accounts as accounts_module
from hypojax.app import guard as guard_module
from hypojax.app.accounts import Accounts, add_user
from hypojax.app.guard import Guard
from hypojax.app.request_checks import is_open
from hypojax.app.visits import USER, Sessions
from hypojax.app.words import Words

HOST = "127.0.0.1:7860"
OWN = f"http://{HOST}"
PASSWORD = "correct horse battery"  # noqa: S105 - of users of tests


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what came through; its page is like Gradio's."""
    request = Request(scope, receive)
    if request.url.path == "/":
        page = '<meta property="og:image" content="https://cdn.example/a.jpg" /><script>1</script>'
        await HTMLResponse(page)(scope, receive, send)
        return
    body = await request.body()
    headers = {"Access-Control-Allow-Origin": "*"}
    await JSONResponse({"headers": dict(request.headers), "body": body.decode()}, headers=headers)(scope, receive, send)


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "sessions", cookie="hypojax-7860")


@pytest.fixture
def guard(sessions: Sessions) -> Guard:
    return Guard(echo, sessions, Words(), names=frozenset({"brain.example.org"}))


@pytest.fixture
def locked(sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guard:
    monkeypatch.setattr(accounts_module, "COST", 1024)
    add_user(tmp_path / "users", "anna", PASSWORD)
    return Guard(echo, sessions, Words(), Accounts(tmp_path / "users"))


def ask(app: ASGIApp, method: str, path: str, *, base: str = OWN, **given: Any) -> httpx.Response:  # noqa: ANN401 - as httpx
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
            return await client.request(method, path, **given)

    return asyncio.run(asked())


def cookie(answer: httpx.Response) -> dict[str, str]:
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def call(app: ASGIApp, visitor: Mapping[str, str], document: object) -> httpx.Response:
    return ask(app, "POST", "/gradio_api/queue/join", headers=dict(visitor), content=json.dumps(document))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "192.168.0.9:7860", "", "localhost@evil.example",
     "localhost:/health?", "localhost:#", "localhost:80:80", "localhost:7860/login", "[::1]:/?", "local host"]
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(guard: Guard, host: str) -> None:
    assert ask(guard, "GET", "/", headers={"Host": host}).status_code == 421


def test_no_host_and_no_sign_in_an_address_makes_it_another(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older releases of Starlette read the address anew from a text that begins with ``Host``."""
    monkeypatch.setattr(Request, "url", property(lambda _: httpx.URL(f"{OWN}/theme.css")))
    visitor = cookie(ask(guard, "GET", "/"))
    assert ask(guard, "GET", "/gradio_api/file=/etc/passwd", headers=visitor).status_code == 404
    assert call(guard, visitor, {"data": [{"path": "/etc/passwd"}]}).status_code == 403


def test_nobody_takes_the_session_of_another_for_an_event_of_a_call(guard: Guard) -> None:
    mine, other = (cookie(ask(guard, "GET", "/")) for _ in range(2))
    assert call(guard, mine, {"data": [], "session_hash": "abcdefgh12"}).status_code == 200
    assert ask(guard, "GET", "/gradio_api/call/segment/abcdefgh12", headers=other).status_code == 403
    assert ask(guard, "GET", "/gradio_api/call/segment/abcdefgh12", headers=mine).status_code == 200


@pytest.mark.parametrize("host", ["localhost:7860", "[::1]:7860", "BRAIN.example.org", "127.0.0.1"])
def test_our_own_names_are_answered(guard: Guard, host: str) -> None:
    assert ask(guard, "GET", "/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9999"}, {"Origin": f"https://{HOST}"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
)  # fmt: skip
def test_what_another_site_sends_changes_nothing_even_with_the_cookie(guard: Guard, headers: dict[str, str]) -> None:
    visitor = cookie(ask(guard, "GET", "/"))
    assert call(guard, visitor, {"data": []}).status_code == 200
    assert call(guard, {**visitor, **headers}, {"data": []}).status_code == 403
    assert ask(guard, "POST", "/login", headers=headers).status_code == 403


def test_other_sites_may_neither_frame_nor_read_the_page(guard: Guard) -> None:
    frame = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert ask(guard, "GET", "/", headers=frame).status_code == 403
    answer = ask(guard, "GET", "/theme.css", headers=cookie(ask(guard, "GET", "/")))
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_link_of_another_site_leads_on_and_does_not_begin_a_second_visit(guard: Guard, sessions: Sessions) -> None:
    led = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = ask(guard, "GET", "/", headers=led)
    assert "url=/" in answer.text
    assert "set-cookie" not in answer.headers
    assert list(sessions.all()) == []


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/gradio_api/proxy=http://10.0.0.1/", "/gradio_api/deep_link",
        "/monitoring", "/gradio_api/runs", "/gradio_api/stream/a/1/1/playlist.m3u8", "/gradio_api/component_server", "/docs",
        "/gradio_api/openapi.json", "/openapi.json", "/gradio_api/dev/reload", "/static/..%2f..%2fetc%2fpasswd", "/gradio_api/vibe-code",
    ],
)  # fmt: skip
def test_addresses_of_gradio_that_the_page_does_not_need_are_closed(guard: Guard, path: str) -> None:
    visitor = cookie(ask(guard, "GET", "/"))
    assert {ask(guard, method, path, headers=visitor).status_code for method in ("GET", "POST")} == {404}


@pytest.mark.parametrize("path", ["/assets/../config", "//evil.example", "/mine/./a", "/static/a\\b", "/mine//a", "/config/../mine", ""])
def test_a_path_with_a_way_in_it_is_no_address(path: str) -> None:
    assert not is_open(path)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_other_methods_are_refused(guard: Guard, method: str) -> None:
    assert ask(guard, method, "/").status_code == 405


def test_a_visit_begins_on_the_page_only(guard: Guard, sessions: Sessions) -> None:
    assert ask(guard, "GET", "/gradio_api/info").status_code == 403
    assert call(guard, {}, {"data": []}).status_code == 403
    assert call(guard, {"Cookie": "hypojax-7860=guessed"}, {"data": []}).status_code == 403
    assert call(guard, {"Cookie": "hypojax-7860=../../etc"}, {"data": []}).status_code == 403
    assert list(sessions.all()) == []
    first, second = cookie(ask(guard, "GET", "/")), cookie(ask(guard, "GET", "/config"))
    assert first != second
    assert "set-cookie" not in ask(guard, "GET", "/", headers=first).headers
    folders = [session.folder for session in sessions.all()]
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700, 0o700]
    assert not any(part in str(folder) for folder in folders for part in (first["Cookie"][13:], second["Cookie"][13:]))


def test_a_call_names_files_of_its_visitor_only(guard: Guard, sessions: Sessions, tmp_path: Path) -> None:
    mine, other = cookie(ask(guard, "GET", "/")), cookie(ask(guard, "GET", "/"))
    folder = sessions.find(mine["Cookie"].partition("=")[2])
    assert folder is not None
    file = folder.uploads / "a.nii"
    file.write_bytes(b"x")
    (folder.uploads / "link.nii").symlink_to("/etc/passwd")
    meta = {"_type": "gradio.FileData"}
    good = call(guard, mine, {"data": [[{"path": str(file), "url": "http://10.0.0.1/a", "meta": meta}]]})
    assert json.loads(good.json()["body"])["data"][0][0] == {"path": str(file), "url": None, "meta": meta}
    assert call(guard, other, {"data": [{"path": str(file), "meta": meta}]}).status_code == 403
    for path in (
        "/etc/passwd",
        "http://10.0.0.1/",
        f"{folder.uploads}/../last",
        str(folder.uploads / "link.nii"),
        str(folder.uploads),
        "",
        7,
    ):
        assert call(guard, mine, {"data": [{"path": path}]}).status_code == 403, path
        assert call(guard, mine, {"event_data": {"x": [{"path": path, "meta": meta}]}}).status_code == 403, path


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"[" * 100_000, b'{"data":' + b"[" * 60 + b"]" * 60 + b"}", b"\xff", b'{"session_hash": 5}']
)
def test_what_is_no_call_is_refused(guard: Guard, body: bytes) -> None:
    visitor = cookie(ask(guard, "GET", "/"))
    assert ask(guard, "POST", "/gradio_api/queue/join", headers=visitor, content=body).status_code in (400, 403)


def test_a_call_that_is_too_large_is_refused(guard: Guard) -> None:
    visitor = cookie(ask(guard, "GET", "/"))
    assert call(guard, visitor, {"data": ["x" * 1_000_000]}).status_code == 413


def test_nobody_takes_part_in_a_session_of_gradio_of_another(guard: Guard) -> None:
    mine, other = cookie(ask(guard, "GET", "/")), cookie(ask(guard, "GET", "/"))
    assert call(guard, mine, {"data": [], "session_hash": "abcdef123"}).status_code == 200
    for path in ("/gradio_api/queue/data?session_hash=abcdef123", "/gradio_api/heartbeat/abcdef123"):
        assert ask(guard, "GET", path, headers=mine).status_code == 200
        assert ask(guard, "GET", path, headers=other).status_code == 403
    assert call(guard, other, {"data": [], "session_hash": "abcdef123"}).status_code == 403
    cancel = json.dumps({"session_hash": "abcdef123", "fn_index": 0, "event_id": "1"})
    assert ask(guard, "POST", "/gradio_api/cancel", headers=other, content=cancel).status_code == 403


def test_headers_of_a_proxy_do_not_reach_gradio(guard: Guard) -> None:
    visitor = cookie(ask(guard, "GET", "/"))
    headers = {**visitor, "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Gradio-Server": "http://evil.example"}
    seen = ask(guard, "GET", "/gradio_api/info", headers=headers).json()["headers"]
    assert not [name for name in seen if name.startswith("x-")]


def test_the_page_has_no_outside_addresses_and_its_scripts_have_a_nonce_of_this_answer(guard: Guard) -> None:
    first, second = ask(guard, "GET", "/"), ask(guard, "GET", "/")
    nonce = first.headers["content-security-policy"].partition("'nonce-")[2].partition("'")[0]
    assert first.text == f'<script nonce="{nonce}">1</script>'
    assert first.headers["content-length"] == str(len(first.text))
    assert nonce not in second.text


def test_behind_tls_the_cookie_is_secure(guard: Guard) -> None:
    answer = ask(guard, "GET", "/", base="https://brain.example.org")
    assert "; Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers
    assert "; Secure" not in ask(guard, "GET", "/").headers["set-cookie"]


def test_a_websocket_is_closed(guard: Guard) -> None:
    sent: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(guard({"type": "websocket", "path": "/"}, send, send))  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_a_call_that_is_not_sent_to_its_end_gives_up(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "SECONDS", 0.05)
    visitor = cookie(ask(guard, "GET", "/"))

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    headers = {**visitor, "Content-Length": "10"}
    assert ask(guard, "POST", "/gradio_api/queue/join", headers=headers, content=slow()).status_code == 408


def test_a_visitor_who_holds_all_her_streams_keeps_nobody_else_out(sessions: Sessions) -> None:
    async def tried() -> tuple[list[int], int, int, int]:
        go_on, held_all = asyncio.Event(), asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith("/gradio_api/heartbeat/"):
                if sum(guard.open.open.values()) == guard_module.MOST_OPEN:
                    held_all.set()
                await go_on.wait()
            await echo(scope, receive, send)

        guard = Guard(slow, sessions, Words())
        mine, other = cookie(await one(guard, "/")), cookie(await one(guard, "/"))
        held = [asyncio.create_task(one(guard, f"/gradio_api/heartbeat/mine-{number}", mine)) for number in range(guard_module.MOST_OPEN)]
        await held_all.wait()
        refused, others = await one(guard, "/config", mine), await one(guard, "/config", other)
        page_file = await one(guard, "/static/a.js", mine)
        go_on.set()
        ended = [answer.status_code for answer in await asyncio.gather(*held)]
        assert (await one(guard, "/config", mine)).status_code == 200
        return ended, refused.status_code, page_file.status_code, others.status_code

    async def one(app: ASGIApp, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=OWN) as client:
            return await client.get(path, headers=headers)

    ended, refused, page_file, others = asyncio.run(tried())
    assert (set(ended), refused, page_file, others) == ({200}, 503, 200, 200)


def test_a_fault_behind_the_guard_is_told_without_what_it_says(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("sub-Mueller")

    visitor = cookie(ask(guard, "GET", "/"))
    guard.app = faulty
    answer = ask(guard, "GET", "/theme.css", headers=visitor)
    assert (answer.status_code, "Mueller" in answer.text) == (500, False)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(caplog.records) == 1


def test_without_a_login_nothing_is_answered_but_the_login(locked: Guard, sessions: Sessions) -> None:
    answer = ask(locked, "GET", "/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    for path in ("/config", "/gradio_api/info", "/assets/index.js", "/static/niivue.umd.js", "/mine/all/all.zip", "/theme.css"):
        assert ask(locked, "GET", path).status_code == 401, path
    page = ask(locked, "GET", "/login", headers={"Accept-Language": "de-DE,de"})
    assert "<script" not in page.text
    assert 'lang="de"' in page.text
    assert list(sessions.all()) == []
    begun, secret = sessions.begin()  # a session that nobody logged in to
    assert ask(locked, "GET", "/config", headers={"Cookie": f"hypojax-7860={secret}"}).status_code == 401
    assert begun.user == ("", "")


def test_who_knows_the_password_gets_in_until_it_is_changed(locked: Guard, tmp_path: Path) -> None:
    browser = ask(locked, "POST", "/login", data={"username": "anna", "password": PASSWORD}, headers={"Accept": "text/html"})
    assert (browser.status_code, browser.headers["location"]) == (303, "/")
    script = ask(locked, "POST", "/login", data={"username": "anna", "password": PASSWORD})
    assert script.status_code == 200  # what gradio_client takes for success
    assert ask(locked, "GET", "/", headers=cookie(script)).status_code == 200
    add_user(tmp_path / "users", "anna", "another password")
    assert ask(locked, "GET", "/config", headers=cookie(script)).status_code == 401
    assert ask(locked, "GET", "/config", headers=cookie(browser)).status_code == 401


def test_logging_out_ends_the_session(locked: Guard, sessions: Sessions) -> None:
    visitor = cookie(ask(locked, "POST", "/login", data={"username": "anna", "password": PASSWORD}))
    assert "Max-Age=0" in ask(locked, "GET", "/logout", headers=visitor).headers["set-cookie"]
    assert ask(locked, "GET", "/config", headers=visitor).status_code == 401
    (session,) = sessions.all()
    assert not (session.folder / USER).exists()


def test_wrong_passwords_are_refused_and_the_sixth_try_waits_even_if_it_is_right(locked: Guard) -> None:
    answers = [ask(locked, "POST", "/login", data={"username": "anna", "password": f"wrong {number}"}) for number in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 429]
    right = ask(locked, "POST", "/login", data={"username": "anna", "password": PASSWORD})
    assert right.status_code == 429
    assert 0 < int(right.headers["retry-after"]) <= 60
    assert "set-cookie" not in right.headers


@pytest.mark.parametrize(
    "given", [{"json": {"username": "anna"}}, {"data": {"username": "anna"}}, {"content": b"\xff" * 20}, {"content": b"x" * 20_000}]
)
def test_what_is_no_form_is_refused(locked: Guard, given: dict[str, Any]) -> None:
    assert ask(locked, "POST", "/login", **given).status_code in (400, 413)
