"""The schema's errors in plain words, and the schema itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from runner.requests.schema.checking import findings_in
from runner.requests.yaml.document import documents_in
from runner.resources import examples_folder, schema_names, schema_text

SCHEMA: dict[str, Any] = json.loads(schema_text("process-request"))


def data_of(text: str) -> Any:
    documents = documents_in(text.encode(), "a.yaml")
    assert isinstance(documents, tuple)
    return documents[0].data


def reported(text: str) -> dict[str, str]:
    findings = findings_in(data_of(text))
    return {
        ".".join(map(str, finding.path)): f"{finding.message} ({finding.suggestion})"
        for finding in findings
    }


def schedule(fields: str) -> str:
    return f"process: {{shell: x}}\ntiming: {{schedule: {{{fields}}}}}"


def process(fields: str) -> str:
    return f"process: {{{fields}}}"


@pytest.mark.parametrize(
    "text",
    [
        process("shell: x"),
        process(
            "command: [a, b], timeout: 1h30m, stop_signal: INT, stop_grace: 500ms, "
            "prevent_concurrent: true"
        ),
        process("shell: x, prevent_concurrent: true, on_overlap: refuse, if_interrupted: record"),
        process("shell: x, environment: {A: '5', b.c: ''}"),
        process("request: other"),
        process(
            "python: reports.daily:main, params: {year: 2026, ok: [1, {a: ~}]}, secrets: [A, b.c]"
        ),
        process(
            "shell: x, environment_file: a.env, stdin: '', run_as: {user: a, group: '0'}, "
            "umask: 027, nice: -5"
        ),
        process(
            "shell: x, environment_file: [a.env, b.env], limits: {memory: 1GiB, cpu: 5m, "
            "processes: 5}"
        ),
        process(
            "shell: x, success: {exit_codes: [0, 2]}, retry: {attempts: 3, backoff: 1.5}, "
            "output_limit: 5MB"
        ),
        process(
            "group: {members: [{request: a}, {name: b, shell: x}], stop_on_failure: true}, "
            "timeout: 3m"
        ),
        process(
            "group: {members: [{name: b, group: {members: [{request: a}]}}]}, retry: "
            "{attempts: 1000}"
        ),
        "process: {shell: x}\ntiming: run_immediately",
        "process: {shell: x}\ntiming: {run_immediately: {}}",
        "process: {shell: x}\ntiming:\n  run_immediately:",
        "process: {shell: x}\ntiming: {run_later: {start: 2026-12-24 18:00, timezone: UTC, "
        "misfire: skip}}",
        "process: {shell: x}\ntiming: {run_later: {start: 2026-12-24 18:00, misfire_grace: 1m}}",
        schedule("frequency: secondly, interval: 5, spread: 1s, misfire: fire_all"),
        schedule("frequency: daily, at: 10:30, days: weekends, except: [2026-12-25]"),
        schedule("frequency: daily, at: [10:30, '11:00:30'], interval: 3, except: holidays.txt"),
        schedule("frequency: weekly, days: [monday, friday], at: 10:30"),
        schedule(
            "frequency: monthly, day: 31, start: 2026-01-01T10:00Z, repetitions: 0, "
            "finish: 2026-02-01"
        ),
        schedule("frequency: monthly, day: last_workday, at: 10:30"),
        schedule("frequency: monthly, day: second sunday, at: 10:30"),
        schedule("frequency: cron, expression: '*/5 * * * *'"),
        "process: {shell: x}\nreschedule: 3\nlabels: {a: b}\ncontext: {client: "
        "c}\nscheduled: false\nowner: o",
    ],
)
def test_valid_documents_are_accepted(text: str) -> None:
    assert reported(text) == {}


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("- a", "", "a request should be a mapping, not a list"),
        ("~", "", "a request is empty; it should be a mapping"),
        (
            "name: a",
            "",
            "`process` is missing (for example process: {command: [python3, post.py], "
            "timeout: 30m})",
        ),
        (
            "process: {shell: x}\ntming: {}",
            "tming",
            "`tming` is not a key of a request (did you mean `timing`?)",
        ),
        (
            "process: {shell: x}\ntimeout: 3m",
            "timeout",
            "not a key of a request (in `process`, write timeout: 3m)",
        ),
        ("process: {shell: x}\nat: 10:00", "at", "(it belongs in `timing.schedule`)"),
        (
            "process: {shell: x}\nstart: 1",
            "start",
            "(it belongs in `timing.run_later` or `timing.schedule`)",
        ),
        (
            process("shell: x, owner: me"),
            "process.owner",
            "(in the request itself, write owner: me)",
        ),
        (
            process("shell: x, zzzzzz: 1"),
            "process.zzzzzz",
            "`zzzzzz` is not a key of `process` (None)",
        ),
        (
            process("{}"),
            "process",
            "`process` needs one of `command`, `shell`, `python`, `group` or `request`",
        ),
        (
            process("shell: x, command: [y]"),
            "process.command",
            "this one has `command` and `shell`",
        ),
        (process("command: ls -l"), "process.command", 'not "ls -l" (write [ls, -l])'),
        (process("command: []"), "process.command", "`command` is empty"),
        (
            process("command: [sleep, 5]"),
            "process.command.1",
            '`command[1]` should be text, not 5 (quote it: "5")',
        ),
        (process("shell: ''"), "process.shell", "`shell` is empty"),
        (process("shell: "), "process.shell", "`shell` is empty; it should be text"),
        (
            process("shell: x, environment: {A: 8080}"),
            "process.environment.A",
            'text, not 8080 (quote it: "8080")',
        ),
        (
            process("shell: x, environment: {A: true}"),
            "process.environment.A",
            'not true (quote it: "true")',
        ),
        (
            process("shell: x, environment: {A=B: x}"),
            "process.environment.A=B",
            "`A=B` cannot be a variable's name",
        ),
        (
            process("shell: x, environment: {'': x}"),
            "process.environment.",
            "cannot be a variable's name: not empty",
        ),
        (
            process("shell: x, timeout: 30"),
            "process.timeout",
            "30 what? A duration needs a unit: 30s, 30m, 30h",
        ),
        (process("shell: x, timeout: '30'"), "process.timeout", "30 what?"),
        (
            process("shell: x, timeout: 5 minutes"),
            "process.timeout",
            "is not a duration (write 5m)",
        ),
        (process("shell: x, timeout: ''"), "process.timeout", "is not a duration"),
        (
            process("shell: x, prevent_concurrent: yes"),
            "process.prevent_concurrent",
            'true or false, not "yes"',
        ),
        (
            process("shell: x, on_overlap: refuse"),
            "process",
            "`on_overlap` needs `prevent_concurrent`",
        ),
        (
            process("shell: x, on_overlap: refuse, prevent_concurrent: false"),
            "process.prevent_concurrent",
            "should be true where `on_overlap` is given, not false",
        ),
        (process("group: {members: []}"), "process.group.members", "`members` is empty"),
        (
            process("group: {members: [{shell: x}]}"),
            "process.group.members.0",
            "an inline member needs `name`",
        ),
        (
            process("group: {members: [5]}"),
            "process.group.members.0",
            "`members[0]` should be a mapping, not 5",
        ),
        (
            process("group: {members: [{request: a, timeout: 1m}]}"),
            "process.group.members.0.timeout",
            "`timeout` is not allowed beside `request` (set it where the process is "
            "defined, in `a`)",
        ),
        (
            process("group: {members: [{name: a, shell: x, shel: y}]}"),
            "process.group.members.0.shel",
            "`shel` is not a key of `members[0]` (did you mean `shell`?)",
        ),
        (
            process("group: {members: [{name: a, shell: x, command: [y]}]}"),
            "process.group.members.0.command",
            "this one has `command` and `shell` (make them members of their own)",
        ),
        (
            process("group: {members: [{request: a}]}, umask: 027"),
            "process.umask",
            "(set it on the members)",
        ),
        (process("python: main"), "process.python", 'written package.module:function, not "main"'),
        (
            process("shell: x, params: {a-b: 1}"),
            "process.params.a-b",
            "`a-b` cannot be a parameter's name",
        ),
        (
            process("shell: x, secrets: [A=B]"),
            "process.secrets.0",
            "a variable's name: not empty, without `=`",
        ),
        (
            process("shell: x, umask: 27"),
            "process.umask",
            "an octal mask of three or four digits, quoted, not 27",
        ),
        (
            process("shell: x, retry: {attempts: 1001}"),
            "process.retry.attempts",
            "a whole number from 1 to 1000",
        ),
        (process("shell: x, retry: {delay: 5s}"), "process.retry", "`attempts` is missing"),
        (process("shell: x, limits: {memory: 5}"), "process.limits.memory", "not a size"),
        (
            "name: Nightly Run\nprocess: {shell: x}",
            "name",
            'not "Nightly Run" (for example nightly-run)',
        ),
        ("name: 5\nprocess: {shell: x}", "name", 'not 5 (quote it: "5")'),
        ("process: {shell: x}\ntiming: ", "timing", "`timing` is empty"),
        (
            "process: {shell: x}\ntiming: run_later",
            "timing",
            "`timing` should be `run_immediately`, or a mapping",
        ),
        (
            "process: {shell: x}\ntiming: {}",
            "timing",
            "needs one of `run_immediately`, `run_later` or `schedule`",
        ),
        (
            "process: {shell: x}\ntiming: {run_later: {}}",
            "timing.run_later",
            "(for example start: 2026-12-24 18:00)",
        ),
        (
            "process: {shell: x}\ntiming: {run_later: {start: soon}}",
            "timing.run_later.start",
            "'soon' is not a time",
        ),
        (
            "process: {shell: x}\ntiming: {run_immediately: {}, run_later: {start: "
            "2026-12-24 18:00}}",
            "timing.run_immediately",
            "`timing` takes exactly one of `run_immediately`, `run_later` and `schedule`",
        ),
        (
            schedule("frequency: dayly"),
            "timing.schedule.frequency",
            'not "dayly" (did you mean `daily`?)',
        ),
        (
            schedule("frequency: daily, day: 3"),
            "timing.schedule.day",
            "`day` belongs to monthly; this is daily",
        ),
        (
            schedule("frequency: hourly, at: 10:30"),
            "timing.schedule.at",
            "daily, weekly and monthly; this is hourly",
        ),
        (
            schedule("frequency: cron, expression: x, interval: 3"),
            "timing.schedule.interval",
            "this is cron",
        ),
        (
            schedule("frequency: daily, expression: x"),
            "timing.schedule.expression",
            "belongs to cron; this is daily",
        ),
        (
            schedule("frequency: daily, days: [monday]"),
            "timing.schedule.days",
            "a list of days belongs to weekly",
        ),
        (schedule("frequency: daily, days: weekday"), "timing.schedule.days", "(write weekdays)"),
        (
            schedule("frequency: daily, at: 9:30"),
            "timing.schedule.at",
            'is not a time of day (write "09:30")',
        ),
        (
            schedule("frequency: daily, at: [10:30, 25:00]"),
            "timing.schedule.at.1",
            "'25:00' is not a time of day",
        ),
        (
            schedule("frequency: daily, at: 930"),
            "timing.schedule.at",
            'is not a time of day (write "09:30")',
        ),
        (schedule("frequency: weekly, days: monday"), "timing.schedule.days", "(write [monday])"),
        (
            schedule("frequency: weekly, days: [Mon]"),
            "timing.schedule.days.0",
            "(write days: [monday])",
        ),
        (
            schedule("frequency: weekly, days: weekdays"),
            "timing.schedule.days",
            "(write [monday, tuesday, wednesday, thursday, friday])",
        ),
        (
            schedule("frequency: monthly, day: 32"),
            "timing.schedule.day",
            "`day` should be a day of the month, 1 to 31, not 32",
        ),
        (
            schedule("frequency: monthly, day: secnd sunday"),
            "timing.schedule.day",
            "(did you mean `second sunday`?)",
        ),
        (
            schedule("frequency: daily, repetitions: 3"),
            "timing.schedule.repetitions",
            "`repetitions` requires `start`",
        ),
        (
            schedule("frequency: daily, except: [2026-1-1]"),
            "timing.schedule.except.0",
            "write it like 2026-12-25",
        ),
        (
            schedule("frequency: daily, finish: '2026'"),
            "timing.schedule.finish",
            "'2026' is not a time",
        ),
        (
            schedule("frequency: daily, misfire: run"),
            "timing.schedule.misfire",
            "one of skip, fire_once, fire_all",
        ),
    ],
)
def test_a_mistake_is_reported_at_its_position_in_plain_words(
    text: str, path: str, message: str
) -> None:
    found = reported(text)
    assert message in found.get(path, ""), found


def test_all_mistakes_are_reported_in_one_pass() -> None:
    found = reported(
        "naem: x\nprocess: {shell: x, timeout: 30}\ntiming: {schedule: {frequency: daily, "
        "day: 3, at: 9:30}}"
    )
    assert set(found) == {"naem", "process.timeout", "timing.schedule.day", "timing.schedule.at"}


def subschemas(schema: Any, path: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (place, key, subschema) of every described property, in every branch."""
    if isinstance(schema, dict):
        for key, below in schema.get("properties", {}).items():
            if isinstance(below, dict):
                yield f"{path}.{key}", key, below
        for word, below in schema.items():
            if word not in {"examples", "default", "enum", "const"}:
                yield from subschemas(below, f"{path}/{word}")
    elif isinstance(schema, list):
        for index, below in enumerate(schema):
            yield from subschemas(below, f"{path}[{index}]")


