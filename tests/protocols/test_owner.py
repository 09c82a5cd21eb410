"""What is left with the server belongs to the key that was shown."""

from hayserve.protocols.owner import owner_of

KEY, OTHER = (b"authorization", b"Bearer a"), (b"x-api-key", b"b")


def test_the_same_key_is_the_same_owner() -> None:
    assert owner_of([KEY]) == owner_of([(b"accept", b"*/*"), KEY])
    assert owner_of([KEY, OTHER]) == owner_of([OTHER, KEY])


def test_another_key_is_another_owner() -> None:
    owners = [owner_of([KEY]), owner_of([OTHER]), owner_of([KEY, OTHER]), owner_of([])]
    assert len(set(owners)) == 4


def test_a_key_cannot_be_read_from_its_owner() -> None:
    assert "Bearer a" not in owner_of([KEY])
    assert len(owner_of([KEY])) == 64


def test_who_shows_no_key_is_nobody() -> None:
    assert owner_of([(b"accept", b"*/*")]) == ""
