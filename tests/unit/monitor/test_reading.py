"""Reading the log: the newest records from its end, new records, and executions by id."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.monitor_records import line_of

from runner.errors import RunnerError
from runner.monitor import scanning
from runner.monitor.reading import Filter, find_execution, follow, newest, newest_execution
from runner.monitor.records import Event, Recorder

AT = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
RECORDER = Recorder("erp", "erp-1")
ANY = Filter(events=frozenset())


def record(number: int, *, event: Event = Event.EXECUTION_FINISHED, **fields: object) -> bytes:
    known: dict[str, object] = {
        "execution": f"e{number}",
        "request": "nightly",
        "status": "success",
        "attempt": number,
    }
    return line_of(RECORDER, event, AT + timedelta(seconds=number), **known | fields)


def numbers(records: list[dict[str, Any]]) -> list[int]:
    return [found["attempt"] for found in records]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "monitor.jsonl"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_BLOCK", 2500)  # two records and a half


def test_the_newest_records_come_last(path: Path) -> None:
    path.write_bytes(b"".join(record(number) for number in range(50)))
    assert numbers(newest(path, 3, matches=Filter())) == [47, 48, 49]
    assert numbers(newest(path, 100, matches=Filter())) == list(range(50))
    assert newest(path, 0, matches=Filter()) == []


def test_a_log_that_does_not_exist_has_no_records(path: Path) -> None:
    assert newest(path, 5, matches=ANY) == []
    assert find_execution(path, "e1") == []


def test_an_unreadable_log_is_an_error_with_the_reason(path: Path) -> None:
    path.mkdir()
    with pytest.raises(
        RunnerError, match=r"monitor\.jsonl cannot be read: it is a folder, not a file"
    ):
        newest(path, 5, matches=ANY)


def test_each_condition_of_a_filter_selects_records(path: Path) -> None:
    path.write_bytes(
        record(0, request="a", status="error")
        + record(1, request="b", status="killed")
        + record(2, request="a")
        + record(3, request="a", event=Event.EXECUTION_STARTED, status="processing")
        + record(4, request="b", status="error", message='not "success" but "killed"')
        + line_of(RECORDER, Event.RUNNER_STOPPED, AT + timedelta(seconds=5), message="nightly")
    )

    def found(**parts: Any) -> list[int]:
        return numbers(newest(path, 9, matches=Filter(**parts)))

    assert found() == [0, 1, 2, 4]
    assert found(requests=frozenset({"a"})) == [0, 2]
    assert found(statuses=frozenset({"error", "killed"})) == [0, 1, 4]
    assert found(statuses=frozenset({"error"}), requests=frozenset({"b"})) == [4]
    assert found(statuses=frozenset({"killed"})) == [1], "words in other fields do not count"
    assert found(since=AT + timedelta(seconds=2)) == [2, 4]
    assert found(events=frozenset({"execution.started"})) == [3]
    assert len(newest(path, 9, matches=ANY)) == 6


def test_a_line_that_is_not_a_record_is_skipped(path: Path) -> None:
    path.write_bytes(
        b"hello\n"
        + record(1)
        + b"\0\0\n[1]\n\n"
        + record(2)[:-30]
        + b"\n"
        + record(3)
        + record(4)[:-1]
    )
    assert numbers(newest(path, 9, matches=ANY)) == [1, 3], "the last line is not whole yet"


def test_records_are_also_read_from_the_rotated_file(path: Path) -> None:
    Path(f"{path}.1").write_bytes(b"".join(record(number) for number in range(5)))
    assert numbers(newest(path, 2, matches=Filter())) == [3, 4]
    path.write_bytes(record(5) + record(6))
    assert numbers(newest(path, 4, matches=Filter())) == [3, 4, 5, 6]
    assert find_execution(path, "e2")[0]["attempt"] == 2


def test_a_file_with_both_names_is_read_once(path: Path) -> None:
    path.write_bytes(record(1))
    Path(f"{path}.1").hardlink_to(path)
    assert numbers(newest(path, 9, matches=Filter())) == [1]


lines = st.one_of(
    st.builds(
        lambda size, status: (size, status),
        st.integers(0, 1500),
        st.sampled_from(["success", "error"]),
    ),
    st.binary(max_size=6000).map(lambda junk: junk.replace(b"\n", b"")),
)


@settings(max_examples=150)
@given(
    content=st.lists(lines, max_size=12),
    n=st.integers(0, 12),
    block=st.integers(3000, 9000),
    is_torn=st.booleans(),
)
def test_reading_backwards_finds_the_same_records_as_reading_forwards(
    tmp_path_factory: pytest.TempPathFactory, content: list[Any], n: int, block: int, is_torn: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "monitor.jsonl"
    written = [
        line + b"\n"
        if isinstance(line, bytes)
        else record(number, output_tail="x" * line[0], status=line[1])
        for number, line in enumerate(content)
    ]
    path.write_bytes(b"".join(written)[: -1 if is_torn else None])
    expected = [
        found["attempt"]
        for line in path.read_bytes().split(b"\n")[:-1]
        if line.startswith(b'{"v"')
        and len(line) < block
        and (found := json.loads(line))["status"] == "error"
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_BLOCK", block)
        assert numbers(newest(path, n, matches=Filter(statuses=frozenset({"error"})))) == expected[
            -n:
        ] * bool(n)


def test_a_line_longer_than_any_record_costs_no_memory_and_hides_no_record(path: Path) -> None:
    with path.open("wb") as file:
        file.write(record(1))
        file.seek(64 * 1024 * 1024, os.SEEK_CUR)
        file.write(b"\n" + record(2))
        file.seek(64 * 1024 * 1024, os.SEEK_CUR)
        file.write(b"x")
    tracemalloc.start()
    try:
        assert numbers(newest(path, 9, matches=Filter())) == [1, 2]
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_reading_stops_an_hour_before_since(
    path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"".join(record(minute * 60) for minute in range(600)))
    read: list[int] = []
    real = os.pread

    def counted(fd: int, size: int, at: int) -> bytes:
        read.append(size)
        return real(fd, size, at)

    monkeypatch.setattr(os, "pread", counted)
    assert numbers(newest(path, 99, matches=Filter(since=AT + timedelta(minutes=590)))) == [
        m * 60 for m in range(590, 600)
    ]
    assert sum(read) < path.stat().st_size / 6


def test_a_clock_that_stepped_back_by_less_than_an_hour_hides_no_record(
    path: Path, small_blocks: None
) -> None:
    path.write_bytes(record(3000) + b"".join(record(number) for number in range(40)))
    assert numbers(newest(path, 99, matches=Filter(since=AT + timedelta(seconds=2000)))) == [3000]


def test_a_clock_that_stepped_far_back_hides_no_record_before_the_step(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields: dict[str, object] = {
        "step_s": -9000.0,
        "reopened_from": AT,
        "reopened_until": AT + timedelta(seconds=9000),
    }
    behind = line_of(RECORDER, Event.RUNNER_CLOCK_STEPPED, AT, **fields) + record(1)
    before, afterwards = range(8990, 9000), range(9100, 9110)
    later = behind + b"".join(map(record, afterwards))
    path.write_bytes(b"".join(map(record, before)) + later)
    monkeypatch.setattr(scanning, "_BLOCK", len(later) + 10)  # so that a block begins with the step
    since = AT + timedelta(seconds=8900)
    assert numbers(newest(path, 99, matches=Filter(since=since))) == [*before, *afterwards]


def test_an_execution_is_found_by_a_part_of_its_id_with_its_last_record(path: Path) -> None:
    path.write_bytes(
        record(1, execution="01a2-aa", event=Event.EXECUTION_STARTED, status="processing")
        + record(2, execution="01a2-ab", event=Event.EXECUTION_STARTED, status="processing")
        + record(3, execution="01a2-aa")
        + record(4, execution="01ff-aa", group="01a2-ac")
    )
    assert numbers(find_execution(path, "01a2-aa")) == [3]
    assert numbers(find_execution(path, "01A2-AB")) == [2]
    assert numbers(find_execution(path, "01a2")) == [2, 3]
    assert numbers(find_execution(path, "2-ab")) == [2], "any part that is unambiguous"
    assert (
        find_execution(path, "")
        == find_execution(path, "02")
        == find_execution(path, "a2-ac")
        == []
    )


@pytest.mark.parametrize("prefix", ['"', "\\", "\n", "\udcff", "é"])
def test_an_id_with_odd_characters_is_not_found(path: Path, prefix: str) -> None:
    path.write_bytes(record(1))
    assert find_execution(path, prefix) == []


def test_at_most_twenty_executions_are_found(path: Path) -> None:
    path.write_bytes(b"".join(record(number, execution=f"e-{number}") for number in range(50)))
    assert numbers(find_execution(path, "e-")) == list(range(30, 50))


def member(number: int, process: str, *, group: str = "g1", request: str = "month-end") -> bytes:
    return record(number, request=request, process=process, group=group, sequence=1)


NAMES = {
    "month-end": [1, 2, 3, 6],
    "extract": [1],
    "month-end/extract": [1],
    "month-end › extract": [1],
    "backup": [2, 4],
    "month-end › backup": [2],
    "load": [3],
    "nightly": [5],
    "nightly › backup": [],
    "extr": [],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_member_of_a_group_is_found_by_its_groups_name_and_by_its_own(
    path: Path, name: str
) -> None:
    path.write_bytes(
        member(1, "month-end/extract")
        + member(2, "backup")
        + member(3, "inner/load", group="g2")
        + record(4, request="backup", process="backup")
        + record(5, request="nightly", process="backup")
        + record(6, request="month-end", process="month-end", execution="g1")
    )
    assert numbers(newest(path, 9, matches=Filter(requests=frozenset({name})))) == NAMES[name]


def started(
    number: int, at: int, execution: str, *, is_running: bool = False, **fields: object
) -> bytes:
    event, status = (
        (Event.EXECUTION_STARTED, "processing")
        if is_running
        else (Event.EXECUTION_FINISHED, "success")
    )
    begun = {"execution": execution, "started": AT + timedelta(seconds=at), "status": status}
    return record(number, event=event, **begun, **fields)


def test_a_name_means_the_execution_that_was_started_last(path: Path) -> None:
    path.write_bytes(
        started(0, 0, "long", is_running=True)
        + started(1, 1, "short", is_running=True)
        + started(2, 1, "short")
        + started(3, 0, "long")
        + record(4, status="skipped", execution="never")
    )
    assert (newest_execution(path, "nightly") or {})["attempt"] == 2
    with path.open("ab") as log:
        log.write(started(5, 5, "now", is_running=True))
    assert (newest_execution(path, "nightly") or {})["attempt"] == 5
    assert newest_execution(path, "night") is None


def test_a_groups_name_means_its_newest_execution_and_not_a_members(path: Path) -> None:
    whole = started(1, 1, "g1", request="month-end", is_running=True)
    part = started(
        2, 2, "m1", request="month-end", process="month-end/extract", group="g1", sequence=1
    )
    path.write_bytes(whole + part)
    assert (newest_execution(path, "month-end") or {})["attempt"] == 1
    assert (newest_execution(path, "extract") or {})["attempt"] == 2


class OverError(Exception):
    """No step is left, so the test stops following."""


def following(
    path: Path, *steps: Callable[[], object], last: int = 0, matches: Filter = ANY
) -> list[int]:
    """Follow the log, run one step at each wait, and return the records that arrived."""
    left = iter(steps)

    def wait() -> None:
        step = next(left, None)
        if step is None:
            raise OverError
        step()

    found: list[int] = []
    records = follow(
        path, matches=matches, wait=wait, begin=lambda: newest(path, last, matches=matches)
    )
    with pytest.raises(OverError):
        for each in records:
            found += numbers([each])
    return found


def appending(path: Path, data: bytes) -> Callable[[], None]:
    def append() -> None:
        with path.open("ab") as file:
            file.write(data)

    return append


def nothing() -> None:
    """Do nothing, so that the reader waits once more."""


def test_following_yields_the_last_records_and_then_the_added_ones(path: Path) -> None:
    path.write_bytes(b"".join(record(number) for number in range(5)))
    more = (appending(path, record(5)), nothing, appending(path, record(6) + record(7)))
    assert following(path, *more, last=2) == [3, 4, 5, 6, 7]
    assert following(path, appending(path, record(8))) == [8]


def test_following_applies_the_filter(path: Path) -> None:
    more = appending(
        path,
        record(1) + record(2, status="error") + b"hello\n" + record(3, request="x", status="error"),
    )
    only = Filter(requests=frozenset({"nightly"}), statuses=frozenset({"error"}))
    assert following(path, more, matches=only) == [2]


def test_following_waits_for_the_rest_of_a_line_at_every_byte(path: Path) -> None:
    line = record(1)
    path.write_bytes(line[:1])
    steps = [appending(path, line[at : at + 1]) for at in range(1, len(line))]
    assert following(path, *steps) == [1]


def test_following_waits_for_a_missing_log_and_reads_it_from_its_beginning(path: Path) -> None:
    assert following(path, nothing, appending(path, record(1) + record(2))) == [1, 2]


def test_following_reads_both_files_of_a_rotation_and_late_writes_to_the_old_one(
    path: Path,
) -> None:
    path.write_bytes(record(1))
    old = Path(f"{path}.1")
    steps = (
        lambda: path.rename(old),
        appending(old, record(2)[:10]),
        path.touch,
        appending(old, record(2)[10:]),
        appending(path, record(3)),
        lambda: (path.rename(f"{path}.2"), appending(path, record(4))()),
        nothing,
    )
    assert following(path, *steps) == [2, 3, 4]


def test_a_truncated_log_is_followed_from_its_beginning(path: Path) -> None:
    path.write_bytes(record(1) + record(2))
    assert following(path, lambda: os.truncate(path, 0), appending(path, record(3))) == [3]


def test_following_skips_a_line_longer_than_a_block(path: Path, small_blocks: None) -> None:
    assert following(path, appending(path, b"x" * 9000 + b"\n" + record(1))) == [1]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_nothing_stays_open_when_following_ends(path: Path) -> None:
    def open_files() -> list[str]:
        named = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
        return [name for name in named if name.startswith(os.path.realpath(path.parent))]

    path.write_bytes(record(1))
    records = follow(path, matches=ANY, wait=nothing, begin=lambda: newest(path, 1, matches=ANY))
    next(records)
    assert open_files() == [os.path.realpath(path)]
    records.close()
    assert open_files() == []


_TEXTS = st.text(alphabet='a=b"\\\\\x00\n\x1b\x7f\x85\u2028é ', max_size=4)


@given(st.lists(st.tuples(_TEXTS.filter(bool), _TEXTS, _TEXTS), max_size=5))
@settings(max_examples=60)
def test_a_record_is_found_by_its_labels_and_its_owner_whatever_they_contain(
    tmp_path_factory: pytest.TempPathFactory, known: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "monitor.jsonl"
    path.write_bytes(
        b"".join(
            record(number, labels={key: value}, owner=owner)
            for number, (key, value, owner) in enumerate(known)
        )
    )
    for key, value, owner in known:
        text = f"{key}={value}"
        by_label = Filter(labels=(frozenset({text}),))
        assert numbers(newest(path, 9, matches=by_label)) == [
            number for number, (k, v, _) in enumerate(known) if f"{k}={v}" == text
        ]
        by_owner = Filter(owners=frozenset({owner}))
        assert numbers(newest(path, 9, matches=by_owner)) == [
            number for number, each in enumerate(known) if each[2] == owner
        ]


def test_requests_may_be_globs_and_are_found_among_others(path: Path) -> None:
    path.write_bytes(
        record(0, request="nightly-a")
        + record(1, request="nightly-b")
        + record(2, request="end", process="end/load", group="g")
        + record(3, request="end", process="end/check", group="g")
        + record(4, request="end[1]")
    )

    def found(*requests: str, among: frozenset[str] | None = None) -> list[int]:
        matches = Filter(requests=frozenset(requests), among=among)
        return numbers(newest(path, 9, matches=matches))

    assert found("nightly-*") == [0, 1]
    assert found("end/*") == found("end › *") == [2, 3]
    assert found("lo?d", "nightly-b") == [1, 2]
    assert found("end[1]") == [4], "a whole name goes before a glob"
    assert found("nightly-*", among=frozenset({"nightly-b", "end"})) == [1]
    assert found(among=frozenset({"end"})) == [2, 3]
    assert found(among=frozenset()) == []
