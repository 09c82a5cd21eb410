"""The members of a tar are read as they are, and refused if they are more than plain files."""

import io
import tarfile
from typing import BinaryIO, cast

import pytest

from hayserve.deployments.untar import members
from hayserve.errors import InvalidRequest


def header(name: str = "a", *, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def with_content(head: bytes, content: bytes) -> bytes:
    return head + content + bytes(-len(content) % 512)


def pax(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    content = b"".join(records)
    return with_content(header(kind=kind, size=len(content)), content)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = next(size for size in range(200) if size == len(rest) + len(str(size)))
    return str(length).encode() + rest


END = bytes(1024)


def read(tar: bytes) -> dict[str, bytes]:
    stream = cast(BinaryIO, io.BufferedReader(io.BytesIO(tar)))
    return {name: b"".join(content) for name, content in members(cast(io.BufferedReader, stream))}


def test_a_content_that_nobody_reads_is_passed_over() -> None:
    tar = with_content(header("a", size=3), b"abc") + header("b") + END
    assert [name for name, _ in members(io.BytesIO(tar))] == ["a", "b"]


def test_one_block_of_zeros_is_an_end() -> None:
    assert read(header("a") + bytes(512)) == {"a": b""}


@pytest.mark.parametrize(
    "longer",
    [
        with_content(header(kind=tarfile.GNUTYPE_LONGNAME, size=4), b"b/c\0"),
        pax(record("path", "b/c")),
        pax(record("mtime", "1.5"), record("path", "b/c"), kind=tarfile.SOLARIS_XHDTYPE),
        pax(record("comment", "x"), kind=tarfile.XGLTYPE) + pax(record("path", "b/c")),
        with_content(header(kind=tarfile.GNUTYPE_LONGLINK, size=2), b"x\0")
        + pax(record("path", "b/c")),
    ],
)
def test_a_path_may_stand_in_a_header_of_its_own(longer: bytes) -> None:
    assert read(longer + header("short") + END) == {"b/c": b""}


def test_a_size_may_stand_in_a_header_of_its_own() -> None:
    tar = pax(record("size", "3")) + with_content(header("a", size=0), b"abc") + END
    assert read(tar) == {"a": b"abc"}


def test_a_folder_ends_with_a_slash_and_has_no_content() -> None:
    tar = header("a/", kind=tarfile.DIRTYPE, size=512) + header("b/", kind=tarfile.AREGTYPE) + END
    assert read(tar) == {"a/": b"", "b/": b""}


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"V", "of the unknown type b'V'"),
    ],
)
def test_what_is_no_plain_file_is_refused(kind: bytes, what: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(header("data/x", kind=kind) + END)
    assert raised.value.message == f"The member 'data/x' is {what}."
    assert "--dereference" in raised.value.hint


def test_a_sparse_file_of_the_newer_kind_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'a' is a sparse file"):
        read(pax(record("GNU.sparse.major", "1")) + header("a") + END)


FILE = with_content(header("a", size=3), b"abc")


@pytest.mark.parametrize(
    ("tar", "why"),
    [
        (FILE, "It ends too early behind 'a'"),
        (FILE + header("b")[:100], "It ends too early behind 'a'"),
        (FILE[:514], "It ends too early, in 'a'"),
        (FILE[:-1], "It ends too early, in 'a'"),
        (FILE + b"x" * 512 + END, "It is damaged behind 'a'"),
        (FILE + END + FILE + END, "There is something behind its end"),
        (header("a", size=-1) + END, "'a' has a size below zero"),
        (pax(record("size", "-3")) + FILE + END, "It says '-3' where a number belongs"),
        (pax(record("size", "9" * 30)) + FILE, f"It says '{'9' * 20}' where a number belongs"),
        (pax(b"x path=b\n") + FILE + END, "It says 'x' where a number belongs"),
        (pax(b"0 path=b\n") + FILE + END, "A header that says how a file is called is damaged"),
        (pax(b"99 path=b\n") + FILE + END, "A header that says how a file is called is damaged"),
        (pax(b"9 path=bc") + FILE + END, "A header that says how a file is called is damaged"),
        (pax(b"7 path\n") + FILE + END, "A header that says how a file is called is damaged"),
        (pax(record("path", "b")) * 9 + FILE, "Too many headers follow each other"),
        (pax(*[record("a", "b")] * 33) * 2 + FILE, "Too many headers follow each other"),
        (FILE + pax() * 9 + FILE, "Too many headers follow each other behind 'a'"),
        (header(kind=tarfile.XHDTYPE, size=1 << 30), "A header of 1073741824 bytes"),
    ],
)
def test_what_is_damaged_is_refused_with_the_place(tar: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(tar)
    assert why in raised.value.message
    assert raised.value.hint.startswith("Pack the folder anew")
