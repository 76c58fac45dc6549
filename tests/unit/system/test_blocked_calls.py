from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hung_mount import hung, needs_hung_mount
from support.place import wait_until

from runner.system.blocked_calls import BlockedCall, any_call, call_of, untaken_signals

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def _in_thread(call: Callable[[], object]) -> int:
    """Make a call in a thread, whatever it raises; return the thread's native id."""

    def carry_out() -> None:
        try:
            call()
        except OSError:
            return

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    assert thread.native_id is not None
    return thread.native_id


@needs_hung_mount
@pytest.mark.parametrize(
    "call", [os.stat, os.open, os.listdir, os.mkdir, os.unlink, os.readlink, os.statvfs]
)
def test_a_call_on_a_path_that_hangs_is_named(tmp_path: Path, call: Callable[..., object]) -> None:
    with hung(tmp_path / "hung"):
        path = str(tmp_path / "hung" / "file")
        arguments = (path, os.O_RDONLY) if call is os.open else (path,)
        thread = _in_thread(lambda: call(*arguments))
        found = wait_until(lambda: call_of(thread), what="the call")
        assert found.path == path
        assert any_call(os.getpid(), apart_from=0) is not None
        assert found.is_still(call_of(thread))


@linux
def test_a_wait_for_a_pipe_or_for_time_is_not_a_call_on_a_file() -> None:
    read_end, write_end = os.pipe()
    release = threading.Event()
    threads = [_in_thread(lambda: os.read(read_end, 1)), _in_thread(release.wait)]
    for thread in threads:
        wait_until(lambda thread=thread: _state_of(thread) == "S", what="a wait")  # type: ignore[misc]
        assert call_of(thread) is None
    release.set()
    os.close(write_end)


def test_the_same_arguments_after_many_waits_are_another_call() -> None:
    call = BlockedCall("/srv/a", (7, "0 0x3"), 10)
    assert call.is_still(BlockedCall("/srv/a", (7, "0 0x3"), 11))
    assert not call.is_still(BlockedCall("/srv/a", (7, "0 0x3"), 50))
    assert not call.is_still(BlockedCall("/srv/a", (7, "0 0x4"), 10))
    assert not call.is_still(None)


@linux
def test_a_thread_without_signals_has_none_untaken() -> None:
    assert untaken_signals(os.getpid()) == frozenset()


def _state_of(thread: int) -> str:
    return Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()[0]
