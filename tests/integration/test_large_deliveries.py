"""Thousands of files delivered at once: some come into force in each turn, so no fire
waits for all of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import pytest
from support.place import Place, Record, check_log, wait_until
from support.runner_inside import GivenClock, started

from runner.service.loop import Runner
from runner.service.reload.catalog_switch import MOST
from runner.store.rows import Batch
from runner.store.sqlite.store import SqliteStore

COUNT = 3 * MOST + 10
NOON = {"schedule": {"frequency": "daily", "at": "12:00", "start": "2100-01-01"}}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many requests each commit wrote."""
    written: list[int] = []
    commit = SqliteStore.commit

    def counted(self: SqliteStore, batch: Batch, **more: object) -> object:
        written.append(len(batch.requests))
        return commit(self, batch, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteStore, "commit", counted)
    yield written


def _deliver(place: Place, requests: Mapping[str, Mapping[str, object]]) -> None:
    """Add, change and remove many requests at one moment: a folder is renamed into place."""
    new = place.folder / "new"
    new.mkdir()
    for number, start in enumerate(range(0, len(requests), 1000)):
        names = [*requests][start : start + 1000]
        documents = [json.dumps({"name": name, **requests[name]}) for name in names]
        (new / f"{number}.yaml").write_text("\n---\n".join(documents))
    delivered = place.jobs / "delivered"
    if delivered.exists():
        delivered.rename(place.folder / "old")
    new.rename(delivered)


def _request(shell: str = "true", timing: object = NOON, **more: object) -> dict[str, object]:
    return {"process": {"shell": shell}, "timing": timing, **more}


def _go_on(runner: Runner, until: Callable[[], object]) -> None:
    def turn() -> object:
        runner.turn()
        runner.wait(at_most_s=0.01)
        return until()

    wait_until(turn, within_s=120)


def _read(runner: Runner, until: Callable[[], object]) -> None:
    """Let a runner read its folder, turn by turn."""
    runner._parts.reader.look_again()
    _go_on(runner, until)


def _is_switching(runner: Runner) -> bool:
    return runner._folder.is_switching


def test_a_large_delivery_is_committed_in_parts_and_fires_come_between_them(
    place: Place, rows: list[int]
) -> None:
    clock = GivenClock()
    place.declare("tick", "true", {"schedule": {"frequency": "secondly"}})
    with started(place.jobs, clock, state=place.state) as runner:
        _deliver(place, {f"r{number}": _request() for number in range(COUNT)})
        rows.clear()
        _read(runner, lambda: _is_switching(runner))
        claimed = len(place.events("execution.started", "tick"))
        while _is_switching(runner):
            clock.go_on(1)
            before = runner.registry.states["tick"].fired_through
            runner.turn()
            assert runner.registry.states["tick"].fired_through > before, "it fires in each turn"
        assert len(runner.registry.states) == COUNT + 1
        assert max(rows) <= MOST + 1
        _go_on(runner, lambda: not runner.is_executing)
        runner.turn()  # writes the last records
        assert len(place.events("execution.started", "tick")) >= claimed + COUNT // MOST
        (reloaded,) = place.events("runner.reloaded")
        assert len(place.events("request.scheduled")) == COUNT + 1
        assert place.records().index(reloaded) > 0
    check_log(place.log)


def test_a_large_delivery_that_adds_changes_renames_and_removes_ends_as_one_turn_would(
    place: Place,
) -> None:
    clock = GivenClock()
    first = {
        f"{kind}{number}": _request()
        for kind in ("changed", "renamed", "removed")
        for number in range(COUNT // 3)
    }
    second = {
        **{f"added{number}": _request() for number in range(COUNT // 3)},
        **{f"changed{number}": _request("false") for number in range(COUNT // 3)},
        **{f"new{number}": _request(formerly=f"renamed{number}") for number in range(COUNT // 3)},
    }
    with started(place.jobs, clock, state=place.state) as runner:
        _deliver(place, first)
        _read(
            runner, lambda: len(runner.registry.states) == len(first) and not _is_switching(runner)
        )
        generations = {name: state.generation for name, state in runner.registry.states.items()}
        _deliver(place, second)
        _read(runner, lambda: "added0" in runner.registry.requests and not _is_switching(runner))
        assert set(runner.registry.requests) == set(second)
        states = runner.registry.states
        assert all(
            states[f"new{number}"].generation == generations[f"renamed{number}"]
            for number in range(COUNT // 3)
        )
        assert {name for name, state in states.items() if state.removed} == set(first) - set(second)
        reported = Counter(
            (each["event"], each.get("message") is not None) for each in _reported(place)
        )
    assert reported["request.removed", False] == COUNT // 3
    assert reported["request.scheduled", True] == COUNT // 3, "renamed"


def _reported(place: Place) -> list[Record]:
    return [record for record in place.records() if record["event"].startswith("request.")]


def test_a_runner_that_dies_during_a_large_delivery_runs_each_one_time_request_once(
    place: Place,
) -> None:
    clock = GivenClock()
    place.state.mkdir(mode=0o700)
    requests = {f"r{number}": _request("true") for number in range(COUNT)}
    for number in (0, MOST - 1, MOST, COUNT - 1):
        requests[f"r{number}"] = _request(
            f"echo {number} >> {place.folder / 'ran'}", "run_immediately"
        )
    with started(place.jobs, clock, state=place.state) as runner:
        _deliver(place, requests)
        _read(runner, lambda: _is_switching(runner))
        runner.turn()
        assert _is_switching(runner)
    ran = place.folder / "ran"
    for _ in range(2):
        with started(place.jobs, clock, state=place.state) as runner:
            _go_on(runner, lambda: ran.exists() and len(ran.read_text().split()) >= 4)
            _go_on(runner, lambda: not (runner.in_progress.starting or runner.is_executing))
            assert len(runner.registry.states) == COUNT
    assert sorted(ran.read_text().split(), key=int) == [
        "0",
        str(MOST - 1),
        str(MOST),
        str(COUNT - 1),
    ]


def test_a_delivered_group_runs_before_the_whole_delivery_is_registered(
    place: Place,
) -> None:
    clock = GivenClock()
    group = {
        "process": {"group": {"members": [{"request": "zzz-member"}]}},
        "timing": "run_immediately",
    }
    requests: dict[str, Mapping[str, object]] = {
        f"r{number}": _request() for number in range(COUNT)
    }
    requests["a-group"] = group
    requests["zzz-member"] = {"process": {"shell": "true"}}
    with started(place.jobs, clock, state=place.state) as runner:
        _deliver(place, requests)
        _read(runner, lambda: _is_switching(runner))
        _go_on(runner, lambda: place.finished("a-group"))
        assert {record["status"] for record in place.finished("a-group")} == {"success"}
