"""What paths on the command line name."""

from pathlib import Path

import pytest

from hayserve.deployments.target import Target, on_terms, targets_at, targets_in
from hayserve.deployments.terms import NO_TERMS, Terms
from hayserve.errors import Misconfigured
from hayserve.wrappers.run_limits import RunLimits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("b/pipeline_wrapper.py", "a/pipeline_wrapper.py", ".git/pipeline_wrapper.py"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text("")
    (tmp_path / "notes").mkdir()
    for name in ("z.yml", "y.yaml", ".hidden.yml", "agents.py", "README.md"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder.yml").mkdir()
    return tmp_path


def test_a_wrappers_folder_is_one_target(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert targets_at(str(folder / "a")) == [Target("a", "folder", folder / "a")]
    monkeypatch.chdir(folder / "b")
    assert targets_at(".") == [Target("b", "folder", Path())]


def test_the_file_of_a_wrapper_stands_for_its_folder(folder: Path) -> None:
    assert targets_at(str(folder / "a" / "pipeline_wrapper.py")) == targets_at(str(folder / "a"))


def test_a_folder_of_deployments_is_all_of_them_yaml_first(folder: Path) -> None:
    assert targets_in(folder, origin="pipelines dir") == [
        Target("y", "yaml", folder / "y.yaml", origin="pipelines dir"),
        Target("z", "yaml", folder / "z.yml", origin="pipelines dir"),
        Target("a", "folder", folder / "a", origin="pipelines dir"),
        Target("b", "folder", folder / "b", origin="pipelines dir"),
    ]
    assert len(targets_at(str(folder))) == 4


def test_a_yaml_file_is_named_by_its_stem(folder: Path) -> None:
    assert targets_at(str(folder / "z.yml")) == [Target("z", "yaml", folder / "z.yml")]


def test_an_object_in_a_file_has_its_own_name_and_a_wrapper_its_files(folder: Path) -> None:
    file = folder / "agents.py"
    assert targets_at(f"{file}:agent") == [Target("agent", "object", file, attribute="agent")]
    assert targets_at(str(file)) == [Target("agents", "object", file, attribute="PipelineWrapper")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "There is nothing at"),
        ("nowhere.py:agent", "There is no file"),
        ("README.md", "holds nothing that can be served"),
        ("notes", "holds nothing that can be served"),
    ],
)
def test_what_cannot_be_served_is_refused_with_what_can(folder: Path, path: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as refused:
        targets_at(str(folder / path))
    assert "A path is a folder with a `pipeline_wrapper.py`" in refused.value.hint


def test_one_target_can_be_given_names(folder: Path) -> None:
    only = targets_at(str(folder / "a"))
    assert on_terms(only, NO_TERMS) == only
    [renamed] = on_terms(only, Terms(name="x", aliases=("y",)))
    assert (renamed.name, renamed.aliases) == ("x", ("y",))
    [limited] = on_terms(only, Terms(limits=RunLimits(max_runs=4)))
    assert (limited.name, limited.limits) == ("a", RunLimits(max_runs=4))


def test_several_targets_keep_their_names(folder: Path) -> None:
    with pytest.raises(Misconfigured, match="4 are named here"):
        on_terms(targets_at(str(folder)), Terms(name="x"))
