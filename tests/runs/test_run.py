"""What a run is called."""

from hayserve.runs.run import new_id


def test_ids_differ() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(id_) == 24 and int(id_, 16) >= 0 for id_ in ids)
