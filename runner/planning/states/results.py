"""The last result of a request, and which finished records are results. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner.lifecycle import ExecutionStatus

FAILURES = frozenset(
    {ExecutionStatus.ERROR, ExecutionStatus.KILLED, ExecutionStatus.SYSTEM_RESTART}
)
"""The failures. A skipped or missed fire is neither a failure nor a success."""
_RESULTS = FAILURES | {ExecutionStatus.SUCCESS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How the last execution of a request ended, and when."""

    status: ExecutionStatus
    ended: datetime


def is_result(fields: Mapping[str, Any]) -> bool:
    """Return whether a finished record is a result of its request.

    A group's record is one, those of its members are not. Skipped and missed fires have none.
    """
    return fields.get("group") is None and fields["status"] in _RESULTS
