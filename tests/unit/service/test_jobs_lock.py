"""The lock on a jobs folder: what is no trouble, and when trouble ends."""

from __future__ import annotations

import errno
import fcntl
from contextlib import closing
from pathlib import Path

import pytest
from loguru import logger

from runner.errors import RefusedError
from runner.service import jobs_lock
from runner.service.jobs_lock import JobsLock
from runner.system.clock import SystemClock


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a folder on a busy machine as long as for one that hangs."""
    monkeypatch.setattr(jobs_lock, "_PATIENCE_S", 30.0)


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_on_a_file_system_without_locks_the_runner_continues_with_a_warning(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, "not here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    warnings: list[str] = []
    handler = logger.add(lambda message: warnings.append(str(message)), level="WARNING")
    try:
        lock = JobsLock(tmp_path, SystemClock())
        lock.take()
        lock.close()
    finally:
        logger.remove(handler)
    assert lock.trouble is None
    (warning,) = warnings
    assert "cannot be locked (not here): ensure that no other runner serves it" in warning


def test_a_missing_folder_is_no_trouble(tmp_path: Path) -> None:
    lock = JobsLock(tmp_path / "missing", SystemClock())
    lock.take()
    assert lock.trouble is None
    lock.close()


def test_trouble_ends_when_the_path_leads_back_to_the_folder_that_is_locked(
    tmp_path: Path,
) -> None:
    own, foreign, jobs = tmp_path / "own", tmp_path / "foreign", tmp_path / "jobs.d"
    for folder in (own, foreign):
        folder.mkdir()
    other, lock = JobsLock(foreign, SystemClock()), JobsLock(jobs, SystemClock())
    with closing(other), closing(lock):
        other.take()
        _lead(jobs, own)
        lock.take()
        _lead(jobs, foreign)
        with pytest.raises(RefusedError, match="another runner"):
            lock.take()
        _lead(jobs, own)
        lock.take()
        assert lock.trouble is None


def _lead(link: Path, folder: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(folder)


def test_the_nodes_of_a_fleet_share_a_folder_but_with_no_runner_outside(tmp_path: Path) -> None:
    clock = SystemClock()
    one, two = (JobsLock(tmp_path, clock, is_of_fleet=True) for _ in range(2))
    alone = JobsLock(tmp_path, clock)
    with closing(one), closing(two):
        one.take()
        two.take()
        with pytest.raises(RefusedError, match="another runner"):
            alone.take()
    with closing(alone):
        alone.take()
        with pytest.raises(RefusedError, match="another runner"):
            one.take()
