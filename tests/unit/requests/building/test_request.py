"""From a document to the model of a process, and errors at their positions."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
import yaml

from runner.lifecycle import Check, IfInterrupted, OnOverlap
from runner.requests.building.process_json import process_from, process_text
from runner.requests.building.request import RequestDraft, built, draft_from
from runner.requests.findings import Finding, path_text
from runner.requests.model import (
    DEFAULT_QUEUE,
    Condition,
    Group,
    Limits,
    Process,
    ProcessRequest,
    Program,
    Python,
    Reference,
    Retry,
    RunAs,
    Shell,
    Source,
    Success,
)
from runner.requests.policies import Expect, Retention, Route
from runner.requests.schema.checking import findings_in

FOLDER = "/srv/jobs.d"


def draft_of(text: str) -> RequestDraft:
    data: Any = yaml.load(text, yaml.SafeLoader)
    assert not findings_in(data), findings_in(data)
    return RequestDraft(
        data=data,
        name="nightly",
        folder=FOLDER,
        source=Source(file="nightly.yaml", line=1, sha256="0"),
    )


def request_of(text: str) -> ProcessRequest:
    request, findings = built(draft_of(text), default_zone="UTC")
    assert request, findings
    return request


def process_of(fields: str) -> Process:
    return request_of(f"process: {{{fields}}}").process


def found_in(fields: str) -> tuple[Finding, ...]:
    return built(draft_of(f"process: {{{fields}}}"), default_zone="UTC")[1]


def reported(fields: str) -> dict[str, str]:
    return {
        path_text(each.path): f"{each.message} ({each.suggestion})" for each in found_in(fields)
    }


def members_of(process: Process) -> dict[str, Process]:
    assert isinstance(process.action, Group)
    return {member.name: member for member in process.action.members}


# --- one process
# --------------------------------------------------------------------------------

FULL = """
formerly: posting
on_success: {request: publish}
ping: {url_variable: HC}
on_failure: {request: tell, unschedule_after: 5}
process:
  python: reports.daily:main
  environment_file: [common.env, /etc/erp.env, ../up.env]
  secrets: [ERP_PASSWORD, TOKEN]
  params: {year: 2026, when: "2026-12-24", deep: {list: [1, 2.5, true, null]}}
  if: {shell: test -s orders.csv, timeout: 5s}
  stdin: "yes\\n"
  run_as: {user: erp, group: "1000"}
  umask: "027"
  nice: -5
  timeout: 5m
  limits: {memory: 512MiB, cpu: 10m, open_files: 1024, processes: 64}
  prevent_concurrent: true
  on_overlap: queue
  success: {exit_codes: [0, 2], fail_on_stderr: true, fail_on_output: [FATAL, "rolled back"]}
  retry: {attempts: 3, delay: 30s, backoff: 2, max_delay: 10m, exit_codes: [75]}
  output_limit: 10MB
  if_interrupted: rerun
  queue: gpu
"""


def test_the_names_of_other_requests_reach_the_model() -> None:
    request = request_of(FULL)
    assert request.ping == "HC"
    names = (request.formerly, request.on_success, request.on_failure)
    assert (*names, request.unschedule_after) == ("posting", "publish", "tell", 5)
    plain = request_of("process: {shell: x}")
    assert (plain.formerly, plain.on_success, plain.on_failure) == (None, None, None)
    assert plain.ping is None


def test_retention_reaches_the_model_and_a_wrong_value_is_found_at_its_place() -> None:
    text = "retention: {keep_for: 90d, failures_keep_for: 1d, keep_count: 0, keep_size: 1MB}\n"
    assert request_of(text + "process: {shell: x}").retention == Retention(
        keep_for=timedelta(days=90),
        failures_keep_for=timedelta(days=1),
        keep_count=0,
        keep_size=10**6,
    )
    wrong = "retention: {keep_for: 99999999d, keep_size: 0B}\nprocess: {shell: x}"
    _, found = built(draft_of(wrong), default_zone="UTC")
    assert [path_text(each.path) for each in found] == [
        "retention.keep_for",
        "retention.keep_size",
    ]


def test_expectations_and_routes_reach_the_model() -> None:
    text = """
