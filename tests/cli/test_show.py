"""What commands print, and where."""

from collections.abc import Iterator

import pytest

from hayserve.cli import show
from hayserve.errors import ServerRefused


def test_a_message_is_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show.success("[bold]done[/bold]", "[red]a note")
    assert capsys.readouterr().out == "✔ [bold]done[/bold]\n  [red]a note\n"


def test_a_long_message_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    show.failure(ServerRefused("word " * 100, hint="hint " * 100))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 2


def test_an_answer_as_json_keeps_every_letter(capsys: pytest.CaptureFixture[str]) -> None:
    show.as_json({"name": "café"})
    assert capsys.readouterr().out == '{\n  "name": "café"\n}\n'


def test_a_stream_that_breaks_off_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    def pieces() -> Iterator[str]:
        yield "half"
        raise ServerRefused("Gone.")

    with pytest.raises(ServerRefused):
        show.pieces(pieces())
    assert capsys.readouterr().out == "half\n"


def test_a_stream_that_breaks_off_at_once_begins_no_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def pieces() -> Iterator[str]:
        yield ""
        raise ServerRefused("Gone.")

    with pytest.raises(ServerRefused):
        show.pieces(pieces())
    assert capsys.readouterr().out == ""


def test_waiting_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with show.waiting("Deploying ..."):
        pass
    printed = capsys.readouterr()
    assert (printed.out.strip(), printed.err.strip()) == ("", "")
