"""The cookbook's recipes for processes. A real runner runs each of them."""

from __future__ import annotations

import json
import os
from itertools import pairwise

import pytest
from support.cookbook import Kitchen, tries
from support.place import end_of, wait_until

from runner.values import parse_instant


@tries("How do I retry after a failure?")
def test_it_is_tried_again_until_it_succeeds(kitchen: Kitchen) -> None:
    kitchen.runs("fetch", status="success")
    records = kitchen.place.finished("fetch")
    assert [record["status"] for record in records] == ["error", "error", "success"]
    assert [record["output_tail"] for record in records] == [
        f"attempt {number}\n" for number in (1, 2, 3)
    ]
    waits = [
        parse_instant(after["started"]) - parse_instant(before["ended"])
        for before, after in pairwise(records)
    ]
    assert waits[0].total_seconds() >= 0.1
    assert waits[1].total_seconds() >= 0.2


@tries("How do I run something only if a condition holds?")
def test_it_is_skipped_until_the_condition_holds(kitchen: Kitchen) -> None:
    record = kitchen.runs("post-orders")
    assert (record["status"], record["reason"]) == ("skipped", "condition")
    (kitchen.folder / "jobs.d/orders.csv").write_text("1041\n1042\n")
    (posted, *_) = kitchen.place.await_finished("post-orders", status="success")
    assert posted["output_tail"] == "posting 2 orders\n"


@tries("How do I limit the run time?")
def test_it_is_stopped_after_its_timeout(kitchen: Kitchen) -> None:
    record = kitchen.runs("stuck")
    assert (record["status"], record["reason"]) == ("error", "timeout")
    assert 2 <= record["duration_s"] < 600


@tries("How do I hear that something runs late, or not at all?")
def test_an_alert_says_that_it_runs_too_long(kitchen: Kitchen) -> None:
    kitchen.place.start()
    wait_until(lambda: kitchen.place.events("alert.opened", "load-rates"), what="an alert")
    (shown,) = kitchen.type_all()
    assert "load-rates  overrun  1      an execution runs longer than 2s" in shown


@tries("How do I keep two executions from overlapping?")
def test_a_second_start_is_skipped_or_replaces_the_first(kitchen: Kitchen) -> None:
    place = kitchen.place
    place.start()
    for name in ("import-orders", "rebuild"):
        wait_until(lambda name=name: place.events("execution.started", name))  # type: ignore[misc]
    kitchen.type("runner exec import-orders", exit_code=125)
    # The record follows the answer: another thread writes the log.
    assert [each["reason"] for each in place.await_finished("import-orders")] == ["concurrent"]

    second = place.begin("exec", "rebuild")
    (replaced,) = place.await_finished("rebuild")
    assert (replaced["status"], replaced["reason"]) == ("killed", "replaced")
    wait_until(lambda: len(place.events("execution.started", "rebuild")) == 2)
    kitchen.type("runner kill import-orders rebuild")
    assert end_of(second)[0] != 0


@tries("How do I run several steps in order?")
def test_the_steps_run_in_order_and_end_at_a_failure(kitchen: Kitchen) -> None:
    place = kitchen.place
    group = kitchen.runs("load-warehouse", group=None)
    assert group["status"] == "success"
    members = [record for record in place.finished("load-warehouse") if record["group"]]
    assert [(record["sequence"], record["process"].split("/")[-1]) for record in members] == [
        (1, "extract"),
        (2, "check"),
        (3, "load"),
    ]
    assert members[-1]["output_tail"] == "extracted\n"

    file = kitchen.folder / "jobs.d/load-warehouse.yaml"
    file.write_text(file.read_text().replace("grep -q extracted", "grep -q nothing"))
    wait_until(lambda: place.events("runner.reloaded", changed=["load-warehouse"]))
    kitchen.type("runner exec load-warehouse", exit_code=1)
    started = [record for record in place.events("execution.started") if record["group"]]
    assert [record["sequence"] for record in started] == [1, 2, 3, 1, 2]


