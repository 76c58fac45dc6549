"""Each question of the history index, on a small log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.history_world import AT, HistoryWorld, finished_line, other_line

from runner.history.reading.index import HistoryIndex, HistoryUnreadableError
from runner.history.reading.query import Query
from runner.history.tables import index_path
from runner.monitor.records import Event


@pytest.fixture
def world(tmp_path: Path) -> Iterator[HistoryWorld]:
    world = HistoryWorld(tmp_path)
    yield world
    world.close()


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_without_an_index_a_question_raises_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(HistoryUnreadableError, match="there is no history index"):
        HistoryIndex(tmp_path).executions(Query())


def test_a_viewer_sees_only_what_its_scope_admits(world: HistoryWorld) -> None:
    world.append(
        finished_line(labels={"team": "ops"}, request="a"),
        finished_line(labels=None, request="b", context={"client": "F&B", "organization": None}),
        finished_line(labels={"team": "finance"}, request="c"),
    )
    world.settle()
    ops = Query(admits=lambda labels, client: labels.get("team") == "ops" or client == "F&B")
    assert [each["request"] for each in world.paged(ops)] == ["b", "a"]
    assert world.index.bars(["a", "c"], ops).keys() == {"a"}
    assert [tally.request for tally in world.index.tallies(ops)] == ["a", "b"]


def test_words_of_messages_and_outputs_are_found(world: HistoryWorld) -> None:
    world.append(
        finished_line(request="a", message="No space left on device"),
        finished_line(request="b", output_tail="space: the final frontier\n"),
        finished_line(request="c", message="spaceship"),
        finished_line(request="d"),
    )
    world.settle()

    def found(text: str) -> list[object]:
        return [each["request"] for each in world.paged(Query(text=text), limit=1)]

    assert found("SPACE") == ["b", "a"]
    assert found("space*") == ["c", "b", "a"]
    assert found("left space") == ["a"]
    assert found('"space left"') == ["a"]
    assert found('"left space"') == []
    assert found('OR NOT ( "') == []
    assert found("message:space") == []


def test_bars_are_the_last_executions_of_each_request_without_members(world: HistoryWorld) -> None:
    for number in range(5):
        status = "error" if number == 3 else "success"
        world.append(
            finished_line(AT + seconds(number), request="a", status=status, duration_s=number),
            finished_line(AT + seconds(number), request="b", process="b/x", group="g"),
        )
    world.settle()
    (bars,) = world.index.bars(["a", "b"], count=3).values()
    assert [(bar.status, bar.duration_s) for bar in bars] == [
        ("success", 2), ("error", 3), ("success", 4),
    ]  # fmt: skip
    lanes = world.index.lanes(["a"], Query(since=AT + seconds(1), until=AT + seconds(3)), count=1)
    assert [bar.duration_s for bar in lanes["a"]] == [2, 3]  # one success, one error


def test_strips_have_the_executions_of_bars_and_no_duration_of_what_never_started(
    world: HistoryWorld,
) -> None:
    for number in range(4):
        world.append(
            finished_line(AT + seconds(number), request="a", duration_s=number),
            finished_line(AT + seconds(number), request="a", process="a/x", group="g"),
            finished_line(AT + seconds(number), request="c"),
        )
    world.append(
        finished_line(AT, request="a", status="error", duration_s=7.5),
        finished_line(AT, request="a", status="skipped", started=None, duration_s=0.0),
    )
    world.settle()
    assert world.index.strips(["a", "b"], count=3) == {
        "a": [("success", 3), ("error", 7.5), ("skipped", None)]
    }


def test_a_missed_span_is_a_bar_with_its_ends(world: HistoryWorld) -> None:
    world.append(
        finished_line(
            status="misfired",
            reason="missed",
            started=None,
            missed_count=3,
            missed_from=AT,
            missed_until=AT + seconds(120),
        )
    )
    world.settle()
    (bar,) = world.index.bars(["nightly"])["nightly"]
    assert (bar.missed_from, bar.missed_until) == (
        "2026-11-22T02:00:00.000000Z",
        "2026-11-22T02:02:00.000000Z",
    )


def test_members_followers_and_attempts_of_an_execution_are_found(world: HistoryWorld) -> None:
    world.append(
        finished_line(execution="g1", request="a"),
        finished_line(execution="m1", request="a", process="a/x", group="g1", sequence=1),
        finished_line(execution="f1", request="b", follows="g1"),
        finished_line(execution="a2", request="a", attempt=2, status="error"),
        finished_line(AT + seconds(60), execution="a3", request="a", attempt=2),
        finished_line(execution="b2", request="b", process="b", attempt=2),
    )
    world.settle()
    record = world.index.execution("g1")
    assert record is not None
    names = [
        [each["execution"] for each in found]
        for found in (
            world.index.members("g1"),
            world.index.followers("g1"),
            world.index.attempts(record | {"process": "nightly"}),
        )
    ]
    assert names == [["m1"], ["f1"], ["a2"]]
    assert world.index.execution("unknown") is None


def test_tallies_and_histograms_count_executions(world: HistoryWorld) -> None:
    for number, status in enumerate(["success", "success", "error", "skipped"]):
        started = None if status == "skipped" else AT
        world.append(
            finished_line(
                AT + seconds(number), status=status, started=started, duration_s=10.0**number
            )
        )
    world.settle()
    since = Query(since=AT + seconds(1))
    assert {(each.status, each.count) for each in world.index.tallies(since)} == {
        ("success", 1), ("error", 1), ("skipped", 1),
    }  # fmt: skip
    assert sum(each.count for each in world.index.totals()) == 4
    histogram = world.index.histograms()["duration_s"]
    assert (histogram.total, {*histogram.counts.values()}) == (111, {1})
    assert histogram.counts.keys() == {1, 15, 300}
    assert world.index.last_ends({"success"}) == {"nightly": "2026-11-22T02:00:01.000000Z"}


def test_other_events_are_pages_too(world: HistoryWorld) -> None:
    for number in range(5):
        event = Event.REQUEST_REMOVED if number % 2 else Event.REQUEST_SCHEDULED
        world.append(other_line(event, AT + seconds(number), request=f"r{number}"))
    world.settle()
    page = world.index.events(lambda record: record["event"] == "request.scheduled", limit=2)
    assert [each["request"] for each in page.records] == ["r4", "r2"]
    page = world.index.events(before=page.before)
    assert [each["request"] for each in page.records] == ["r1", "r0"]
    assert page.before is None


def test_a_reader_goes_on_when_the_index_is_built_anew(world: HistoryWorld) -> None:
    world.append(finished_line())
    world.settle()
    assert len(world.paged(Query())) == 1
    index_path(world.state).unlink()
    world.append(finished_line(request="other"))
    world.settle()
    assert [each["request"] for each in world.paged(Query())] == ["other", "nightly"]
    assert len(world.paged(Query(requests=frozenset({"other"})))) == 1


def test_a_reader_that_finds_damage_has_the_index_built_anew(world: HistoryWorld) -> None:
    world.append(*(finished_line(output_tail="x" * 500) for _ in range(200)))
    world.settle()
    world.builder.close()
    path = index_path(world.state)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(HistoryUnreadableError):
        world.paged(Query())
    world.restart()
    world.settle()
    assert len(world.paged(Query())) == 200


def test_threads_ask_at_the_same_time(world: HistoryWorld) -> None:
    world.append(*(finished_line(request=f"r{number % 7}") for number in range(70)))
    world.settle()
    found: list[int] = []

    def ask() -> None:
        for number in range(7):
            query = Query(requests=frozenset({f"r{number}"}))
            found.append(len(world.index.executions(query).records))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [10] * 56


def test_coverage_says_how_much_of_the_log_the_index_has(world: HistoryWorld) -> None:
    world.append(finished_line(AT), finished_line(AT + seconds(1)))
    world.settle()
    coverage = world.index.coverage()
    assert (coverage.executions, coverage.pending_bytes) == (2, 0)
    assert coverage.oldest == "2026-11-22T02:00:00.000000Z"
    assert not coverage.is_followed


def test_a_query_without_a_condition_selects_every_kind() -> None:
    assert not Query(text="x", since=AT).selects_kinds
    assert replace(Query(), with_members=False).selects_kinds
