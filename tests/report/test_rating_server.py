"""The server of a report: who may read and rate, which files it gives out, and that ratings are written as they come."""

import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from report_cohorts import stored_cohort

from hypojax.cli import main
from hypojax.cohort.ratings import read_ratings
from hypojax.reporting import rating_server
from hypojax.reporting.rating_section import DATA_SCRIPT
from hypojax.reporting.rating_server import LARGEST, Desk, RatingServer, file_of, ratings_folder, serve

RATED = {"scan": "sub-01", "rating": "doubt", "comment": "<b>moved</b>", "rater": "anna", "time": "2026-01-02T10:00:00+01:00"}
PAGE = b'<!doctype html><meta http-equiv="Content-Security-Policy" content="connect-src &#39;none&#39;"><p>page'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RatingServer]:
    report = tmp_path / "out" / "report"
    for name, data in {
        "index.html": PAGE,
        "scans/sub 01.html": b"one",
        ".hidden.html": b"no",
        DATA_SCRIPT: b"window.hypojaxRating = {};\n",
    }.items():
        (report / name).parent.mkdir(parents=True, exist_ok=True)
        (report / name).write_bytes(data)
    (report / "pages.jsonl").write_text("not for browsers")
    (tmp_path / "out" / "secret.html").write_text("secret")
    (report / "link.html").symlink_to(tmp_path / "out" / "secret.html")
    (report / "folder").symlink_to(tmp_path)
    with RatingServer(Desk(report, tmp_path / "out", "anna", lambda: frozenset({"sub-01"}))) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def asked(
    server: RatingServer, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """What the server answers; headers with ``_`` for ``-``, an empty one left out."""
    given = {"Host": f"127.0.0.1:{server.port}", "Cookie": f"hypojax-{server.port}={server.desk.cookie}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in given.items():
        if value:
            link.putheader(name, value)
    link.endheaders(body)
    answer = link.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    link.close()
    return found


def rated(server: RatingServer, document: object, **headers: str) -> tuple[int, bytes]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    given = {"Origin": f"http://127.0.0.1:{server.port}", "Content_Type": "application/json", "Content_Length": str(len(body)), **headers}
    return asked(server, "/ratings", method="POST", body=body, **given)[:2]


def test_the_token_gives_a_cookie_and_the_cookie_the_pages(server: RatingServer) -> None:
    assert asked(server, "/index.html", Cookie="")[0] == 403
    assert asked(server, "/?token=guess", Cookie="")[0] == 403
    status, page, headers = asked(server, f"/?token={server.desk.token}", Cookie="")
    assert status == 200
    assert server.desk.token.encode() not in page
    assert headers["Set-Cookie"] == f"hypojax-{server.port}={server.desk.cookie}; HttpOnly; SameSite=Strict; Path=/"
    assert headers["Referrer-Policy"] == "no-referrer"
    status, page, headers = asked(server, "/", Cookie=headers["Set-Cookie"].partition(";")[0])
    assert (status, page) == (200, PAGE.replace(b"none", b"self"))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Python" not in headers["Server"]
    assert asked(server, "/", Cookie=f"hypojax-{server.port + 1}={server.desk.cookie}")[0] == 403
    assert asked(server, "/scans/sub%2001.html")[:2] == (200, b"one")
    assert asked(server, "/", method="HEAD")[:2] == (200, b"")
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost@evil:{port}", "", "192.168.0.2:{port}"]
)
def test_a_name_that_is_not_of_the_loopback_is_refused(server: RatingServer, host: str) -> None:
    name = host.format(port=server.port)
    assert asked(server, f"/?token={server.desk.token}", Host=name)[0] == 421
    assert rated(server, RATED, Host=name, Origin=f"http://{name}")[0] == 421
    assert not (server.desk.ratings / "qc.tsv").exists()


@pytest.mark.parametrize("host", ["localhost:9999", "[::1]:80", "127.0.0.1"])
def test_a_tunnel_may_end_at_another_port(server: RatingServer, host: str) -> None:
    assert asked(server, "/", Host=host)[0] == 200
    assert rated(server, RATED, Host=host, Origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html", "/scans/../../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "/%2e%2e%2fsecret.html", "//secret.html",
        "/%252e%252e/secret.html", "/..%5csecret.html", "/link.html", "/folder/out/secret.html", "/.hidden.html", "/scans", "/scans/",
        "/pages.jsonl", "/index.html%00.js", "/static", "/qc.tsv", "/C:/x.html", "/nowhere.html", "/" + "a" * 300 + ".html",
    ],
)  # fmt: skip
def test_only_files_of_the_report_are_given_out(server: RatingServer, path: str) -> None:
    status, said, _ = asked(server, path)
    assert status == 404
    assert b"secret" not in said
    assert file_of(server.desk.report, path) is None


