"""The server of the page."""

from collections.abc import Iterator

import httpx
import pytest
from app_servers import AppServer, running_app

WAIT = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with running_app(tmp_path_factory.mktemp("server"), max_upload="1MB") as found:
        yield found


def test_the_page_names_no_other_site_and_lets_only_its_own_scripts_run(server: AppServer) -> None:
    answer = httpx.get(server.url, timeout=WAIT)
    assert "hypojax" in answer.text
    assert "https://" not in answer.text
    assert "script-src 'self' 'unsafe-eval' 'nonce-" in answer.headers["content-security-policy"]
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
