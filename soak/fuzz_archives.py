"""Makes archives that nobody should send: of odd members, damaged, or of more than they say."""

import gzip
import io
import re
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from random import Random

from soak.fuzz_splices import bytes_after

_BLOCK = 512
_MOST_BYTES_OPENED = 200_000
_NUMBERS = (0, 1, 7, 127, 255, 511, 512, 4096, 65_535, 2**31, 2**32 - 1, 2**63, 8**11 - 1)
_TYPES = (*[tarfile.REGTYPE] * 6, *(bytes([one]) for one in b"\x001235567gxLKSVX"))
_PATHS = (
    *(
        "a.py",
        "b/c.txt",
        "b/",
        "./x",
        "../x",
        "/etc/x",
        "C:x",
        "a\\b",
        "a//b",
        "b/c.txt",
        "B/C.txt",
    ),
    *(
        "\0",
        "é.py",
        "e\u0301.py",
        "x" * 300,
        "d/" * 200,
        ".git/x",
        "__MACOSX/x",
        "a.pyc",
        "",
        ".",
        "/",
    ),
    *("pipeline_wrapper.py", "w/pipeline_wrapper.py", "\ud800", "a:b", "con", "b", "b/c.txt/d"),
)


def archive_after(data: bytes, chance: Random) -> bytes:
    """An archive after a few changes, or another one."""
    match chance.randrange(6):
        case 0:
            made = _tar(chance)
        case 1:
            made = _zip(chance)
        case 2 if data[:2] == b"\x1f\x8b":
            return _packed(_with_sums(bytes_after(_opened(data), chance)), chance)
        case 3:
            return _with_sums(bytes_after(data, chance))
        case _:
            return bytes_after(data, chance)
    made = _packed(made, chance) if made[:2] != b"PK" else made
    return bytes_after(made, chance) if chance.random() < 0.4 else made


def _opened(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as opened:
            return opened.read(_MOST_BYTES_OPENED)
    except (OSError, EOFError, ValueError, zlib.error):
        return data


def _packed(data: bytes, chance: Random) -> bytes:
    match chance.randrange(6):
        case 0:
            return data
        case 1:
            return b"".join(gzip.compress(data[at : at + 700]) for at in range(0, len(data), 700))
        case 2:
            return gzip.compress(data) + b"\0" * chance.choice((1, 512, 9999))
        case 3:
            return gzip.compress(data + bytes(chance.choice((10_000, 5_000_000))))
        case 4:
            return gzip.compress(b"") * chance.choice((1, 1000)) + gzip.compress(data)
        case _:
            return gzip.compress(data)


def _with_sums(data: bytes) -> bytes:
    """A tar whose headers say the right sum again, so that they are read."""
    blocks = [bytearray(data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK)]
    for block in blocks:
        if bytes(block[257:262]) == b"ustar" and len(block) == _BLOCK:
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return b"".join(blocks)


def _tar(chance: Random) -> bytes:
    packed = io.BytesIO()
    for _ in range(chance.choice((1, 2, 5, 150))):
        name = chance.choice(_PATHS)
        content = bytes(chance.choice((0, 1, 511, 512, 600)))
        info = tarfile.TarInfo(name)
        info.type = chance.choice(_TYPES)
        info.size = len(content) if chance.random() < 0.8 else chance.choice(_NUMBERS)
        info.mode, info.mtime = chance.choice(_NUMBERS), chance.choice(_NUMBERS)
        info.pax_headers = _records(chance)
        try:
            form = chance.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
            header = info.tobuf(form, "utf-8", "surrogateescape")
        except (ValueError, UnicodeError):
            continue
        packed.write(header + content + bytes(-len(content) % _BLOCK))
    return packed.getvalue() + bytes(chance.choice((0, 512, 1024, 1024)))


def _records(chance: Random) -> Mapping[str, str]:
    if chance.random() < 0.6:
        return {}
    names = ("path", "size", "linkpath", "GNU.sparse.map", "mtime", "x" * 200, "")
    values = ("a", "../x", "9" * 30, "-1", "1e9", "\0", "x" * 5000)
    return {chance.choice(names): chance.choice(values) for _ in range(chance.choice((1, 3, 90)))}


def _zip(chance: Random) -> bytes:
    packed = io.BytesIO()
    content = bytes(chance.choice((0, 10, 600, 2_000_000)))
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(packed, "w") as directory:
        for number in range(chance.choice((0, 1, 2, 3, 150 if len(content) < 1000 else 1))):
            name = re.sub("[\ud800\0]", "", chance.choice(_PATHS)) or "x"
            info = zipfile.ZipInfo(f"{number}{name}" if chance.random() < 0.7 else name)
            info.external_attr = chance.choice((0, 0o100644 << 16, 0o120777 << 16, 2**32 - 1))
            info.compress_type = zipfile.ZIP_STORED if not content else zipfile.ZIP_DEFLATED
            directory.writestr(info, content)
    data = bytearray(packed.getvalue())
    for _ in range(chance.choice((0, 0, 1, 3))):
        # Sizes, offsets and methods that are not true.
        at = chance.randrange(max(1, len(data) - 4))
        data[at : at + 4] = struct.pack("<I", chance.choice(_NUMBERS) % 2**32)
    return bytes(data)
