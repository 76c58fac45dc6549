"""Brings a history index up to date once, where no program keeps it. Touches files."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from runner.history import tables
from runner.history.building.builder import Builder
from runner.history.building.retention import Limits
from runner.history.building.writing import is_locked, opened_lock

_LONGEST_S = 120.0


def bring_up_to_date(state: Path, log: Path) -> None:
    """Read what is new in the log, unless another program does.

    Give up after two minutes: the next call goes on. Raises HistoryError if the index
    cannot be written.
    """
    lock = opened_lock(tables.lock_path(state))
    try:
        if not is_locked(lock):
            return
        with contextlib.closing(Builder(tables.index_path(state), log, Limits())) as builder:
            until_s = time.monotonic() + _LONGEST_S
            while builder.step() and time.monotonic() < until_s:
                pass
    finally:
        os.close(lock)
