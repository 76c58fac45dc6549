"""Requests made from the API's own description: each answer is one that it describes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from support.history_world import indexed_executions
from support.place import Place, wait_until
from support.web_world import ORIGIN, WebWorld

from runner.history.building.keeping import Keeping
from runner.web.identity.roles import Role

_ENDLESS = "/api/v1/events"
_EXAMPLES, _MANY = 12, 400


@pytest.fixture
def world(place: Place) -> Iterator[WebWorld]:
    daily = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2026-01-01 02:00"}}
    place.declare("nightly", "true", daily, top={"labels": {"team": "finance"}})
    place.declare("once", "echo done", "run_immediately")
    place.write("broken.yaml", "name: broken\nprocess: {shell: true}\n")
    runner = place.start()
    world = WebWorld(place)
    with Keeping(place.state, world.site.places.monitor_log):
        wait_until(lambda: indexed_executions(world.site.history))
        yield world
    assert place.stop(runner) == 0


def check(world: WebWorld, examples: int) -> None:
    """Send requests to every route of the description, and check the answers."""
    import schemathesis  # slow: only this test needs it

    authorization = f"Bearer {world.secret('fuzz', Role.ADMIN)}"
    headers = {"authorization": authorization, "host": "localhost:8080", "origin": ORIGIN}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", world.app, headers=headers)
    found: list[Any] = [*schema.exclude(path=_ENDLESS).get_all_operations()]
    operations = [each.ok() for each in found]
    assert len(operations) >= 10
    for operation in operations:
        _check(operation, headers, examples)


def _check(operation: Any, headers: dict[str, str], examples: int) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    expected = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=expected)

    given(case=operation.as_strategy())(send)()


def test_every_answer_is_one_that_the_description_has(world: WebWorld) -> None:
    check(world, _EXAMPLES)


@pytest.mark.campaign
def test_thousands_of_answers_are_ones_that_the_description_has(world: WebWorld) -> None:
    check(world, _MANY)
