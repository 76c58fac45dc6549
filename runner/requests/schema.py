"""What a JSON schema says about a document. Reads the shipped schemas once.

A schema is the one source of what is allowed. A document that keeps it is known at once (`acceptance`); for one that
does not, the library's keywords say what is wrong, and only then is the library loaded.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from runner.requests.acceptance import Accepts, acceptor
from runner.requests.findings import Finding
from runner.resources import schema_text


def findings_in(data: object, schema: str = "process-request") -> tuple[Finding, ...]:
    """Return what a schema has against a document's data, at most `MOST_FINDINGS`."""
    if _acceptor(schema)(data):
        return ()
    from runner.requests.violations import violations_in

    return violations_in(data, schema_of(schema))


def is_request(data: object) -> bool:
    """Tell whether a document's data keeps the schema of process requests."""
    return _acceptor("process-request")(data)


def is_name(text: object) -> bool:
    """Tell whether a request may be called so."""
    return _name_acceptor()(text)


@cache
def out_of_place_beside(key: str) -> frozenset[str]:
    """Return the keys that a process may not have beside one of its keys."""
    beside = schema_of("process-request")["properties"]["process"]["dependencies"][key]["properties"]
    return frozenset(other for other, demand in beside.items() if demand is False)


@cache
def schema_of(name: str) -> dict[str, Any]:
    """Return a shipped schema."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


@cache
def _acceptor(name: str) -> Accepts:
    return acceptor(schema_of(name))


@cache
def _name_acceptor() -> Accepts:
    return acceptor(schema_of("process-request")["properties"]["name"])
