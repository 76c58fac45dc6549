"""What the JSON schema says about a document. Reads the shipped schema once.

The schema is the one source of what is allowed. A document that keeps it is known at once (`acceptance`); for one that
does not, the library's keywords say what is wrong, and only then is the library loaded.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from runner.requests.acceptance import Accepts, acceptor
from runner.requests.findings import Finding
from runner.resources import schema_text


def findings_in(data: object) -> tuple[Finding, ...]:
    """Return what the schema has against a document's data, at most `MOST_FINDINGS`."""
    if _acceptor()(data):
        return ()
    from runner.requests.violations import violations_in

    return violations_in(data, _schema())


def is_name(text: object) -> bool:
    """Tell whether a request may be called so."""
    return _name_acceptor()(text)


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(schema_text("process-request"))
    return schema


@cache
def _acceptor() -> Accepts:
    return acceptor(_schema())


@cache
def _name_acceptor() -> Accepts:
    return acceptor(_schema()["properties"]["name"])
