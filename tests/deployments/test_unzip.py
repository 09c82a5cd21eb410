"""The members of a zip are read as they are, and refused if they are more than plain files."""

import io
import stat
import zipfile

import pytest

from hayserve.deployments.unzip import members
from hayserve.errors import InvalidRequest, TooLarge


def zipped(*, method: int = zipfile.ZIP_DEFLATED, mode: int = 0) -> bytes:
    info = zipfile.ZipInfo("data/a")
    info.external_attr = mode << 16
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as directory:
        directory.writestr("b/", b"")
        directory.writestr(info, b"abc" * 100, compress_type=method)
    return archive.getvalue()


def read(archive: bytes) -> dict[str, bytes]:
    return {
        name: b"".join(content) for name, content in members(io.BytesIO(archive), most_files=10)
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("mode", [0, 0o644, stat.S_IFREG | 0o755])
def test_files_and_folders_are_read(method: int, mode: int) -> None:
    assert read(zipped(method=method, mode=mode)) == {"b/": b"", "data/a": b"abc" * 100}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_what_is_no_plain_file_is_refused(kind: int) -> None:
    with pytest.raises(InvalidRequest, match="The member 'data/a' is a link or a device"):
        read(zipped(mode=kind | 0o777))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compression_is_refused(method: int) -> None:
    with pytest.raises(InvalidRequest, match=f"'data/a' is compressed by the method {method}"):
        read(zipped(method=method))


def changed(archive: bytes, *, at: int, to: bytes) -> bytes:
    """The archive with `to` in the entry of 'data/a' in the list of files."""
    entry = archive.rindex(b"PK\1\2") + at
    return archive[:entry] + to + archive[entry + len(to) :]


@pytest.mark.parametrize("flag", [b"\x01", b"\x40"])
def test_what_is_encrypted_is_refused(flag: bytes) -> None:
    with pytest.raises(InvalidRequest, match="'data/a' is encrypted"):
        read(changed(zipped(), at=8, to=flag))


@pytest.mark.parametrize(
    "archive",
    [
        changed(zipped(), at=16, to=b"\0\0\0\0"),  # checksum
        changed(zipped(), at=8, to=b"\x20"),  # a patch of other data
        changed(zipped(), at=42, to=b"\xff\xff\xff\x7f"),  # where it begins
        changed(zipped(), at=24, to=b"\1\0\0\0"),  # its size
    ],
)
def test_a_damaged_member_is_named(archive: bytes) -> None:
    with pytest.raises(InvalidRequest, match="damaged or ends too early, in 'data/a'"):
        read(archive)


@pytest.mark.parametrize("archive", [zipped()[:-30], b"PK\5\6", changed(zipped(), at=0, to=b"x")])
def test_a_damaged_list_of_files_is_told(archive: bytes) -> None:
    with pytest.raises(InvalidRequest, match="damaged or ends too early, in its list of files"):
        read(archive)


def test_a_list_of_too_many_files_is_not_read() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as directory:
        for number in range(3000):
            directory.writestr(str(number), b"")
    with pytest.raises(TooLarge, match="more than 10 files"):
        read(archive.getvalue())
