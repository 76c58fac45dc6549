from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runner.web.pages.contents.requests import STATES, Wanted, is_wanted

AT = datetime(2026, 11, 30, tzinfo=UTC)


def item(**changes: object) -> dict[str, Any]:
    return {
        "request": "nightly-posting",
        "request_file": "finance/posting.yaml",
        "timing": "daily at 02:00",
        "owner": "finance",
        "labels": {"team": "finance"},
        "status": "scheduled",
        "sync": "in sync",
        "pause": None,
        "alerts": [],
        "last_status": "success",
        **changes,
    }


@pytest.mark.parametrize(
    ("wanted", "is_shown"),
    [
        (Wanted(), True),
        (Wanted(q="NIGHT post"), True),
        (Wanted(q="finance/"), True),
        (Wanted(q="night backup"), False),
        (Wanted(label="team=finance"), True),
        (Wanted(label="team=hr"), False),
        (Wanted(owner="hr"), False),
        (Wanted(state="nonsense"), True),
    ],
)
def test_every_condition_of_the_address_must_hold(wanted: Wanted, is_shown: bool) -> None:
    assert is_wanted(item(), wanted, set()) is is_shown


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        ("failing", {"last_status": "error"}),
        ("failing", {"alerts": [{"check": "late"}]}),
        ("running", {"request": "runs"}),
        ("unscheduled", {"status": "unscheduled"}),
        ("paused", {"pause": {"paused": None}}),
        ("out_of_sync", {"sync": "drifted"}),
        ("invalid", {"status": "invalid"}),
        ("definition", {"status": "definition"}),
    ],
)
def test_a_state_selects_its_requests_and_no_others(state: str, changes: dict[str, object]) -> None:
    wanted = Wanted(state=state)
    assert state in STATES
    assert is_wanted(item(**changes), wanted, {"runs"})
    assert not is_wanted(item(), wanted, {"runs"})


def test_the_address_holds_what_differs_from_the_default_and_a_new_sort_begins_anew() -> None:
    wanted = Wanted(q="a b", state="failing", page=3)
    assert wanted.url(page=4) == "/requests?q=a+b&state=failing&page=4"
    assert wanted.url(sort="next") == "/requests?q=a+b&state=failing&sort=next"
    assert Wanted().url() == "/requests"
