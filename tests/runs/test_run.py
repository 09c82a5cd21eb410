"""What a run is called."""

from hayserve.runs.run import new_ids


def test_ids_differ() -> None:
    assert len(new_ids()) == 64
    ids = {id_ for _ in range(10) for id_ in new_ids(10)}
    assert len(ids) == 100
    assert all(len(id_) == 24 and int(id_, 16) >= 0 for id_ in ids)
