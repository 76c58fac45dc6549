"""The journal shows what has become durable: in order, and later while there is something to start."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.monitor.log import MonitorLog
from runner.monitor.records import Event, Recorder
from runner.service.journal import Journal
from runner.store.database import Store

NOON = datetime(2026, 10, 24, 12, tzinfo=UTC)


def test_a_console_waits_for_what_is_to_be_started_but_not_for_ever(tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = []
    recorder, log = Recorder("r", "h"), MonitorLog(tmp_path / "monitor.jsonl")
    with closing(Journal(Store.own(tmp_path), log, recorder, shown.append)) as journal:
        journal.recover((), None)

        def show(signal: str, *, at_most: int) -> list[object]:
            journal.tell(Event.RUNNER_STOPPED, NOON, {"signal": signal})
            assert journal.commit() and journal.append()
            journal.show(at_most=at_most)
            return [record["signal"] for record in shown]

        assert show("A", at_most=0) == ["A"]
        assert show("B", at_most=2) == ["A"]
        assert show("C", at_most=2) == ["A"]
        assert show("D", at_most=2) == ["A", "B", "C", "D"]
        assert show("E", at_most=2) == ["A", "B", "C", "D"]
    assert [record["signal"] for record in shown] == ["A", "B", "C", "D", "E"]
