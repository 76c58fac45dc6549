"""Every hint of the tables is pasted and read again: it is valid with the original
meaning, or absent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from typing import Any

import pytest
from support.hint_world import applied, problems_of, proposals

from runner.requests.schema.checking import findings_in
from runner.requests.schema.hints.aliases import ALIASES, Alias
from runner.requests.schema.hints.meant_values import _READINGS

RUN = {"shell": "x"}
Document = dict[str, Any]


def scheduled(**schedule: object) -> Document:
    return {"process": RUN, "timing": {"schedule": schedule}}


def processed(**process: object) -> Document:
    return {"process": process}


def once(**keys: object) -> Document:
    return {"process": RUN, "timing": {"run_later": keys}}


WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday"]
CRON = {"frequency": "cron", "expression": "*/5 * * * *"}
EVERY_5 = {"frequency": "minutely", "interval": 5}

MEANINGS: list[tuple[Document, Document]] = [
    # the specimens
    (
        scheduled(frequency="monthly", day="last weekday", at="02:00"),
        scheduled(frequency="monthly", day="last_workday", at="02:00"),
    ),
    (
        scheduled(frequency="weekly", days=["monday-friday"], at="02:00"),
        scheduled(frequency="weekly", days=WEEK, at="02:00"),
    ),
    (scheduled(frequency="hourly", interval="5m"), scheduled(**EVERY_5)),
    ({"process": RUN, "timing": "every 5 minutes"}, scheduled(**EVERY_5)),
    (processed(script="./post.sh", args=["--all"]), processed(command=["./post.sh", "--all"])),
    (scheduled(frequency="yearly"), scheduled(frequency="monthly", interval=12, day=1, at="00:00")),
    (
        scheduled(frequency="yearly", at="02:00", start="2026-03-15"),
        scheduled(frequency="monthly", interval=12, day=15, at="02:00", start="2026-03-15"),
    ),
    ({"process": RUN, "cron": "*/5 * * * *"}, scheduled(**CRON)),
    ({"process": RUN, "timing": {"cron": "*/5 * * * *"}}, scheduled(**CRON)),
    (scheduled(cron="*/5 * * * *"), scheduled(**CRON)),
    (
        scheduled(frequency="cron", cron="@daily"),
        scheduled(frequency="cron", expression="0 0 * * *"),
    ),
    (scheduled(every="5m"), scheduled(**EVERY_5)),
    ({"process": RUN, "every": "5m"}, scheduled(**EVERY_5)),
    (processed(shell="x", retries=3), processed(shell="x", retry={"attempts": 4})),
    ({"process": RUN, "retries": 3}, processed(shell="x", retry={"attempts": 4})),
    (processed(command="echo hi"), processed(command=["echo", "hi"])),
    (processed(command="a | b"), processed(shell="a | b")),
    (processed(shell="x", run_as="nobody"), processed(shell="x", run_as={"user": "nobody"})),
    ({"process": RUN, "schedule": "*/5 * * * *"}, scheduled(**CRON)),
    ({"process": RUN, "timing": {"schedule": "*/5 * * * *"}}, scheduled(**CRON)),
    ({"process": RUN, "timing": "*/5 * * * *"}, scheduled(**CRON)),
    (
        scheduled(frequency="cron", expression="@every 90m"),
        scheduled(frequency="minutely", interval=90),
    ),
    (
        scheduled(frequency="cron", expression="CRON_TZ=Europe/Madrid 0 2 * * *"),
        scheduled(frequency="cron", expression="0 2 * * *", timezone="Europe/Madrid"),
    ),
    (
        scheduled(frequency="cron", expression="0 0 12 * * ? 2030"),
        scheduled(
            frequency="cron", expression="0 0 12 * * *", start="2030-01-01", finish="2030-12-31"
        ),
    ),
    (
        scheduled(frequency="cron", expression="H 2 * * *"),
        scheduled(frequency="cron", expression="0 2 * * *", spread="1h"),
    ),
    ({"process": RUN, "active": False}, {"process": RUN, "scheduled": False}),
    (processed(shell="x", scheduled=False), {"process": RUN, "scheduled": False}),
    (
        processed(group={"members": [{"request": "a", "active": False}, {"request": "b"}]}),
        processed(group={"members": [{"request": "a", "scheduled": False}, {"request": "b"}]}),
    ),
    (
        processed(
            group={"members": [{"name": "a", "shell": "x", "enabled": False}, {"request": "b"}]}
        ),
        processed(
            group={"members": [{"name": "a", "shell": "x", "scheduled": False}, {"request": "b"}]}
        ),
    ),
    # crontab, Kubernetes, GitHub Actions, Ansible, systemd
    ({"process": RUN, "timing": "@daily"}, scheduled(frequency="cron", expression="0 0 * * *")),
    ({"process": RUN, "suspend": True}, {"process": RUN, "scheduled": False}),
    (
        processed(shell="x", concurrencyPolicy="Forbid"),
        processed(shell="x", prevent_concurrent=True),
    ),
    (
        processed(shell="x", concurrencyPolicy="Replace"),
        processed(shell="x", prevent_concurrent=True, on_overlap="replace"),
    ),
    (processed(shell="x", activeDeadlineSeconds=90), processed(shell="x", timeout="1m30s")),
    (processed(shell="x", backoffLimit=6), processed(shell="x", retry={"attempts": 7})),
    (processed(command=["python3"], args=["post.py"]), processed(command=["python3", "post.py"])),
    (
        processed(shell="x", env=[{"name": "A", "value": "b"}]),
        processed(shell="x", environment={"A": "b"}),
    ),
    (
        {"process": RUN, "histRetentionDays": 30},
        {"process": RUN, "retention": {"keep_for": "30d"}},
    ),
    (
        {"process": RUN, "successfulJobsHistoryLimit": 3},
        {"process": RUN, "retention": {"keep_count": 3}},
    ),
    (
        processed(shell="x", limits={"memory": "512Mi"}),
        processed(shell="x", limits={"memory": "512MiB"}),
    ),
    ({"process": RUN, "on": {"schedule": [{"cron": "*/5 * * * *"}]}}, scheduled(**CRON)),
    (processed(shell="x", **{"timeout-minutes": 30}), processed(shell="x", timeout="30m")),
    (processed(run="make && make test"), processed(shell="make && make test")),
    (scheduled(minute="*/5", hour="2-4"), scheduled(frequency="cron", expression="*/5 2-4 * * *")),
    (
        scheduled(minute="0", hour="2", weekday="mon-fri"),
        scheduled(frequency="cron", expression="0 2 * * mon-fri"),
    ),
    (scheduled(special_time="@hourly"), scheduled(frequency="cron", expression="0 * * * *")),
    (
        {"process": RUN, "timing": {"OnCalendar": "Mon..Fri 02:00"}},
        scheduled(frequency="cron", expression="0 2 * * Mon-Fri"),
    ),
    (scheduled(**EVERY_5, RandomizedDelaySec=90), scheduled(**EVERY_5, spread="1m30s")),
    (scheduled(**EVERY_5, Persistent=True), scheduled(**EVERY_5, misfire="fire_once")),
    # Compose, dagu, cronstable, Ofelia, APScheduler
    (
        processed(shell="x", environment=["PORT=8080"]),
        processed(shell="x", environment={"PORT": "8080"}),
    ),
    (
        processed(shell="x", user="erp:staff"),
        processed(shell="x", run_as={"user": "erp", "group": "staff"}),
    ),
    (processed(shell="x", working_dir="/srv"), processed(shell="x", directory="/srv")),
    (processed(entrypoint="python3 post.py"), processed(command=["python3", "post.py"])),
    (
        {"schedule": ["0 2 * * *"], "process": RUN},
        scheduled(frequency="cron", expression="0 2 * * *"),
    ),
    (
        {"steps": [{"name": "a", "command": "echo 1"}, {"name": "b", "script": "x | y"}]},
        processed(
            group={
                "members": [
                    {"name": "a", "command": ["echo", "1"]},
                    {"name": "b", "shell": "x | y"},
                ],
                "stop_on_failure": True,
            }
        ),
    ),
    (processed(shell="x", executionTimeout=90), processed(shell="x", timeout="1m30s")),
    ({"process": RUN, "enabled": False}, {"process": RUN, "scheduled": False}),
    ({"process": RUN, "schedule": "@every 5m"}, scheduled(**EVERY_5)),
    (processed(shell="x", **{"no-overlap": True}), processed(shell="x", prevent_concurrent=True)),
    (scheduled(minutes=5), scheduled(**EVERY_5)),
    (scheduled(hours=36), scheduled(frequency="hourly", interval=36)),
    (scheduled(**EVERY_5, jitter=30), scheduled(**EVERY_5, spread="30s")),
    (scheduled(**EVERY_5, coalesce=True), scheduled(**EVERY_5, misfire="fire_once")),
    (scheduled(**EVERY_5, misfire_grace_time=300), scheduled(**EVERY_5, misfire_grace="5m")),
    (processed(shell="x", max_instances=1), processed(shell="x", prevent_concurrent=True)),
    (scheduled(**EVERY_5, end_date="2027-06-30"), scheduled(**EVERY_5, finish="2027-06-30")),
    (scheduled(**EVERY_5, tz="Europe/Madrid"), scheduled(**EVERY_5, timezone="Europe/Madrid")),
    # values
    ({"process": RUN, "timing": "now"}, {"process": RUN, "timing": "run_immediately"}),
    (
        {"process": RUN, "timing": "2026-12-24 18:00"},
        {"process": RUN, "timing": {"run_later": {"start": "2026-12-24 18:00"}}},
    ),
    (
        {"process": RUN, "timing": {"run_later": "2026-12-24 18:00"}},
        {"process": RUN, "timing": {"run_later": {"start": "2026-12-24 18:00"}}},
    ),
    ({"process": RUN, "timing": "monthly"}, scheduled(frequency="monthly", day=1, at="00:00")),
    ({"process": RUN, "timing": {"schedule": "hourly"}}, scheduled(frequency="hourly")),
    (scheduled(frequency="minutes", interval=5), scheduled(**EVERY_5)),
    (
        scheduled(frequency="quarterly", day=5, at="01:00"),
        scheduled(frequency="monthly", interval=3, day=5, at="01:00"),
    ),
    (
        scheduled(frequency="fortnightly", days=["friday"], at="01:00"),
        scheduled(frequency="weekly", interval=2, days=["friday"], at="01:00"),
    ),
    (scheduled(frequency="5m"), scheduled(**EVERY_5)),
    (
        scheduled(frequency="daily", interval="2 days", at="01:00"),
        scheduled(frequency="daily", interval=2, at="01:00"),
    ),
    (scheduled(frequency="minutely", interval="90s"), scheduled(frequency="secondly", interval=90)),
    (scheduled(frequency="minutely", interval="5"), scheduled(**EVERY_5)),
    (
        scheduled(frequency="daily", days="mon-fri", at="01:00"),
        scheduled(frequency="daily", days="weekdays", at="01:00"),
    ),
    (
        scheduled(frequency="daily", days="Sunday", at="01:00"),
        scheduled(frequency="weekly", days=["sunday"], at="01:00"),
    ),
    (
        scheduled(frequency="daily", days=["mon", "thurs"], at="01:00"),
        scheduled(frequency="weekly", days=["monday", "thursday"], at="01:00"),
    ),
    (
        scheduled(frequency="weekly", days="Friday, Monday", at="01:00"),
        scheduled(frequency="weekly", days=["friday", "monday"], at="01:00"),
    ),
    (
        scheduled(frequency="weekly", days="fri-mon", at="01:00"),
        scheduled(frequency="weekly", days=["friday", "saturday", "sunday", "monday"], at="01:00"),
    ),
    (
        scheduled(frequency="weekly", interval=2, days="weekdays", at="01:00"),
        scheduled(frequency="weekly", interval=2, days=WEEK, at="01:00"),
    ),
    (
        scheduled(frequency="monthly", day="15th", at="01:00"),
        scheduled(frequency="monthly", day=15, at="01:00"),
    ),
    (
        scheduled(frequency="monthly", day="last day", at="01:00"),
        scheduled(frequency="monthly", day="last", at="01:00"),
    ),
    (
        scheduled(frequency="monthly", day="2nd Sun", at="01:00"),
        scheduled(frequency="monthly", day="second sunday", at="01:00"),
    ),
    (scheduled(frequency="daily", at="2pm"), scheduled(frequency="daily", at="14:00")),
    (scheduled(**EVERY_5, misfire="run_once"), scheduled(**EVERY_5, misfire="fire_once")),
    (scheduled(**EVERY_5, timezone="UTC0"), scheduled(**EVERY_5, timezone="UTC")),
    (processed(shell="x", retry=3), processed(shell="x", retry={"attempts": 4})),
    (processed(shell="x", success=[0, 2]), processed(shell="x", success={"exit_codes": [0, 2]})),
    (
        processed(shell="x", fail_on_stderr=True, success={"exit_codes": [3]}),
        processed(shell="x", success={"exit_codes": [3], "fail_on_stderr": True}),
    ),
    (
        {"process": RUN, "fail_on_output": ["x"]},
        processed(shell="x", success={"fail_on_output": ["x"]}),
    ),
    (
        processed(shell="x", success={"fail_on_output": "x"}),
        processed(shell="x", success={"fail_on_output": ["x"]}),
    ),
    (
        processed(shell="x", precondition="test -s a.csv"),
        processed(shell="x", **{"if": {"command": ["test", "-s", "a.csv"]}}),
    ),
    (processed(shell="x", **{"if": "a | b"}), processed(shell="x", **{"if": {"shell": "a | b"}})),
    (
        {"process": RUN, "if": {"shell": "true"}},
        processed(shell="x", **{"if": {"shell": "true"}}),
    ),
    (
        processed(shell="x", prevent_concurrent=True, on_overlap="wait"),
        processed(shell="x", prevent_concurrent=True, on_overlap="queue"),
    ),
    (
        processed(group=["a", "b"]),
        processed(group={"members": [{"request": "a"}, {"request": "b"}]}),
    ),
    (
        processed(group={"members": ["a", "b"]}),
        processed(group={"members": [{"request": "a"}, {"request": "b"}]}),
    ),
    ({"process": RUN, "on_failure": "page"}, {"process": RUN, "on_failure": {"request": "page"}}),
    ({"process": RUN, "on_success": "page"}, {"process": RUN, "on_success": {"request": "page"}}),
    (
        {"process": RUN, "max_failures": 5},
        {"process": RUN, "on_failure": {"unschedule_after": 5}},
    ),
    (
        {"process": RUN, "on_failure": {"unschedule_after": "5"}},
        {"process": RUN, "on_failure": {"unschedule_after": 5}},
    ),
    (processed(shell="x", umask=22), processed(shell="x", umask="022")),
    (processed(shell="x", timeout="90 minutes"), processed(shell="x", timeout="1h30m")),
    (processed(shell="x", timeout="PT30M"), processed(shell="x", timeout="30m")),
    (processed(shell="x", output_limit="10mb"), processed(shell="x", output_limit="10MB")),
    ({"process": RUN, "timeout": "5m"}, processed(shell="x", timeout="5m")),
    (processed(shell="x", owner="finance"), {"process": RUN, "owner": "finance"}),
]
NOTHING: list[tuple[Document, tuple[str, ...]]] = [
    ({"process": RUN, "timing": "@reboot"}, ("write", "did you mean")),
    (scheduled(frequency="cron", expression="@reboot"), ("write",)),
    (scheduled(frequency="weekly", days=["1-5"], at="02:00"), ("write", "did you mean")),
    (scheduled(frequency="weekly", days=["sonday"], at="02:00"), ("write", "did you mean")),
    (scheduled(hour="2"), ("write",)),  # every minute in some programs, the first in others
    (scheduled(minute="0", hour="2", weekday="1"), ("write",)),  # Monday, or Tuesday
    (scheduled(frequency="daily", at="02:00", every="5m"), ("write", "did you mean")),
    (scheduled(frequency="daily", at="02:00", interval="5m"), ("write",)),
    (scheduled(frequency="daily", interval=2, days=["monday"], at="02:00"), ("write",)),
    (scheduled(frequency="monthly", day=-1, at="02:00"), ("write",)),
    (processed(shell="x", timeout=30), ("write",)),  # seconds, or minutes
    (processed(shell="x", limits={"memory": "1G"}), ("write 1G",)),  # GB, or GiB
    (processed(shell="x", limits={"open_files": "1024k"}), ("write",)),
    (processed(shell="x", cpu="2"), ("write", "did you mean")),
    (processed(shell="x", script=["a", "b & c"]), ("write", "did you mean")),
    (scheduled(**EVERY_5, timezone="Europe/Barcelona"), ("did you mean",)),
    (scheduled(**EVERY_5, timezone="IST"), ("did you mean",)),
    ({"process": RUN, "on": "push"}, ("write", "did you mean")),
    ({"process": RUN, "notify": "ops"}, ("write", "did you mean")),
    (
        {"process": RUN, "timing": "weekly"},
        ("write", "did you mean"),
    ),  # Sunday in crontab, Monday elsewhere
    ({"process": RUN, "timing": "rarely"}, ("write", "did you mean")),
    (once(start="2026-12-24 18:00", finish="2027-01-01"), ("it belongs", "write", "did you mean")),
    (once(start="2026-12-24 18:00", repetitions=3), ("it belongs", "write", "did you mean")),
    (once(date="soon"), ("that is",)),
]
BESIDE_OTHERS: list[tuple[Document, Document]] = [
    (
        scheduled(frequency="weekly", day="monday", at="02:00"),
        scheduled(frequency="weekly", days=["monday"], at="02:00"),
    ),
    (once(at="2026-12-24 18:00"), once(start="2026-12-24 18:00")),
    (once(start="2026-12-24", at="18:00"), once(start="2026-12-24 18:00")),
]


@pytest.mark.parametrize(("document", "meant"), MEANINGS)
def test_a_pasted_hint_gives_the_intended_document(document: Document, meant: Document) -> None:
    (problem, *_) = problems_of(document)
    assert applied(document, problem) == meant, problem.suggestion
    assert problems_of(meant) == []


@pytest.mark.parametrize(("document", "meant"), BESIDE_OTHERS)
def test_of_several_hints_for_one_mistake_the_hint_for_the_key_gives_the_intended_document(
    document: Document, meant: Document
) -> None:
    proposals = [
        problem
        for problem in problems_of(document)
        if (problem.suggestion or "").startswith("write ")
    ]
    assert [applied(document, problem) for problem in proposals] == [meant]


@pytest.mark.parametrize(("document", "absent"), NOTHING)
def test_an_ambiguous_value_gets_no_hint(document: Document, absent: tuple[str, ...]) -> None:
    for problem in problems_of(document):
        assert not (problem.suggestion or "").startswith(absent), problem


VALUES: list[object] = [
    "x",
    "echo hi",
    "a | b",
    "5m",
    "90 minutes",
    "02:00",
    "2pm",
    "mon-fri",
    "Friday",
    "last weekday",
    "@daily",
    "@reboot",
    "*/5 * * * *",
    "0 0 12 ? * 2-6",
    "Europe/Madrid",
    "2026-12-24",
    "2026-12-24 18:00",
    "Forbid",
    "512Mi",
    "yearly",
    "",
    5,
    0,
    -1,
    2.5,
    True,
    False,
    None,
    ["a"],
    ["A=b"],
    ["mon", "fri"],
    [1, 2],
    [],
    {"a": 1},
    {"schedule": "@hourly"},
    [{"cron": "0 2 * * *"}],
    [{"name": "a", "command": "b"}],
    {},
    "wait",
    "once",
    "restart",
    "nightly-posting",
]
AROUND: list[tuple[str, Document, tuple[str | int, ...]]] = [
    ("the request", {"process": RUN}, ()),
    ("a request with a schedule", scheduled(frequency="daily", at="02:00"), ()),
    ("the process", processed(shell="x"), ("process",)),
    ("a process without an action", processed(), ("process",)),
    ("a guarded process", processed(shell="x", prevent_concurrent=True), ("process",)),
    ("success", processed(shell="x", success={}), ("process", "success")),
    ("retry", processed(shell="x", retry={"attempts": 2}), ("process", "retry")),
    ("limits", processed(shell="x", limits={}), ("process", "limits")),
    ("a group", processed(group={"members": [{"request": "a"}]}), ("process", "group")),
    (
        "a member",
        processed(group={"members": [{"name": "a", "shell": "x"}, {"request": "b"}]}),
        ("process", "group", "members", 0),
    ),
    ("the timing", {"process": RUN, "timing": {}}, ("timing",)),
    (
        "run_later",
        {"process": RUN, "timing": {"run_later": {"start": "2026-12-24 18:00"}}},
        ("timing", "run_later"),
    ),
    ("a daily schedule", scheduled(frequency="daily", at="02:00"), ("timing", "schedule")),
    (
        "a weekly schedule",
        scheduled(frequency="weekly", days=["monday"], at="02:00"),
        ("timing", "schedule"),
    ),
    (
        "a monthly schedule",
        scheduled(frequency="monthly", day=1, at="02:00"),
        ("timing", "schedule"),
    ),
    (
        "a cron schedule",
        scheduled(frequency="cron", expression="0 2 * * *"),
        ("timing", "schedule"),
    ),
    ("an empty schedule", scheduled(), ("timing", "schedule")),
]


def put(document: Document, path: tuple[str | int, ...], key: str, value: object) -> Document:
    copied: Document = deepcopy(document)
    at: Any = copied
    for part in path:
        at = at[part]
    at[key] = value
    return copied


def documents_with(key: str) -> Iterator[Document]:
    """Yield documents with a key at many places and with many values.

    The default suite takes all values where the key belongs. Elsewhere it takes every
    eleventh document, starting at a different one for each key: each place and each
    value. With RUNNER_EXAMPLES set, as campaigns do, it takes all.
    """
    step = 1 if "RUNNER_EXAMPLES" in os.environ else 11
    homes = [name for name, document, path in AROUND if belongs(key, document, path)]
    for number, ((name, document, path), value) in enumerate(product(AROUND, VALUES)):
        if name in homes or number % step == sum(key.encode()) % step:
            yield put(document, path, key, value)


def belongs(key: str, document: Document, path: tuple[str | int, ...]) -> bool:
    """Return whether a key of Runner's own has its place there."""
    return not any(
        "is not a key of" in problem.message
        for problem in problems_of(put(document, path, key, "x"))
    )


