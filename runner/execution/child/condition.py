"""Runs the condition of a process before it, in the launcher. Touches its own process.

The condition runs where the process will: in its directory, with its environment, user
and limits. It works without the runner, as the supervisor does.
"""

from __future__ import annotations

import os

from runner.execution.child.becoming import add_to_report
from runner.execution.child.supervising import Ending, Stream, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from runner.execution.child.orders import Orders
else:
    import _signal as signal  # `signal` is slow to import; see launcher.py

_NOT_MET = 1


def require(orders: Orders, arguments: list[str], within_s: float) -> None:
    """Run the condition. Unless it is met, report why and end this process.

    The report is empty if the condition is not met: exit code 1, and nothing on stderr.
    (A program that crashes may exit with 1 too, but it says why.) Any other end says in
    words how the condition failed.
    """
    of_condition: Orders = {
        **orders,
        "arguments": arguments,
        "is_reporting": False,
        "stdin": None,
        "is_stderr_reported": False,
        "failing_texts": [],
    }
    errors = Stream((2,), of_condition)
    streams = [errors, *([Stream((1,), of_condition)] if orders["secrets"] else [])]
    ending = run(of_condition, streams, within_s=within_s)
    # From here to the start of the process, signals wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    verdict = _verdict(ending, has_errors=errors.has_content)
    if verdict is not None:
        add_to_report(orders["report"], b"condition", verdict)
        os._exit(0)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)


def _verdict(ending: Ending, *, has_errors: bool) -> bytes | None:
    """Return what to report about the condition; None if it is met."""
    if ending.is_late:
        return b"took longer than its timeout"
    if os.WIFSIGNALED(ending.status):
        return b"was ended by signal %d" % os.WTERMSIG(ending.status)
    code = os.waitstatus_to_exitcode(ending.status)
    if code == _NOT_MET and has_errors:
        return b"wrote to standard error and ended with exit code 1"
    if code == _NOT_MET:
        return b""
    if code:
        return b"ended with exit code %d" % code
    # It survived a signal that was meant to stop the execution.
    stops = ending.signals - {signal.SIGCONT}
    return b"was stopped by signal %d" % min(stops) if stops else None
