"""The log of the server: that something failed and where, and nothing of a scan."""

import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hypojax.app import server_log
from hypojax.app.server_log import QuietHandler, log_quietly

SCAN = "sub-Mueller_T1w.nii.gz"


def test_errors_are_logged_by_kind_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    gradio = ModuleType("stand_in_gradio")
    monkeypatch.setitem(sys.modules, "stand_in_gradio", gradio)
    monkeypatch.setattr(server_log, "PRINTING", ("stand_in_gradio",))
    monkeypatch.setattr(server_log, "LOGGERS", ("stand_in",))
    log_quietly(said.append)
    logger = logging.getLogger("stand_in")
    try:
        Path(SCAN).read_bytes()
    except FileNotFoundError:
        logger.exception("Exception while %s was read", SCAN)
        gradio.traceback.print_exc()
    logger.warning("%s is odd", SCAN)
    assert len(said) == 3
    assert not any(SCAN in sentence or "Mueller" in sentence for sentence in said)
    assert all("FileNotFoundError in " in sentence for sentence in said[:2])
    assert isinstance(gradio.traceback.format_exc(), str)  # all else of the module is as ever


def test_uvicorn_may_say_what_it_means() -> None:
    said: list[str] = []
    handler = QuietHandler(said.append)
    handler.handle(logging.LogRecord("uvicorn.error", logging.WARNING, "f", 1, "Invalid HTTP request received.", (), None))
    assert said == ["Invalid HTTP request received."]
