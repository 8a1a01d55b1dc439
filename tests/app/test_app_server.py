"""The server of the page."""

from pathlib import Path

import httpx
from app_servers import running_app


def test_the_server_says_its_address_and_answers(tmp_path: Path) -> None:
    with running_app(tmp_path) as server:
        assert "hypojax" in httpx.get(server.url, timeout=60).text
