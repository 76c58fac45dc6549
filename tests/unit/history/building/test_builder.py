"""The index answers as a plain scan of the log does, whatever happens to the log's files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.history_world import AT, HistoryWorld, finished_line, other_line, truncate

from runner.history.building.retention import Limits
from runner.history.reading.query import Query
from runner.history.tables import index_path
from runner.monitor.reading import Filter
from runner.monitor.records import Event

_TEXTS = st.sampled_from([None, "disk full", "posted 12 documents", "Zürich \u0000 \u2028"])


_OTHERS = (
    b"",
    b"not a record\n",
    b'{"of": "another program"}\n',
    b'{"event":"execution.finished","time":7}\n',
    b'{"event":"execution.finished","time":"x","execution":"e","request":"r","status":{}}\n',
)
_RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "second": st.integers(-5000, 5000),
            "request": st.sampled_from(["a", "b", "nightly"]),
            "group": st.sampled_from([None, "g1"]),
            "status": st.sampled_from(["success", "error", "killed"]),
            "labels": st.sampled_from([None, {"team": "ops"}, {"team": "finance", "tier": "1"}]),
            "message": _TEXTS,
            "output_tail": _TEXTS,
            "owner": st.sampled_from([None, "finance"]),
            "other": st.integers(0, len(_OTHERS) + 1),
        }
    ),
    max_size=6,
)


def content_of(records: list[dict[str, Any]]) -> bytes:
    """Return the lines of records, with lines of other kinds between them."""
    return b"".join(map(_lines, records))


def _lines(record: dict[str, Any]) -> bytes:
    fields = dict(record)
    at, other = AT + timedelta(seconds=fields.pop("second")), fields.pop("other")
    name = fields["request"]
    line = finished_line(at, process=f"{name}/x" if fields["group"] else name, **fields)
    events = (
        partial(other_line, Event.EXECUTION_STARTED, at, request=name, status="processing"),
        partial(other_line, Event.REQUEST_SCHEDULED, at, request=name, channel="direct"),
    )
    return line + (_OTHERS[other] if other < len(_OTHERS) else events[other - len(_OTHERS)]())


_ACTS: st.SearchStrategy[tuple[str, object]] = st.one_of(
    st.tuples(st.just("append"), _RECORDS),
    st.tuples(st.just("append"), _RECORDS),
    st.tuples(st.just("append"), st.sampled_from([b'{"torn', b'":1}\n', b"\n"])),
    st.tuples(st.just("rotate"), st.none()),
    st.tuples(st.just("compress"), st.sampled_from([".gz", ".bz2", ".xz"])),
    st.tuples(st.just("truncate"), st.integers(0, 3000)),
    st.tuples(st.just("truncate rotated"), st.integers(0, 3000)),
    st.tuples(st.just("replace"), _RECORDS),
    st.tuples(st.just("replace in place"), _RECORDS),
    st.tuples(st.just("trim"), st.integers(1, 3)),
    st.tuples(st.just("delete oldest"), st.none()),
    st.tuples(st.just("delete log"), st.none()),
    st.tuples(st.just("step"), st.none()),
    st.tuples(st.just("settle"), st.none()),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("delete index"), st.none()),
    st.tuples(st.just("damage index"), st.none()),
)
_SINCE = AT - timedelta(seconds=1000)


def do(world: HistoryWorld, act: str, value: object) -> None:
    """Let something happen to a log or its index."""
    log = world.log
    match act, value:
        case "append", list(records):
            world.append(content_of(records))
        case "append", bytes(content):
            world.append(content)
        case "rotate", _:
            world.rotate()
        case "compress", str(suffix):
            world.compress(suffix)
        case "truncate", int(size):
            truncate(log, size)
        case "truncate rotated", int(size):
            plain = [path for path in world.rotated() if path.suffix[1:].isdigit()]
            for path in plain[:1]:
                truncate(path, size)
        case "replace", list(records):
            world.replace(content_of(records), in_place=False)
        case "replace in place", list(records):
            world.replace(content_of(records), in_place=True)
        case "trim", int(count) if log.exists():
            world.replace(b"".join(log.read_bytes().splitlines(True)[count:]), in_place=False)
        case "delete oldest", _:
            for path in world.rotated()[-1:]:
                path.unlink()
        case "delete log", _:
            log.unlink(missing_ok=True)
        case "step", _:
            world.builder.step()
        case "settle", _:
            world.settle()
        case "restart", _:
            world.restart()
        case "delete index", _:
            index_path(world.state).unlink(missing_ok=True)
        case "damage index", _:
            _damage(world)


def _damage(world: HistoryWorld) -> None:
    """Overwrite an index while its writer is not running, as a failing disk would."""
    world.builder.close()
    path = index_path(world.state)
    for side in ("-wal", "-shm"):
        path.with_name(f"{path.name}{side}").unlink(missing_ok=True)
    path.write_bytes(b"no database" * 1000)
    world.restart()


def assert_same_answers(world: HistoryWorld) -> None:
    """Compare the index with a plain scan."""
    assert world.paged(Query()) == world.scanned(Filter())
    for name in ("a", "x", "a/x", "n*"):
        named = frozenset({name})
        assert world.paged(Query(requests=named)) == world.scanned(Filter(requests=named)), name
    failed = frozenset({"error", "killed"})
    label = (frozenset({"team=ops"}),)
    assert world.paged(Query(statuses=failed, labels=label, owners=frozenset({"finance"}))) == (
        world.scanned(Filter(statuses=failed, labels=label, owners=frozenset({"finance"})))
    )
    for since, until in ((_SINCE, None), (None, AT), (_SINCE, AT)):
        expected = world.scanned(Filter(since=since, until=until, statuses=failed))
        assert world.paged(Query(since=since, until=until, statuses=failed)) == expected
    assert world.paged(Query(text="posted doc*", since=_SINCE)) == [
        record
        for record in world.scanned(Filter(since=_SINCE))
        if any("posted" in str(record[name]) for name in ("message", "output_tail"))
    ]
    for record in world.scanned(Filter())[:2]:
        assert world.index.execution(str(record["execution"])) == record
    others = Filter(events=frozenset(set(Event) - _EXECUTIONS))
    assert list(world.index.events(limit=1000).records) == world.scanned(others)


_EXECUTIONS = {Event.EXECUTION_STARTED, Event.EXECUTION_FINISHED}


_LIVES = st.lists(_ACTS, max_size=14)


def assert_same_after(acts: list[tuple[str, object]]) -> None:
    """Let things happen to a log, and compare the answers."""
    with TemporaryDirectory() as folder:
        world = HistoryWorld(Path(folder))
        for act, value in acts:
            do(world, act, value)
        world.settle()
        assert_same_answers(world)
        world.close()


@settings(max_examples=50, deadline=None)
@given(_LIVES)
def test_whatever_happens_to_the_files_the_index_answers_as_a_plain_scan(
    acts: list[tuple[str, object]],
) -> None:
    assert_same_after(acts)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@settings(max_examples=3000, deadline=None)
@given(st.lists(_ACTS, max_size=40))
def test_a_long_life_of_the_files_changes_no_answer(acts: list[tuple[str, object]]) -> None:
    assert_same_after(acts)


def test_limits_of_age_and_size_drop_the_oldest_executions(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for number, (limits, kept) in enumerate(
        ((Limits(age=timedelta(days=3)), [7, 7, 6, 6, 5, 5]), (Limits(size=1), []))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = HistoryWorld(folder, limits)
        for day in range(8):  # each is a file of its own, and so a block
            world.append(finished_line(now - timedelta(days=7.5 - day), attempt=day))
            world.append(finished_line(now - timedelta(days=7.5 - day), attempt=day))
            world.rotate()
        world.settle()
        assert [each["attempt"] for each in world.paged(Query())] == kept
        assert sum(each.count for each in world.index.totals()) == 16, "a counter only grows"
        world.restart()
        world.settle()
        assert [each["attempt"] for each in world.paged(Query())] == kept, "not read again"
        world.close()
