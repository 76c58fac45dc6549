"""Alerts reach people: what opens, what is repeated, what is over, over restarts and outages."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from queue import Empty

import pytest
from support.place import SECONDLY, Place, Record, check_log, leaves_executions, wait_until
from support.receiver_world import (
    MailServer,
    WebServer,
    hurry,
    mail_server,
    mailbox,
    settings,
    web_server,
)

HOOK = {"webhook": {"url_variable": "HOOK"}}
FAILS_UNTIL_REPAIRED = "echo the disk is full; test -e ../repaired"


@pytest.fixture
def post_office() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def web(place: Place) -> Iterator[WebServer]:
    with web_server() as server:
        place.environment["HOOK"] = f"{server.url}/SECRET-KEY"
        yield server


def sent(place: Place, count: int) -> list[Record]:
    """Return the records of messages that arrived, once there are `count`."""
    wait_until(
        lambda: len(place.events("notification.sent")) >= count, within_s=60, what="messages"
    )
    return place.events("notification.sent")


def test_with_one_receiver_a_failure_and_its_recovery_reach_it_in_one_thread(
    place: Place, post_office: MailServer
) -> None:
    hurry(place)
    settings(place, {"ops": mailbox(post_office)})
    place.declare("backup", FAILS_UNTIL_REPAIRED, SECONDLY)
    runner = place.start()
    mail = post_office.next()
    assert mail["Subject"] == "backup fails: exit code 1"
    text = mail.get_content()  # type: ignore[attr-defined]
    assert "    the disk is full" in text
    assert "runner log " in text
    wait_until(lambda: len(place.finished("backup")) >= 4, what="more failures")
    assert post_office.drained() == [], "an open alert is not repeated at each failure"
    (place.folder / "repaired").touch()
    recovery = post_office.next()
    assert recovery["Subject"] == "backup has recovered: ended with status success"
    assert recovery["In-Reply-To"] == mail["Message-ID"]
    first, second = sent(place, 2)
    assert (first["receiver"], first["alerts"], first["attempt"]) == ("ops", ["backup/failure"], 1)
    assert f"<{first['notification']}@{first['host']}>" == mail["Message-ID"]
    assert "· notified ops: backup/failure" in place.console()
    assert second["notification"] != first["notification"]
    assert place.stop(runner) == 0


def test_what_opens_together_is_one_message(place: Place, web: WebServer) -> None:
    hurry(place)
    settings(place, {"chat": HOOK}, web={"url": "https://runner.example"})
    for number in range(20):
        place.declare(f"r{number:02}", "exit 3", "run_immediately")
    runner = place.start()
    seen: set[str] = set()
    messages = []
    while len(seen) < 20:
        messages.append(web.next().data)
        seen |= {each["request"] for each in messages[-1]["alerts"]}
    assert messages[0]["alerts_count"] > 1
    first = place.finished("r00")[0]["execution"]
    assert f"https://runner.example/executions/{first}\n" in messages[0]["text"]
    assert messages[0]["subject"].endswith("requests fail, first: r00 fails: exit code 3")
    assert sum(each["alerts_count"] for each in messages) == 20, "no alert is in two messages"
    assert place.stop(runner) == 0


def test_an_open_alert_is_repeated(place: Place, web: WebServer) -> None:
    hurry(place)
    settings(place, {"chat": HOOK}, notify=[{"to": "chat", "repeat": "2s"}])
    place.declare("once", "exit 3", "run_immediately")
    runner = place.start()
    first, second = web.next().data, web.next().data
    assert second["subject"] == "once still fails: exit code 3"
    assert second["threads"] == [first["id"]]
    assert second["alerts"][0]["event"] == "repeated"
    assert place.stop(runner) == 0


@pytest.mark.parametrize("behaviour", [500, "down"])
def test_a_message_is_sent_again_until_it_arrives_over_restarts(
    place: Place, web: WebServer, behaviour: int | str
) -> None:
    hurry(place)
    if behaviour == "down":
        place.environment["HOOK"] = "http://127.0.0.1:9/SECRET-KEY"
    else:
        web.behaviour = behaviour
    settings(place, {"chat": HOOK})
    place.declare("once", "exit 3", "run_immediately")
    runner = place.start()
    wait_until(lambda: len(place.events("notification.failed")) >= 2, what="two attempts")
    assert place.stop(runner) == 0
    failed = place.events("notification.failed")
    assert {record["notification"] for record in failed} == {failed[0]["notification"]}
    assert [record["attempt"] for record in failed] == list(range(1, len(failed) + 1))
    assert all(record["retry_at"] for record in failed)
    web.drained()
    web.behaviour = 200
    place.environment["HOOK"] = f"{web.url}/SECRET-KEY"
    runner = place.start()
    (arrived,) = sent(place, 1)
    assert arrived["notification"] == failed[0]["notification"]
    assert arrived["attempt"] == len(failed) + 1
    assert web.next().headers["Idempotency-Key"] == arrived["notification"]
    assert place.stop(runner) == 0
    for secret in (place.log.read_text(), place.console()):
        assert "SECRET" not in secret


def test_a_receiver_that_hangs_holds_up_no_fire(place: Place, web: WebServer) -> None:
    hurry(place)
    web.behaviour = "hangs"
    settings(place, {"chat": HOOK})
    place.declare("once", "exit 3", "run_immediately")
    place.declare("other", "true", SECONDLY)
    runner = place.start()
    web.next()
    count = len(place.finished("other"))
    place.await_finished("other", count=count + 3)
    assert {record["status"] for record in place.finished("other")} == {"success"}
    assert place.stop(runner) == 0


def test_a_receiver_that_left_the_settings_holds_up_no_other(place: Place, web: WebServer) -> None:
    hurry(place)
    settings(place, {"chat": HOOK}, notify=[{"to": "chat"}])
    place.declare("once", "exit 3", "run_immediately")
    runner = place.start()
    web.next()
    sent(place, 1)
    assert place.stop(runner) == 0
    settings(place, {"cat": HOOK}, notify=[{"to": "cat"}])
    place.declare("twice", "exit 3", "run_immediately")
    runner = place.start()
    assert web.next().data["alerts"][0]["request"] == "twice"
    assert place.stop(runner) == 0


def test_a_quiet_window_delays_messages(place: Place, web: WebServer) -> None:
    hurry(place)
    quiet = [{"from": "00:00", "to": "00:00"}]
    settings(place, {"chat": HOOK, "pager": HOOK}, quiet=[{**quiet[0], "receivers": ["chat"]}],
             notify=[{"to": "chat"}, {"to": "pager"}])  # fmt: skip
    place.declare("once", "exit 3", "run_immediately")
    runner = place.start()
    assert web.next().data["receiver"] == "pager"
    sent(place, 1)
    assert place.stop(runner) == 0
    assert web.drained() == []
    settings(place, {"chat": HOOK, "pager": HOOK}, notify=[{"to": "chat"}, {"to": "pager"}])
    runner = place.start()
    assert web.next().data["receiver"] == "chat"
    assert place.stop(runner) == 0


def test_a_request_pings_its_start_and_its_end(place: Place, web: WebServer) -> None:
    place.environment["HC"] = f"{web.url}/key"
    for name, line in (("good", "true"), ("bad", "exit 7")):
        process = {"shell": line}
        text = {"process": process, "timing": "run_immediately", "ping": {"url_variable": "HC"}}
        place.write(f"{name}.yaml", json.dumps(text))
    runner = place.start()
    (good,), (bad,) = place.await_finished("good"), place.await_finished("bad")
    expected = {
        f"/key/start?rid={good['execution']}",
        f"/key/0?rid={good['execution']}",
        f"/key/start?rid={bad['execution']}",
        f"/key/7?rid={bad['execution']}",
    }
    got: list[str] = []
    while len(got) < 2 or not {path for path in expected if "start" not in path} <= set(got):
        got.append(web.next().path)
    assert set(got) <= expected
    assert place.stop(runner) == 0


def test_a_start_that_a_condition_may_refuse_is_not_pinged(place: Place, web: WebServer) -> None:
    place.environment["HC"] = f"{web.url}/key"
    runner = place.start()
    for name, condition in (("refused", "exit 1"), ("asked", "true")):
        process = {"shell": "true", "if": {"shell": condition}}
        text = {"process": process, "timing": "run_immediately", "ping": {"url_variable": "HC"}}
        place.write(f"{name}.yaml", json.dumps(text))
        (finished,) = place.await_finished(name)
    assert web.next().path == f"/key/0?rid={finished['execution']}"
    assert place.stop(runner) == 0


def test_the_runner_pings_until_it_is_killed(place: Place, web: WebServer) -> None:
    settings(place, {}, ping={"url_variable": "HOOK", "every": "1s"})
    place.declare("other", "true")
    runner = place.start()
    assert [web.next().path for _ in range(3)] == ["/SECRET-KEY"] * 3
    place.stop(runner, by=signal.SIGKILL)
    web.drained()
    # A ping that was on its way may still arrive; within `every` there is silence.
    time.sleep(1.0)  # `every` itself: the only thing to wait for is that nothing comes
    web.drained()
    with pytest.raises(Empty):
        web.posts.get(timeout=3.0)


def test_pings_that_cannot_be_sent_are_reported_once(place: Place) -> None:
    place.environment["HOOK"] = "http://127.0.0.1:9/SECRET-KEY"
    settings(place, {}, ping={"url_variable": "HOOK", "every": "1s"})
    place.declare("other", "true")
    runner = place.start()
    said = "the runner's ping was not sent: Connection refused"
    wait_until(lambda: said in place.console(), within_s=60, what="the report")
    assert "SECRET" not in place.console()
    assert place.stop(runner) == 0


def test_pinging_that_works_again_is_reported(place: Place, web: WebServer) -> None:
    web.behaviour = 503
    settings(place, {}, ping={"url_variable": "HOOK", "every": "1s"})
    place.declare("other", "true")
    runner = place.start()
    wait_until(lambda: "the runner's ping was not sent" in place.console(), within_s=60)
    web.behaviour = 200
    wait_until(lambda: "pinging works again" in place.console(), within_s=60)
    assert place.stop(runner) == 0


def test_an_alert_for_a_receiver_that_does_not_exist_is_recorded_as_failed(
    place: Place, web: WebServer
) -> None:
    hurry(place)
    settings(place, {"chat": HOOK})
    text = {"process": {"shell": "exit 3"}, "timing": "run_immediately"}
    place.write("lost.yaml", json.dumps({**text, "notify": [{"to": "chatt"}]}))
    place.write("found.yaml", json.dumps(text))
    runner = place.start()
    assert [each["request"] for each in web.next().data["alerts"]] == ["found"]
    (failed,) = wait_until(lambda: place.events("notification.failed"), what="the failure")
    assert (failed["receiver"], failed["alerts"]) == ("chatt", ["lost/failure"])
    assert failed["message"] == "there is no receiver `chatt` (did you mean `chat`?)"
    assert failed["retry_at"] is None
    assert place.stop(runner) == 0


def test_a_receiver_is_added_and_refused_while_the_runner_runs(
    place: Place, web: WebServer
) -> None:
    hurry(place)
    file = place.jobs.parent / "runner.yaml"
    settings(place, {"chat": {"webhook": {"url_variable": "NOT_SET"}}})
    runner = place.start()

    def told(*words: str) -> list[str]:
        messages = [str(each["message"]) for each in place.events("runner.reloaded")]
        return [each for each in messages if all(word in each for word in words)]

    file.write_text("receivers:\n  chat: {webhook: {url: x}}\n")
    wait_until(lambda: told("runner.yaml is refused", "runner.yaml:2:"), what="the refusal")
    assert place.run("validate").returncode == 2, "every command refuses it in the same place"
    settings(place, {"chat": {"webhook": {"url_variable": "HOOK"}}}, max_running=7)
    wait_until(
        lambda: told("receivers and alerts are in force", "`runner restart`"), what="the change"
    )
    place.declare("fails", "false", "run_immediately")
    assert [each["request"] for each in web.next().data["alerts"]] == ["fails"]
    file.unlink()
    wait_until(lambda: len(told("receivers and alerts are in force")) == 2, what="the removal")
    place.declare("fails-too", "false", "run_immediately")
    place.await_finished("fails-too")
    assert place.stop(runner) == 0
    assert not [each for each in web.drained() if "fails-too" in str(each.data)]
    check_log(place.log)


def test_a_silenced_alert_is_not_repeated_and_its_end_is_heard(
    place: Place, web: WebServer
) -> None:
    hurry(place)
    settings(place, {"chat": HOOK}, notify=[{"to": "chat", "repeat": "1s"}])
    place.declare("a", FAILS_UNTIL_REPAIRED, SECONDLY)
    runner = place.start()
    web.next()
    assert place.run("alerts", "--ack", "a", "--until", "1h").returncode == 0
    sent(place, len(place.events("notification.sent")))
    web.drained()
    count = len(place.finished("a"))
    place.await_finished("a", count=count + 4)  # in which it would be repeated
    assert web.drained() == []
    (place.folder / "repaired").touch()
    assert web.next().data["alerts"][0]["event"] == "closed"
    assert place.stop(runner) == 0


def test_a_receiver_that_a_request_names_no_longer_gets_no_repetition(
    place: Place, web: WebServer
) -> None:
    hurry(place)
    settings(place, {"chat": HOOK})
    route = {"to": "chat", "repeat": "1s"}
    place.declare("a", "false", SECONDLY, top={"notify": [route]})
    runner = place.start()
    while web.next().data["alerts"][0]["event"] != "repeated":
        pass
    place.declare("a", "false", SECONDLY, top={"notify": []})
    wait_until(lambda: place.events("runner.reloaded"), what="the reload")
    web.drained()
    place.await_finished("a", count=len(place.finished("a")) + 6)
    assert len(web.drained()) <= 1, "only a message that was on its way"
    assert place.stop(runner) == 0


def test_a_renamed_request_is_heard_of_under_its_new_name(place: Place, web: WebServer) -> None:
    hurry(place)
    settings(place, {"chat": HOOK}, notify=[{"to": "chat", "repeat": "2s"}])
    place.declare("old", FAILS_UNTIL_REPAIRED, SECONDLY)
    runner = place.start()
    assert web.next().data["alerts"][0]["request"] == "old"
    text = (place.jobs / "old.yaml").read_text()
    place.write("new.yaml", json.dumps({**json.loads(text), "formerly": "old"}))
    (place.jobs / "old.yaml").unlink()
    heard = {"old"}
    while "new" not in heard:
        heard = {each["request"] for each in web.next().data["alerts"]}
    (place.folder / "repaired").touch()
    closed: set[str] = set()
    while "new" not in closed:
        posts = web.next().data["alerts"]
        closed |= {each["request"] for each in posts if each["event"] == "closed"}
    assert place.stop(runner) == 0


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_thousand_failures_of_one_second_are_one_message_and_hold_up_no_fire(
    place: Place, web: WebServer
) -> None:
    """At the real pace: the message waits 30 s for others."""
    settings(place, {"chat": HOOK})
    start = datetime.now(UTC) + timedelta(seconds=60)
    later = {"run_later": {"start": f"{start:%Y-%m-%d %H:%M:%S}", "timezone": "UTC"}}
    for number in range(1000):
        place.declare(f"r{number:04}", "exit 3", later)
    place.declare("tick", "true", SECONDLY)
    runner = place.start()
    message = web.posts.get(timeout=600).data
    assert message["alerts_count"] == 1000
    assert message["subject"] == "1000 requests fail, first: r0000 fails: exit code 3"
    assert place.stop(runner) == 0
    ticks = place.finished("tick")
    assert {record["status"] for record in ticks} == {"success"}
    fires = {record["scheduled_for"] for record in ticks}
    assert len(fires) == len(ticks) >= 60


@leaves_executions
def test_an_execution_that_a_stop_ends_is_still_pinged(place: Place, web: WebServer) -> None:
    place.environment["HC"] = f"{web.url}/key"
    text = {"process": {"shell": "sleep 300"}, "timing": "run_immediately"}
    place.write("long.yaml", json.dumps({**text, "ping": {"url_variable": "HC"}}))
    runner = place.start("--drain", "0s")
    assert web.next().path.startswith("/key/start?rid=")
    assert place.stop(runner) == 0
    assert web.next().path.startswith("/key/fail?rid=")
