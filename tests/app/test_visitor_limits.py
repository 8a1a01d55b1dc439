"""What one visitor may ask at once and in a minute."""

from types import SimpleNamespace
from typing import Any

import pytest

from hypojax.app.visitor_limits import CallRate, OpenCalls, visitor_of
from hypojax.reason import Reason, RunError


def test_calls_at_once_are_counted_for_each_visitor_and_end_with_an_error_too() -> None:
    calls = OpenCalls(2, "wait")
    with calls.held("anna"), calls.held("anna"), calls.held("ben"):
        with pytest.raises(RunError, match="wait") as caught, calls.held("anna"):
            pass
        assert caught.value.reason is Reason.BUSY
    with pytest.raises(ZeroDivisionError), calls.held("anna"):
        raise ZeroDivisionError
    assert not calls.open


def test_calls_in_a_minute_are_counted_for_each_visitor_and_forgotten_after_it() -> None:
    now = [100.0]
    rate = CallRate(2, "wait {seconds} seconds", clock=lambda: now[0])
    rate.take("anna")
    now[0] += 20
    rate.take("anna")
    rate.take("ben")
    now[0] += 10
    with pytest.raises(RunError, match="wait 30 seconds"):
        rate.take("anna")
    now[0] += 30
    rate.take("anna")  # the first is a minute ago, the second is not
    with pytest.raises(RunError, match="wait 20 seconds"):
        rate.take("anna")
    now[0] += 60
    rate.take("ben")
    assert set(rate._times) == {"ben"}  # nobody is remembered for longer


def test_a_user_is_one_visitor_however_often_she_logs_in() -> None:
    sessions: list[Any] = [SimpleNamespace(id=id_, user=(user, "")) for id_, user in (("1", "anna"), ("2", "anna"), ("3", ""), ("4", ""))]
    assert len({visitor_of(session) for session in sessions}) == 3
