"""How long a command waits for a fleet whose database or leader is away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runner.cli.access import outages
from runner.cli.access.outages import Outage
from runner.errors import NoRunnerError, StoreError, StoreUnwritableError


def failing(times: int, error: Exception) -> Callable[[], str]:
    """Return an action that fails so many times."""
    left = [error] * times

    def action() -> str:
        if left:
            raise left.pop()
        return "done"

    return action


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let looks follow one another without a pause."""
    monkeypatch.setattr(outages, "_LOOK_EVERY_S", 0.0)


@pytest.mark.parametrize("kind", [StoreUnwritableError, NoRunnerError])
def test_outages_of_a_fleet_are_outlasted_and_reported_once(
    kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    outage = Outage("e1", is_in_fleet=True)
    assert outage.outlast(failing(3, kind("it is away"))) == "done"
    assert outage.outlast(failing(2, kind("again"))) == "done"
    assert capsys.readouterr().err == (
        "runner: it is away; e1 goes on, and this command waits for it\n"
    )


def test_an_outage_that_lasts_too_long_ends_the_command_as_without_a_runner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outages, "_LONGEST_S", -1.0)
    action = failing(9, StoreUnwritableError("it is away"))
    with pytest.raises(NoRunnerError, match="it is away; `runner monitor` shows later how e1"):
        Outage("e1", is_in_fleet=True).outlast(action)


@pytest.mark.parametrize(
    ("is_in_fleet", "error"),
    [(False, StoreUnwritableError("x")), (False, NoRunnerError("x")), (True, StoreError("x"))],
)
def test_anything_else_is_raised_at_once(*, is_in_fleet: bool, error: Exception) -> None:
    with pytest.raises(type(error)):
        Outage("e1", is_in_fleet=is_in_fleet).outlast(failing(1, error))
