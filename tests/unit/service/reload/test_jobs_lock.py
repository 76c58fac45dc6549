"""The lock on a jobs folder, on a file system that cannot lock."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest
from loguru import logger

from runner.service.clock import SystemClock
from runner.service.reload.jobs_lock import JobsLock


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
    assert "cannot be locked (not here): let no other runner serve it" in warning


def test_a_missing_folder_is_no_trouble(tmp_path: Path) -> None:
    lock = JobsLock(tmp_path / "missing", SystemClock())
    lock.take()
    assert lock.trouble is None
    lock.close()
