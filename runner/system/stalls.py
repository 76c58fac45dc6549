"""Keeps a program answerable while its main thread waits for a file that does not answer.

A mount whose server is gone blocks a system call for ever, and no signal handler of
Python runs until the call returns. A thread of its own looks twice a second. It reports
what the main thread waits for, and ends the program if a signal asked for that and the
main thread cannot.

`begin` starts the thread before any path of the user is touched. Like `early_signals`,
this module serves the whole process and imports nothing slow. Touches threads and signals.
"""

from __future__ import annotations

import _thread
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress

from runner.system.blocked_calls import BlockedCall, any_call, call_of, untaken_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

SILENT_S = 5.0
"""After how long a call that does not return is reported, in seconds."""
_LOOK_EVERY_S = 0.5
_LATE_S = 2.0
_STACK_BYTES = 1 << 18  # the usual 8 MiB would count under a small `ulimit -v`
_PATIENCE_S = 2.0
"""How long a signal waits for the main thread, in seconds; a busy one takes it at once."""
_STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})


class StallWatch:
    """Watches the main thread. Times are seconds of `time.monotonic`.

    The main thread is stuck while one call on a file does not return. A loop calls `beat`
    in each turn: only then can the same call of two turns be told apart.
    """

    def __init__(self) -> None:
        self._is_start = False
        self._main = self._main_native = 0
        self._report: Callable[[str], object] = _print
        self._flush: Callable[[], object] = _nothing
        self._patience_s = _PATIENCE_S
        self._beat_s: float | None = None
        self._stop_asked_s: float | None = None
        self._signalled_s: list[float] = []  # signals that the main thread has not taken
        self._call: BlockedCall | None = None
        self._call_since_s = 0.0
        self._reported: BlockedCall | None = None

    def begin(self, *, is_start: bool) -> None:
        """Start the thread; call this in the main thread.

        `is_start` says that the command is `runner start`.
        """
        self._is_start = is_start
        self._main, self._main_native = _thread.get_ident(), _thread.get_native_id()
        usual = _thread.stack_size(_STACK_BYTES)
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # no room for a thread: the command works without
            return
        finally:
            _thread.stack_size(usual)

    def serve(
        self,
        report: Callable[[str], object],
        *,
        flush: Callable[[], object],
        patience_s: float,
    ) -> None:
        """Report with `report` from now on, and call `flush` before the process is ended.

        Once the loop beats, a stopping signal waits up to `patience_s` seconds for it. A
        second signal ends the process at once.
        """
        self._report, self._flush, self._patience_s = report, flush, patience_s

    def beat(self) -> None:
        """Note that the loop turns."""
        self._beat_s = time.monotonic()

    def note_stop(self) -> None:
        """Note that the loop has taken a stopping signal."""
        if self._stop_asked_s is None:
            self._stop_asked_s = time.monotonic()

    def note_end(self) -> None:
        """Note that the loop has ended in good order."""
        self._beat_s = self._stop_asked_s = None

    def _run(self) -> None:
        # So this thread gets no such signal itself: each waits until somebody takes it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        looked_s, nothing = time.monotonic(), select.poll()
        while True:
            # Not time.sleep: it raises OSError where libfaketime steps the clock meanwhile.
            nothing.poll(1000 * _LOOK_EVERY_S)
            now_s = time.monotonic()
            # A late look means that the whole process stood still (SIGSTOP, no CPU time).
            if now_s - looked_s < _LATE_S:
                with suppress(MemoryError):  # the main thread reports it
                    self._look(now_s)
            looked_s = now_s

    def _look(self, now_s: float) -> None:
        self._pass_signals_on(now_s)
        since_s = self._stuck_since(now_s)
        is_silent = since_s is not None and now_s - since_s >= SILENT_S
        if self._reported is not None and self._reported is not self._call:
            self._say(f"no longer waiting for {self._reported.path}")
            self._reported = None
        if is_silent and self._reported is None and self._call is not None:
            self._reported = self._call
            self._say(f"waiting for {self._name()}; {self._meanwhile()}")
        if self._is_end_due(now_s, is_silent=is_silent):
            self._end()

    def _pass_signals_on(self, now_s: float) -> None:
        """Take the signals that wait for the process, and direct them to the main thread.

        There they wait until it goes on, as they would anyway. But now the process can get
        the same signal once more, and that one is a second signal.
        """
        while (taken := signal.sigtimedwait(_STOPPING, 0)) is not None:
            self._signalled_s.append(now_s)
            signal.pthread_kill(self._main, taken.si_signo)
        if not untaken_signals(self._main_native) & _STOPPING:
            self._signalled_s.clear()

    def _stuck_since(self, now_s: float) -> float | None:
        """Return since when the main thread is stuck; None if it works."""
        beat_s = self._beat_s
        call = (
            any_call(self._main_native, apart_from=_thread.get_native_id())
            if beat_s is None
            else call_of(self._main_native)
        )
        if self._call is None or not self._call.is_still(call):
            self._call, self._call_since_s = call, now_s
            return None
        return self._call_since_s if beat_s is None else beat_s

    def _is_end_due(self, now_s: float, *, is_silent: bool) -> bool:
        patience_s = _PATIENCE_S if self._beat_s is None else max(self._patience_s, _PATIENCE_S)
        asked_s = self._stop_asked_s
        if not self._signalled_s:
            return is_silent and asked_s is not None and now_s - asked_s >= patience_s
        if asked_s is None and len(self._signalled_s) == 1:
            return now_s - self._signalled_s[0] >= patience_s
        return now_s - self._signalled_s[-1] >= _PATIENCE_S

    def _end(self) -> None:
        """End the process. Skip all cleanup: it might wait for the same file."""
        if self._beat_s is not None:
            code, text = 1, "ended without an orderly stop while waiting for {}; running"
            text += " executions go on, and the next start takes them over"
        elif self._is_start:
            code, text = 0, "stopped before the start, while waiting for {}"
        else:
            # The main thread may have taken the signal since the last look.
            untaken = untaken_signals(self._main_native) & _STOPPING
            code, text = 128 + min(untaken, default=signal.SIGTERM), "ended by a"
            text += " signal while waiting for {}"
        self._say(text.format(self._name()))
        _within(_PATIENCE_S, self._flush)
        os._exit(code)

    def _say(self, text: str) -> None:
        # The main thread may hold the console's lock.
        _within(_PATIENCE_S, lambda: self._report(text))

    def _name(self) -> str:
        if self._call is None:
            return "a disk, a mount or a name service"
        return f"{self._call.path}, which does not answer"

    def _meanwhile(self) -> str:
        if self._beat_s is not None:
            return "meanwhile nothing starts and nothing is recorded"
        return "the start goes on once it answers" if self._is_start else "Ctrl-C ends this command"


def _print(text: str) -> None:
    from runner.values import neutral

    try:
        os.write(2, f"runner: {neutral(text)}\n".encode(errors="backslashreplace"))
    except OSError:  # nobody reads it
        return


def _nothing() -> None:
    """Flush nothing: `_print` does not buffer."""


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Make a call that may hang, and wait for it for a limited time."""
    done = _thread.allocate_lock()
    done.acquire()

    def carry_out() -> None:
        try:
            call()
        finally:
            done.release()

    try:
        _thread.start_new_thread(carry_out, ())
    except RuntimeError:
        return
    done.acquire(timeout=seconds)


WATCH = StallWatch()
"""The watch of this process."""
