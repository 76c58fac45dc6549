"""The shipped schemas, read once each, and what they accept."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from runner.requests.schema.acceptance import Accepts, acceptor
from runner.resources import schema_text


def is_request(data: object) -> bool:
    """Tell whether a document's data keeps the schema of process requests."""
    return acceptor_of("process-request")(data)


def is_name(text: object) -> bool:
    """Tell whether a request may be called so."""
    return _name_acceptor()(text)


@cache
def out_of_place_beside(key: str) -> frozenset[str]:
    """Return the keys that a process may not have beside one of its keys."""
    beside = schema_of("process-request")["properties"]["process"]["dependencies"][key][
        "properties"
    ]
    return frozenset(other for other, demand in beside.items() if demand is False)


@cache
def schema_of(name: str) -> dict[str, Any]:
    """Return a shipped schema."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


@cache
def acceptor_of(name: str) -> Accepts:
    """Return the quick verdict of a shipped schema."""
    return acceptor(schema_of(name))


@cache
def _name_acceptor() -> Accepts:
    return acceptor(schema_of("process-request")["properties"]["name"])
