"""The legal transitions between statuses: every pair of status and event."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import pytest

from runner.lifecycle import (
    Channel,
    ExecutionStatus,
    IllegalTransitionError,
    Misfire,
    Reason,
    RequestEvent,
    RequestStatus,
    after,
    check_end,
)

# One row per status, one column per event: the next status; "-" is an illegal transition.
TABLE = """
                schedule   unschedule   reschedule  exhaust   revive     cut_off         lose_timing
scheduled       scheduled  unscheduled  scheduled   complete  -          system_restart  definition
unscheduled     scheduled  unscheduled  scheduled   -         -          -               definition
complete        scheduled  unscheduled  scheduled   -         scheduled  system_restart  definition
system_restart  scheduled  unscheduled  scheduled   -         scheduled  -               definition
definition      scheduled  unscheduled  -           -         -          -               definition
"""


def rows() -> dict[tuple[str, str], str]:
    head, *lines = TABLE.strip("\n").splitlines()
    events = head.split()
    table = {}
    for line in lines:
        status, *cells = line.split()
        table.update({(status, event): cell for event, cell in zip(events, cells, strict=True)})
    return table


@pytest.mark.parametrize(("status", "event"), list(product(RequestStatus, RequestEvent)))
def test_a_request_makes_legal_transitions_only(status: RequestStatus, event: RequestEvent) -> None:
    expected = rows()[status, event]
    if expected != "-":
        assert after(status, event) is RequestStatus(expected)
        return
    with pytest.raises(
        IllegalTransitionError, match=f"{event} is not possible for a request that is {status}"
    ):
        after(status, event)


def test_an_illegal_transition_is_a_bug_and_not_a_users_error() -> None:
    assert issubclass(IllegalTransitionError, AssertionError)


# One or more rows per status: the reasons with which an execution may end in it; "-" is no reason.
ENDS = """
processing
success -
error exit_code signal timeout output_limit memory_limit stderr output condition spawn_failed
error member_failed
killed killed_by_user replaced runner_stopped
misfired missed
system_restart runner_lost
skipped concurrent condition unscheduled paused killed_by_user
"""


@pytest.mark.parametrize(("status", "reason"), list(product(ExecutionStatus, [None, *Reason])))
def test_an_execution_ends_with_a_reason_of_its_status_and_no_other(
    status: ExecutionStatus, reason: Reason | None
) -> None:
    table: defaultdict[str, list[str]] = defaultdict(list)
    for name, *reasons in map(str.split, ENDS.strip().splitlines()):
        table[name] += reasons
    assert table.keys() == set(ExecutionStatus)
    if (reason or "-") in table[status]:
        check_end(status, reason)
        return
    with pytest.raises(
        IllegalTransitionError, match=f"cannot end as {status} with reason {reason}"
    ):
        check_end(status, reason)


def test_the_values_are_those_of_the_design() -> None:
    assert set(RequestStatus) == {
        "scheduled",
        "unscheduled",
        "complete",
        "system_restart",
        "definition",
    }
    assert set(ExecutionStatus) == {
        "processing",
        "success",
        "error",
        "killed",
        "misfired",
        "system_restart",
        "skipped",
    }
    assert set(Channel) == {"process_scheduler", "direct", "group", "retry", "backfill"}
    assert set(Misfire) == {"skip", "fire_once", "fire_all"}
    assert " ".join(Reason) == (
        "exit_code signal timeout output_limit memory_limit stderr output spawn_failed "
        "concurrent condition unscheduled replaced "
        "killed_by_user runner_stopped runner_lost missed member_failed paused"
    )
