"""The launcher as a supervisor: it starts the program as its child, masks its output and
searches it for texts.

The supervisor ends in the same way as the program: with its exit code or its signal. It
works without the runner, so an execution survives a crash of the runner. Touches its own
process, its child, and the output file (descriptor 1).
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import sys
import termios
import time

from runner.execution.child.becoming import add_to_report, become
from runner.execution.child.masking import Masker
from runner.execution.child.text_search import TextSearch

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn

    from runner.execution.child.orders import Orders
else:
    import _signal as signal  # `signal` is slow to import; see launcher.py

_PIECE = 65536
_OUTPUT = 1
_NEVER_IGNORED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}


class Stream:
    """A pipe from a program that replaces its stdout, its stderr, or both.

    `has_content` says whether the program has written to it.
    """

    def __init__(self, numbers: tuple[int, ...], orders: Orders) -> None:
        self.numbers = numbers
        self.reading, self.writing = os.pipe()
        self.has_content = False
        self._masker = Masker(orders["secrets"])
        self._search = TextSearch(orders["failing_texts"])
        self._report = orders["report"]
        self._is_use_reported = orders["is_stderr_reported"] and numbers == (2,)

    def pass_on(self, amount: int) -> int:
        """Relay up to `amount` bytes, masked; return how many, 0 at the end."""
        piece = os.read(self.reading, min(amount, _PIECE))
        if piece and not self.has_content:
            self.has_content = True
            if self._is_use_reported:
                add_to_report(self._report, b"stderr")
        self._write(self._masker.feed(piece))
        return len(piece)

    def finish(self, *, is_cut: bool) -> None:
        """Pass on the bytes in the pipe, after the program has ended.

        Do not wait for the end of the pipe: another process may keep it open. `is_cut`
        means that the program was stopped, perhaps in the middle of a write.
        """
        waiting = int.from_bytes(
            fcntl.ioctl(self.reading, termios.FIONREAD, bytes(4)), sys.byteorder
        )
        while waiting > 0 and (passed := self.pass_on(waiting)):
            waiting -= passed
        self._write(self._masker.flush(is_cut=is_cut))

    def _write(self, masked: bytes) -> None:
        if (found := self._search.feed(masked)) is not None:
            add_to_report(self._report, b"output", found)
        _write(masked)


class Ending:
    """How a child has ended."""

    def __init__(self, status: int, signals: set[int], *, is_late: bool) -> None:
        self.status = status  # as from waitpid
        self.signals = signals  # what this process received while the child ran
        self.is_late = is_late  # the child took too long and was killed


def supervise(orders: Orders) -> NoReturn:
    """Start the program as a child, relay its output, and end as it ends."""
    _end_like(run(orders, [Stream(numbers, orders) for numbers in _piped(orders)]).status)


def run(orders: Orders, streams: list[Stream], *, within_s: float | None = None) -> Ending:
    """Run a program as a child and relay its output; kill it after `within_s` seconds."""
    # A signal during the fork must neither end the supervisor nor get lost. So both
    # processes block it: the supervisor until it can pass it on (`_outlive_signals`), the
    # child until just before the exec (`become`).
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        for stream in streams:
            for number in stream.numbers:
                os.dup2(stream.writing, number)
        become(orders)
    for stream in streams:
        os.close(stream.writing)
    signals = _outlive_signals(child)
    is_late = not _relay(child, streams, within_s)
    if is_late:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    for stream in streams:
        stream.finish(is_cut=os.WIFSIGNALED(status) or bool(signals))
    return Ending(status, signals, is_late=is_late)


def _piped(orders: Orders) -> list[tuple[int, ...]]:
    """Return which of the descriptors 1 and 2 share a pipe.

    One pipe for both keeps the order of their output. Two are needed only if the report
    must say whether the program wrote to stderr.
    """
    if not orders["is_stderr_reported"]:
        return [(1, 2)]
    return [(1,), (2,)] if orders["secrets"] or orders["failing_texts"] else [(2,)]


def _outlive_signals(child: int) -> set[int]:
    """Stay alive when a signal arrives for the group; return the set that collects them.

    The signals are meant for the program; the supervisor must relay its last output. Pass
    on signals that arrived before the child existed: the group did not include it.
    """
    signalled: set[int] = set(signal.sigpending() - {signal.SIGCHLD})
    for number in signalled:
        os.kill(child, number)
    for number in signal.valid_signals() - _NEVER_IGNORED:
        signal.signal(number, lambda number, _: signalled.add(number))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return signalled


def _relay(child: int, streams: list[Stream], within_s: float | None) -> bool:
    """Relay until the child ends; return False if it has not ended `within_s` seconds."""
    poll, ended = select.poll(), os.pidfd_open(child)
    poll.register(ended, select.POLLIN)
    by_descriptor = {stream.reading: stream for stream in streams}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    until_s = None if within_s is None else time.monotonic() + within_s
    left_ms = None
    # Until the program itself ends, not until the pipes end: a background process of the
    # program may keep them open forever.
    while True:
        if until_s is not None and (left_ms := (until_s - time.monotonic()) * 1000) <= 0:
            return False
        ready = [descriptor for descriptor, _ in poll.poll(left_ms)]
        if ended in ready:
            return True
        for descriptor in ready:
            if not by_descriptor[descriptor].pass_on(_PIECE):
                poll.unregister(descriptor)


def _write(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(_OUTPUT, data) :]
    except OSError:
        # The disk is full. Lose output, as the program would, rather than block the
        # program.
        pass


def _end_like(status: int) -> NoReturn:
    if not os.WIFSIGNALED(status):
        os._exit(os.waitstatus_to_exitcode(status))
    number = os.WTERMSIG(status)
    # The program has dumped its core; a second dump, of the supervisor, is useless.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        try:  # noqa: SIM105  (as in `add_to_report`)
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # reserved by the C library, and always at its default
    os.kill(os.getpid(), number)
    os._exit(128 + number)
