from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runner.lifecycle import Check, ExecutionStatus
from runner.planning.alerts.alert import Alert
from runner.planning.states.results import Result
from runner.web.pages.attention import attention, verdict

NOW = datetime(2026, 11, 30, 7, 42, tzinfo=UTC)
FAILED = Result(status=ExecutionStatus.ERROR, ended=NOW)


def alert(
    request: str | None, check: Check, *, hours: int = 1, acknowledged: bool = False
) -> Alert:
    return Alert(
        request=request,
        check=check,
        since=NOW - timedelta(hours=hours),
        count=1,
        execution=None,
        message="exit code 3",
        acknowledged_by="ana" if acknowledged else None,
        acknowledged_until=NOW + timedelta(hours=1) if acknowledged else None,
    )


def test_the_worst_and_newest_come_first_and_what_is_acknowledged_last() -> None:
    found = attention(
        [
            alert("a", Check.FAILURE, acknowledged=True),
            alert("b", Check.MISSED),
            alert("c", Check.FAILURE, hours=5),
            alert("d", Check.ABSENT, hours=2),
        ],
        {},
        {},
    )
    assert [each.request for each in found] == ["d", "c", "b", "a"]
    assert [each.tone for each in found] == ["bad", "bad", "warn", "idle"]


def test_a_failing_request_needs_a_person_even_without_an_alert_but_only_once() -> None:
    found = attention([alert("a", Check.FAILURE)], {"a": FAILED, "b": FAILED}, {})
    assert sorted((each.request, each.word) for each in found) == [
        ("a", "failure"),
        ("b", "failing"),
    ]


def test_a_success_needs_nobody() -> None:
    good = Result(status=ExecutionStatus.SUCCESS, ended=NOW)
    assert attention([], {"a": good}, {}) == []


def test_an_alert_is_acknowledged_by_its_name_in_commands() -> None:
    found = attention([alert("a", Check.LATE), alert(None, Check.DISK)], {}, {})
    assert {each.alert for each in found} == {"a/late", "disk"}


def test_the_verdict_names_the_worst_thing() -> None:
    acknowledged = alert("b", Check.LATE, acknowledged=True)
    needs = attention([alert("a", Check.FAILURE), acknowledged], {}, {})

    def words(
        *, is_calm: bool = True, trouble: str | None = None, requests: int = 5, paused: bool = False
    ) -> str:
        shown = attention([acknowledged], {}, {}) if is_calm else needs
        return verdict(shown, trouble=trouble, requests=requests, is_paused=paused).words

    assert words() == "All is well"
    assert words(is_calm=False) == "1 thing needs a person"
    assert words(paused=True) == "Paused"
    assert words(requests=0) == "No requests yet"
    assert words(is_calm=False, trouble="the disk is full") == "Nothing fires"
