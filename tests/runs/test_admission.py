"""Who may begin, who waits, and who is turned away."""

from itertools import pairwise

import pytest

from hayserve.errors import TooBusy
from hayserve.runs.admission import Admission
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method
from hayserve.wrappers.run_limits import NO_LIMITS, RunLimits

ASYNC = Method("run_api", function=print, is_async=True, wants_headers=False)
SYNC = Method("run_api", function=print, is_async=False, wants_headers=False)


def run(deployment: str = "it", *, method: Method = ASYNC, limits: RunLimits = NO_LIMITS) -> Run:
    return Run("r1", deployment, method, {}, limits=limits)


def admission(*, max_runs: int = 100, max_waiting: int = 100, threads: int = 100) -> Admission:
    return Admission(max_runs=max_runs, max_waiting=max_waiting, threads=threads)


def refused(by: Admission, one: Run) -> TooBusy:
    with pytest.raises(TooBusy) as caught:
        by.enter(one)
    return caught.value


def test_runs_begin_until_the_server_has_as_many_as_it_takes() -> None:
    server = admission(max_runs=2)
    runs = [run(f"d{number}") for number in range(3)]
    assert [server.enter(one) for one in runs] == [True, True, False]
    assert [server.is_waiting(one) for one in runs] == [False, False, True]
    assert list(server.leave(runs[0], seconds=1)) == [runs[2]]
    assert not server.is_waiting(runs[2])


def test_those_that_wait_begin_in_the_order_they_came() -> None:
    server = admission(max_runs=1)
    runs = [run() for _ in range(5)]
    assert [server.enter(one) for one in runs] == [True, False, False, False, False]
    for one, following in pairwise(runs):
        assert list(server.leave(one, seconds=1)) == [following]
    assert list(server.leave(runs[-1], seconds=1)) == []
    assert server.enter(run())


def test_a_deployment_has_a_limit_of_its_own() -> None:
    server, limits = admission(), RunLimits(max_runs=1)
    first, second, other = run(limits=limits), run(limits=limits), run("other", limits=limits)
    assert [server.enter(one) for one in (first, second, other)] == [True, False, True]
    assert list(server.leave(other, seconds=1)) == []
    assert list(server.leave(first, seconds=1)) == [second]


def test_runs_of_a_deployment_that_is_free_pass_those_of_one_that_is_full() -> None:
    server, limits = admission(max_runs=2), RunLimits(max_runs=1)
    full, waits, free = run("full", limits=limits), run("full", limits=limits), run("free")
    passes = run("free")
    assert [server.enter(one) for one in (full, waits, free, passes)] == [True, False, True, False]
    assert list(server.leave(free, seconds=1)) == [passes]
    assert server.is_waiting(waits)
    assert list(server.leave(full, seconds=1)) == [waits]


def test_only_sync_runs_wait_for_threads() -> None:
    server = admission(threads=1)
    first, second, third = (run(method=SYNC) for _ in range(3))
    assert [server.enter(one) for one in (first, second, third)] == [True, False, False]
    at_once = run()
    assert server.enter(at_once)
    assert list(server.leave(at_once, seconds=1)) == []
    assert list(server.leave(first, seconds=1)) == [second]


def test_one_that_ends_may_be_what_several_wait_for() -> None:
    server, limits = admission(threads=1), RunLimits(max_runs=1)
    first = run(method=SYNC, limits=limits)
    for_deployment, for_thread = run(limits=limits), run("other", method=SYNC)
    waiting = [for_deployment, for_thread]
    assert [server.enter(one) for one in (first, *waiting)] == [True, False, False]
    assert list(server.leave(first, seconds=1)) == waiting


def test_whoever_gives_up_waiting_is_not_begun() -> None:
    server = admission(max_runs=1)
    first, second, third = run(), run(), run()
    for one in (first, second, third):
        server.enter(one)
    server.give_up(second)
    assert not server.is_waiting(second)
    assert list(server.leave(first, seconds=1)) == [third]
    assert list(server.leave(third, seconds=1)) == []


def test_no_more_wait_than_the_server_lets_and_a_place_is_free_again() -> None:
    server = admission(max_runs=1, max_waiting=1)
    first, second = run(), run("other")
    server.enter(first)
    server.enter(second)
    told = refused(server, run("third"))
    assert told.message == "The server has as many runs as it takes: 1 under way, 1 waiting."
    assert told.hint == "Send the request again later, as `Retry-After` says."
    server.give_up(second)
    assert not server.enter(run("third"))


def test_no_more_wait_than_the_deployment_lets() -> None:
    server, limits = admission(), RunLimits(max_runs=1, max_waiting=1)
    first = run(limits=limits)
    server.enter(first)
    assert not server.enter(run(limits=limits))
    told = refused(server, run(limits=limits))
    assert told.message == "'it' has as many runs as it takes: 1 under way, 1 waiting."
    assert server.enter(run("other"))
    server.leave(first, seconds=1)
    assert not server.enter(run(limits=limits))


def test_without_a_line_whoever_cannot_begin_is_turned_away() -> None:
    server = admission(max_runs=1, max_waiting=0)
    first = run()
    assert server.enter(first)
    refused(server, run())
    server.leave(first, seconds=1)
    assert server.enter(run())
    deployment = RunLimits(max_runs=1, max_waiting=0)
    server = admission()
    assert server.enter(run(limits=deployment))
    refused(server, run(limits=deployment))


@pytest.mark.parametrize(
    ("seconds", "waiting", "said"),
    [(0.001, 0, 1), (0.1, 50, 6), (2.0, 0, 2), (2.0, 9, 20), (1000.0, 3, 60)],
)
def test_who_is_turned_away_is_told_to_come_again_when_its_turn_may_be(
    seconds: float, waiting: int, said: int
) -> None:
    server = admission(max_runs=1, max_waiting=waiting)
    for _ in range(200):  # until the server knows how long runs take
        one = run()
        server.enter(one)
        server.leave(one, seconds=seconds)
    server.enter(run())
    for _ in range(waiting):
        server.enter(run())
    assert refused(server, run()).retry_after == said


def test_what_has_left_leaves_nothing_behind() -> None:
    server = admission(max_runs=3, max_waiting=1000, threads=2)
    under_way: list[Run] = []
    for number in range(300):
        one = run(f"d{number % 7}", method=SYNC if number % 3 else ASYNC)
        if server.enter(one):
            under_way.append(one)
    begun = len(under_way)
    while under_way:
        assert len(under_way) <= 3
        assert sum(not one.method.is_async for one in under_way) <= 2
        following = list(server.leave(under_way.pop(0), seconds=0.1))
        begun += len(following)
        under_way += following
    assert begun == 300
    again = [run(method=SYNC), run(method=SYNC), run(), run()]
    assert [server.enter(one) for one in again] == [True, True, True, False]
