"""What a run is called."""

from hayserve.runs.run import new_ids


def test_ids_differ() -> None:
    ids = {new_ids(1)[0] for _ in range(100)}
    assert len(ids) == 100
    assert all(len(id_) == 24 and int(id_, 16) >= 0 for id_ in ids)
