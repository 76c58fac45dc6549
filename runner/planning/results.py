"""The last result of each request, as its state remembers it for `ls`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runner.lifecycle import ExecutionStatus
from runner.planning.renaming import bearer
from runner.planning.state import RequestState

FAILURES = frozenset({ExecutionStatus.ERROR, ExecutionStatus.KILLED, ExecutionStatus.SYSTEM_RESTART})
"""What counts as a failure; a skipped or missed fire is neither a failure nor a success."""
_RESULTS = FAILURES | {ExecutionStatus.SUCCESS}


def with_result(states: Mapping[str, RequestState], fields: Mapping[str, Any]) -> tuple[str, RequestState] | None:
    """Return the name and the new state of the request whose result a finished record's fields are.

    None if they are none: of a member (its group has the result), of a fire that was skipped or missed, or of a
    request that no runner has registered.
    """
    name = bearer(fields["request"], states)
    state = states.get(name)
    if state is None or fields.get("group") is not None or fields["status"] not in _RESULTS:
        return None
    return name, replace(state, result=fields["status"], result_at=fields["ended"])
