"""What a training shows: a bar on a terminal, lines in a log, a picture at the end, and a polite end when asked to."""

import io
import re
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hypojax.cli.progress_bars import training_progress
from hypojax.reason import RunError
from hypojax.training.train_log import LogEntry, draw_history, interruptible
from hypojax.training.training import TrainResult

SCORED = LogEntry(4, 0.5, 1.0, {"score": 0.8, "dice": 0.86, "dice_subunits": 0.74})
BEST = LogEntry(4, 0.5, 1.0, {"dice": 0.86})


def shown(*, terminal: bool) -> str:
    """What stands on the screen after some steps of a run that goes on."""
    text = io.StringIO()
    with training_progress(Console(file=text, force_terminal=terminal, width=160)) as watch:
        watch.started("fold0", total=8, done=2)
        watch.stepped(3, 0.7)
        watch.saved(LogEntry(3, 0.7, 1.0))
        watch.stepped(4, 0.5)
        watch.saved(SCORED)
        watch.stepped(5, 0.5)
        watch.noted("log.png is not drawn")
    return text.getvalue()


def test_a_log_has_a_line_a_saved_state() -> None:
    lines = shown(terminal=False).splitlines()
    assert lines[0] == "fold0: 8 steps, 2 of them done before"
    assert lines[1].startswith("step 3/8  loss 0.7000  1.00 s/step  ")
    assert lines[1].endswith(" left")
    assert lines[2].endswith("held out: score 0.800  dice 0.860  dice_subunits 0.740")
    assert lines[3:] == ["log.png is not drawn"]


def test_a_terminal_has_a_bar_with_loss_dice_and_time_left() -> None:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown(terminal=True))
    bar = next(line for line in plain.splitlines() if "5/8" in line)
    assert all(words in bar for words in ("fold0", "loss 0.66", "Dice 0.860", " left"))


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ((Path("x"), 137, False, None), "x: interrupted and saved at step 137; run the same command again to continue"),
        ((Path("x"), 900, True, None), "x: trained for 900 steps"),
        ((Path("x"), 8, True, BEST), "x: trained for 8 steps; best at step 4: dice 0.860"),
    ],
)
def test_the_closing_sentence(result: tuple[Path, int, bool, LogEntry | None], said: str) -> None:
    assert str(TrainResult(*result)) == said


def test_a_picture_of_a_run_with_and_without_validation(tmp_path: Path) -> None:
    plain = [LogEntry(step, 1 / step, 1.0) for step in (1, 2, 3)]
    for name, entries in (("plain", plain), ("scored", [*plain, SCORED])):
        assert draw_history(entries, tmp_path / f"{name}.png", title=name).read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_picture_is_refused_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RunError, match=r"pip install 'hypojax\[report\]'"):
        draw_history([SCORED], tmp_path / "log.png", title="")


def test_the_second_interrupt_is_not_polite() -> None:
    with interruptible() as interruption:
        assert not interruption.happened
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
