"""Notices follow what is committed: opened for the right receivers, and closed for all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.notices import NOON, change
from support.planning_world import request_of

from runner.lifecycle import Check
from runner.notifying.message import composed
from runner.notifying.notice import Notice, Stage, after_message
from runner.notifying.wording import MessageContext
from runner.planning.alerts.alert import Alert, AlertChange, Change
from runner.requests.model import ProcessRequest
from runner.requests.policies import Route
from runner.service.alerts.notices import Notices
from runner.store.rows import Batch

OPS, CHAT = Route(to="ops"), Route(to="chat", on=frozenset({Check.LATE}))
SETTING = MessageContext(host="erp-1", jobs="/jobs.d")


def opening(check: Check = Check.FAILURE, count: int = 1, request: str | None = "a") -> AlertChange:
    kind = Change.OPENED if count == 1 else Change.COUNTED
    return change(kind, request=request, check=check, count=count)


def committed(
    notices: Notices, *changes: AlertChange, request: ProcessRequest | None = None
) -> list[tuple[str, Stage]]:
    """Commit changes, and return what the receivers stand at."""
    batch = Batch()
    notices.add(changes, {"a": request or request_of(None, "a")}, batch)
    notices.accept(batch)
    return sorted((each.receiver, each.stage) for each in notices)


def test_an_alert_goes_to_the_receivers_that_want_it() -> None:
    assert committed(Notices([OPS, CHAT]), opening()) == [("ops", Stage.OPENING)]
    assert committed(Notices([OPS, CHAT]), opening(Check.LATE)) == [("chat", Stage.OPENING)]


def test_an_alert_about_the_runner_goes_to_all_receivers() -> None:
    found = committed(Notices([OPS, CHAT]), opening(Check.DISK, request=None))
    assert found == [("chat", Stage.OPENING), ("ops", Stage.OPENING)]


def test_a_request_has_its_own_receivers_or_none() -> None:
    own = request_of(None, "a", notify=(Route(to="pager"),))
    assert committed(Notices([OPS]), opening(), request=own) == [("pager", Stage.OPENING)]
    assert committed(Notices([OPS]), opening(), request=request_of(None, "a", notify=())) == []


def test_a_receiver_may_want_to_hear_only_of_several_failures() -> None:
    notices = Notices([OPS, Route(to="pager", after=3)])
    assert committed(notices, opening()) == [("ops", Stage.OPENING)]
    assert committed(notices, opening(count=2)) == [("ops", Stage.OPENING)]
    both = [("ops", Stage.OPENING), ("pager", Stage.OPENING)]
    assert committed(notices, opening(count=3)) == both
    assert {each.facts.count for each in notices} == {3}


def test_an_end_reaches_all_who_heard_of_the_alert_whatever_its_routes_are_now() -> None:
    notices = Notices([OPS])
    committed(notices, opening())
    silent = request_of(None, "a", notify=())
    end = change(Change.CLOSED, NOON + timedelta(hours=1), request="a")
    assert committed(notices, end, request=silent) == [("ops", Stage.BRIEF)]


def test_a_refused_commit_changes_nothing() -> None:
    notices = Notices([OPS])
    notices.add([opening()], {}, Batch())
    assert list(notices) == []
    assert committed(notices, change(Change.CLOSED, request="a")) == [], "it never opened"


def test_a_change_follows_another_one_of_the_same_batch() -> None:
    """A message is made of an opening, and in the same commit the alert ends."""
    notices, batch = Notices([OPS]), Batch()
    committed(notices, opening())
    (notice,) = notices
    notices.write(notice.id, after_message(notice, "m1", NOON), batch)
    notices.add([change(Change.CLOSED, request="a")], {}, batch)
    notices.accept(batch)
    (end,) = notices
    assert (end.stage, end.thread) == (Stage.CLOSING, "m1")


def test_a_restart_finds_everything() -> None:
    notices, batch = Notices([OPS]), Batch()
    notices.add([opening()], {}, batch)
    notices.accept(batch)
    message = composed("m1", list(notices), NOON, SETTING)
    batch.notifications["m1"] = message.stored()
    later = Notices([])
    later.load({name: text for name, text in batch.notifications.items() if text is not None})
    assert [*later] == [*notices]
    assert later.messages == {"ops": message}
    gone = Batch(notifications=dict.fromkeys(batch.notifications))
    later.accept(gone)
    assert ([*later], later.messages) == ([], {})


def test_after_a_step_of_the_clock_back_everything_is_due_soon() -> None:
    ahead = NOON + timedelta(days=4000)
    alert = Alert(
        request="a", check=Check.FAILURE, since=ahead, count=1, execution=None, message="x"
    )
    notices, batch = Notices([OPS]), Batch()
    notices.add([AlertChange(change=Change.OPENED, alert=alert, at=ahead)], {}, batch)
    batch.notifications["m1"] = composed("m1", _read(batch), ahead, SETTING).stored()
    notices.accept(batch)
    notices.bring_within_reach(NOON)
    (notice,) = notices
    assert notice.due <= NOON + timedelta(minutes=1)
    assert notices.messages["ops"].due <= NOON + timedelta(hours=1)


def _read(batch: Batch) -> list[Notice]:
    read = Notices([])
    read.load({name: text for name, text in batch.notifications.items() if text is not None})
    return [*read]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"notice": {}}', '{"message": {"id": 1}}'])
def test_a_row_that_no_runner_wrote_is_an_error_that_the_start_words(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Notices([]).load({"x": text})
