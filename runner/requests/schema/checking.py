"""Checks a document against a JSON schema. Reads the shipped schemas once.

The schema alone defines what is allowed. A valid document is accepted at once
(`acceptance`). Only for an invalid one is the library loaded, and its keywords report
what is wrong.
"""

from __future__ import annotations

from runner.requests.findings import Finding
from runner.requests.schema.shipped import acceptor_of, schema_of


def findings_in(data: object, schema: str = "process-request") -> tuple[Finding, ...]:
    """Return the violations of a schema in a document's data, at most `MOST_FINDINGS`."""
    if acceptor_of(schema)(data):
        return ()
    from runner.requests.schema.violations import violations_in

    return violations_in(data, schema_of(schema))
