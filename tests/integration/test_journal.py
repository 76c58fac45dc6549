"""The journal: committed records are shown in order, and reach the log in batches of
bounded size.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.monitor_records import record_of

from runner.monitor.log import MonitorLog
from runner.monitor.records import Event, Recorder
from runner.service.recording.journal import MOST_UNSHOWN, SHOWN_AT_ONCE, Journal
from runner.service.recording.outbox import BATCH_BYTES
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.rows import Batch, Mark

LINE = BATCH_BYTES // 100
NOON = datetime(2026, 10, 24, 12, tzinfo=UTC)


def test_the_observer_waits_for_other_work_but_not_for_ever(tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = []
    recorder, log = Recorder("r", "h"), MonitorLog(tmp_path / "monitor.jsonl")
    with closing(
        Journal(own_store(StorePlace(folder=tmp_path)), log, recorder, shown.append)
    ) as journal:
        journal.log.recover(range(0), None)

        def note(signals: range) -> None:
            for signal in signals:
                journal.record(record_of(Event.RUNNER_STOPPED, signal=signal), NOON)
            assert journal.commit()

        note(range(MOST_UNSHOWN))
        journal.show(is_busy=True)
        assert not shown
        note(range(MOST_UNSHOWN, MOST_UNSHOWN + 2))
        journal.show(is_busy=True)
        assert [record["signal"] for record in shown] == [0, 1]
        journal.show(is_busy=False)
        assert len(shown) == 2 + SHOWN_AT_ONCE and journal.has_unshown
    assert [record["signal"] for record in shown] == [*range(MOST_UNSHOWN + 2)]


def test_memory_is_bounded_while_the_log_refuses_and_recovery_appends_a_mebibyte_a_turn(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "logs"
    log = MonitorLog(folder / "monitor.jsonl")
    log.place()
    shutil.rmtree(folder)
    with closing(
        Journal(own_store(StorePlace(folder=tmp_path)), log, Recorder("r", "h"), lambda _: None)
    ) as journal:
        journal.log.recover(range(0), None)
        for number in range(1000):
            assert journal.commit(Batch(records=[_line(number)])) and not journal.log.append()
            journal.show_all()
        assert len(journal.log._outbox) == 1000
        assert journal.log._outbox.kept_bytes <= BATCH_BYTES
        folder.mkdir()
        appended = _append_all(journal, folder / "monitor.jsonl")
    assert len(appended) >= 10 and max(appended) <= BATCH_BYTES
    assert (folder / "monitor.jsonl").read_bytes() == b"".join(map(_line, range(1000)))


def test_a_runner_that_follows_a_long_refusal_reads_the_waiting_records_a_batch_at_a_time(
    tmp_path: Path,
) -> None:
    path = tmp_path / "monitor.jsonl"
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        for start in range(0, 1000, 100):
            store.commit(Batch(records=list(map(_line, range(start, start + 100)))))
    store = own_store(StorePlace(folder=tmp_path))
    snapshot = store.load()
    with closing(Journal(store, MonitorLog(path), Recorder("r", "h"), lambda _: None)) as journal:
        journal.log.recover(snapshot.outbox, snapshot.mark)
        assert path.stat().st_size <= BATCH_BYTES
        assert max(_append_all(journal, path)) <= BATCH_BYTES
    assert path.read_bytes() == b"".join(map(_line, range(1000)))


def test_an_idle_journal_commits_its_last_mark(tmp_path: Path) -> None:
    store, path = own_store(StorePlace(folder=tmp_path)), tmp_path / "monitor.jsonl"
    with closing(Journal(store, MonitorLog(path), Recorder("r", "h"), lambda _: None)) as journal:
        journal.log.recover(range(0), None)
        assert journal.commit(Batch(records=[_line(1)])) and journal.log.append()
        assert store.load().outbox == range(1, 2)
        assert journal.tidy()
        snapshot = store.load()
        assert snapshot.outbox == range(0)
        assert snapshot.mark == Mark(file=path.stat().st_ino, offset=path.stat().st_size)


def _line(number: int) -> bytes:
    return b"%d " % number + b"x" * (LINE - 20) + b"\n"


def _append_all(journal: Journal, path: Path) -> list[int]:
    """Append until nothing is left; return by how many bytes the log grew in each turn."""
    sizes = [path.stat().st_size if path.exists() else 0]
    while journal.log.has_unwritten:
        assert journal.log.append()
        sizes.append(path.stat().st_size)
    return [after - before for before, after in pairwise(sizes)]
