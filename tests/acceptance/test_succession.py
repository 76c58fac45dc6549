"""What follows an execution: the next member, a retry, `on_failure`, and queued executions."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from typing import Any

from support.place import (
    GATE,
    SECONDLY,
    Place,
    Record,
    acts_alone,
    end_of,
    leaves_executions,
    loses_exit_codes,
    wait_until,
)

from runner.execution.trees.proc import stat_of
from runner.values import parse_instant

NOW = "run_immediately"


def _group(
    place: Place, name: str, members: Sequence[object], timing: object = None, /, **group: Any
) -> None:
    top = group.pop("top", {})
    process = {
        "group": {"members": members, "stop_on_failure": group.pop("stop_on_failure", False)},
        **group,
    }
    timed = {"timing": timing} if timing else {}
    place.write(f"{name}.yaml", json.dumps({"process": process, **timed, **top}))


def _member(name: str, shell: str, **process: Any) -> dict[str, Any]:
    return {"name": name, "shell": shell, **process}


def _reported(records: list[Record], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(record[name] for name in names) for record in records]


# --- groups
# --------------------------------------------------------------------------------------


def test_members_run_in_order_as_one_execution_and_continue_after_a_failure(
    place: Place,
) -> None:
    place.declare("leaf", 'echo "leaf for $RUNNER_CLIENT in $WHERE"')
    members = [
        _member("one", "echo one $YEAR $WHERE"),
        _member("two", "exit 3"),
        {"request": "leaf"},
    ]
    context = {"client": "acme", "organization": "north"}
    environment = {"WHERE": "group", "YEAR": "2026"}
    _group(place, "chain", members, environment=environment, top={"context": context})

    with place.acted_on():
        done = place.run("exec", "chain")
    assert (done.returncode, done.stdout) == (1, "one 2026 group\nleaf for acme in group\n")
    assert done.stderr == "runner: chain: 1 of 3 members failed\n"
    records = place.events("execution.finished")
    group = records[-1]
    assert _reported(records, "process", "status", "reason", "channel", "sequence", "group") == [
        ("chain/one", "success", None, "group", 1, group["execution"]),
        ("chain/two", "error", "exit_code", "group", 2, group["execution"]),
        ("leaf", "success", None, "group", 3, group["execution"]),
        ("chain", "error", "member_failed", "direct", None, None),
    ]
    assert {json.dumps(record["context"]) for record in records} == {json.dumps(context)}
    assert place.run("log", group["execution"]).stdout == done.stdout
    started = [record["process"] for record in place.events("execution.started")]
    assert started == ["chain", "chain/one", "chain/two", "leaf"]


def test_members_inherit_the_settings_and_the_masked_secrets_of_their_group(
    place: Place,
) -> None:
    """Members of a nested group, both inline ones and requests, inherit from the
    outermost group.
    """
    shown = "echo $X $F $RUNNER_PARAM_Y $PW"
    place.environment["PW"] = "correct-horse"
    (place.jobs / "top.env").write_text("F=filed\n")
    place.declare("leaf", shown)
    inner = {"name": "deeper", "group": {"members": [_member("in", shown), {"request": "leaf"}]}}
    _group(
        place,
        "mid",
        [_member("in", shown), {"request": "leaf"}, inner, _member("own", shown, environment={})],
    )
    given = {
        "environment": {"X": "given"},
        "environment_file": "top.env",
        "params": {"y": 1},
        "secrets": ["PW"],
        "queue": "gpu",
    }
    _group(place, "top", [{"request": "mid"}], **given)
    place.add_worker("gpu")
    with place.acted_on():
        assert place.run("exec", "top").returncode == 0
    tails = [
        each["output_tail"]
        for each in place.finished("top", channel="group")
        if each["output_tail"]
    ]
    assert tails == ["given *** 1 ***\n"] * 4 + ["*** 1 ***\n"]
    assert {each["queue"] for each in place.finished("top", channel="group")} == {"gpu"}
    assert "correct-horse" not in place.log.read_text()


def test_stop_on_failure_ends_a_group_and_groups_can_be_nested(
    place: Place,
) -> None:
    _group(place, "inner", [_member("a", "exit 1"), _member("b", "true")], stop_on_failure=True)
    _group(place, "outer", [{"request": "inner"}, _member("last", "true")])
    with place.acted_on():
        assert place.run("exec", "outer").returncode == 1
    records = place.events("execution.finished", "outer")
    assert _reported(records, "process", "status", "message") == [
        ("inner/a", "error", "exit code 1"),
        ("inner", "error", "1 of 1 member failed; 1 more did not run"),
        ("outer/last", "success", None),
        ("outer", "error", "1 of 2 members failed"),
    ]


def test_a_member_and_its_group_each_have_their_own_guard(
    place: Place,
) -> None:
    place.declare("leaf", GATE, prevent_concurrent=True)
    _group(place, "chain", [{"request": "leaf"}, _member("wait", GATE)], prevent_concurrent=True)
    runner = place.start()
    leaf = place.begin("exec", "leaf")
    wait_until(lambda: place.events("execution.started", "leaf"))
    chain = place.begin("exec", "chain")
    wait_until(
        lambda: place.events("execution.started", process="chain/wait"),
        what="the second member runs",
    )
    again = place.run("exec", "chain")
    assert (again.returncode, again.stderr) == (
        125,
        "runner: chain: Concurrent attempt to execute\n",
    )
    place.open_gate()
    assert (end_of(leaf)[0], end_of(chain)[0]) == (0, 1)
    (skipped,) = place.finished("chain", process="leaf")
    assert _reported([skipped], "status", "reason", "started") == [("skipped", "concurrent", None)]
    (group,) = place.finished("chain", status="error")
    assert group["message"] == "1 of 2 members failed"
    assert place.stop(runner) == 0


def test_a_skipped_fire_causes_no_retry_and_no_on_failure(place: Place) -> None:
    place.declare("page", "true")
    place.declare(
        "tick",
        GATE,
        SECONDLY,
        top={"on_failure": {"request": "page"}},
        prevent_concurrent=True,
        retry={"attempts": 3, "delay": "0s"},
    )
    runner = place.start()
    place.await_finished("tick", status="skipped", reason="concurrent", count=2)
    place.declare(
        "tick", "exit 3", SECONDLY, top={"on_failure": {"request": "page"}}, prevent_concurrent=True
    )
    place.open_gate()
    (reported, *_) = place.await_finished("page")
    assert place.stop(runner) == 0
    assert {each["requested_by"] for each in place.finished("page")} == {"on_failure of tick"}
    first_failure = place.finished("tick", status="error")[0]
    assert reported["time"] >= first_failure["time"], (
        "the pager was called only once something had failed"
    )
    skipped = place.finished("tick", status="skipped")
    assert {(each["attempt"], each["exit_code"]) for each in skipped} == {(1, None)}
    assert len({each["scheduled_for"] for each in skipped}) == len(skipped)


def test_kill_and_timeout_end_a_whole_group(place: Place) -> None:
    timeout = "20s" if place.is_in_fleet else "700ms"  # the worker must start meanwhile
    _group(place, "killed", [_member("a", "sleep 600"), _member("b", "touch ../never")], NOW)
    _group(
        place,
        "late",
        [_member("a", "sleep 600", retry={"attempts": 3}), _member("b", "touch ../never")],
        NOW,
        timeout=timeout,
    )
    _group(
        place,
        "waits",
        [_member("a", "exit 1", retry={"attempts": 2, "delay": "1h"}), _member("b", "true")],
        NOW,
    )
    place.add_worker()
    runner = place.start()
    wait_until(lambda: place.events("execution.started", process="killed/a"))
    wait_until(lambda: place.finished("waits"), what="the first attempt has failed")
    assert place.run("kill", "killed", "waits").returncode == 0
    place.await_finished("killed", count=2)
    assert _reported(place.finished("killed"), "process", "status", "message") == [
        ("killed/a", "killed", f"killed by {place.person}"),
        ("killed", "killed", f"killed by {place.person}"),
    ]
    place.await_finished("late", count=2)
    assert _reported(place.finished("late"), "process", "reason", "message") == [
        ("late/a", "timeout", "stopped after the timeout of its group"),
        ("late", "timeout", f"stopped after its timeout of {timeout}"),
    ]
    place.await_finished("waits", count=3)
    assert _reported(place.finished("waits")[1:], "process", "status", "attempt", "message") == [
        ("waits/a", "killed", 2, f"killed by {place.person} while it waited to start"),
        ("waits", "killed", 1, f"killed by {place.person}"),
    ]
    assert place.stop(runner) == 0
    assert not (place.folder / "never").exists()


@loses_exit_codes
def test_after_a_crash_a_running_group_ends_with_its_member_and_a_waiting_one_runs(
    place: Place,
) -> None:
    _group(place, "cut", [_member("a", GATE), _member("b", "touch ../never")], NOW)
    # The delay lets the crash come before another attempt; on a very slow machine more
    # attempts are left.
    retry = {"attempts": 5, "delay": "3s"}
    _group(place, "on", [_member("a", "test -e ../go", retry=retry), _member("b", "true")], NOW)
    runner = place.start()
    wait_until(lambda: place.events("execution.started", process="cut/a"))
    wait_until(lambda: place.finished("on"), what="the first attempt has failed")
    place.stop(runner, by=signal.SIGKILL)
    place.open_gate()
    runner = place.start()
    place.await_finished("cut", count=2)
    assert _reported(place.finished("cut"), "process", "status", "reason") == [
        ("cut/a", "system_restart", "runner_lost"),
        ("cut", "system_restart", "runner_lost"),
    ]
    place.await_finished("on", group=None)
    *failed, last, second, group = _reported(place.finished("on"), "process", "status", "attempt")
    assert failed == [("on/a", "error", number) for number in range(1, len(failed) + 1)]
    assert last == ("on/a", "success", len(failed) + 1)
    assert (second, group) == (("on/b", "success", 1), ("on", "success", 1))
    assert place.stop(runner) == 0
    assert not (place.folder / "never").exists()


# --- retry, if_interrupted, on_failure
# --------------------------------------------------------------------------------------


def test_each_attempt_of_a_claim_is_recorded_and_follows_its_delay(
    place: Place,
) -> None:
    retry = {"attempts": 3, "delay": "300ms", "backoff": 2}
    place.declare("flaky", 'test "$RUNNER_ATTEMPT" = 3', NOW, retry=retry)
    place.declare("picky", "exit 4", NOW, retry={"attempts": 5, "delay": "0s", "exit_codes": [75]})
    runner = place.start()
    attempts = place.await_finished("flaky", count=3)
    assert _reported(attempts, "status", "channel", "attempt") == [
        ("error", "process_scheduler", 1),
        ("error", "retry", 2),
        ("success", "retry", 3),
    ]
    assert len({record["scheduled_for"] for record in attempts}) == 1
    for record, delays_s in zip(attempts, (0.0, 0.3, 0.9), strict=True):
        began_after = parse_instant(record["started"]) - parse_instant(record["scheduled_for"])
        assert began_after.total_seconds() >= delays_s
        assert record["lateness_s"] <= began_after.total_seconds() - delays_s + 1e-6, (
            "each from when it was due itself"
        )
    place.await_finished("picky")
    assert place.stop(runner) == 0
    assert len(place.finished("picky")) == 1


def test_a_claim_keeps_its_guard_between_attempts(place: Place) -> None:
    retry = {"attempts": 2, "delay": "1h"}
    place.declare("flaky", "exit 1", NOW, retry=retry, prevent_concurrent=True)
    runner = place.start()
    place.await_finished("flaky")
    between = place.run("exec", "flaky")
    assert (between.returncode, between.stderr) == (
        125,
        "runner: flaky: Concurrent attempt to execute\n",
    )
    assert place.run("kill", "flaky").returncode == 0
    (killed,) = place.await_finished("flaky", status="killed")
    assert (killed["attempt"], killed["message"]) == (
        2,
        f"killed by {place.person} while it waited to start",
    )
    assert place.run("exec", "flaky").returncode == 1, "the guard is free again"
    assert place.stop(runner) == 0


def test_if_interrupted_rerun_runs_again_after_a_stop_or_a_crash(place: Place) -> None:
    place.declare("stopped", GATE, NOW, if_interrupted="rerun")
    place.declare("not", "sleep 600", NOW)
    runner = place.start("--drain", "0s")
    wait_until(lambda: len(place.events("execution.started")) == 2)
    assert place.stop(runner) == 0
    place.open_gate()
    runner = place.start()
    place.await_finished("stopped", count=2)
    assert _reported(place.finished("stopped"), "status", "reason", "channel", "attempt") == [
        ("killed", "runner_stopped", "process_scheduler", 1),
        ("success", None, "retry", 2),
    ]
    assert place.stop(runner) == 0
    assert len(place.finished("not")) == 1


def test_on_failure_gets_the_record_of_the_last_attempt_and_may_fail_in_turn(
    place: Place,
) -> None:
    tell = {"on_failure": {"request": "tell"}}
    place.declare("fails", "echo oh; exit 7", NOW, retry={"attempts": 2, "delay": "0s"}, top=tell)
    place.declare("works", "true", NOW, top=tell)
    place.declare(
        "tell",
        'printf %s "$RUNNER_FAILED_RECORD"; test "$RUNNER_RECORD" = "" && exit 2; exit 1',
        top={"on_failure": {"request": "tell2"}},
    )
    place.declare("tell2", "true")
    runner = place.start()
    (reported,) = place.await_finished("tell")
    failed = json.loads(reported["output_tail"])
    (last,) = place.finished("fails", attempt=2)
    assert failed == last
    assert (reported["requested_by"], reported["channel"], reported["status"]) == (
        "on_failure of fails",
        "direct",
        "error",
    )
    (second,) = place.await_finished("tell2", status="success")
    assert (second["requested_by"], second["follows"]) == (
        "on_failure of tell",
        reported["execution"],
    )
    assert (reported["exit_code"], reported["follows"]) == (1, last["execution"])
    assert place.stop(runner) == 0
    assert (len(place.finished("tell")), len(place.finished("tell2"))) == (1, 1)


# --- on_overlap
# --------------------------------------------------------------------------------------


def test_a_queue_holds_one_execution_and_replace_takes_its_place(place: Place) -> None:
    place.declare("queued", GATE, prevent_concurrent=True, on_overlap="queue")
    place.declare(
        "replaced", "trap 'exit 0' TERM; " + GATE, prevent_concurrent=True, on_overlap="replace"
    )
    place.add_worker()
    runner = place.start()
    commands = []
    for name in ("queued", "replaced"):
        for count in (1, 2):
            commands.append(place.begin("exec", name))

            def are_on_their_way(name: str = name, count: int = count) -> bool:
                return len(_on_their_way(place, name)) == count

            wait_until(are_on_their_way)
        if name == "queued":
            assert place.run("exec", "queued").returncode == 125
    place.await_finished("replaced")
    wait_until(lambda: len(place.events("execution.started", "replaced")) == 2)
    place.open_gate()
    codes = [end_of(command)[0] for command in commands]
    assert (codes[:2], codes[3]) == ([0, 0], 0)
    assert _reported(place.await_finished("replaced", count=2), "status", "reason") == [
        ("killed", "replaced"),
        ("success", None),
    ]
    first, second = place.finished("queued", status="success")
    assert second["started"] >= first["ended"]
    assert place.stop(runner) == 0


def test_two_groups_that_would_deadlock_do_not_wait_for_each_other(place: Place) -> None:
    """Each holds its guard, and its second member queues for the other's guard; the
    later one is refused.
    """
    for own, other in (("a", "b"), ("b", "a")):
        place.declare(f"step-{own}", "true", name=own, prevent_concurrent=True, on_overlap="queue")
        members = [_member("first", GATE), {"request": f"step-{other}"}]
        _group(place, own, members, NOW, name=own, prevent_concurrent=True)
    runner = place.start()
    wait_until(lambda: len(place.events("execution.started")) == 4)
    place.open_gate()
    wait_until(lambda: all(place.finished(name, group=None) for name in "ab"))
    second = [
        each
        for name in "ab"
        for each in _reported(place.finished(name, sequence=2), "status", "reason")
    ]
    assert sorted(second, key=str) == [("skipped", "concurrent"), ("success", None)]
    assert place.stop(runner) == 0


def _on_their_way(place: Place, name: str) -> list[Record]:
    (status,) = place.items("status")
    known = {
        each["execution"]
        for each in (*status["running"], *status["waiting"])
        if each["request"] == name
    }
    return [*known, *place.finished(name, reason="replaced")]


@loses_exit_codes
def test_a_queued_execution_outlives_a_crash_and_waits_for_the_guard(place: Place) -> None:
    place.declare("q", GATE, prevent_concurrent=True, on_overlap="queue")
    runner = place.start()
    first = place.begin("exec", "q")
    wait_until(lambda: place.events("execution.started", "q"))
    second = place.begin("exec", "q")
    wait_until(lambda: len(_on_their_way(place, "q")) == 2)
    place.stop(runner, by=signal.SIGKILL)
    assert (end_of(first)[0], end_of(second)[0]) == (4, 4)
    runner = place.start()
    assert len(_on_their_way(place, "q")) == 2
    place.open_gate()
    place.await_finished("q", count=2)
    assert _reported(place.finished("q"), "status") == [("system_restart",), ("success",)]
    assert place.stop(runner) == 0


# --- chains, crashes and late targets
# ---------------------------------------------------------------------


def test_a_group_that_contains_itself_by_a_last_good_version_ends_with_an_error(
    place: Place,
) -> None:
    place.declare("b", "true")
    _group(place, "a", [{"request": "b"}])
    runner = place.start()
    place.write("a.yaml", "process: {")
    _group(place, "b", [{"request": "a"}])
    wait_until(
        lambda: place.events("runner.reloaded", changed=["b"]),
        what="both files are read, at once or in turn",
    )
    done = place.run("exec", "b")
    assert done.returncode == 1
    assert place.stop(runner) == 0
    assert any("contains itself" in (record["message"] or "") for record in place.finished("b"))


def test_on_failure_without_its_target_reports_that_it_runs_nothing(place: Place) -> None:
    place.declare("notify", "true")
    retry = {"attempts": 2, "delay": "0s"}
    shell = f"echo x >> ../ran; {GATE}; exit 1"
    place.declare("fails", shell, NOW, retry=retry, top={"on_failure": {"request": "notify"}})
    runner = place.start()
    (place.jobs / "notify.yaml").unlink()
    wait_until(lambda: place.events("request.removed", "notify"), what="the target is gone")
    place.open_gate()
    place.await_finished("notify")
    assert _reported(place.finished("notify"), "status", "message", "started") == [
        ("error", "there is no request 'notify' for `on_failure`", None)
    ]
    assert place.stop(runner) == 0
    assert (place.folder / "ran").read_text() == "x\n" * 2


def test_exec_of_a_group_that_succeeds_is_a_success(place: Place) -> None:
    _group(place, "fine", [_member("a", "echo a"), _member("b", "true")])
    with place.acted_on():
        done = place.run("exec", "fine")
    assert (done.returncode, done.stdout) == (0, "a\n")


def test_a_kill_continues_after_a_crash(place: Place) -> None:
    # The grace lasts beyond the crash, so the next runner must kill it.
    place.declare("deaf", f"trap '' TERM; echo ready; {GATE}", NOW, stop_grace="4s")
    runner = place.start()
    (started,) = wait_until(lambda: place.events("execution.started", "deaf"))
    wait_until(lambda: "ready" in place.output_of(started), what="the trap is set")
    assert place.run("kill", "deaf").returncode == 0
    place.stop(runner, by=signal.SIGKILL)
    runner = place.start()
    (killed,) = place.await_finished("deaf")
    assert _reported([killed], "status", "reason", "requested_by") == [
        ("killed", "killed_by_user", place.person)
    ]
    assert not has_process(started["pid"])
    assert place.stop(runner) == 0


@acts_alone
def test_follow_ups_after_a_crash_are_left_to_the_next_runner(
    place: Place,
) -> None:
    place.declare("cut", GATE, NOW, top={"on_failure": {"request": "tell"}})
    place.declare("again", GATE, NOW, if_interrupted="rerun")
    place.declare("tell", "true")
    place.declare("other", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    runner = place.start()
    started = wait_until(lambda: len(found := place.events("execution.started")) == 2 and found)
    for record in started:
        os.killpg(record["pid"], signal.SIGSTOP)
    place.stop(runner, by=signal.SIGKILL)
    for record in started:
        os.killpg(record["pid"], signal.SIGKILL)
    wait_until(lambda: not any(has_process(record["pid"]) for record in started))
    place.open_gate()
    assert place.run("unschedule", "other").returncode == 0
    assert place.run("exec", "other").returncode == 0
    assert not place.finished("tell")
    assert len(place.finished("again")) == 1
    runner = place.start()
    place.await_finished("tell", status="success")
    place.await_finished("again", status="success")
    assert place.stop(runner) == 0


def has_process(pid: int) -> bool:
    stat = stat_of(pid)
    return stat is not None and not stat.is_dead


@leaves_executions
def test_after_a_second_signal_no_follow_up_begins(place: Place) -> None:
    """The output limit stops it: a timeout could come before the trap is set."""
    deaf = "trap 'touch ../asked' TERM; head -c 2000 /dev/zero; while :; do sleep 0.1; done"
    reported = {"on_failure": {"request": "tell"}}
    place.declare("deaf", deaf, NOW, output_limit="1KiB", stop_grace="1h", top=reported)
    place.declare("tell", GATE)
    runner = place.start()
    wait_until(lambda: (place.folder / "asked").exists(), what="it was asked to end")
    runner.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping: " in place.console())
    assert place.stop(runner) == 0
    assert _reported(place.finished("deaf"), "reason") == [("output_limit",)]
    assert not place.events("execution.started", "tell")
    place.open_gate()
    runner = place.start()
    place.await_finished("tell", status="success")
    assert place.stop(runner) == 0
