"""The server of the page as its users meet it: a process at a port, with Gradio behind the guard."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from app_servers import AppServer, free_port, running_app

from hypojax.app import accounts as accounts_module
from hypojax.app.accounts import add_user
from hypojax.app.app_server import accounts_of, greeting, listening
from hypojax.app.app_settings import AppSettings
from hypojax.cli import main
from hypojax.reason import RunError

WAIT = 120.0
PASSWORD = "correct horse battery"  # noqa: S105 - of users of tests
SECRET = "sub-Mueller"  # noqa: S105 - the name of a scan


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """One that demands a password, since that is everything that another does and more."""
    folder = tmp_path_factory.mktemp("server")
    add_user(folder / "users", "anna", PASSWORD)
    with running_app(folder, auth_file=folder / "users", max_upload="1MB") as found:
        yield found


@pytest.fixture
def visitor(server: AppServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=WAIT) as client:
        assert client.post("/login", data={"username": "anna", "password": PASSWORD}).status_code == 200
        yield client


def test_the_page_names_no_other_site_and_lets_only_its_own_scripts_run(visitor: httpx.Client) -> None:
    answer = visitor.get("/")
    assert "hypojax" in answer.text
    assert "https://" not in answer.text
    assert "script-src 'self' 'unsafe-eval' 'nonce-" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    config = visitor.get("/config").json()
    assert not [
        name for name in ("enable_queue", "analytics_enabled", "run_history", "is_space") if config.get(name) and name != "enable_queue"
    ]
    assert config.get("footer_links") == []
    assert "https://" not in json.dumps(config.get("stylesheets", []))


def test_the_viewer_is_kept_by_the_browser_until_it_changes(visitor: httpx.Client) -> None:
    answer = visitor.get("/static/niivue.umd.js")
    assert len(answer.content) > 2_000_000
    assert answer.headers["cache-control"] == "private, max-age=3600"
    assert visitor.get("/static/niivue.umd.js", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert visitor.get("/static/__init__.py").status_code == 404
    asset = visitor.get("/").text.partition('src="./assets/')[2].partition('"')[0]
    assert "immutable" in visitor.get(f"/assets/{asset}").headers["cache-control"]


def test_the_client_of_gradio_logs_in_and_out(server: AppServer, visitor: httpx.Client) -> None:
    import gradio_client

    with pytest.raises(gradio_client.exceptions.AuthenticationError):
        gradio_client.Client(server.url, auth=("anna", "wrong password"), verbose=False)
    client = gradio_client.Client(server.url, auth=("anna", PASSWORD), verbose=False)
    assert client.view_api(return_format="dict")
    visitor.get("/logout")
    assert visitor.get("/config").status_code == 401


def test_nobody_reaches_files_of_the_machine_or_of_another(server: AppServer, visitor: httpx.Client) -> None:
    (path,) = visitor.post("/gradio_api/upload", files={"files": (f"../{SECRET}_T1w.nii.gz", b"x")}).json()
    assert Path(path).name == f"{SECRET}_T1w.nii.gz"
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    session = Path(path).parents[2]
    above = [session, *session.parents[:3]]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in above} == {0o700}
    for way in (f"/gradio_api/file={path}", "/gradio_api/file=/etc/passwd", f"/gradio_api/file/{path}", "/cohort-files/x/../../etc/passwd"):
        assert visitor.get(way).status_code == 404, way
    with httpx.Client(base_url=server.url, timeout=WAIT) as other:
        assert other.post("/login", data={"username": "anna", "password": PASSWORD}).status_code == 200
        call = {"data": [], "event_data": {"act": "send", "paths": [path]}, "fn_index": 0, "session_hash": "abcdef1234"}
        for index in range(40):
            body = {**call, "fn_index": index, "event_data": {"path": path}}
            assert other.post("/gradio_api/run/predict", json=body).status_code == 403
            answer = other.post("/gradio_api/run/predict", json={**call, "fn_index": index})
            assert SECRET not in answer.text
        for name in ("page.html", "volumes.tsv", "all.zip"):
            assert other.get(f"/mine/{'0' * 32}/{name}").status_code == 404
            assert other.get(f"/mine/{session.name}/{name}").status_code == 404
    assert visitor.post("/gradio_api/upload", files={"files": ("a", b"x" * 1_000_001)}).status_code == 413
    assert SECRET not in server.said
    assert str(session) not in server.said


def test_a_stranger_and_another_site_get_nothing(server: AppServer, visitor: httpx.Client) -> None:
    assert httpx.get(f"{server.url}/health").text == "ok"
    for way in ("/config", "/gradio_api/info", "/static/niivue.umd.js", "/theme.css"):
        assert httpx.get(server.url + way).status_code == 401
    assert httpx.get(server.url, headers={"Host": "evil.example"}).status_code == 421
    assert httpx.get(server.url, headers={"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"}).headers["location"] == "/login"
    assert visitor.get("/", headers={"X-Forwarded-Proto": "https"}).headers.get("strict-transport-security") is None
    assert visitor.post("/gradio_api/run/predict", json={"data": []}, headers={"Origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "settings",
    [
        AppSettings(host="0.0.0.0"),  # noqa: S104 - it is what must be refused
        AppSettings(host="192.168.0.7"),
        AppSettings(host_name=("a.example",)),
        AppSettings(proxy="127.0.0.1"),
    ],
)
def test_whatever_others_can_reach_needs_users(settings: AppSettings) -> None:
    with pytest.raises(RunError, match=r"(?s)--auth-file.*TLS"):
        accounts_of(settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_this_machine_alone_needs_none(host: str) -> None:
    assert accounts_of(AppSettings(host=host)) is None


@pytest.mark.parametrize("host", ["127.evil.example", "0", "localhost.example", ""])
def test_a_name_that_only_looks_like_this_machine_needs_users(host: str) -> None:
    assert not AppSettings(host=host).is_local


def test_a_port_that_is_taken_gives_way_to_the_next_and_both_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with listening(AppSettings(port=free_port())) as first, listening(settings := AppSettings(port=first.getsockname()[1])) as second:
        port = second.getsockname()[1]
        assert port > settings.port
        said = list(greeting(settings, port))
    assert said[0].startswith(f"port {settings.port} is taken")
    assert f"http://127.0.0.1:{port}/" in said[1]
    assert f"ssh -N -L {port}:127.0.0.1:{port} " in said[2]


def test_users_are_added_by_a_command_that_asks_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accounts_module, "COST", 1024)
    typed = iter([PASSWORD, PASSWORD, PASSWORD, "something else"])
    monkeypatch.setattr("hypojax.cli.app_verb.getpass", lambda _: next(typed))
    file = tmp_path / "users"
    assert main(["app", "--add-user", "anna", "--auth-file", str(file)]) == 0
    before = file.read_bytes()
    assert main(["app", "--add-user", "anna", "--auth-file", str(file)]) == 1
    assert file.read_bytes() == before
    assert main(["app", "--add-user", "anna"]) == 1
    assert PASSWORD not in "".join(capsys.readouterr())


def test_without_the_extra_its_command_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("hypojax.cli.app_verb.importlib.util.find_spec", lambda _: None)
    assert main(["app"]) == 1
    assert "python -m pip install 'hypojax[app]'" in capsys.readouterr().err
