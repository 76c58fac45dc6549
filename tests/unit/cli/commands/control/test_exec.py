"""What the exit code of `exec` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli.commands.control import exec_
from runner.commands import Answer
from runner.errors import LogUnwritableError, RunnerError, StoreError


@pytest.mark.parametrize("kind", [StoreError, LogUnwritableError])
def test_a_failure_after_the_runner_has_accepted_it_is_not_called_not_started(
    kind: type[RunnerError], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    accepted = Answer(is_done=True, data={"execution": "e1"})

    def reach(*_: object, served: Callable[[Answer], int], **__: object) -> int:
        return served(accepted)

    def followed(*_: object) -> int:
        raise kind("it cannot be read")

    monkeypatch.setattr(exec_, "reach", reach)
    monkeypatch.setattr(exec_, "_followed", followed)
    done = CliRunner().invoke(exec_.exec_command, ["a", "--state", str(tmp_path)])
    assert type(done.exception) is RunnerError
    assert str(done.exception) == "it cannot be read; `runner monitor` shows later how e1 ended"
