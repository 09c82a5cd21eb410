"""What is compressed comes in pieces, and what is damaged is told."""

import gzip
import io
import os

import pytest

from hayserve.deployments.gunzip import PIECE, gunzip, pieces_of
from hayserve.errors import InvalidRequest

DATA = os.urandom(100_000) + bytes(400_000)


def test_what_is_not_compressed_comes_in_pieces_as_well() -> None:
    pieces = list(pieces_of(io.BytesIO(DATA)))
    assert b"".join(pieces) == DATA
    assert max(map(len, pieces)) == PIECE


@pytest.mark.parametrize("padding", [b"", bytes(10), bytes(PIECE * 2)])
def test_several_parts_and_padding_are_read(padding: bytes) -> None:
    compressed = gzip.compress(DATA) + padding + gzip.compress(b"more") + padding
    pieces = list(gunzip(io.BytesIO(compressed)))
    assert b"".join(pieces) == DATA + b"more"
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("cut", [2, 9, 11, 1000, 100_000, -9, -8, -1])
def test_what_ends_too_early_is_refused(cut: int) -> None:
    with pytest.raises(InvalidRequest, match="It ends too early"):
        list(gunzip(io.BytesIO(gzip.compress(DATA)[:cut])))


def test_a_wrong_checksum_is_refused() -> None:
    compressed = bytearray(gzip.compress(DATA))
    compressed[-5] ^= 1
    with pytest.raises(InvalidRequest, match="Its compression is damaged"):
        list(gunzip(io.BytesIO(compressed)))


def test_something_else_behind_the_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Its compression is damaged"):
        list(gunzip(io.BytesIO(gzip.compress(DATA) + b"hello")))


def test_parts_without_end_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="in too many parts"):
        list(gunzip(io.BytesIO(gzip.compress(b"") * 100_001)))
