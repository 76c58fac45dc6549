"""A store as plain dictionaries, and random commits to compare a real one with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from runner.store.rows import (
    AlertRow,
    Batch,
    ExecutionRow,
    Mark,
    Phase,
    RequestRow,
    ResultRow,
    Snapshot,
)


def request_row(name: str, **changes: Any) -> RequestRow:
    row = RequestRow(
        name=name, file="a.yaml", definition="{}", generation=1, fired_through=None, state="{}"
    )
    return row._replace(**changes)


def execution_row(execution: str, **changes: Any) -> ExecutionRow:
    row = ExecutionRow(
        id=execution,
        request="a",
        generation=1,
        scheduled_for=0,
        attempt=1,
        sequence=0,
        phase=Phase.STARTING,
        pid=None,
        pid_started=None,
        body="{}",
    )
    return row._replace(**changes)


@dataclass
class Model:
    requests: dict[str, RequestRow] = field(default_factory=dict)
    executions: dict[str, ExecutionRow] = field(default_factory=dict)
    outbox: list[tuple[int, bytes]] = field(default_factory=list)
    results: dict[str, ResultRow] = field(default_factory=dict)
    last: int = 0
    mark: Mark | None = None
    meta: dict[str, str] = field(default_factory=dict)
    alerts: dict[tuple[str, str], AlertRow] = field(default_factory=dict)
    notifications: dict[str, str] = field(default_factory=dict)

    def claims_twice(self, batch: Batch) -> bool:
        rows = dict(self.executions)
        for row in batch.executions.values():
            others = {
                _claim(other)
                for other in rows.values()
                if other.id != row.id and other.generation is not None
            }
            if _claim(row) in others:
                return True
            rows[row.id] = row
        return False

    def commit(self, batch: Batch, appended: tuple[int, Mark] | None) -> list[tuple[int, bytes]]:
        if appended:
            self.outbox = [(number, line) for number, line in self.outbox if number > appended[0]]
            self.mark = appended[1]
        self.requests |= batch.requests
        self.executions |= batch.executions
        for execution in batch.ended:
            self.executions.pop(execution, None)
        self.results |= {result.execution: result for result in batch.results}
        for execution, result in self.results.items():
            renamed = batch.renamed.get(result.request, result.request)
            self.results[execution] = result._replace(request=renamed)
        for execution in batch.forgotten:
            self.results.pop(execution, None)
        records = [(self.last + 1 + index, line) for index, line in enumerate(batch.records)]
        self.last += len(records)
        self.outbox += records
        self.meta |= batch.meta
        for row in batch.alerts:
            self.alerts.pop((row.request, row.check_name), None)
            if row.state:
                self.alerts[row.request, row.check_name] = row
        for name, body in batch.notifications.items():
            self.notifications.pop(name, None)
            if body is not None:
                self.notifications[name] = body
        return records

    def last_results(self) -> tuple[ResultRow, ...]:
        in_order = sorted(self.results.values(), key=lambda row: (row.ended, row.execution))
        last = {row.request: row for row in in_order}
        return tuple(last[name] for name in sorted(last))

    def snapshot(self) -> Snapshot:
        return Snapshot(
            requests=tuple(sorted(self.requests.values(), key=lambda row: row.name)),
            executions=tuple(sorted(self.executions.values(), key=lambda row: row.id)),
            outbox=range(self.outbox[0][0], self.last + 1) if self.outbox else range(0),
            mark=self.mark,
            meta=self.meta,
            alerts=tuple(row for _, row in sorted(self.alerts.items())),
            notifications=self.notifications,
        )


def _claim(row: ExecutionRow) -> tuple[object, ...]:
    return row.request, row.generation, row.scheduled_for, row.attempt, row.sequence, row.group_id


_texts = st.text(
    st.characters(codec=None), max_size=8
)  # with lone surrogates, as names of files have them
_names = st.sampled_from(["a", "b", "c"])
_microseconds = st.integers(-(2**62), 2**62)
_requests = st.builds(
    RequestRow,
    name=_names,
    file=st.none() | _texts,
    definition=st.none() | _texts,
    generation=st.integers(0, 9),
    fired_through=st.none() | _microseconds,
    state=_texts,
)
_executions = st.builds(
    ExecutionRow,
    id=st.sampled_from(["e1", "e2", "e3"]),
    request=_names,
    generation=st.none() | st.integers(1, 2),
    scheduled_for=st.integers(0, 1),
    attempt=st.just(1),
    sequence=st.just(0),
    phase=st.sampled_from(Phase),
    pid=st.none() | st.integers(1, 2**22),
    pid_started=st.none() | _microseconds,
    body=_texts,
    started=st.none() | _microseconds,
    stopped_by=st.none() | _texts,
    due=_microseconds,
    group_id=st.none() | st.just("g"),
    queue=st.sampled_from(["default", "gpu"]),
)
_results = st.builds(
    ResultRow,
    execution=st.sampled_from(["e1", "e2", "e3", "e4"]),
    request=_names,
    channel=st.just("direct"),
    status=st.sampled_from(["success", "error"]),
    reason=st.none() | st.just("exit_code"),
    scheduled_for=_microseconds,
    attempt=st.integers(1, 3),
    started=st.none() | _microseconds,
    ended=st.integers(0, 2) | _microseconds,
    duration=_microseconds,
)
BATCHES = st.builds(
    Batch,
    results=st.lists(_results, max_size=3),
    # A name is either a former one or a new one, as in the renamings of a delivery.
    forgotten=st.lists(st.sampled_from(["e1", "e2", "unknown"]), max_size=2),
    renamed=st.sampled_from([{}, {"a": "b"}, {"b": "a"}, {"a": "c", "b": "c"}]),
    requests=st.lists(_requests, max_size=3).map(lambda rows: {row.name: row for row in rows}),
    executions=st.lists(_executions, max_size=3).map(lambda rows: {row.id: row for row in rows}),
    ended=st.lists(st.sampled_from(["e1", "e2", "e3", "unknown"]), max_size=2),
    records=st.lists(st.binary(max_size=20), max_size=3),
    meta=st.dictionaries(_names, _texts, max_size=2),
    alerts=st.lists(
        st.builds(
            AlertRow, request=_names, check_name=st.sampled_from(["late", "missed"]), state=_texts
        ),
        max_size=3,
    ),
    notifications=st.dictionaries(_names, st.none() | _texts, max_size=2),
)
_marks = st.builds(Mark, file=st.integers(0, 2**64 - 1), offset=st.integers(0, 2**62))
STEPS = st.tuples(BATCHES, st.none() | st.tuples(st.integers(0, 12), _marks), st.booleans())