def test_the_schema_is_a_valid_draft_07_schema_without_one_of() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert SCHEMA["$id"].endswith("/process-request.schema.json")
    assert SCHEMA["title"]
    text = json.dumps(SCHEMA)
    assert '"oneOf"' not in text
    assert '"uniqueItems"' not in text
    assert '"format"' not in text


def test_every_key_has_a_description_and_an_example_that_fits() -> None:
    seen = 0
    for place, _, schema in subschemas(SCHEMA):
        if "/allOf" in place or "/dependencies" in place or "/if" in place:
            continue  # branches only narrow what the properties describe
        assert schema.get("description"), place
        assert schema.get("examples"), place
        seen += 1
        for example in schema["examples"]:
            assert not list(Draft7Validator(SCHEMA).evolve(schema=schema).iter_errors(example)), (
                place
            )
    assert seen > 60


def keys(text: str) -> set[str]:
    return set(text.split())


def keys_at(*path: str) -> set[str]:
    schema: Any = SCHEMA
    for part in path:
        schema = (
            schema["properties"][part]
            if "properties" in schema
            else schema["else"]["properties"][part]
        )
    return set(schema["properties"] if "properties" in schema else schema["else"]["properties"])


def test_all_keys_of_the_format_are_in_the_schema() -> None:
    assert keys_at() == keys(
        "name description owner labels context scheduled reschedule formerly on_success on_failure "
        "expect notify ping retention process timing"
    )
    assert keys_at("process") == keys("""
        command shell python group request name directory environment environment_file
        secrets params stdin run_as umask nice timeout stop_signal stop_grace limits
        prevent_concurrent on_overlap success retry output_limit if_interrupted
        scheduled if queue
    """)
    assert keys_at("expect") == keys("start_within finish_within duration success_every")
    assert keys_at("retention") == keys("keep_for failures_keep_for keep_count keep_size")
    assert keys_at("timing") == {"run_immediately", "run_later", "schedule"}
    assert keys_at("timing", "run_later") == keys("start timezone misfire misfire_grace")
    assert keys_at("timing", "schedule") == keys("""
        frequency interval days day at expression start finish repetitions except only shift
        timezone spread misfire misfire_grace
    """)


