"""The cookbook's recipes for operating: exec, kill, reschedule, pause, trials, git,
renames, the log.
"""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock_world import GivenClock, living
from support.cookbook import Kitchen, moment, tries
from support.git import commit_all, git
from support.place import wait_until
from support.receiver_world import hurry, mail_server, web_server

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


@tries("How do I run a request now?")
def test_it_runs_now_with_its_own_or_with_given_parameters(kitchen: Kitchen) -> None:
    assert kitchen.type_all() == ["report of this\n", "report of 2026-10\n"]
    records = kitchen.place.finished("report", channel="direct")
    assert [record["status"] for record in records] == ["success", "success"]


@tries("How do I run a one-time request again?")
def test_it_runs_again_by_command_and_by_a_changed_token(kitchen: Kitchen) -> None:
    place = kitchen.place
    kitchen.runs("migrate")
    kitchen.type_all()
    place.await_finished("migrate", count=2)
    file = kitchen.folder / "jobs.d/migrate.yaml"
    file.write_text(file.read_text() + "reschedule: 2\n")
    place.await_finished("migrate", count=3, status="success")


@tries("How do I stop a running execution?")
def test_the_execution_and_its_children_end(kitchen: Kitchen) -> None:
    place = kitchen.place
    place.start()
    (started,) = wait_until(lambda: place.events("execution.started", "long"))
    status, _ = kitchen.type_all()
    assert "long" in status
    (record,) = place.await_finished("long")
    assert (record["status"], record["reason"]) == ("killed", "killed_by_user")
    assert not Path(f"/proc/{started['pid']}").exists()


@tries("How do I get a mail after a failure?")
def test_the_operator_gets_a_test_mail_a_failure_and_its_recovery(kitchen: Kitchen) -> None:
    hurry(kitchen.place)
    file, failing = (kitchen.folder / each for each in ("runner.yaml", "jobs.d/sync-prices.yaml"))
    with mail_server() as server:
        address = f"host: 127.0.0.1, port: {server.port}"
        file.write_text(file.read_text().replace("host: localhost", address))
        notify, alerts = kitchen.recipe.commands
        assert kitchen.type(notify) == "ops took the test message\n"
        assert server.next()["Subject"].startswith("test message of Runner on ")
        kitchen.place.start()
        failure = server.next()
        assert failure["Subject"] == "sync-prices fails: exit code 1"
        assert "    no space left" in failure.get_content()  # type: ignore[attr-defined]
        assert "sync-prices" in kitchen.type(alerts)
        kitchen.place.await_finished(
            "sync-prices", count=len(kitchen.place.finished("sync-prices")) + 3
        )
        assert server.drained() == [], "an open alert is not repeated at each failure"
        failing.write_text(failing.read_text().replace("exit 1", "exit 0"))
        recovery = server.next()
    assert recovery["Subject"].startswith("sync-prices has recovered: ")
    assert recovery["In-Reply-To"] == failure["Message-ID"]


@tries("How do I hear that Runner itself has died?")
def test_the_runner_and_the_request_ping(kitchen: Kitchen) -> None:
    with web_server() as web:
        (command,) = kitchen.recipe.commands
        kitchen.type(command.replace("https://hc-ping.example", web.url))
        record = kitchen.runs("offsite-copy")
        expected = {"/0ee7", f"/0ee7/0?rid={record['execution']}"}
        got: set[str] = set()
        while not expected <= got:
            got.add(web.next().path)
    assert got - expected <= {f"/0ee7/start?rid={record['execution']}"}


@tries("How do I hold a request for a while?")
def test_it_stays_unscheduled_until_it_is_scheduled_again(kitchen: Kitchen) -> None:
    place = kitchen.place
    kitchen.runs("replicate")
    unschedule, look, schedule = kitchen.recipe.commands
    kitchen.type(unschedule)
    assert re.search(r"replicate +unscheduled +drifted", kitchen.type(look))
    assert place.items("ls")[0]["scheduled_for"] is None
    before = len(place.finished("replicate"))
    kitchen.type(schedule)
    place.await_finished("replicate", count=before + 2)


@tries("How do I act on several requests at once?")
def test_a_label_an_owner_and_a_glob_select_the_same_requests_everywhere(kitchen: Kitchen) -> None:
    place = kitchen.place
    place.start()
    place.run("exec", "settle-payments")
    look, unschedule, monitor, explain = kitchen.recipe.commands
    assert {line.split()[0] for line in kitchen.type(look).splitlines()[1:]} == {
        "settle-invoices",
        "settle-payments",
    }
    assert kitchen.type(unschedule).splitlines() == [
        "selected 1 to unschedule: settle-invoices",
        "settle-invoices: unscheduled (differs from its file)",
    ]
    assert "no bank" in place.finished("settle-payments")[0]["output_tail"]
    assert "settle-payments" in kitchen.type(monitor)
    assert "settle-payments is scheduled" in kitchen.type(explain)


@tries("How do I pause everything during maintenance?")
def test_nothing_fires_until_the_resume(kitchen: Kitchen) -> None:
    place = kitchen.place
    kitchen.runs("collect-orders")
    pause, look, resume = kitchen.recipe.commands
    assert kitchen.type(pause) == "all requests: paused\n"
    assert re.match(r"paused +all requests since .*: the database moves\n", kitchen.type(look))
    (status,), (first, *_) = place.items("status"), place.items("next")
    assert first["scheduled_for"] >= status["paused"][0]["paused_until"]
    before = len(place.finished("collect-orders"))
    assert kitchen.type(resume) == "all requests: resumed\n"
    place.await_finished("collect-orders", count=before + 2)


