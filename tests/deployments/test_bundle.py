"""A bundle is exactly the files that were given, under names that are safe."""

import os
from pathlib import Path

import pytest

from hayserve.deployments.bundle import (
    Bundle,
    check_alias,
    check_file_key,
    check_name,
    check_size,
    check_wrapper_is_in,
)
from hayserve.errors import DeployRefused, InvalidRequest, TooLarge

LIMITS = ": 255 bytes a part and 1024 in all are allowed."


def test_the_digest_is_of_names_and_contents_in_any_order() -> None:
    one = Bundle({"a.py": b"1", "b.py": b"2"})
    assert one.digest == Bundle({"b.py": b"2", "a.py": b"1"}).digest
    assert one.digest != Bundle({"a.py": b"2", "b.py": b"1"}).digest
    assert Bundle({"a": b"bc"}).digest != Bundle({"ab": b"c"}).digest
    assert Bundle({"x": b""}).digest == (
        "578579c7a966097444349371ee4825842ab257669a61609cc27272427516b519"
    )


def test_a_bundle_does_not_change_with_what_it_was_made_of() -> None:
    files = {"a.py": b"1"}
    bundle = Bundle(files)
    files["b.py"] = b"2"
    assert dict(bundle.files) == {"a.py": b"1"}


def test_texts_are_stored_as_utf8() -> None:
    assert Bundle.of_texts({"a.py": "é\r\n"}).files["a.py"] == b"\xc3\xa9\r\n"


def test_a_text_that_is_not_valid_unicode_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"The text of the file 'a\.py' is not valid Unicode"):
        Bundle.of_texts({"a.py": "\ud800"})


def test_a_file_that_is_also_a_folder_is_refused() -> None:
    with pytest.raises(
        InvalidRequest, match="'a/b' is a file, and 'a/b/c' needs it to be a folder"
    ):
        Bundle({"a/b/c": b"", "a/b": b""})


@pytest.mark.parametrize(
    ("one", "other"),
    [("Readme.md", "README.md"), ("stra\u00dfe", "STRASSE"), ("caf\u00e9.py", "cafe\u0301.py")],
)
def test_two_files_that_are_one_on_some_disks_are_refused(one: str, other: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'{one}' and '{other}' are one file") as raised:
        Bundle({one: b"", other: b""})
    assert (raised.value.hint, raised.value.param) == ("Rename one of them.", "files")


def test_a_file_that_is_also_a_folder_on_some_disks_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'Tools' is a file, and 'tools/a' needs it to be"):
        Bundle({"tools/a": b"", "Tools": b""})


def test_a_bundle_within_its_limits_is_accepted() -> None:
    check_size(Bundle({"a": b"12", "b": b"3"}), most_bytes=3, most_files=2)


def test_a_bundle_that_is_too_large_is_refused_with_the_largest_files() -> None:
    bundle = Bundle({"a": bytes(10), **{name: bytes(1_363_149) for name in "bcde"}})
    with pytest.raises(TooLarge) as raised:
        check_size(bundle, most_bytes=5 * 1024 * 1024, most_files=5)
    assert raised.value.message == (
        "The files are larger together than 5 MB. "
        "The largest are 'b' (1.3 MB), 'c' (1.3 MB), 'd' (1.3 MB)."
    )
    assert raised.value.hint == (
        "Leave out what the code does not need, or raise HAYSERVE_MAX_BUNDLE_MB."
    )


def test_a_bundle_of_too_many_files_is_refused() -> None:
    with pytest.raises(TooLarge, match=r"more than 1 files\. .* raise HAYSERVE_MAX_BUNDLE_FILES"):
        check_size(Bundle({"a": b"", "b": b""}), most_bytes=10, most_files=1)


def test_a_folder_is_read_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "logo.png").write_bytes(b"\x89PNG\r\n\xff")
    (tmp_path / "pipeline_wrapper.py").write_bytes(b"x = 1\r\n")
    assert dict(Bundle.of_folder(tmp_path).files) == {
        "pipeline_wrapper.py": b"x = 1\r\n",
        "tools/logo.png": b"\x89PNG\r\n\xff",
    }


