"""The tab of batches and that of what hypojax is: whatever a stranger sends, and in both languages."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sample_scans import nifti_bytes, noise, put
from starlette.requests import Request

from hypojax.app.about_tab import about_html, model_cards
from hypojax.app.batch_refusal import BatchRefusedError
from hypojax.app.batch_run import BatchProgress, BatchRuns
from hypojax.app.batch_tab import form_action, form_html, run_words, runs_action, runs_view, time_left
from hypojax.app.words import Words
from hypojax.execute.outcome import ScanResult
from hypojax.release import weights_sha256

WORDS = Words()


def asked(language: str = "en") -> Any:  # noqa: ANN401 - stands in for Gradio's request
    return Request({"type": "http", "headers": [(b"accept-language", language.encode())]})


def event(**sent: object) -> Any:  # noqa: ANN401 - stands in for Gradio's event
    return SimpleNamespace(_data=sent)


@pytest.fixture
def context(tmp_path: Path) -> Any:  # noqa: ANN401 - stands in for the context of the page
    for name in ("in/<b>study", "cohorts"):
        (tmp_path / name).mkdir(parents=True)
    put(tmp_path / "in" / "<b>study", nifti_bytes(noise()))
    batches = BatchRuns(inputs=tmp_path / "in", cohorts=tmp_path / "cohorts")
    return SimpleNamespace(words=WORDS, batches=batches, settings=SimpleNamespace(weights=None))


@pytest.mark.parametrize("language", WORDS.languages)
def test_the_form_offers_folders_and_says_where_there_are_none(context: Any, language: str) -> None:  # noqa: ANN401
    request = asked(language)
    assert "&lt;b&gt;study" in form_html(context, request)
    assert "<b>study" not in form_html(context, request, contains="<b>study", notice="<b>study", name="<b>study")
    assert WORDS.text("batch.none", language) in form_html(context, request, contains="nothing")
    context.batches = BatchRuns()
    assert "<form" not in form_html(context, request)
    assert WORDS.text("batch.not_allowed", language) in form_html(context, request)


@pytest.mark.parametrize("strange", [None, 7, ["a"], {"a": 1}, "x" * 100_000, "\0", "../..", "<script>"])
def test_whatever_is_sent_starts_nothing(context: Any, strange: object) -> None:  # noqa: ANN401
    for sent in (event(act="start", folder=strange, name="pilot"), event(act="start", folder="none", name=strange), event(act=strange)):
        assert "<script>" not in form_action(context, sent, asked())
    for act in ("cancel", "resume", "retry"):
        assert runs_action(context, event(act=act, id=strange), asked()) != ""
    assert runs_action(context, event(act=strange, id="pilot"), asked()) == ""
    assert form_action(context, SimpleNamespace(_data=strange), asked())
    assert context.batches.list() == ()


def test_every_refusal_has_its_words(context: Any) -> None:  # noqa: ANN401
    source = (Path(BatchRefusedError.__module__.replace(".", "/")).parent).glob("*.py")
    keys = {part.split('"')[1] for path in source for part in path.read_text().split("BatchRefusedError(")[1:] if part.startswith('"')}
    assert len(keys) > 5
    assert [key for key in keys if f"batch.refused.{key}" not in WORDS.texts("en")] == []
    said = form_action(context, event(act="start", folder="<b>study", name="a/b"), asked("de"))
    assert WORDS.text("batch.refused.name_wrong", "de") in said
    assert 'value="a/b"' in said


def test_a_batch_in_words(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    failures = tuple(ScanResult(f"s{number}", "failed", "truncated", f"scan 's{number}': <i>cut") for number in range(12))
    run = BatchProgress("pilot", "study", "running", 100, 30, 12, 58, 0.5, 116.0, failures)
    stopped = BatchProgress("older", "study", "stopped", 3, 1, 0, 2, message="the disk is full; make room")
    known = {"pilot": run, "older": stopped}
    monkeypatch.setattr(context.batches, "list", lambda: tuple(known))
    monkeypatch.setattr(context.batches, "progress", known.__getitem__)
    html, key, timer = runs_view(context, asked(), "")
    assert (html, timer.active) == (key, True)
    for said in ("30 of 100", "30.0 scans a minute", "about 2 min", "and 2 more", "the disk is full; make room", "&lt;i&gt;cut"):
        assert said in html
    assert 'data-act="cancel" data-id="pilot"' in html
    assert 'data-act="resume" data-id="older"' in html
    assert all("skip" in repr(part) or part != html for part in runs_view(context, asked(), key))
    assert run_words(WORDS, "de", BatchProgress("a", "b", "stopped", cancelled=True))["why"] == ""
    assert WORDS.text("batch.ended_silently", "de") == run_words(WORDS, "de", BatchProgress("a", "b", "stopped"))["why"]
    assert time_left(WORDS, "en", 7200.0) == "about 2 h"


@pytest.mark.parametrize("language", WORDS.languages)
def test_what_hypojax_is(context: Any, language: str) -> None:  # noqa: ANN401
    page = about_html(context, asked(language))
    assert WORDS.text("about.not_medical", language) in page
    for said in (*weights_sha256().values(), "10.1016/j.neuroimage.2020.117287", "10.1007/s00415-015-7885-2", "BSD", "Colin27"):
        assert said in page
    assert len(model_cards(None)) == 2
    assert model_cards(Path("/nowhere")) == {}
