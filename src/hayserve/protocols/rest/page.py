"""Shows a description to people: a page that loads nothing."""

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:.75rem;overflow:auto}h2{font-size:1.05rem;margin-top:2rem}"
)

# Nothing is loaded, nothing is run, and no other page can have this one in a frame.
# Source: https://www.w3.org/TR/CSP3/
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
    "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_of(described: Mapping[str, Any], *, root_path: str) -> str:
    """The page.

    Args:
        described: An OpenAPI document.
        root_path: What comes before all paths.
    """
    schemas = described["components"]["schemas"]
    sections = [
        f"<h2><code>{verb.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])}</p>{_body(operation, schemas, url=root_path + path)}"
        for path, operations in described["paths"].items()
        for verb, operation in operations.items()
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>hayserve</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>hayserve {escape(described['info']['version'])}</h1>"
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
        f"{''.join(sections)}</html>"
    )


def _body(operation: Mapping[str, Any], schemas: Mapping[str, Any], *, url: str) -> str:
    if "requestBody" not in operation:
        return ""
    [(content_type, content)] = operation["requestBody"]["content"].items()
    if "schema" not in content:
        return f"<p>{escape(content_type)} to {escape(url)}</p>"
    schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    shown = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f"<p>{escape(content_type)} to {escape(url)}</p><pre>{shown}</pre>"