def test_what_is_hidden_or_ignored_is_left_out(tmp_path: Path) -> None:
    for name in (
        ".env",
        ".git/config",
        "__pycache__/a.pyc",
        "b.pyc",
        "c.so",
        "data/big.bin",
        "a.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert list(Bundle.of_folder(tmp_path).files) == ["a.py", "data/big.bin"]
    assert list(Bundle.of_folder(tmp_path, ignore=["data/*", "b.*", "*.so", "_*"]).files) == [
        "a.py"
    ]


def test_links_are_followed_only_inside_the_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "in-not"
    (folder / "real").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (folder / "real" / "a.py").write_text("a")
    (folder / "alias").symlink_to("real")
    (folder / "b.py").symlink_to("real/a.py")
    (folder / "out.py").symlink_to(outside / "secret")
    (folder / "out").symlink_to(outside)
    (folder / "gone").symlink_to("nothing")
    (folder / "self").symlink_to("self")
    (folder / "real" / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert set(Bundle.of_folder(folder).files) == {"real/a.py", "alias/a.py", "b.py"}


def test_what_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="'nothing' is not a folder"):
        Bundle.of_folder(tmp_path / "nothing")


def test_a_bundle_with_a_wrapper_is_accepted() -> None:
    check_wrapper_is_in(Bundle({"pipeline_wrapper.py": b""}))


def test_a_bundle_without_a_wrapper_is_refused() -> None:
    with pytest.raises(DeployRefused, match=r"contain no 'pipeline_wrapper\.py'") as raised:
        check_wrapper_is_in(Bundle({"agent.py": b""}))
    assert raised.value.hint == (
        "Put the class 'PipelineWrapper' into a file named 'pipeline_wrapper.py'."
    )


def test_a_wrapper_one_folder_too_deep_is_pointed_out() -> None:
    with pytest.raises(DeployRefused) as raised:
        check_wrapper_is_in(Bundle({"weather/pipeline_wrapper.py": b""}))
    assert raised.value.hint == (
        "There is 'weather/pipeline_wrapper.py': deploy the folder that holds it."
    )


@pytest.mark.parametrize(
    "name", ["a", "weather-agent", "gpt-4o.1", "_x", "Überblick", "天気", "हिन्दी", "x" * 100, "-"]
)
def test_names_of_letters_digits_and_three_signs_are_allowed(name: str) -> None:
    check_name(name, reserved={"v1"})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "A deployment needs a name."),
        (".", "The name '.' begins with a dot."),
        ("..", "The name '..' begins with a dot."),
        (".git", "The name '.git' begins with a dot."),
        ("a/b", "The name 'a/b' contains '/'."),
        ("a\\b", "The name 'a\\\\b' contains '\\\\'."),
        ("{x}", "The name '{x}' contains '{'."),
        ("a b", "The name 'a b' contains ' '."),
        ("a\0", "The name 'a\\x00' contains '\\x00'."),
        ("a?", "The name 'a?' contains '?'."),
        ("C:", "The name 'C:' contains ':'."),
        ("\ud800", "The name '\\ud800' contains '\\ud800'."),
        ("v1", "The name 'v1' is used by the server itself."),
        ("x" * 101, "The name 'xxxxxxxxxxxxxxxxxxxx…' is too long."),
        ("天" * 67, "The name '天天天天天天天天天天天天天天天天天天天天…' is too long."),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_name(name, reserved={"v1"})
    assert raised.value.message == why
    assert raised.value.hint
    assert raised.value.param == "name"


@pytest.mark.parametrize("key", ["a.py", "a/b/c.py", ".env", "a b/ü.txt", "x" * 255, "...", "a..b"])
def test_relative_paths_are_allowed(key: str) -> None:
    check_file_key(key)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "The file '' has no name."),
        ("/etc/x", "The file '/etc/x' has an absolute path."),
        ("../x", "The file '../x' has a path with '..' in it."),
        ("a/../../x", "The file 'a/../../x' has a path with '..' in it."),
        ("a//b", "The file 'a//b' has a path with an empty part or '.' in it."),
        ("./a", "The file './a' has a path with an empty part or '.' in it."),
        ("a/", "The file 'a/' has a path with an empty part or '.' in it."),
        ("a\\b", "The file 'a\\\\b' has a backslash in its path."),
        ("c:x", "The file 'c:x' has a path with a drive."),
        ("a\0b", "The file 'a\\x00b' has a NUL character in its path."),
        ("\ud800", "The file '\\ud800' has a path that is not valid Unicode."),
        (
            "é" * 128,
            f"The file '{'é' * 100}…' has a path that is too long{LIMITS}",
        ),
        (
            "a/" * 600 + "a",
            f"The file '{'a/' * 50}…' has a path that is too long{LIMITS}",
        ),
    ],
)
def test_other_paths_are_refused_with_the_reason(key: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        Bundle({key: b""})
    assert raised.value.message == why
    assert raised.value.param == "files"


@pytest.mark.parametrize("alias", ["gpt-4o-mini", "openai/gpt-4o", "qwen3:8b", "a/b:c"])
def test_aliases_may_be_what_others_call_their_models(alias: str) -> None:
    check_alias(alias)


@pytest.mark.parametrize("alias", ["", "/x", "x/", "a//b", "../b", "v1/x", "a b", "a/" * 60 + "a"])
def test_other_aliases_are_refused(alias: str) -> None:
    with pytest.raises(InvalidRequest):
        check_alias(alias, reserved={"v1"})
