"""Keeps signals that reach `runner start` before its loop runs. Touches signal handlers.

Python takes half a second to import the runner. Until the loop runs, SIGHUP would kill
the process. As PID 1, where signals have no default action (kill(2)), SIGTERM would get
lost. So `runner start` imports this module first. It imports nothing slow: `signal`
itself would double the time until the handlers are set.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable
    from types import FrameType
else:
    import _signal as signal

NOTED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that control a runner."""
IGNORED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""Signals that control other programs. Sent to a runner by mistake, they would kill it."""
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_arrived: list[int] = []


def note() -> None:
    """Collect the signals that arrive from now on; `take` returns them.

    A former program of this process may have blocked them until now (`runner restart`).
    """
    for number in NOTED:
        signal.signal(number, _note)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NOTED)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def take() -> list[int]:
    """Return and forget the signals that have arrived since `note`, in order."""
    # One by one: a signal may arrive between any two steps, and must not get lost.
    taken = []
    while _arrived:
        taken.append(_arrived.pop(0))
    return taken


def put_back(numbers: Iterable[int]) -> None:
    """Let the next `take` return signals that somebody took and did not carry out."""
    _arrived[:0] = numbers


def is_stop_asked() -> bool:
    """Return whether a stopping signal has arrived that `take` has not returned yet."""
    return any(number in _STOPPING for number in _arrived)


def ignore() -> None:
    """Ignore all signals from now on.

    The runner has stopped; a late signal must not replace its exit code.
    """
    for number in NOTED:
        signal.signal(number, signal.SIG_IGN)


def _note(number: int, _frame: FrameType | None) -> None:
    _arrived.append(number)
