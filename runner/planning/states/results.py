"""Remember the last result of each request in its state, for `ls`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runner.lifecycle import ExecutionStatus
from runner.planning.states.renaming import current_name
from runner.planning.states.state import RequestState
from runner.values import instant_text, parse_instant

FAILURES = frozenset(
    {ExecutionStatus.ERROR, ExecutionStatus.KILLED, ExecutionStatus.SYSTEM_RESTART}
)
"""The failures. A skipped or missed fire is neither a failure nor a success."""
_RESULTS = FAILURES | {ExecutionStatus.SUCCESS}
_PREFIX = "result of "


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How the last execution of a request ended, and when."""

    status: ExecutionStatus
    ended: datetime


def with_result(
    states: Mapping[str, RequestState], fields: Mapping[str, Any]
) -> tuple[str, RequestState] | None:
    """Return the name and the new state of the request that a finished record belongs to.

    Returns None if the record is no result: a member's (its group has the result), a
    skipped or missed fire, or a request that no runner has registered.
    """
    name = current_name(fields["request"], states)
    if name not in states or not _is_result(fields):
        return None
    return name, replace(states[name], result=fields["status"], result_at=fields["ended"])


def unregistered_result(
    states: Mapping[str, RequestState], fields: Mapping[str, Any]
) -> dict[str, str]:
    """Return the entry of the store's `meta` for the result of an unregistered request.

    `exec` can run a request that no runner has registered.
    """
    if fields["request"] in states or not _is_result(fields):
        return {}
    return {f"{_PREFIX}{fields['request']}": f"{fields['status']} {instant_text(fields['ended'])}"}


def last_result(name: str, state: RequestState | None, meta: Mapping[str, str]) -> Result | None:
    """Return the last result of a request from its state, or else from the store's `meta`."""
    if state is not None and state.result is not None and state.result_at is not None:
        return Result(status=state.result, ended=state.result_at)
    status, _, ended = meta.get(f"{_PREFIX}{name}", "").partition(" ")
    return Result(status=ExecutionStatus(status), ended=parse_instant(ended)) if ended else None


def _is_result(fields: Mapping[str, Any]) -> bool:
    return fields.get("group") is None and fields["status"] in _RESULTS