expect: {start_within: 5m, finish_within: 45m, duration: 30m, success_every: 26h}
notify:
- {to: ops, "on": [failure, late], after: 2, repeat: 6h, recovery: false}
- {to: chat}
process: {shell: x}
"""
    request, minute = request_of(text), timedelta(minutes=1)
    assert request.expect == Expect(
        start_within=5 * minute,
        finish_within=45 * minute,
        duration=30 * minute,
        success_every=timedelta(hours=26),
    )
    on = frozenset({Check.FAILURE, Check.LATE})
    assert request.notify == (
        Route(to="ops", on=on, after=2, repeat=timedelta(hours=6), recovery=False),
        Route(to="chat"),
    )
    assert request_of("notify: []\nprocess: {shell: x}").notify == ()
    assert request_of("process: {shell: x}").notify is None


def test_a_wrong_expectation_and_a_wrong_route_are_found_at_their_places() -> None:
    wrong = "expect: {duration: 0s}\nnotify: [{to: a}, {to: b, repeat: 0s}]\nprocess: {shell: x}"
    _, found = built(draft_of(wrong), default_zone="UTC")
    assert [path_text(each.path) for each in found] == ["expect.duration", "notify[1].repeat"]


def test_every_value_of_a_process_reaches_the_model() -> None:
    assert request_of(FULL).process == Process(
        name="nightly",
        action=Python(target="reports.daily:main"),
        directory=FOLDER,
        environment_files=(f"{FOLDER}/common.env", "/etc/erp.env", f"{FOLDER}/../up.env"),
        secrets=("ERP_PASSWORD", "TOKEN"),
        params={"year": 2026, "when": "2026-12-24", "deep": {"list": [1, 2.5, True, None]}},
        condition=Condition(shell="test -s orders.csv", timeout=timedelta(seconds=5)),
        stdin="yes\n",
        run_as=RunAs(user="erp", group="1000"),
        umask=0o27,
        nice=-5,
        timeout=timedelta(minutes=5),
        limits=Limits(memory=512 << 20, cpu=timedelta(minutes=10), open_files=1024, processes=64),
        prevent_concurrent=True,
        on_overlap=OnOverlap.QUEUE,
        success=Success(
            exit_codes=frozenset({0, 2}),
            fail_on_stderr=True,
            fail_on_output=("FATAL", "rolled back"),
        ),
        retry=Retry(
            attempts=3,
            delay=timedelta(seconds=30),
            backoff=2.0,
            max_delay=timedelta(minutes=10),
            exit_codes=frozenset({75}),
        ),
        output_limit=10_000_000,
        if_interrupted=IfInterrupted.RERUN,
        queue="gpu",
    )


def test_missing_keys_have_the_defaults_of_the_model() -> None:
    assert process_of("shell: x") == Process(
        name="nightly", action=Shell(line="x"), directory=FOLDER
    )
    assert process_of("shell: x, success: {fail_on_stderr: true}").success == Success(
        fail_on_stderr=True
    )
    assert process_of("shell: x, retry: {attempts: 2}").retry == Retry(attempts=2)
    assert process_of("shell: x, limits: {}").limits == Limits()
    assert process_of("shell: x, environment_file: a.env").environment_files == (f"{FOLDER}/a.env",)


def test_requests_share_the_values_that_they_do_not_set() -> None:
    first, second = (
        built(draft_of("process: {shell: x}"), default_zone="UTC")[0] for _ in range(2)
    )
    assert first is not None
    assert second is not None
    assert first.labels is second.labels == {}
    assert first.context is second.context
    assert first.process.environment is second.process.environment == {}
    assert first.process.params is second.process.params == {}


def test_a_full_process_survives_both_of_its_texts() -> None:
    request = request_of(FULL)
    again, _ = built(draft_from(request.source.definition), default_zone="UTC")
    assert again == request
    assert process_from(process_text(request.process)) == request.process


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ("limits: {memory: 0B}", "limits.memory", "`memory` should be more than zero"),
        ("output_limit: 0kB", "output_limit", "`output_limit` should be more than zero"),
        (
            "output_limit: 9999999TiB",
            "output_limit",
            "`output_limit` should be less than 1000000 TiB",
        ),
        ("limits: {memory: 1111111111111111B}", "limits.memory", "is not a size"),
        ("limits: {cpu: 0s}", "limits.cpu", "`cpu` should be longer than zero"),
        ("retry: {attempts: 2, delay: 40000d}", "retry.delay", "longer than a hundred years"),
        (
            "retry: {attempts: 2, delay: 1m, max_delay: 30s}",
            "retry.max_delay",
            "`max_delay` should not be shorter than `delay`, which is 1m",
        ),
        ("retry: {attempts: 2, max_delay: 500ms}", "retry.max_delay", "`delay`, which is 1s"),
        (
            "params: {year: 1, YEAR: 2}",
            "params.YEAR",
            "`YEAR` and `year` would both be `RUNNER_PARAM_YEAR`",
        ),
    ],
)
def test_a_wrong_value_is_reported_at_its_position(fields: str, path: str, message: str) -> None:
    found = reported(f"shell: x, {fields}")
    assert list(found) == [f"process.{path}"]
    assert message in found[f"process.{path}"]


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ("environment: {OK: a, PW: hunter2}", "environment"),
        ("params: {pw: hunter2}", "params"),
        ("params: {Pw: hunter2}", "params"),
    ],
)
def test_the_value_of_a_secret_in_the_file_is_refused(fields: str, key: str) -> None:
    (finding,) = found_in(f"shell: x, secrets: [OK_TOO, PW], {fields}")
    assert (
        path_text(finding.path) == "process.secrets[1]"
    )  # at the name, not at the value: messages may show the line
    assert (
        finding.message == f"the value of a secret must not be in the file: `PW` stands in `{key}`"
    )
    assert finding.suggestion == "put it into an `environment_file` or the runner's own environment"


def test_a_param_is_secret_by_the_name_of_its_variable_too() -> None:
    assert list(reported("shell: x, secrets: [RUNNER_PARAM_PW], params: {pw: hunter2}")) == [
        "process.secrets[0]"
    ]
    assert not reported("shell: x, secrets: [PW], environment: {pw: public}, params: {pw2: 1}")


# --- groups
# --------------------------------------------------------------------------------

GROUP = """
  name: posting, directory: erp, environment: {A: "1"}, environment_file: erp.env, secrets: [PW],
  params: {year: 2026},
  prevent_concurrent: true, timeout: 1h, stop_grace: 3s, retry: {attempts: 2},
  if_interrupted: rerun, queue: gpu,
  group: {stop_on_failure: true, members: [
    {request: extract},
    {name: load, command: [load, now], timeout: 5m, umask: "077"},
    {name: own, shell: x, directory: other, environment: {B: "2"}, environment_file: own.env,
     secrets: [TOKEN], params: {month: 1}, queue: default},
    {name: inner, environment: {C: "3"}, group: {
      members: [{name: deep, shell: y}, {request: extract}]}}]}
