"""The launcher as the parent of its program: it passes the output on, masked, and ends
as the program ends.

Touches its own process, its child, and the output file (descriptor 1). It needs the
runner for nothing.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import sys
import termios

from runner.execution.child.becoming import become, tell
from runner.execution.child.masking import Masker

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn

    from runner.execution.child.orders import Orders
else:
    import _signal as signal  # as in the launcher

_PIECE = 65536
_OUTPUT = 1
_NEVER_IGNORED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}


class _Stream:
    """A pipe from the program, in place of its stdout, its stderr or both."""

    def __init__(self, numbers: tuple[int, ...], secrets: list[bytes], told: int | None) -> None:
        """`told` is the descriptor of the report, if it is to say that something was written."""
        self.numbers = numbers
        self.reading, self.writing = os.pipe()
        self._masker = Masker(secrets)
        self._told = told

    def pass_on(self, amount: int) -> int:
        """Pass on at most so many bytes that wait in the pipe; return how many there
        were, 0 at its end.
        """
        piece = os.read(self.reading, min(amount, _PIECE))
        if piece and self._told is not None:
            tell(self._told, b"stderr")
            self._told = None
        _write(self._masker.feed(piece))
        return len(piece)

    def finish(self, *, is_cut: bool) -> None:
        """Pass on what waits in the pipe now; another process that still has it open is
        not waited for.

        `is_cut` says that the program was stopped, perhaps in the middle of a write.
        """
        waiting = int.from_bytes(
            fcntl.ioctl(self.reading, termios.FIONREAD, bytes(4)), sys.byteorder
        )
        while waiting > 0 and (passed := self.pass_on(waiting)):
            waiting -= passed
        _write(self._masker.flush(is_cut=is_cut))


def supervise(orders: Orders) -> NoReturn:
    """Start the program as our child, relay its output to its end, and end alike."""
    streams = [
        _Stream(numbers, orders["secrets"], orders["report"] if numbers == (2,) else None)
        for numbers in _piped(orders)
    ]
    # A signal that comes before the child can take it must neither end us nor be lost.
    # It waits: with us, until we have passed it on; with the child, until the program
    # begins.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        for stream in streams:
            for number in stream.numbers:
                os.dup2(stream.writing, number)
        become(orders)
    for stream in streams:
        os.close(stream.writing)
    signalled = _outlive_signals(child)
    _relay(child, streams)
    _, status = os.waitpid(child, 0)
    for stream in streams:
        stream.finish(is_cut=os.WIFSIGNALED(status) or bool(signalled))
    _end_like(status)


def _piped(orders: Orders) -> list[tuple[int, ...]]:
    """Say what needs a pipe. Both streams share one where nobody asks which of them it
    was, and keep their order.
    """
    if not orders["is_stderr_told"]:
        return [(1, 2)]
    return [(1,), (2,)] if orders["secrets"] else [(2,)]


def _outlive_signals(child: int) -> set[int]:
    """Survive signals to our group, which are meant for the program: we stay for its last output.

    Return the set to which each one that arrives is added.
    """
    signalled: set[int] = set(signal.sigpending() - {signal.SIGCHLD})
    for number in signalled:
        os.kill(child, number)
    for number in signal.valid_signals() - _NEVER_IGNORED:
        signal.signal(number, lambda number, _: signalled.add(number))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return signalled


def _relay(child: int, streams: list[_Stream]) -> None:
    poll, ended = select.poll(), os.pidfd_open(child)
    poll.register(ended, select.POLLIN)
    by_descriptor = {stream.reading: stream for stream in streams}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    while ended not in (ready := [descriptor for descriptor, _ in poll.poll()]):
        for descriptor in ready:
            if not by_descriptor[descriptor].pass_on(_PIECE):
                poll.unregister(descriptor)


def _write(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(_OUTPUT, data) :]
    except OSError:
        # A full disk: better to lose output, as the program would, than to hold the
        # program up
        pass


def _end_like(status: int) -> NoReturn:
    if not os.WIFSIGNALED(status):
        os._exit(os.waitstatus_to_exitcode(status))
    number = os.WTERMSIG(status)
    resource.setrlimit(
        resource.RLIMIT_CORE, (0, 0)
    )  # the program has left its core; nobody needs ours
    if number != signal.SIGKILL:
        try:  # noqa: SIM105  (as in `tell`)
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # one that the C library keeps to itself, and that is at its default
    os.kill(os.getpid(), number)
    os._exit(128 + number)
