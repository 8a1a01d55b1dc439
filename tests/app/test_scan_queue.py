"""Whose scan comes next."""

from hypothesis import given
from hypothesis import strategies as st

from hypojax.app.scan_queue import FairQueue


def test_one_scan_waits_for_one_scan_of_each_other_session_and_no_more() -> None:
    queue = FairQueue()
    for number in range(200):
        queue.put("many", f"m{number}")
    queue.put("one", "o")
    assert queue.positions()["o"] == 1
    assert [queue.take(lambda _: True) for _ in range(3)] == [("many", "m0"), ("one", "o"), ("many", "m1")]


def test_a_session_that_had_its_turn_comes_after_the_others() -> None:
    queue = FairQueue()
    queue.put("a", "a0")
    queue.put("a", "a1")
    queue.take(lambda _: True)
    queue.put("b", "b0")
    assert [job for _, job in queue.order()] == ["a1", "b0"]
    queue.take(lambda _: True)
    queue.put("a", "a2")
    assert [job for _, job in queue.order()] == ["b0", "a2"]


def test_a_job_that_is_not_ready_holds_nobody_up_and_keeps_its_place() -> None:
    queue = FairQueue()
    for job in ("a0", "a1", "b0"):
        queue.put(job[0], job)
    assert queue.take(lambda job: job != "a0") == ("b", "b0")
    assert [job for _, job in queue.order()] == ["a0", "a1"]
    assert queue.take(lambda _: False) is None


def test_scans_of_a_zip_come_behind_it_and_before_later_ones() -> None:
    queue = FairQueue()
    for job in ("zip", "later"):
        queue.put("a", job)
    queue.put_behind("a", "second", before="zip")
    queue.put_behind("a", "third", before="second")
    assert [job for _, job in queue.order()] == ["zip", "second", "third", "later"]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_every_job_comes_once_in_the_order_of_its_session_and_no_session_twice_while_another_waits(steps: list[tuple[int, bool]]) -> None:
    queue, put, taken = FairQueue(), {}, []
    for number, (session, takes) in enumerate(steps):
        if takes:
            expected = next(queue.order(), None)
            assert queue.take(lambda _: True) == expected
            if expected:
                taken.append(expected)
        else:
            queue.put(str(session), str(number))
            put.setdefault(str(session), []).append(str(number))
    waiting = list(queue.order())
    assert [queue.positions()[job] for _, job in waiting] == list(range(len(queue)))
    while (key := queue.take(lambda _: True)) is not None:
        taken.append(key)
    assert taken[len(taken) - len(waiting) :] == waiting  # what was said of positions is what happens
    for session, jobs in put.items():
        assert [job for of, job in taken if of == session] == jobs
    order = [session for session, _ in waiting]
    for second, session in enumerate(order):
        if session in order[:second]:
            first = second - 1 - order[:second][::-1].index(session)
            assert set(order[second + 1 :]) <= {*order[first:second]}


def test_what_is_removed_is_gone() -> None:
    queue = FairQueue()
    for job in ("a0", "a1", "b0"):
        queue.put(job[0], job)
    queue.remove("a", "a0")
    queue.remove("a", "nothing")
    queue.remove_session("b")
    assert list(queue.order()) == [("a", "a1")]
    queue.remove_session("a")
    assert not len(queue)
