"""What is committed in this process."""

from threading import Thread

from hayserve.storage.commits import Commits


def test_a_commit_wakes_who_waits_for_more() -> None:
    commits = Commits()
    waiting = Thread(target=commits.wait, args=(20,), kwargs={"past": 0})
    waiting.start()
    commits.add()
    waiting.join(timeout=10)

    assert not waiting.is_alive()
    assert commits.number == 1


def test_what_is_past_already_is_not_waited_for() -> None:
    commits = Commits()
    commits.add()

    commits.wait(20, past=0)
