"""The process of the engine: one for all tasks, with few pools of memory."""

import sys

import pytest

from hypojax.app import scan_engine
from hypojax.app.scan_engine import EngineSettings, ScanEngine

STAND_IN = """
import json, os
from multiprocessing.connection import Connection
line = Connection(int(os.environ["HYPOJAX_ENGINE_LINE"]))
line.recv_bytes()
line.send_bytes(b"{}")
try:
    while line.recv_bytes():
        line.send_bytes(json.dumps({"pid": os.getpid(), "arenas": os.environ["MALLOC_ARENA_MAX"]}).encode())
except EOFError:
    pass
"""
"""Loads nothing, and answers with its number and its setting."""


def test_one_process_does_all_tasks_and_keeps_little_of_what_its_threads_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_engine, "COMMAND", (sys.executable, "-c", STAND_IN))
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    engine = ScanEngine(EngineSettings())
    try:
        found = [engine.ask("measure") for _ in range(3)]
        assert found == [{"pid": engine.pid, "arenas": "2"}] * 3
    finally:
        engine.end()
