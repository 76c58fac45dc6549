"""The reports of workers: each event survives its JSON, and a damaged one is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.execution.executor import (
    Lost,
    Measured,
    NotStarted,
    ProcessStarted,
    RemoteExit,
    Stage,
)
from runner.execution.node_reports import ReportKind, event_of, report_of
from runner.execution.output import Tail
from runner.execution.trees.watched import Exit, ProcessId
from runner.lifecycle import Reason
from runner.values import from_microseconds

texts = st.text(max_size=20)
counts = st.integers(0, 2**62)
instants = st.integers(0, 2**57).map(from_microseconds)
tails = st.none() | st.builds(Tail, text=texts, total_bytes=counts, truncated=st.booleans())
exits = st.builds(
    Exit,
    execution=st.just("e"),
    exit_code=st.none() | st.integers(0, 255),
    signal=st.none() | st.integers(1, 64),
    cpu_s=st.none() | st.floats(0, 1e9),
    max_rss_bytes=st.none() | counts,
    stopped_for=st.none() | st.sampled_from(Reason),
    condition=st.none() | texts,
    failure=st.none() | texts,
    result=st.none() | texts,
    has_stderr=st.booleans(),
    failing_text=st.none() | texts,
)
ends = st.builds(
    RemoteExit,
    exited=exits,
    measured=st.builds(
        Measured,
        ended=instants,
        duration=st.none() | st.timedeltas(timedelta(), timedelta(days=9999)),
        tail=tails,
    ),
    is_adopted=st.booleans(),
)
events = (
    st.builds(
        ProcessStarted,
        execution=st.just("e"),
        process=st.builds(ProcessId, pid=counts, pid_started=counts, begun_s=st.none()),
        at=instants,
        at_s=st.none(),
        output=st.none(),
        node=st.just("n"),
    )
    | st.builds(NotStarted, execution=st.just("e"), why=st.none() | texts)
    | st.builds(Lost, execution=st.just("e"), stage=st.sampled_from(Stage), node=st.just("n"))
    | ends
)
FINISHED: dict[str, Any] = json.loads(
    report_of(
        RemoteExit(
            exited=Exit(
                execution="e",
                exit_code=0,
                signal=None,
                cpu_s=0.1,
                max_rss_bytes=1,
                stopped_for=None,
            ),
            measured=Measured(
                ended=datetime(2026, 1, 1, tzinfo=UTC),
                duration=timedelta(seconds=1),
                tail=Tail(text="x", total_bytes=1, truncated=False),
            ),
            is_adopted=False,
        )
    ).body
)


@given(events)
def test_the_leader_reads_the_event_that_a_worker_reported(event: Any) -> None:
    report = report_of(event)
    assert event_of(report.execution, "n", report.kind, report.body) == event


@pytest.mark.parametrize("key", FINISHED)
@pytest.mark.parametrize("value", [{}, [], "nonsense", -1, 10**30, 1.5, "\ud800", [1, 2, 3]])
def test_a_value_of_another_kind_is_refused_or_stays_what_it_is(key: str, value: Any) -> None:
    body = json.dumps({**FINISHED, key: value})
    try:
        event = event_of("e", "n", "finished", body)
    except ValueError:
        return
    assert report_of(event).body == json.dumps({**FINISHED, key: value}, separators=(",", ":"))


@pytest.mark.parametrize("key", FINISHED)
def test_a_report_that_lacks_a_value_is_refused(key: str) -> None:
    body = json.dumps({name: value for name, value in FINISHED.items() if name != key})
    with pytest.raises(ValueError, match="malformed"):
        event_of("e", "n", "finished", body)


@pytest.mark.parametrize("kind", [*ReportKind, "output", ""])
@pytest.mark.parametrize("body", ["", "{", "null", "3", "[]", '{"lost": "elsewhere"}', "[" * 9**5])
def test_text_that_is_no_report_is_refused(kind: str, body: str) -> None:
    with pytest.raises(ValueError):
        event_of("e", "n", kind, body)


def test_a_tail_that_is_too_long_is_refused() -> None:
    body = json.dumps({**FINISHED, "tail": ["x" * 4097, 4097, False]})
    with pytest.raises(ValueError, match="tail"):
        event_of("e", "n", "finished", body)
