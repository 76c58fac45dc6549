"""What a worker still knows after kill -9."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.worker_world import row_for

from runner.errors import StoreError, StoreUnwritableError
from runner.worker.notes import FILE, Notes, Step, Taken

Opened = Callable[[str], Notes]
TAKEN = Taken(row=row_for("0190f3", "true"), take="t", step=Step.STARTING, is_fenced=True)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Open the notes of the folder in a boot; they are closed after the test."""
    with ExitStack() as all_notes:
        yield lambda boot: all_notes.enter_context(closing(Notes(tmp_path, boot)))


def test_executions_and_reports_outlive_the_process(opened: Opened) -> None:
    notes = opened("boot")
    running = replace(TAKEN, step=Step.RUNNING, pid=7, pid_started=8, started=9)
    notes.put([TAKEN])
    report = notes.report("started", "{}", running)
    later = opened("boot")
    assert later.executions() == [running]
    assert later.unsent() == [report]
    assert later.state_id == notes.state_id
    assert later.note_sent([report.number]) == [running.id]
    later.forget([running.id])
    assert not notes.executions() and not notes.unsent()


def test_a_later_report_has_a_higher_number_even_after_the_former_was_sent(opened: Opened) -> None:
    notes = opened("boot")
    first = notes.report("started", "{}", TAKEN)
    notes.note_sent([first.number])
    assert notes.report("finished", "{}", TAKEN).number > first.number


def test_after_a_reboot_executions_are_dropped_and_reports_are_kept(opened: Opened) -> None:
    notes = opened("boot")
    report = notes.report("finished", "{}", TAKEN)
    rebooted = opened("another boot")
    assert not rebooted.is_same_boot and not rebooted.executions()
    assert rebooted.unsent() == [report]
    assert opened("another boot").is_same_boot


def test_notes_of_a_newer_version_and_damaged_ones_are_refused_in_words(
    opened: Opened, tmp_path: Path
) -> None:
    Notes(tmp_path, "boot").close()
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer version"):
        opened("boot")
    for each in tmp_path.iterdir():
        each.unlink()
    (tmp_path / FILE).write_bytes(b"no database " * 100)
    with pytest.raises(StoreError, match="cannot be used"):
        opened("boot")


def test_a_disk_that_refuses_is_an_error_for_people(opened: Opened, tmp_path: Path) -> None:
    notes = opened("boot")
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("DROP TABLE reports")
    with pytest.raises(StoreUnwritableError, match="cannot be written"):
        notes.report("started", "{}", TAKEN)
    assert not notes.executions(), "neither the report nor the state is noted"
