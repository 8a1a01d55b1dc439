"""The process of the engine: one for many tasks, and a fresh one after a while."""

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
        line.send_bytes(json.dumps({"pid": os.getpid()}).encode())
except EOFError:
    pass
"""
"""Loads nothing, and answers with its number."""


def test_a_fresh_process_takes_over_after_a_number_of_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_engine, "COMMAND", (sys.executable, "-c", STAND_IN))
    monkeypatch.setattr(scan_engine, "RENEWED", 3)
    engine = ScanEngine(EngineSettings())
    try:
        found = [engine.ask("measure")["pid"] for _ in range(7)]
        assert [found.index(pid) for pid in found] == [0, 0, 0, 3, 3, 3, 6]
        assert engine.pid == found[-1]
    finally:
        engine.end()
