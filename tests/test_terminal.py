"""What reaches a terminal: nothing foreign raw, whatever its encoding; and outputs that cannot be written end nothing."""

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hypojax.cli import main
from hypojax.cli.progress_bars import ScanBar, ScanLines
from hypojax.cli.screen import Screen
from hypojax.cli.terminal import Outlet, Terminal, encodable
from hypojax.execute import Outcome, ScanResult
from hypojax.reason import visible
from hypojax.store import Problem

NASTY = "red]\x1b[31m\x9b2J\u202e\u2028\n\r\t\udce9[red]:bomb:\x7f\\"
"""Escape codes, C1, a bidirectional override, line ends, a byte that is no text, markup, an emoji code, a backslash at the end."""

SPELLED = r"red]\x1b[31m\x9b2J\u202e\u2028\n\r\t\xe9[red]:bomb:\x7f" + "\\"


def outlet(*, encoding: str = "utf-8") -> tuple[Outlet, io.BytesIO]:
    inner = io.BytesIO()
    return Outlet(io.TextIOWrapper(inner, encoding=encoding, write_through=True)), inner


@given(st.text(st.characters(codec=None)))  # surrogates too
def test_what_is_visible_is_printable_and_can_be_encoded(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    shown.encode()
    assert visible(shown) == shown
    assert not text.isprintable() or shown == text


def test_every_way_to_the_screen_spells_out_what_is_foreign() -> None:
    """All kinds of output of all verbs; the width suffices for each to stand in one piece."""
    streams = [outlet(), outlet()]
    console, messages = (Terminal(stream) for stream, _ in streams)
    console.width = messages.width = 400
    screen = Screen(console=console, messages=messages)
    failed = ScanResult(NASTY, "failed", "unreadable", f"cannot read {NASTY}")
    screen.say(NASTY)
    screen.error(NASTY)
    screen.detail(NASTY.replace("\n", ""))
    screen.pairs(NASTY, {NASTY: NASTY.replace("\n", "")})
    screen.table(NASTY, [NASTY, "b"], [[NASTY, NASTY]])
    screen.outcome(Outcome((failed,), ignored={NASTY: 1}, notes=("one thing", NASTY.replace("\n", ""))), Path(NASTY.replace("\n", "")))
    screen.problems([Problem(NASTY, NASTY)], Path(NASTY))
    screen.problems([], Path(NASTY))
    watch = ScanLines(messages)
    watch.started(total=1, kept=0)
    watch.finished(failed)
    watch.noted(NASTY)
    shown = "".join(inner.getvalue().decode() for _, inner in streams)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert shown.count(SPELLED) >= 15


def test_a_progress_bar_spells_out_what_is_foreign() -> None:
    stream, inner = outlet()
    screen = Screen(messages=Terminal(stream))
    screen.messages._force_terminal = True  # as where standard error is a terminal
    screen.messages.width = 200
    with screen.progress() as watch:
        assert isinstance(watch, ScanBar)
        watch.started(total=1, kept=0)
        watch.finished(ScanResult(NASTY, "failed", "unreadable", NASTY))
        watch.noted(NASTY)
    assert inner.getvalue().decode().count(SPELLED) == 2
    assert b"\x1b[31m\x9b" not in inner.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_encoding_that_lacks_characters_shows_the_rest(encoding: str) -> None:
    stream, inner = outlet(encoding=encoding)
    Screen(console=Terminal(stream)).pairs("Volumes – 脳", {"median mm³": "…"})
    assert "mm" in inner.getvalue().decode(encoding)
    assert stream.fault is None
    assert encodable("mm³ … –", encoding).replace("³", "3") in ("mm3 ... -", "mm3 … –")


class Gone(io.TextIOWrapper):
    """A stream that takes nothing more."""

    def __init__(self, error: Exception) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self.error: Exception | None = error

    def flush(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """The interpreter closes what it lets go of: nothing is left to write then."""
        self.error = None
        super().close()


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device"), ValueError("closed")])
def test_a_verb_whose_output_is_gone_gives_the_same_code(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    code = main(["info"])
    said = io.StringIO()
    gone = Gone(error)
    monkeypatch.setattr(sys, "stdout", gone)
    monkeypatch.setattr(sys, "stderr", said)
    assert main(["info"]) == code
    assert ("could not be written" in said.getvalue()) == (not isinstance(error, BrokenPipeError))
    assert main(["--help"]) == 0
    gone.error = None  # so that it can be closed


def test_a_console_of_rich_would_end_the_process() -> None:
    """Why `Outlet` stands between: this is what a reader who goes does to a console without it."""
    with pytest.raises(SystemExit):
        Console(file=Gone(BrokenPipeError(32, "Broken pipe"))).print("text")


def test_arguments_that_are_not_printable_are_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--red\x1b[31m"]) == 1
    said = capsys.readouterr().err
    assert r"--red\x1b[31m" in said
    assert "\x1b" not in said


def test_a_name_printed_by_hand_needs_no_more_than_this() -> None:
    assert visible(os.fsdecode(b"Andr\xe9_T1")) == r"Andr\xe9_T1"