@tries("How do I run one request after another succeeds?")
def test_the_next_request_runs_after_a_success(kitchen: Kitchen) -> None:
    record = kitchen.runs("publish-report")
    assert record["output_tail"] == "publishing 42 orders\n"
    assert record["requested_by"] == "on_success of make-report"
    monitor, shown = kitchen.type_all()
    assert "└ publish-report (on_success)" in monitor
    assert "make-report (on_success)" in shown


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as another user")
@tries("How do I run a process as another user?")
def test_it_runs_as_that_user(kitchen: Kitchen) -> None:
    assert kitchen.runs("as-nobody")["output_tail"] == "nobody\n"


@tries("How do I keep passwords out of the files?")
def test_the_password_reaches_the_process_and_nothing_else(kitchen: Kitchen) -> None:
    file = kitchen.folder / "jobs.d/pull-prices.yaml"
    written = 'test "$PRICES_PASSWORD" = correct-horse && echo'
    file.write_text(file.read_text().replace("echo", written, 1))
    record = kitchen.runs("pull-prices")
    assert (record["status"], record["output_tail"]) == ("success", "curl -u shop:***\n")
    assert "correct-horse" not in kitchen.place.log.read_text()
    assert "correct-horse" not in kitchen.type("runner log pull-prices")


@tries("How do I call a Python function?")
def test_the_function_gets_its_parameters_and_its_value_is_recorded(kitchen: Kitchen) -> None:
    record = kitchen.runs("totals")
    assert (record["status"], record["message"]) == (
        "success",
        "returned 'the total of 2026 is 42'",
    )


@tries("How do I limit memory?")
def test_it_fails_when_it_takes_more(kitchen: Kitchen) -> None:
    record = kitchen.runs("hungry")
    assert record["status"] == "error"
    assert record["reason"] == "memory_limit" or "MemoryError" in record["output_tail"]


@tries("How do I accept other exit codes as success?")
def test_the_exit_code_counts_as_success(kitchen: Kitchen) -> None:
    record = kitchen.runs("compare")
    assert (record["status"], record["exit_code"]) == ("success", 1)
    assert "< one" in record["output_tail"]


@tries("How do I find failures of a program that always exits with 0?")
def test_a_text_in_the_output_makes_it_a_failure(kitchen: Kitchen) -> None:
    record = kitchen.runs("post-invoices")
    assert (record["status"], record["reason"], record["exit_code"]) == ("error", "output", 0)
    assert record["message"] == "its output contains `rolled back`"


@tries("How do I stop a request that keeps failing?")
def test_it_is_unscheduled_after_three_failures(kitchen: Kitchen) -> None:
    kitchen.runs("sync-stock", status="error")
    wait_until(lambda: kitchen.place.events("request.unscheduled", "sync-stock"))
    shown, answer = kitchen.type_all()
    assert "unscheduled after 3 failures in a row" in shown
    assert answer == "sync-stock: scheduled\n"


@tries("How do I run something of my own after a failure?")
def test_the_operator_gets_the_record_of_the_failure(kitchen: Kitchen) -> None:
    programs = kitchen.folder / "bin"
    programs.mkdir()
    mail = programs / "mail"
    mail.write_text(f'#!/bin/sh\necho "$@" > {kitchen.folder}/to\ncat > {kitchen.folder}/body\n')
    mail.chmod(0o755)
    kitchen.place.environment["PATH"] = f"{programs}:{kitchen.place.environment['PATH']}"
    assert kitchen.runs("mail-the-operator")["status"] == "success"
    assert (kitchen.folder / "to").read_text() == "-s a request failed operator@erp.example\n"
    record = json.loads((kitchen.folder / "body").read_text())
    assert (record["request"], record["exit_code"]) == ("fragile", 1)
    assert kitchen.type(f"jq -r .output_tail {kitchen.folder}/body") == "no space left\n\n"


@tries("How do I share settings among requests?")
def test_the_request_has_the_settings_of_its_folder(kitchen: Kitchen) -> None:
    record = kitchen.runs("post")
    assert (record["owner"], record["output_tail"]) == ("finance", "posting to main\n")
    shown = kitchen.type("runner show post --resolved")
    assert "finance/_defaults.yaml:" in shown


@tries("How do I read the whole output?")
def test_the_log_command_shows_what_the_record_cuts(kitchen: Kitchen) -> None:
    record = kitchen.runs("talkative")
    whole = "".join(f"{number}\n" for number in range(1, 20_001))
    assert record["output_truncated"]
    assert whole.endswith(record["output_tail"])
    assert kitchen.type_all() == [whole]