"""


def test_a_group_has_its_members_in_order() -> None:
    process = process_of(GROUP)
    assert isinstance(process.action, Group)
    assert (process.name, process.directory, process.action.stop_on_failure) == (
        "posting",
        f"{FOLDER}/erp",
        True,
    )
    assert list(members_of(process)) == ["extract", "nightly/load", "nightly/own", "nightly/inner"]
    assert (process.timeout, process.retry) == (timedelta(hours=1), Retry(attempts=2))


def test_an_inline_member_inherits_what_it_does_not_set() -> None:
    members = members_of(process_of(GROUP))
    assert members["nightly/load"] == Process(
        name="nightly/load",
        action=Program(arguments=("load", "now")),
        directory=f"{FOLDER}/erp",
        environment={"A": "1"},
        environment_files=(f"{FOLDER}/erp.env",),
        secrets=("PW",),
        params={"year": 2026},
        timeout=timedelta(minutes=5),
        umask=0o77,
        queue="gpu",
    )
    own = members["nightly/own"]
    assert (own.directory, own.environment) == (f"{FOLDER}/other", {"B": "2"})
    assert own.queue == DEFAULT_QUEUE
    assert (own.environment_files, own.params) == ((f"{FOLDER}/own.env",), {"month": 1})


def test_secrets_of_a_group_are_secrets_of_all_its_members() -> None:
    assert members_of(process_of(GROUP))["nightly/own"].secrets == ("PW", "TOKEN")


def test_a_reference_member_has_the_requests_name_and_inherits_from_its_group() -> None:
    member = members_of(process_of(GROUP))["extract"]
    assert member.action == Reference(request="extract")
    assert (member.directory, member.environment, member.timeout) == (
        f"{FOLDER}/erp",
        {"A": "1"},
        None,
    )


def test_a_nested_group_is_named_by_its_path() -> None:
    inner = members_of(process_of(GROUP))["nightly/inner"]
    members = members_of(inner)
    assert list(members) == ["nightly/inner/deep", "extract"]
    assert (members["nightly/inner/deep"].environment, inner.environment) == (
        {"C": "3"},
        {"C": "3"},
    )
    assert members["nightly/inner/deep"].directory == f"{FOLDER}/erp"


def test_a_duplicate_member_name_is_reported_within_one_group_only() -> None:
    twins = "group: {members: [{name: a, shell: x}, {request: a}, {name: a, shell: y}]}"
    assert reported(twins) == {
        "process.group.members[2].name": 'another member is named "a" too (give each a `name` of '
        "its "
        "own)"
    }
    assert not reported(
        "group: {members: [{name: a, group: {members: [{name: a, shell: x}]}}, {request: "
        "b}, {request: b}]}"
    )


def test_an_error_in_a_member_is_reported_at_the_member() -> None:
    wrong = (
        "group: {members: [{name: a, shell: x, stop_signal: TREM, retry: {attempts: 2, "
        "max_delay: 1ms}}]}"
    )
    assert list(reported(wrong)) == [
        "process.group.members[0].stop_signal",
        "process.group.members[0].retry.max_delay",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        "secrets: [PW], group: {members: [{name: a, shell: x}, {name: b, shell: x, "
        "environment: {PW: hunter2}}]}",
        "secrets: [PW], environment: {PW: hunter2}, group: {members: [{name: a, shell: x}, "
        "{name: b, shell: x}]}",
    ],
)
def test_a_written_secret_of_a_group_is_reported_once(fields: str) -> None:
    assert [path_text(each.path) for each in found_in(fields)] == ["process.secrets[0]"]


def test_a_members_secret_in_inherited_values_is_reported() -> None:
    fields = "environment: {PW: hunter2}, group: {members: [{name: a, shell: x, secrets: [PW]}]}"
    assert list(reported(fields)) == ["process.group.members[0].secrets[0]"]


def test_a_document_can_set_every_field_of_the_model() -> None:
    """A field that no document can set would be dead code."""
    said = {*fields_that_differ(process_of(GROUP)), *fields_that_differ(request_of(FULL).process)}
    assert said == {field.name for field in fields(Process)} - {
        "stop_signal",
        "emptied",
        "scheduled",
    }
    unscheduled = process_of("group: {members: [{request: a, scheduled: false}, {request: b}]}")
    assert [member.scheduled for member in members_of(unscheduled).values()] == [False, True]
    assert "stop_signal" in fields_that_differ(process_of("shell: x, stop_signal: INT"))


def test_a_group_without_a_scheduled_member_is_refused() -> None:
    fields = (
        "group: {members: [{request: a, scheduled: false}, {name: b, shell: x, scheduled: false}]}"
    )
    assert list(reported(fields)) == ["process.group.members"]


def test_an_empty_mapping_counts_as_set() -> None:
    process = process_of("shell: x, environment: {}")
    assert (process.environment, process.says("environment"), process.says("params")) == (
        {},
        True,
        False,
    )
    assert process_from(process_text(process)).says("environment")


def fields_that_differ(process: Process) -> set[str]:
    plain = Process(name="", action=Shell(line=""), directory="")
    return {
        field.name
        for field in fields(Process)
        if getattr(process, field.name) != getattr(plain, field.name)
    }
