from __future__ import annotations

import re
from pathlib import Path
from threading import Event

import pytest

import runner
from runner.system.threads import OwnThread


class _Stillborn(OwnThread):
    def _bootstrap(self) -> None:  # what a new thread calls first
        raise MemoryError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_before_it_begins_is_an_error_and_no_wait() -> None:
    with pytest.raises(MemoryError):
        _Stillborn(daemon=True).start()


def test_a_thread_that_begins_runs() -> None:
    has_run = Event()
    thread = OwnThread(target=has_run.set, daemon=True)
    thread.start()
    assert has_run.wait(30)
    thread.join(30)
    assert not thread.is_alive()


def test_every_thread_of_the_program_is_one_of_these() -> None:
    sources = [*Path(runner.__file__).parent.rglob("*.py")]
    plain = re.compile(r"threading\.Thread\b|from threading import .*\bThread\b")
    found = [path.name for path in sources if plain.search(path.read_text())]
    assert found == ["threads.py"]
