"""The lock on a jobs folder where the file system cannot lock."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest
from loguru import logger

from runner.service.clock import SystemClock
from runner.service.jobs_lock import JobsLock


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_the_file_system_cannot_lock_the_runner_goes_on_with_a_caution(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, "not here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    told: list[str] = []
    handler = logger.add(lambda message: told.append(str(message)), level="WARNING")
    try:
        lock = JobsLock(tmp_path, SystemClock())
        lock.take()
        lock.close()
    finally:
        logger.remove(handler)
    assert lock.trouble is None
    (caution,) = told
    assert "cannot be locked (not here): let no other runner serve it" in caution


def test_a_folder_that_is_missing_or_closed_is_no_trouble(tmp_path: Path) -> None:
    lock = JobsLock(tmp_path / "missing", SystemClock())
    lock.take()
    assert lock.trouble is None
    lock.close()