# Words that occur in the schema, so that random documents reach the replaced keywords.
WORDS = sorted(
    keys(
        "x 30m daily weekly monthly cron 02:00 2026-01-01 monday run_immediately weekdays "
        "last refuse"
    )
)
KEYS = sorted(
    keys("""
    name process timing shell command environment schedule frequency at days day
    interval expression start repetitions run_immediately timeout on_overlap
    prevent_concurrent request labels nope group members umask
""")
)
FREQUENCIES = ["daily", "weekly", "monthly", "cron", "hourly", "often"]


def some(names: str) -> dict[str, st.SearchStrategy[Any]]:
    return dict.fromkeys(names.split(), values)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 40) | st.sampled_from([*WORDS, ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=10,
)
schedules = st.fixed_dictionaries(
    {"frequency": st.sampled_from(FREQUENCIES)},
    optional=some("days day at interval repetitions expression"),
)
members = st.lists(
    st.fixed_dictionaries({}, optional=some("name shell request group timeout")), max_size=2
)
groups = st.fixed_dictionaries({"members": values | members}, optional=some("stop_on_failure"))
processes = st.fixed_dictionaries(
    {},
    optional={
        **some("shell command request environment timeout on_overlap umask"),
        "group": values | groups,
    },
)
documents = st.fixed_dictionaries(
    {"process": processes},
    optional={
        "name": values,
        "timing": values | st.fixed_dictionaries({"schedule": values | schedules}),
    },
)


@settings(max_examples=100)
@given(values | documents)
def test_the_verdict_equals_the_librarys(data: object) -> None:
    theirs = Draft7Validator(SCHEMA).is_valid(data)
    assert theirs == (not findings_in(data))


@settings(max_examples=100)
@given(values | documents)
def test_every_finding_is_short_and_points_into_the_document(data: object) -> None:
    for finding in findings_in(data):
        assert len(finding.message) < 500
        assert not re.search(
            r"is not of type|does not match|valid under|additional propert",
            finding.message,
            re.IGNORECASE,
        )
        at: Any = data
        for part in finding.path:
            at = at[part]


def test_shipped_schemas_and_examples_are_found() -> None:
    assert "process-request" in schema_names()
    assert examples_folder().name in {"jobs.d", "examples"}