def test_a_rating_is_written_as_it_is_and_once(server: RatingServer) -> None:
    assert rated(server, RATED) == (200, b"{}")
    assert rated(server, RATED) == (200, b"{}"), "sent again after a lost answer"
    assert rated(server, {**RATED, "rating": "reject", "rater": ""})[0] == 200
    lines = (server.desk.ratings / "qc.tsv").read_text().splitlines()
    assert lines[:2] == ["scan\trating\tcomment\trater\ttime", "sub-01\tdoubt\t<b>moved</b>\tanna\t2026-01-02T10:00:00+01:00"]
    assert read_ratings(server.desk.ratings)[0]["rating"].tolist() == ["doubt", "reject"]
    script = asked(server, f"/{DATA_SCRIPT}")[1].decode()
    assert "\\u003cb>moved" in script
    assert "<b>" not in script
    assert '"rater": "anna"' in script


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Cookie": ""},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_ratings_of_other_sites_are_refused(server: RatingServer, headers: dict[str, str]) -> None:
    assert rated(server, RATED, **headers)[0] == 403
    assert not (server.desk.ratings / "qc.tsv").exists()


def test_what_is_no_rating_is_refused_with_a_sentence(server: RatingServer) -> None:
    for wrong, status in (
        (b"{", 400), (b"[]", 400), (b'"x"', 400), (b"\xff", 400), (b"[" * 20_000, 400), ({**RATED, "rating": "maybe"}, 400),
        ({**RATED, "scan": 3}, 400),
        ({**RATED, "time": "today"}, 400), ({**RATED, "comment": "x" * 3000}, 400), ({**RATED, "scan": "sub-99"}, 404),
    ):  # fmt: skip
        assert rated(server, wrong)[0] == status, wrong
    assert rated(server, RATED, Content_Type="text/plain")[0] == 404
    assert rated(server, RATED, Content_Length="")[0] == 411
    assert rated(server, b"", Content_Length=str(LARGEST + 1))[0] == 413
    assert asked(server, "/ratings", method="PUT")[0] == 501
    assert not (server.desk.ratings / "qc.tsv").exists()
    (server.desk.ratings / "qc.tsv").write_text("name\tage\n")
    status, said = rated(server, RATED)
    assert status == 400
    assert b"has no column 'scan' in its first line; correct it" in said


def test_ratings_at_once_are_all_written(server: RatingServer) -> None:
    several = [threading.Thread(target=rated, args=(server, {**RATED, "comment": str(number)})) for number in range(12)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert sorted(map(int, read_ratings(server.desk.ratings)[0]["comment"])) == list(range(12))


def test_a_browser_that_goes_away_is_no_traceback_for_the_user(server: RatingServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.handle_error(None, ("127.0.0.1", 1))
    assert capsys.readouterr().err == ""


def test_a_port_that_is_taken_is_said_and_ctrl_c_ends_it(tmp_path: Path, server: RatingServer) -> None:
    said: list[str] = []
    free = server.port + 1

    def heard(text: str) -> None:
        said.append(text)
        if "Ctrl-C" in text:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    serve(server.desk.report, tmp_path / "out", rater="b\x1bo", port=server.port, say=heard)
    assert said[0].startswith(f"port {server.port} is taken by another program: this is port ")
    assert int(said[0].split()[-1]) >= free
    assert said[1].startswith("rate scans as b\\x1bo in a browser: http://127.0.0.1:")
    assert "ssh -N -L" in said[2]
    assert str(tmp_path / "out" / "qc.tsv") in said[3]
    assert said[-1].startswith("ended")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(said[0].split()[-1])))


def test_ratings_of_a_cohort_in_a_bucket_lie_beside_the_pages(tmp_path: Path) -> None:
    assert ratings_folder("s3://bucket/out", tmp_path) == tmp_path
    assert ratings_folder(tmp_path / "out", tmp_path / "report") == tmp_path / "out"
    assert ratings_folder(tmp_path / "out" / "cohort.zarr", tmp_path / "report") == tmp_path / "out"


def test_a_scan_that_a_run_adds_can_be_rated(tmp_path: Path) -> None:
    scans = {"sub-01"}
    desk = Desk(tmp_path, tmp_path, "anna", lambda: frozenset(scans))
    desk.add(RATED)
    scans.add("sub-02")
    desk.add({**RATED, "scan": "sub-02"})
    assert replace(desk, rater="bo").rater == "bo"
    assert read_ratings(tmp_path)[0]["scan"].tolist() == ["sub-01", "sub-02"]


def test_the_page_of_the_cohort_has_the_ratings_once_the_server_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_cohort(tmp_path, 1)
    rated = "scan\trating\tcomment\trater\ttime\nsub-01\treject\tmoved\tanna\t2026-01-02T10:00:00+01:00\n"
    monkeypatch.setattr(rating_server, "serve", lambda *_, **__: (tmp_path / "qc.tsv").write_text(rated))
    assert main(["report", str(tmp_path), "--serve", "--rater", "anna"]) == 0
    assert "1 of 1 scan rated by hand" in (tmp_path / "report" / "index.html").read_text()
