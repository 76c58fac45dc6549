"""The program that keeps the history index: real processes, kills, locks and folders."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.history_world import AT, HistoryWorld, finished_line, indexed_executions
from support.place import wait_until

from runner.history.building.keeping import Keeping
from runner.history.reading.query import Query
from runner.history.tables import index_path, lock_path, writer_of
from runner.monitor.reading import Filter

MANY = 12_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[HistoryWorld]:
    world = HistoryWorld(tmp_path)
    world.builder.close()  # another process writes the index
    yield world
    world.close()


def pid_of(state: Path) -> int | None:
    """Return the pid of the program that holds the lock of an index."""
    holder = writer_of(state)
    return None if holder is None else int(holder.split()[1])


def test_a_new_record_is_in_the_index_soon_and_the_program_ends_with_its_parent(
    world: HistoryWorld,
) -> None:
    with Keeping(world.state, world.log) as kept:
        world.append(finished_line(request="first"))
        wait_until(lambda: indexed_executions(world.index) == 1)
        os.kill(wait_until(lambda: pid_of(world.state)), signal.SIGINT)  # Ctrl-C reaches it, too
        world.rotate()
        world.append(finished_line(request="second"))
        wait_until(lambda: indexed_executions(world.index) == 2)
        assert [each["request"] for each in world.paged(Query())] == ["second", "first"]
        assert world.index.coverage().is_followed
        assert kept.trouble is None
    assert not world.index.is_followed()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in world.state.glob("history.*")}
    assert modes == {0o600}


def test_a_kill_in_the_middle_of_building_loses_and_repeats_nothing(world: HistoryWorld) -> None:
    lines = [finished_line(AT + timedelta(seconds=n), request=f"r{n % 7}") for n in range(MANY)]
    world.append(*lines[: MANY // 2])
    world.rotate()
    world.compress(".gz")
    world.append(*lines[MANY // 2 :])
    with Keeping(world.state, world.log):
        # Kill it whenever it has got a bit further; the last time there is nothing to do.
        for least in (1, MANY // 4, MANY // 2, MANY):
            wait_until(
                lambda least=least: indexed_executions(world.index) >= least,  # type: ignore[misc]
                within_s=120,
            )
            pid = wait_until(lambda: pid_of(world.state))
            os.kill(pid, signal.SIGKILL)
    assert world.paged(Query(), limit=1000) == world.scanned(Filter())


def test_a_second_program_waits_until_the_first_one_ends(world: HistoryWorld) -> None:
    lock = os.open(lock_path(world.state), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    index_path(world.state).unlink()
    with Keeping(world.state, world.log):
        world.append(finished_line())
        wait_until(lambda: pid_waits_for(lock_path(world.state)))
        assert not index_path(world.state).exists()
        os.close(lock)
        wait_until(lambda: indexed_executions(world.index) == 1)


def pid_waits_for(path: Path) -> bool:
    """Return whether another process has a file open."""
    found = subprocess.run(
        ["find", "/proc", "-maxdepth", "3", "-path", "*/fd/*", "-lname", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return any(f"/proc/{os.getpid()}/" not in line for line in found.stdout.splitlines())


def test_a_state_folder_that_cannot_be_written_is_reported_in_words(world: HistoryWorld) -> None:
    index_path(world.state).unlink()
    index_path(world.state).mkdir()  # root writes into every folder
    reported: list[str] = []
    with Keeping(world.state, world.log, reported.append) as kept:
        trouble = wait_until(lambda: kept.trouble)
    assert reported == [trouble]
    assert trouble.startswith(f"the history index in {world.state} cannot be written: ")
    with Keeping(world.state / "none", world.log) as kept:
        trouble = wait_until(lambda: kept.trouble)
    assert trouble.endswith("no such file or directory; `runner start` makes the folder")
