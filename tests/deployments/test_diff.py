"""A diff says what changed, and makes the new files out of the old ones."""

import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from hayserve.deployments.diff import diff

LINES = [f"line {number}\n" for number in range(12)]


def of(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> str:
    return diff(old, new, old_label="weather@1", new_label="weather@2")


def test_equal_bundles_have_no_diff() -> None:
    assert of({"a": b"1", "b": b"\0"}, {"b": b"\0", "a": b"1"}) == ""


def test_changed_added_and_removed_files_come_in_the_order_of_their_paths() -> None:
    old = {"c.py": b"gone\n", "a.py": "".join(LINES).encode(), "d.png": b"\x89PNG", "same": b""}
    changed = [*LINES[:5], "changed\n", *LINES[6:], "more"]
    new = {"b.py": b"new\n", "a.py": "".join(changed).encode(), "e.bin": b"a\0b", "same": b""}
    assert of(old, new) == (
        "diff --git weather@1/a.py weather@2/a.py\n"
        "--- weather@1/a.py\n"
        "+++ weather@2/a.py\n"
        "@@ -3,10 +3,11 @@\n"
        " line 2\n"
        " line 3\n"
        " line 4\n"
        "-line 5\n"
        "+changed\n"
        " line 6\n"
        " line 7\n"
        " line 8\n"
        " line 9\n"
        " line 10\n"
        " line 11\n"
        "+more\n"
        "\\ No newline at end of file\n"
        "diff --git weather@1/b.py weather@2/b.py\n"
        "new file mode 100644\n"
        "--- /dev/null\n"
        "+++ weather@2/b.py\n"
        "@@ -0,0 +1,1 @@\n"
        "+new\n"
        "diff --git weather@1/c.py weather@2/c.py\n"
        "deleted file mode 100644\n"
        "--- weather@1/c.py\n"
        "+++ /dev/null\n"
        "@@ -1,1 +0,0 @@\n"
        "-gone\n"
        "Binary files weather@1/d.png and /dev/null differ\n"
        "Binary files /dev/null and weather@2/e.bin differ\n"
    )


@pytest.mark.parametrize(
    ("label", "shown"), [("a", "a"), ("my/agent 1", "my-agent-1"), ("", "-"), ("..", "-")]
)
def test_a_label_is_one_part_of_a_path(label: str, shown: str) -> None:
    found = diff({"x": b"1"}, {"x": b"2"}, old_label=label, new_label="b")
    assert found.startswith(f"diff --git {shown}/x b/x\n--- {shown}/x\n+++ b/x\n")


def test_paths_that_a_diff_cannot_hold_are_quoted() -> None:
    found = diff({}, {'a "b"\n': b"1", "c d": b"1"}, old_label="a", new_label="b")
    assert '\n+++ "b/a \\"b\\"\\012"\n' in found
    assert "\n+++ b/c d\t\n" in found


def put(files: Mapping[str, bytes], *, into: Path) -> None:
    for key, data in files.items():
        (into / key).parent.mkdir(parents=True, exist_ok=True)
        (into / key).write_bytes(data)


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def random_text(by: random.Random) -> bytes:
    words = [
        "a",
        "b",
        "",
        " c",
        "-d",
        "+e",
        "@@ -1 +1 @@",
        "\\ x",
        "é\u2028",
        "\x0c\x1c",
        "f\r",
        "\t",
    ]
    return "\n".join(by.choices(words, k=by.randrange(40))).encode()


def edited(text: bytes, *, by: random.Random) -> bytes:
    lines = text.split(b"\n")
    for _ in range(by.randrange(4)):
        place = by.randrange(len(lines) + 1)
        lines[place : place + by.randrange(3)] = [b"new"] * by.randrange(3)
    return b"\n".join(lines)


KEYS = ["a.py", "deep/er/b.py", "sp ace.py", "é.py", "c", "d-e", 'q"uote', "tab\there", "empty/x"]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tool", [["patch", "-p1", "-s", "-f"], ["git", "apply", "-p1", "-"]])
def test_applying_a_diff_makes_the_new_files(tmp_path: Path, tool: list[str], seed: int) -> None:
    by = random.Random(seed)
    old = {key: random_text(by) for key in KEYS if by.random() < 0.8}
    new = {key: random_text(by) for key in KEYS if key not in old}
    new |= {key: edited(text, by=by) for key, text in old.items() if by.random() < 0.7}
    put(old, into=tmp_path)
    found = of(old, new)
    subprocess.run(tool, cwd=tmp_path, input=found.encode(), check=True)
    assert files_in(tmp_path) == new


@pytest.mark.parametrize("tool", [["patch", "-p1", "-s", "-f"], ["git", "apply", "-p1", "-"]])
def test_files_that_are_not_text_are_passed_over(tmp_path: Path, tool: list[str]) -> None:
    old = {"a.py": b"1\n", "b.png": b"\x89", "empty": b""}
    put(old, into=tmp_path)
    found = of(old, {"a.py": b"2\n", "b.png": b"\x88", "empty": b"", "z/empty": b""})
    subprocess.run(tool, cwd=tmp_path, input=found.encode(), check=True)
    assert files_in(tmp_path) == {**old, "a.py": b"2\n", "z/empty": b""}


def test_a_change_in_a_long_file_is_shown_with_the_lines_around_it() -> None:
    long = [f"{number}\n" for number in range(5000)]
    changed = [*long[:100], "new\n", *long[101:4900], *long[4901:]]
    lines = of({"a": "".join(long).encode()}, {"a": "".join(changed).encode()}).splitlines()
    assert [line for line in lines if line.startswith("@")] == [
        "@@ -98,7 +98,7 @@",
        "@@ -4898,7 +4898,6 @@",
    ]


@pytest.mark.parametrize("ends", [("x\n", "y\n"), ("", "y\nz"), ("x\ny\n", ""), ("x", "x\n")])
@pytest.mark.parametrize("context", [0, 1, 5])
def test_of_long_files_of_equal_lines_the_changed_part_is_one_change(
    tmp_path: Path, ends: tuple[str, str], context: int
) -> None:
    long = "same\n" * 3000
    around = "".join(LINES[:context])
    old = {"a": f"{around}old\n{long}{ends[0]}{around}".encode()}
    new = {"a": f"{around}new\n{long}{ends[1]}{around}".encode()}
    put(old, into=tmp_path)
    found = of(old, new)
    assert found.count("\n@@ ") == 1
    subprocess.run(["patch", "-p1", "-s"], cwd=tmp_path, input=found.encode(), check=True)
    assert files_in(tmp_path) == new
