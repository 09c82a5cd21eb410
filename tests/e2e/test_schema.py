"""What a server answers is what its own description says, whatever is sent."""

from pathlib import Path

from soak.schema import run


def test_each_operation_answers_as_it_is_described(tmp_path: Path) -> None:
    seen = run(tmp_path, cases=1, seed=5, at_once=3)
    assert len({operation for operation, _ in seen.statuses}) >= 30
    assert not seen.wrong, str(seen)
