"""Builds what the system starts for an execution: arguments, environment, limits. Reads
environment files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, assert_never

from runner.execution.child.program import SpawnError
from runner.execution.environment_files import read
from runner.execution.executor import Needs
from runner.execution.launch import Launch, LaunchCondition
from runner.execution.spawning.users import login_like
from runner.requests.model import (
    Action,
    Condition,
    Group,
    Process,
    Program,
    Python,
    Reference,
    Shell,
)
from runner.service.executions.execution import Execution
from runner.values import instant_text

SHORTEST_SECRET = 4
"""Characters; a shorter value of an environment file is not masked."""


def needs_of(process: Process) -> Needs:
    """Return the resources that the start of a process touches."""
    return Needs(
        directory=process.directory,
        environment_files=process.environment_files,
        path=process.environment.get("PATH"),
        program=process.action.arguments[0] if isinstance(process.action, Program) else None,
        user=process.run_as,
    )


def launch_of(execution: Execution, inherited: Mapping[str, str]) -> Launch:
    """Return what to start for an execution.

    The environment is the runner's own, or a login-like one under `run_as`. Files, the
    request and the execution add variables; a later one overrides an earlier one. Raises
    SpawnError if an environment file cannot be read.
    """
    process = execution.process
    filed = _filed(process)
    base = login_like(inherited) if process.run_as else inherited
    environment = {**base, **filed, **process.environment, **_own_variables(execution)}
    return Launch(
        execution=execution.id,
        arguments=_arguments(process.action),
        directory=process.directory,
        environment=environment,
        output_file=execution.claim.output_file,
        stop_signal=process.stop_signal,
        stop_grace_s=process.stop_grace.total_seconds(),
        timeout_s=process.timeout.total_seconds() if process.timeout else None,
        condition=_condition(process.condition),
        stdin=process.stdin,
        run_as=process.run_as,
        umask=process.umask,
        nice=process.nice,
        limits=process.limits,
        output_limit=process.output_limit,
        secrets=_secrets(process, environment, filed) if filed or process.secrets else frozenset(),
        is_callable=isinstance(process.action, Python),
        is_stderr_reported=process.success.fail_on_stderr,
        failing_texts=process.success.fail_on_output,
    )


def secret_values(process: Process, inherited: Mapping[str, str]) -> frozenset[str]:
    """Return the values to mask for a process. Unreadable environment files count as empty."""
    try:
        filed = _filed(process)
    except SpawnError:
        filed = {}
    return _secrets(process, {**inherited, **filed, **process.environment}, filed)


def param_text(value: Any) -> str:
    """Return a parameter's value in the form of the variable RUNNER_PARAM_NAME."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _filed(process: Process) -> dict[str, str]:
    """Return the variables of the environment files; a later file wins. Raises SpawnError."""
    filed: dict[str, str] = {}
    for path in process.environment_files:
        filed |= read(path)
    return filed


def _secrets(
    process: Process, environment: Mapping[str, str], filed: Mapping[str, str]
) -> frozenset[str]:
    """Return the values to mask.

    A file also holds plain settings (`PORT=80`). To mask every 80 would spoil the output
    and reveal the masked value. So a short value of a file is masked only if `secrets`
    names it.
    """
    named = (environment.get(name, "") for name in process.secrets)
    return frozenset(filter(None, named)) | {
        value for value in filed.values() if len(value) >= SHORTEST_SECRET
    }


def _own_variables(execution: Execution) -> dict[str, str]:
    claim = execution.claim
    own = {
        "RUNNER_EXECUTION_ID": claim.id,
        "RUNNER_REQUEST": claim.request,
        "RUNNER_SCHEDULED_FOR": instant_text(claim.scheduled_for),
        "RUNNER_CHANNEL": claim.channel,
        "RUNNER_ATTEMPT": str(claim.attempt),
        "RUNNER_CLIENT": claim.context.client,
        "RUNNER_ORGANIZATION": claim.context.organization,
    }
    variables = {name: str(value) for name, value in own.items() if value is not None}
    if params := {**claim.process.params, **claim.params}:
        variables["RUNNER_PARAMS"] = json.dumps(params, ensure_ascii=False)
        variables |= {
            f"RUNNER_PARAM_{name.upper()}": param_text(value) for name, value in params.items()
        }
    return {**variables, **claim.extra_variables}


def _condition(condition: Condition | None) -> LaunchCondition | None:
    if condition is None:
        return None
    return LaunchCondition(
        arguments=_arguments(condition.action), timeout_s=condition.timeout.total_seconds()
    )


def _arguments(action: Action) -> tuple[str, ...]:
    match action:
        case Program(arguments=arguments):
            return arguments
        case Shell(line=line):
            return ("/bin/sh", "-c", line)
        case Python(target=target):
            return (target,)
        case Group() | Reference():
            raise AssertionError("neither a group nor a reference is started itself")
        case _:
            assert_never(action)
