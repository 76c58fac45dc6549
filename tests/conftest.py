"""Fixtures that tests of all kinds share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Place, check_log

# Commands start by the hundred: they compile the program once, as where it is installed, even if here nobody else does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A fresh jobs folder; afterwards its runners are ended and its monitor log is checked."""
    made = Place(tmp_path)
    yield made
    for process in made.running:
        if process.poll() is None:
            process.terminate()
    for process in made.running:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    check_log(made.log)
