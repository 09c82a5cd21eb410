"""An archive is exactly the files that were packed, and costs no more than is allowed."""

import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hayserve.deployments.archive import pack, unpack
from hayserve.errors import InvalidRequest, TooLarge

FILES = {
    "pipeline_wrapper.py": b"x = 1\r\n",
    "data/logo.png": bytes(range(256)) * 300,
    f"{'long/' * 40}é.txt": b"deep",
    "empty": b"",
}
MEGABYTE = 1024 * 1024


def unpacked(
    archive: bytes, *, most_bytes: int = MEGABYTE, most_files: int = 100
) -> dict[str, bytes]:
    return unpack(io.BytesIO(archive), most_bytes=most_bytes, most_files=most_files)


def tarred(*members: tuple[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name.removesuffix("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


def tarred_and_compressed(*members: tuple[str, bytes]) -> bytes:
    return gzip.compress(tarred(*members))


def zipped(*members: tuple[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as directory:
        for name, data in members:
            directory.writestr(name, data)
    return archive.getvalue()


def test_what_was_packed_is_unpacked_byte_for_byte() -> None:
    assert unpacked(pack(FILES)) == FILES


def test_equal_files_make_equal_archives() -> None:
    assert pack(FILES) == pack(dict(reversed(FILES.items())))


@pytest.mark.parametrize("pack_as", [tarred, zipped, tarred_and_compressed])
def test_tar_and_zip_are_told_apart_by_what_they_begin_with(
    pack_as: Callable[..., bytes],
) -> None:
    assert unpacked(pack_as(("data/", b""), *FILES.items())) == FILES


@pytest.mark.parametrize(
    "options", [["czf"], ["cf"], ["--format=v7", "-cf"], ["--format=pax", "-cf"]]
)
def test_the_one_folder_that_was_packed_is_taken_off(tmp_path: Path, options: list[str]) -> None:
    folder = tmp_path / "my_agent"
    (folder / "tools").mkdir(parents=True)
    (folder / "pipeline_wrapper.py").write_bytes(b"x")
    (folder / "tools" / "a.py").write_bytes(b"a")
    for packed in (["-C", str(tmp_path), "my_agent"], ["-C", str(folder), "."]):
        subprocess.run(["tar", *options, str(tmp_path / "a"), *packed], check=True)
        with (tmp_path / "a").open("rb") as archive:
            files = unpack(archive, most_bytes=2, most_files=3)
        assert files == {"pipeline_wrapper.py": b"x", "tools/a.py": b"a"}


@pytest.mark.parametrize(
    "files",
    [
        {"pipeline_wrapper.py": b"", "a/pipeline_wrapper.py": b""},
        {"a/pipeline_wrapper.py": b"", "b/x": b""},
        {"a/b/pipeline_wrapper.py": b""},
    ],
)
def test_other_folders_stay(files: dict[str, bytes]) -> None:
    assert unpacked(tarred(*files.items())) == files


def test_what_python_and_macos_put_beside_the_code_is_left_out() -> None:
    archive = tarred(
        ("._agent", b"mac"),
        ("agent/pipeline_wrapper.py", b"x"),
        ("agent/._pipeline_wrapper.py", b"mac"),
        ("agent/__pycache__/x.cpython-311.pyc", b"compiled"),
        ("agent/.env", b"kept"),
        ("__MACOSX/agent/x", b"mac"),
    )
    assert unpacked(archive) == {"pipeline_wrapper.py": b"x"}


@pytest.mark.parametrize("pack_as", [tarred, zipped])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "The file '/etc/passwd' has an absolute path."),
        ("../x", "The file '../x' has a path with '..' in it."),
        ("a/../../x/", "The file 'a/../../x' has a path with '..' in it."),
        ("a\\b", "The file 'a\\\\b' has a backslash in its path."),
        ("a//b", "The file 'a//b' has a path with an empty part or '.' in it."),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(
    pack_as: Callable[..., bytes], name: str, why: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        unpacked(pack_as(("a.py", b""), (name, b"")))
    assert (raised.value.message, raised.value.param) == (why, "files")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack_as", [tarred, zipped])
def test_a_file_that_comes_twice_is_refused(pack_as: Callable[..., bytes]) -> None:
    with pytest.raises(InvalidRequest, match=r"The archive holds 'a\.py' twice\. Pack"):
        unpacked(pack_as(("a.py", b"1"), ("./a.py", b"2") if pack_as is tarred else ("a.py", b"2")))


def test_a_folder_with_a_files_content_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'a/' is a folder in the archive and has the content"):
        unpacked(zipped(("a/", b"1")))


@pytest.mark.parametrize(
    "archive", [tarred(), gzip.compress(tarred()), zipped(), tarred(("a/", b""))]
)
def test_an_archive_without_files_is_refused(archive: bytes) -> None:
    with pytest.raises(InvalidRequest, match="The archive has no files"):
        unpacked(archive)


@pytest.mark.parametrize("sent", [b"", b"P", b"hello", b"BZh91AY" * 200, gzip.compress(b"hi")])
def test_what_is_no_archive_is_refused(sent: bytes) -> None:
    with pytest.raises(InvalidRequest, match="What was sent is neither a tar"):
        unpacked(sent)


@pytest.mark.parametrize("pack_as", [tarred, zipped])
def test_more_bytes_than_allowed_are_refused(pack_as: Callable[..., bytes]) -> None:
    archive = pack_as(("a", b"x" * (MEGABYTE - 400_000)), ("b.pyc", b"x" * 400_001))
    with pytest.raises(TooLarge, match=r"larger together than 1 MB\..*HAYSERVE_MAX_BUNDLE_MB"):
        unpacked(archive)


@pytest.mark.parametrize("pack_as", [tarred, zipped])
@pytest.mark.parametrize(("ending", "kind"), [("", "files"), ("/", "folders")])
def test_more_files_than_allowed_are_refused(
    pack_as: Callable[..., bytes], ending: str, kind: str
) -> None:
    archive = pack_as(*((f"{number}{ending}", b"") for number in range(4)))
    with pytest.raises(TooLarge, match=f"more than 3 {kind}.*HAYSERVE_MAX_BUNDLE_FILES"):
        unpacked(archive, most_files=3)


def endless_members() -> bytes:
    """A tar of ten million empty files, compressed."""
    header = tarfile.TarInfo("a").tobuf()
    return _repeated(header * 2000, times=5000)


def huge_header() -> bytes:
    """A tar whose first header says how a file is called in a gigabyte."""
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    return gzip.compress(info.tobuf()) + _repeated(b"9" * MEGABYTE, times=1000)


def huge_file() -> bytes:
    info = tarfile.TarInfo("a")
    info.size = 1 << 30
    return gzip.compress(info.tobuf()) + _repeated(bytes(MEGABYTE), times=1074)


def huge_file_that_says_it_is_small() -> bytes:
    archive = zipped(("a", bytes(1 << 28)))
    return archive.replace((1 << 28).to_bytes(4, "little"), (1).to_bytes(4, "little"))


def huge_end() -> bytes:
    """A tar that has ended, and a gigabyte of nothing behind it."""
    return gzip.compress(tarred(("a", b""))) + _repeated(bytes(MEGABYTE), times=1000)


def many_headers() -> bytes:
    """A tar where each file is called in many kilobytes."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XGLTYPE, 32 * 1024
    return _repeated(
        (info.tobuf() + bytes(info.size)) * 3 + tarfile.TarInfo("a").tobuf(), times=9999
    )


def many_members_of_a_zip() -> bytes:
    """A zip of a million files, of which only the list is there."""
    entry = zipped(("a", b""))
    start = entry.index(b"PK\1\2")
    one = entry[start : entry.index(b"PK\5\6")]
    end = bytearray(entry[entry.index(b"PK\5\6") :])
    end[12:16] = (len(one) * 1_000_000).to_bytes(4, "little")
    return entry[:start] + one * 1_000_000 + bytes(end)


def _repeated(data: bytes, *, times: int) -> bytes:
    return gzip.compress(data, 1) * times


@pytest.mark.parametrize(
    "bomb",
    [
        endless_members,
        huge_header,
        huge_file,
        huge_file_that_says_it_is_small,
        huge_end,
        many_headers,
        many_members_of_a_zip,
    ],
)
def test_a_bomb_costs_no_more_than_the_limit(bomb: Callable[[], bytes]) -> None:
    source = io.BytesIO(bomb())
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            unpack(source, most_bytes=MEGABYTE, most_files=100)
        assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
    finally:
        tracemalloc.stop()


PEAK = """
import resource, sys
from hayserve.deployments.archive import unpack
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as source:
    files = unpack(source, most_bytes=50_000_000, most_files=10)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_memory_stays_near_the_size_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(pack({"a": os.urandom(49_000_000)}))
    peak = subprocess.check_output([sys.executable, "-c", PEAK, str(tmp_path / "a.tgz")])
    assert int(peak) < 75_000_000


def mutated(archive: bytes, *, by: random.Random) -> bytes:
    data = bytearray(archive)
    match by.randrange(4):
        case 0:
            del data[by.randrange(len(data)) :]
        case 1:
            begin = by.randrange(len(data))
            del data[begin : begin + by.randrange(1, 600)]
        case 2:
            begin = by.randrange(len(data))
            data[begin:begin] = data[by.randrange(len(data)) :][: by.randrange(1, 600)]
        case _:
            for _ in range(by.randrange(1, 9)):
                data[by.randrange(len(data))] = by.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_changed_in_an_archive_only_our_errors_come_out(seed: int) -> None:
    by = random.Random(seed)
    small = {**FILES, "data/logo.png": b"\x89PNG"}
    archives = [tarred(*small.items()), pack(small), zipped(*small.items())]
    refusals = list[InvalidRequest]()
    for number in range(600):
        try:
            unpacked(mutated(archives[number % 3], by=by))
        except InvalidRequest as error:
            refusals.append(error)
    assert 0 < len(refusals) < 600
    assert {(bool(error.hint), error.param) for error in refusals} == {(True, "files")}
