"""`backfill`: which fires run again, in which order, and that a crash repeats or loses none."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from support.place import GATE, Place, acts_alone, check_log, wait_until

EACH_SECOND = {"schedule": {"frequency": "secondly"}}
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}
BROKEN = 'echo "$RUNNER_SCHEDULED_FOR $RUNNER_CHANNEL"; test -e ../repaired'


def failed(place: Place) -> list[str]:
    return sorted(str(each["scheduled_for"]) for each in place.finished("tick", status="error"))


def backfilled(place: Place, **fields: object) -> list[str]:
    """Return the fires of a backfill that ended, in the order of their records."""
    records = place.finished("tick", channel="backfill", **fields)
    return [str(each["scheduled_for"]) for each in records if each.get("missed_count") is None]


def test_the_failed_fires_of_a_span_run_again_the_oldest_first_one_at_a_time(
    place: Place,
) -> None:
    place.declare("tick", BROKEN, EACH_SECOND)
    runner = place.start()
    place.await_finished("tick", count=3, status="error")
    (place.folder / "repaired").touch()
    (good, *_) = place.await_finished("tick", status="success")
    span = ("--from", failed(place)[0], "--to", str(good["scheduled_for"]))
    shown = place.items("backfill", "tick", *span, "--dry-run")
    assert [each["scheduled_for"] for each in shown] == failed(place)
    assert backfilled(place) == []
    done = place.run("backfill", "tick", *span)
    assert (done.returncode, done.stdout) == (
        0,
        f"tick: {len(shown)} fires to run in turn\n",
    ), done.stderr
    wait_until(lambda: backfilled(place) == failed(place), what="the backfill has run")
    records = place.finished("tick", channel="backfill")
    for record in records:
        assert (record["status"], record["requested_by"]) == ("success", place.person)
        assert record["output_tail"] == f"{record['scheduled_for']} backfill\n"
        assert record["lateness_s"] < 60
    for former, later in pairwise(records):
        assert str(former["ended"]) <= str(later["started"])
    again = place.run("backfill", "tick", *span)
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "tick: no fire of this span is left to run\n"
    assert len(place.items("backfill", "tick", *span, "--all", "--dry-run")) > len(shown)
    assert place.stop(runner) == 0
    check_log(place.log)


def test_kill_9_in_the_middle_repeats_no_fire_and_loses_none(place: Place) -> None:
    shell = f'{BROKEN} || exit 1; test "$RUNNER_CHANNEL" != backfill || sleep 0.3'
    place.declare("tick", shell, EACH_SECOND)
    runner = place.start()
    place.await_finished("tick", count=6, status="error")
    (place.folder / "repaired").touch()
    (good, *_) = place.await_finished("tick", status="success")
    wanted, end = failed(place), str(good["scheduled_for"])
    assert place.run("backfill", "tick", "--from", wanted[0], "--to", end).returncode == 0
    for count in (1, 3):
        place.await_finished("tick", count=count, channel="backfill")
        runner.kill()
        runner.wait(timeout=60)
        runner = place.start()
    (item,) = place.items("ls")
    assert item["backfill"]["requested_by"] == place.person
    wait_until(lambda: set(backfilled(place)) >= set(wanted), what="every fire has an end")
    wait_until(lambda: place.items("ls")[0]["backfill"] is None, what="the backfill is over")
    assert Counter(backfilled(place)) == Counter(wanted)
    started = [str(each["scheduled_for"]) for each in place.events("execution.started", "tick")]
    assert max(Counter(started)[fire] for fire in wanted) == 2, "once as a fire, once again"
    assert place.stop(runner) == 0
    check_log(place.log)


def test_a_pause_holds_a_backfill_and_a_kill_ends_it(place: Place) -> None:
    shell = f'{BROKEN} || exit 1; test "$RUNNER_CHANNEL" != backfill || {{ {GATE}; }}'
    place.declare("tick", shell, EACH_SECOND)
    runner = place.start()
    place.await_finished("tick", count=4, status="error")
    (place.folder / "repaired").touch()
    (good, *_) = place.await_finished("tick", status="success")
    wanted, end = failed(place), str(good["scheduled_for"])
    assert place.run("pause", "--reason", "look first").returncode == 0
    done = place.run("backfill", "tick", "--from", wanted[0], "--to", end, "--at-most", "3")
    assert done.stdout == "tick: 3 fires to run in turn, after the pause\n", done.stderr
    (item,) = place.items("ls")
    assert (item["backfill"]["left"], item["backfill"]["count"]) == (3, 3)
    assert place.events("execution.started", "tick", channel="backfill") == []
    again = place.run("backfill", "tick", "--from", wanted[0], "--to", end)
    assert (again.returncode, "a backfill of" in again.stdout) == (1, True), again.stderr
    assert place.run("resume").returncode == 0
    wait_until(lambda: place.events("execution.started", "tick", channel="backfill"))
    (status,) = place.items("status")
    assert [(each["request"], each["left"]) for each in status["backfills"]] == [("tick", 2)]
    killed = place.run("kill", "tick")
    assert "tick: its backfill ends with 2 fires left\n" in killed.stdout
    place.await_finished("tick", channel="backfill", status="killed")
    (rest,) = place.finished("tick", channel="backfill", status="skipped")
    assert (rest["reason"], rest["missed_count"]) == ("killed_by_user", 2)
    assert (rest["missed_from"], rest["missed_until"]) == (wanted[1], wanted[2])
    assert place.items("ls")[0]["backfill"] is None
    assert place.stop(runner) == 0
    check_log(place.log)


def test_a_backfill_does_not_overlap_its_own_request_and_ends_when_that_is_unscheduled(
    place: Place,
) -> None:
    shell = f'{BROKEN} || exit 1; test "$RUNNER_CHANNEL" != backfill || {{ {GATE}; }}'
    place.declare("tick", shell, EACH_SECOND, prevent_concurrent=True)
    runner = place.start()
    place.await_finished("tick", count=3, status="error")
    (place.folder / "repaired").touch()
    (good, *_) = place.await_finished("tick", status="success")
    first, end = failed(place)[0], str(good["scheduled_for"])
    span = ("--from", first, "--to", end, "--dry-run")
    wanted = [str(each["scheduled_for"]) for each in place.items("backfill", "tick", *span)]
    assert {*wanted} >= {*failed(place)}, "a fire may also have been skipped"
    assert place.run("backfill", "tick", "--from", wanted[0], "--to", end).returncode == 0
    place.await_finished("tick", status="skipped", reason="concurrent", channel="process_scheduler")
    assert place.finished("tick", reason="concurrent", channel="backfill") == []
    assert place.run("unschedule", "tick").returncode == 0
    (rest,) = place.await_finished("tick", channel="backfill", status="skipped")
    assert (rest["reason"], rest["missed_from"]) == ("unscheduled", wanted[1])
    place.open_gate()
    place.await_finished("tick", channel="backfill", status="success")
    assert backfilled(place, status="success") == wanted[:1], "what ran went on"
    refused = place.run("backfill", "tick", "--from", wanted[0], "--to", end)
    assert (refused.returncode, "unscheduled" in refused.stdout) == (1, True), refused.stderr
    assert place.stop(runner) == 0
    check_log(place.log)


@acts_alone
def test_a_backfill_without_a_runner_begins_with_the_next_one(place: Place) -> None:
    place.declare("tick", BROKEN, EACH_SECOND)
    runner = place.start()
    place.await_finished("tick", count=2, status="error")
    (place.folder / "repaired").touch()
    assert place.stop(runner) == 0
    wanted = failed(place)
    done = place.run("backfill", "tick", "--from", wanted[0], "--to", wanted[-1])
    assert done.returncode == 0, done.stderr
    assert backfilled(place) == []
    runner = place.start()
    wait_until(lambda: backfilled(place, status="success") == wanted)
    assert place.stop(runner) == 0


def test_a_span_that_cannot_be_backfilled_is_refused_with_the_reason(place: Place) -> None:
    place.declare("tick", "true", DAILY)
    place.declare("once", "true", {"run_later": {"start": "2100-01-01 02:00"}})
    span = ("--from", "2020-01-01", "--to", "2020-01-09")
    assert "no runner has seen" in place.run("backfill", "tick", *span).stderr
    runner = place.start()
    for arguments, code, words in (
        (("tick", *span), 1, "successes before"),
        (("once", *span), 1, "only a schedule"),
        (("tic", *span), 2, "did you mean 'tick'"),
        (("tick", "--from", "2020-02-01", "--to", "2020-01-09"), 2, "earlier than --from"),
        (("tick", "--from", "1970-01-02", "--to", "now", "--all"), 1, "more than 1,000"),
    ):
        done = place.run("backfill", *arguments)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    shown = place.items("backfill", "tick", *span, "--all", "--dry-run")
    assert [each["local"][:10] for each in shown] == [f"2020-01-0{day}" for day in range(1, 10)]
    many = ("--from", "1970-01-02", "--to", "now", "--all", "--at-most", "2", "--dry-run")
    assert len(place.items("backfill", "tick", *many)) == 2
    assert place.stop(runner) == 0
    assert place.finished("tick") == []


def test_a_selection_backfills_each_of_its_schedules_and_refuses_none_halfway(
    place: Place,
) -> None:
    finance = {"labels": {"team": "finance"}}
    for name in ("tick", "tock"):
        place.declare(name, BROKEN, EACH_SECOND, top=finance)
    place.declare("plain", "true", top=finance)
    runner = place.start()
    for name in ("tick", "tock"):
        place.await_finished(name, count=2, status="error")
    (place.folder / "repaired").touch()
    first = {name: place.finished(name)[0]["scheduled_for"] for name in ("tick", "tock")}
    span = ("--from", min(first.values()), "--to", max(first.values()))
    shown = place.run("backfill", "t*", *span, "--dry-run")
    assert shown.stderr == "selected 2 to backfill: tick, tock\n"
    assert {line.split()[-1] for line in shown.stdout.splitlines()} == {"tick", "tock"}
    for wrong in (["--label", "team=x"], ["t*", "plain"], []):
        assert place.run("backfill", *wrong, *span).returncode != 0
    assert not place.events("execution.finished", channel="backfill")
    done = place.run("backfill", "--label", "team=finance", *span)
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["tick", "tock"]
    for name in ("tick", "tock"):
        place.await_finished(name, channel="backfill", status="success")
    assert place.stop(runner) == 0
    check_log(place.log)
