"""What a JSON schema says about a document. Reads the shipped schemas once.

A schema is the one source of what is allowed. A document that keeps it is known at once
(`acceptance`); for one that does not, the library's keywords say what is wrong, and
only then is the library loaded.
"""

from __future__ import annotations

from runner.requests.findings import Finding
from runner.requests.schema.shipped import acceptor_of, schema_of


def findings_in(data: object, schema: str = "process-request") -> tuple[Finding, ...]:
    """Return what a schema has against a document's data, at most `MOST_FINDINGS`."""
    if acceptor_of(schema)(data):
        return ()
    from runner.requests.schema.violations import violations_in

    return violations_in(data, schema_of(schema))
