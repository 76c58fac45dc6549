"""Whether a batch has anything to commit."""

from __future__ import annotations

import pytest

from runner.store.rows import AlertRow, Batch, ExecutionRow, Phase, RequestRow, ResultRow

_REQUEST = RequestRow(
    name="a", file=None, definition=None, generation=1, fired_through=None, state="{}"
)
_EXECUTION = ExecutionRow(
    id="e",
    request="a",
    generation=1,
    scheduled_for=0,
    attempt=1,
    sequence=0,
    phase=Phase.WAITING,
    pid=None,
    pid_started=None,
    body="{}",
)

_RESULT = ResultRow("e", "a", "direct", "success", None, 0, 1, None, 0, 0)


def test_an_untouched_batch_is_empty() -> None:
    assert not Batch()


@pytest.mark.parametrize(
    "batch",
    [
        Batch(requests={"a": _REQUEST}),
        Batch(executions={"e": _EXECUTION}),
        Batch(ended=["e"]),
        Batch(results=[_RESULT]),
        Batch(renamed={"a": "b"}),
        Batch(records=[b"{}\n"]),
        Batch(answers={"c": "{}"}),
        Batch(meta={"k": ""}),
        Batch(alerts=[AlertRow(request="a", check_name="failure", state="{}")]),
        Batch(notifications={"n": None}),
    ],
    ids=lambda batch: next(field for field in Batch.__slots__ if getattr(batch, field)),
)
def test_any_content_makes_a_batch_worth_committing(batch: Batch) -> None:
    assert batch


def test_batches_share_nothing() -> None:
    Batch().records.append(b"{}\n")
    assert not Batch()
