"""The shipped schemas, read once each, and their acceptors. Reads package resources."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from runner.requests.schema.acceptance import Accepts, acceptor
from runner.resources import schema_text


def is_request(data: object) -> bool:
    """Report whether a document's data satisfies the schema of process requests."""
    return acceptor_of("process-request")(data)


def is_name(text: object) -> bool:
    """Report whether a text is a valid request name."""
    return _name_acceptor()(text)


@cache
def out_of_place_beside(key: str) -> frozenset[str]:
    """Return the keys that a process cannot have beside `key`."""
    beside = schema_of("process-request")["properties"]["process"]["dependencies"][key][
        "properties"
    ]
    return frozenset(other for other, demand in beside.items() if demand is False)


@cache
def schema_of(name: str) -> dict[str, Any]:
    """Return a shipped schema by its name."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


@cache
def acceptor_of(name: str) -> Accepts:
    """Return the acceptor of a shipped schema."""
    return acceptor(schema_of(name))


@cache
def _name_acceptor() -> Accepts:
    return acceptor(schema_of("process-request")["properties"]["name"])