@tries("How do I run the fires of last week again?")
def test_the_oldest_fires_of_the_span_run_in_order(kitchen: Kitchen) -> None:
    place = kitchen.place
    (place.folder / "source").touch()
    kitchen.runs("load-orders")
    look, begin, monitor = kitchen.recipe.commands
    listed = kitchen.type(look).splitlines()
    assert len(listed) == 3
    assert kitchen.type(begin) == "load-orders: 3 fires to run in turn\n"
    records = place.await_finished("load-orders", count=3, channel="backfill")
    again = sorted(moment(line) for line in listed)
    # The span ends now, so its first fires depend on when the command runs.
    ran = [moment(str(each["scheduled_for"])) for each in records]
    assert ran == sorted(ran)
    assert ran[0] >= again[0]
    for record in records:
        assert record["output_tail"] == f"orders of {record['scheduled_for']}\n"
    assert "backfill" in kitchen.type(monitor)


@tries("How do I test a request before it is deployed?")
@pytest.mark.sqlite_only("no command acts in place of a leader")
def test_the_trial_leaves_nothing_in_the_real_log(kitchen: Kitchen) -> None:
    valid, fires, output = kitchen.type_all()
    assert valid == "1 request, all valid\n"
    assert len(re.findall(r" 05:00:00\+00:00 .* new$", fires, re.MULTILINE)) == 3
    assert output == "it works\n"
    assert not kitchen.place.state.exists()


@tries("How do I deploy from git?")
def test_a_pull_is_planned_and_becomes_live(kitchen: Kitchen) -> None:
    place, folder = kitchen.place, kitchen.folder
    origin = folder / "origin"
    _commit(origin, "report", "echo one")
    clone, start, fetch, plan, pull = kitchen.recipe.commands
    kitchen.type(clone.replace("https://git.example/erp-jobs.git", str(origin)))
    place.start(*start.removeprefix("runner start ").split())
    place.await_finished("report", output_tail="one\n")

    commit = _commit(origin, "invoice", "echo two")
    kitchen.type(fetch)
    # From the clone to its origin, which still lacks `invoice`.
    assert "invoice" in kitchen.type(plan, exit_code=3)
    kitchen.type(pull)
    (record,) = place.await_finished("invoice")
    assert record["git_commit"] == commit


def _commit(repository: Path, name: str, shell: str) -> str:
    """Commit a request that runs at once; return the commit's id."""
    (repository / "jobs.d").mkdir(parents=True, exist_ok=True)
    text = f"process: {{shell: {shell}}}\ntiming: run_immediately\n"
    (repository / f"jobs.d/{name}.yaml").write_text(text)
    git(repository, "init", "-q")
    return commit_all(repository, name)


@tries("How do I rename a request?")
def test_it_keeps_its_state_and_does_not_run_again(kitchen: Kitchen) -> None:
    place = kitchen.place
    kitchen.runs("invoice")
    kitchen.type("; ".join(kitchen.recipe.commands))
    wait_until(lambda: [item["request"] for item in place.items("ls")] == ["send-invoices"])
    assert place.items("ls")[0]["status"] == "complete"
    kitchen.type("runner reload")
    assert len(place.events("execution.started")) == 1


@tries("How do I find out why something did not run?")
def test_the_commands_explain_it(kitchen: Kitchen) -> None:
    with living(kitchen.place, GivenClock(moment("2026-11-22 12:00"))) as life:
        life.go_on(moment("2026-11-24 03:00") - moment("2026-11-22 12:00"))
    explain, look, _ = kitchen.recipe.commands
    assert "its rule has no fire at that time" in kitchen.type(explain)
    assert "monday" in kitchen.type(look)
    missed = kitchen.type(explain.replace("2026-11-24", "2026-11-23"))
    assert "missed" in missed


@tries("How do I keep some outputs longer, and others shorter?")
def test_a_bounded_request_loses_outputs_and_another_keeps_them(kitchen: Kitchen) -> None:
    with living(kitchen.place, GivenClock(moment("2026-11-22 00:30"))) as life:
        life.go_on(timedelta(minutes=150), by=timedelta(minutes=1))
        life.go_on(timedelta(days=40), by=timedelta(days=1))
    (look,) = kitchen.recipe.commands
    assert re.search(r"retention +for 30d, at most 20 outputs", kitchen.type(look))
    found = re.search(r"outputs +of (\d+) executions, ", kitchen.type(look))
    assert found
    assert int(found[1]) <= 22 < len(kitchen.place.finished("poll", status="success"))
    audit = kitchen.place.items("show", "audit")[0]["outputs"]
    assert audit["executions"] == len(kitchen.place.finished("audit", status="success"))


@tries("How do I rotate the monitor log?")
def test_a_renamed_log_is_continued_in_a_new_file(kitchen: Kitchen) -> None:
    place = kitchen.place
    configuration = (kitchen.folder / "logrotate.conf").read_text()
    assert "copytruncate" not in configuration
    assert "/monitor.jsonl {" in configuration
    place.declare("tick", "true", {"schedule": {"frequency": "secondly"}})
    kitchen.runs("tick")
    place.rotated.append(place.log.rename(place.state / "monitor.jsonl.1"))
    wait_until(lambda: place.log.exists() and place.log.stat().st_size)
    identities = [record["id"] for record in place.records()]
    assert len(identities) == len(set(identities)) > 3


@needs_jq
@tries("How do I ask the log a question?")
def test_the_questions_to_the_monitor_log_get_their_answers(kitchen: Kitchen) -> None:
    record = kitchen.runs("slow")
    assert kitchen.type_all() == [
        "slow: exit code 3\n",
        f"{record['duration_s']} s  slow\n",
        "slow  0 of 1\n",
    ]
