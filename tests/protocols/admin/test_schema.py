"""What a deploy's body asks for; what it is answered is told in test_routes."""

import json

import pytest

from hayserve.deployments.order import Order
from hayserve.errors import InvalidInput, InvalidRequest
from hayserve.protocols.admin.schema import DeployFiles, DeployYaml, read


def test_an_order_of_files_has_what_was_sent() -> None:
    body = {
        "name": "a",
        "files": {"pipeline_wrapper.py": "é", "data.bin": {"base64": "/w=="}},
        "overwrite": True,
        "save_files": False,
        "aliases": ["b"],
        "description": "Says.",
        "unknown": 1,
    }
    order = read(json.dumps(body).encode(), DeployFiles).order()
    assert order.bundle is not None
    assert dict(order.bundle.files) == {"pipeline_wrapper.py": "é".encode(), "data.bin": b"\xff"}
    assert order == Order(
        "a",
        order.bundle,
        aliases=("b",),
        overwrite=True,
        keep=False,
        description="Says.",
    )
    assert order.names == ("a", "b")


def test_an_order_of_yaml_is_one_file() -> None:
    body = {"name": "a", "source_code": "x: é", "save_file": False, "skip_mcp": True}
    order = read(json.dumps(body).encode(), DeployYaml).order()
    assert order.bundle is not None
    assert dict(order.bundle.files) == {"pipeline.yml": "x: é".encode()}
    assert order == Order("a", order.bundle, kind="yaml", keep=False, skip_mcp=True)


def test_what_is_not_said_has_a_default() -> None:
    order = read(b'{"name": "a", "files": {}}', DeployFiles).order()
    assert order == Order("a", order.bundle)
    order = read(b'{"name": "a", "source_code": "", "skip_mcp": null}', DeployYaml).order()
    assert order == Order("a", order.bundle, kind="yaml")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.py": None}, "body.files.a.py: Value error, a file is its text"),
        ({"a.py": {"base64": "secret!"}}, "body.files.a.py: Value error, is not base64"),
        ({"a.py": {"base64": "c2VjcmV0", "more": 1}}, "body.files.a.py: Value error, a file is"),
        ("secret", "body.files: Input should be an object"),
    ],
)
def test_what_was_sent_is_not_repeated(files: object, said: str) -> None:
    body = json.dumps({"name": "a", "files": files}).encode()
    with pytest.raises(InvalidInput) as refused:
        read(body, DeployFiles)
    assert refused.value.message.startswith(said)
    assert "secret" not in str(refused.value.problems)


def test_a_path_out_of_the_folder_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"'\.\./a\.py' has a path with"):
        read(b'{"name": "a", "files": {"../a.py": ""}}', DeployFiles).order()