def check_proposals(document: Document) -> int:
    """Check that each proposal removes its problem and adds none; return their number."""
    before = problems_of(document)
    paths = {str(each.path) for each in before}
    count = 0
    for problem, changed in proposals(document, before):
        after = problems_of(changed)
        assert len(after) < len(before) or not after, (problem, changed, after)
        assert {str(each.path) for each in after} <= paths, (problem, changed, after)
        count += 1
    return count


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.names[0])
def test_a_proposal_for_a_foreign_key_is_valid_for_any_value_and_place(
    alias: Alias,
) -> None:
    for document in documents_with(alias.names[0]):
        check_proposals(document)


@pytest.mark.parametrize("key", sorted(_READINGS))
def test_a_proposal_for_our_own_key_is_valid_for_any_value(key: str) -> None:
    assert sum(map(check_proposals, documents_with(key)))


@pytest.mark.parametrize(
    "defaults",
    [
        {"cron": "*/5 * * * *"},
        {"timing": "daily"},
        {"process": {"steps": ["a"]}},
        {"timing": {"schedule": "@daily"}},
    ],
)
def test_a_key_that_defaults_cannot_hold_is_reported(
    defaults: Document,
) -> None:
    for finding in findings_in(defaults, "defaults"):
        assert not (finding.suggestion or "").startswith(("write", "in `")), finding
