"""What the event loop would take for its own leaves a thread as an ordinary exception."""

import pytest

from hayserve.wrappers.escaped import Escaped, contained, original


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("kind", [GeneratorExit, KeyboardInterrupt, SystemExit, BaseException])
def test_what_is_no_exception_is_carried(kind: type[BaseException]) -> None:
    error = kind()
    with pytest.raises(Escaped) as caught:
        contained(raising)(error)
    assert original(caught.value) is error


def test_exceptions_pass_as_they_are() -> None:
    error = ValueError("as it is")
    with pytest.raises(ValueError, match="as it is") as caught:
        contained(raising)(error)
    assert original(caught.value) is error
    assert contained(str)(1) == "1"
