"""The API on a real runner, as a program with a token uses it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from support.place import GATE, Place, wait_until
from support.web_world import WebWorld

from runner.history.building.keeping import Keeping
from runner.history.reading.index import HistoryUnreadableError
from runner.web.identity.roles import Role, Scope

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2026-01-01 02:00"}}
FINANCE = Scope(labels=frozenset({"team=finance"}))
"""What a token of the finance team sees."""


@pytest.fixture
def world(place: Place) -> Iterator[WebWorld]:
    labels = {"labels": {"team": "finance"}, "owner": "finance"}
    place.declare("nightly", GATE, DAILY, top=labels)
    place.declare("other", "echo secret of others; exit 3", "run_immediately")
    place.declare("report", 'printf "%s" "$RUNNER_PARAM_WORD"', top=labels, params={"word": "hi"})
    place.write("broken.yaml", "name: broken\nprocess: {shell: true}\n")
    runner = place.start()
    world = WebWorld(place)
    with Keeping(place.state, world.site.places.monitor_log):
        wait_until(lambda: place.events("alert.opened"))
        wait_until(lambda: has_indexed(world, place.finished("other")[0]["execution"]))
        yield world
    place.open_gate()
    assert place.stop(runner) == 0


def has_indexed(world: WebWorld, execution: str) -> bool:
    """Return whether the history index has an execution."""
    with suppress(HistoryUnreadableError):
        return world.site.history.execution(execution) is not None
    return False


def got(client: TestClient, path: str, **parameters: Any) -> dict[str, Any]:
    """Return what the API answers."""
    response = client.get(f"/api/v1{path}", params=parameters)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def ended(client: TestClient, execution: str) -> dict[str, Any] | None:
    """Return the finished record of an execution as soon as the API has it."""
    response = client.get(f"/api/v1/executions/{execution}")
    found: dict[str, Any] = response.json()
    return found if response.status_code == 200 and found["ended"] else None


def test_a_program_reads_and_acts_with_its_token(world: WebWorld) -> None:
    client = world.program("ci", Role.OPERATOR)
    requests = {each["request"]: each for each in got(client, "/requests")["requests"]}
    assert requests.keys() == {"nightly", "other", "report", "broken"}
    assert requests["other"]["last_status"] == "error"
    assert got(client, "/requests", owner="finance")["requests"][0]["request"] == "nightly"
    assert got(client, "/requests/report")["process"] == 'shell: printf "%s" "$RUNNER_PARAM_WORD"'
    assert got(client, "/next", request="nightly", limit=3)["fires"][0]["request"] == "nightly"
    assert got(client, "/problems")["problems"][0]["file"].endswith("jobs.d/broken.yaml")
    assert {each["check"] for each in got(client, "/alerts")["alerts"]} >= {"failure"}

    wanted = {"target": "report", "params": {"word": "hello"}}
    headers = {"idempotency-key": "run-1"}
    first, second = (
        client.post("/api/v1/actions/exec", json=wanted, headers=headers) for _ in range(2)
    )
    assert first.status_code == 200, first.text
    assert first.json() == second.json(), "the same key carries out nothing twice"
    other = client.post("/api/v1/actions/exec", json={"target": "other"}, headers=headers)
    assert other.status_code == 409
    execution = first.json()["data"]["execution"]
    record = wait_until(lambda: ended(client, execution))
    assert (record["status"], record["requested_by"]) == ("success", "web:ci")
    assert len(world.place.finished("report")) == 1

    output = client.get(f"/api/v1/executions/{execution}/output")
    assert (output.status_code, output.text) == (200, "hello")
    part = client.get(f"/api/v1/executions/{execution}/output", headers={"range": "bytes=1-3"})
    assert (part.status_code, part.text) == (206, "ell")
    assert part.headers["content-range"] == "bytes 1-3/5"
    beyond = client.get(f"/api/v1/executions/{execution}/output", headers={"range": "bytes=9-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */5")

    page = got(client, "/executions", limit=1)
    assert page["executions"][0]["execution"] == execution
    page = got(client, "/executions", limit=1, cursor=page["next"])
    assert [each["request"] for each in page["executions"]] == ["other"]
    assert page["next"] is None
    found = got(client, "/executions", status=["error", "killed"], text="secret")["executions"]
    assert [each["request"] for each in found] == ["other"]


def test_an_execution_in_progress_is_shown_with_its_output_so_far(world: WebWorld) -> None:
    client = world.program("ci", Role.OPERATOR)
    started = client.post("/api/v1/actions/exec", json={"target": "nightly"}).json()
    execution = started["data"]["execution"]
    wait_until(lambda: got(client, "/executions")["running"])
    assert got(client, f"/executions/{execution}")["status"] == "processing"
    assert got(client, "/executions", request="report")["running"] == []
    assert got(client, "/executions", status="processing")["running"][0]["execution"] == execution
    assert client.get(f"/api/v1/executions/{execution}/output").text == ""
    killed = client.post("/api/v1/actions/kill", json={"target": execution})
    assert killed.status_code == 200, killed.text
    assert wait_until(lambda: ended(client, execution))["status"] == "killed"


def test_a_scope_hides_everything_else(world: WebWorld) -> None:
    everything, client = world.program("ci"), world.program("f", Role.ADMIN, FINANCE)
    other = world.place.finished("other")[0]["execution"]
    wait_until(lambda: ended(everything, other))
    assert [each["request"] for each in got(client, "/requests")["requests"]] == [
        "nightly", "report",
    ]  # fmt: skip
    assert {each["request"] for each in got(client, "/next")["fires"]} == {"nightly"}
    assert got(client, "/executions")["executions"] == []
    assert got(client, "/problems")["problems"] == []
    assert got(client, "/alerts")["alerts"] == []
    for path in ("requests/other", f"executions/{other}", f"executions/{other}/output"):
        assert client.get(f"/api/v1/{path}").status_code == 404, path
    refused = client.post("/api/v1/actions/exec", json={"target": "other"})
    assert refused.status_code == 409
    assert len(world.place.finished("other")) == 1


def test_errors_are_problem_documents(world: WebWorld) -> None:
    viewer, stranger = world.program("ci"), world.stranger()
    answers = {
        401: stranger.get("/api/v1/requests"),
        403: viewer.post("/api/v1/actions/exec", json={"target": "report"}),
        404: viewer.get("/api/v1/requests/unknown"),
        422: viewer.get("/api/v1/executions", params={"limit": 0}),
    }
    for status, response in answers.items():
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
    assert viewer.get("/api/v1/executions", params={"cursor": "9" * 19}).status_code == 422
    for outside in ("0001-01-01T00:00:00+14:00", "2026-01-01"):
        assert viewer.get("/api/v1/executions", params={"since": outside}).status_code == 422


def test_the_description_is_valid_and_its_page_loads_nothing_from_elsewhere(
    world: WebWorld,
) -> None:
    client = world.program("ci")
    document = got(client, "/openapi.json")
    assert document["openapi"] == "3.1.0"
    validate(document)
    page = client.get("/api/v1/")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert {path.removeprefix("/api/v1") for path in document["paths"]} == {
        "/requests", "/requests/{name}", "/next", "/problems", "/alerts", "/executions",
        "/executions/{execution}", "/executions/{execution}/output", "/actions",
        "/actions/{name}", "/events",
    }  # fmt: skip
    for path in document["paths"]:
        assert path in page.text


def test_new_records_are_streamed_and_missed_ones_repeated(world: WebWorld) -> None:
    client = world.program("ci", Role.OPERATOR)
    last = world.place.records()[-1]["id"]
    frames = Frames(world, client.headers["authorization"])
    assert client.post("/api/v1/actions/exec", json={"target": "report"}).status_code == 200
    live = frames.until("execution.finished")
    assert [each["event"] for each in live][-2:] == ["execution.started", "execution.finished"]
    repeated = Frames(world, client.headers["authorization"], last).until("execution.finished")
    assert [each["id"] for each in repeated] == [each["id"] for each in live]
    scoped = world.program("f", Role.OPERATOR, Scope(labels=frozenset({"team=hr"})))
    hidden = Frames(world, scoped.headers["authorization"], last)
    old = Frames(world, client.headers["authorization"], "no-such-id")
    assert old.until("reset") == [{}]
    assert hidden.close() == []


class Frames:
    """An event stream, read in a thread by a client that stays connected."""

    def __init__(self, world: WebWorld, authorization: str, last: str | None = None) -> None:
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._is_open = threading.Event()
        self._is_over = asyncio.Event()
        headers = [(b"host", b"localhost:8080"), (b"authorization", authorization.encode())]
        if last is not None:
            headers.append((b"last-event-id", last.encode()))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._read(world, headers),)
        )
        self._thread.start()
        assert self._is_open.wait(30)

    def until(self, event: str) -> list[dict[str, Any]]:
        """Wait for an event; end the stream, and return the data of all events."""
        wait_until(lambda: event in [name for name, _ in self._events])
        return self.close()

    def close(self) -> list[dict[str, Any]]:
        """End the stream; return the data of all events."""
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join(30)
        self._loop.close()
        return [data for _, data in self._events]

    async def _read(self, world: WebWorld, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": "/api/v1/events", "raw_path": b"/api/v1/events",
            "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            await self._is_over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
            else:
                self._note(message.get("body", b"").decode())

        await world.app(scope, receive, send)

    def _note(self, text: str) -> None:
        for frame in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
            if "data" in fields:
                self._events.append((fields["event"], json.loads(fields["data"])))
        self._is_open.set()
