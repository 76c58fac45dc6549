"""Checks a document against a shipped JSON schema.

The library `jsonschema` alone decides what is allowed. Its errors are then worded for
users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.requests.findings import MOST_FINDINGS, Finding
from runner.requests.schema.shipped import schema_of, validator_of
from runner.requests.schema.violations import violations_in

if TYPE_CHECKING:
    from runner.requests.findings import DataPath


def findings_in(data: object, schema: str = "process-request") -> tuple[Finding, ...]:
    """Return the violations of a schema in a document's data, at most `MOST_FINDINGS`."""
    violations = violations_in(data, validator_of(schema))
    if not violations:
        return ()
    # Imported late: a valid document never needs it.
    from runner.requests.schema.wording import finding_for

    found: dict[tuple[DataPath, str], Finding] = {}
    for violation in violations[:MOST_FINDINGS]:
        finding = finding_for(violation, schema_of(schema), data)
        # The same message for several keys of a mapping is one finding; for several
        # entries of a list it is several.
        is_entry = bool(finding.path) and isinstance(finding.path[-1], int)
        found.setdefault(
            (finding.path if is_entry else finding.path[:-1], finding.message), finding
        )
    return tuple(found.values())
