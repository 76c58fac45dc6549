"""Signals to `runner start` before its loop can act on them. Touches this process's
signal handlers.

Python takes half a second to import the runner. Until then SIGHUP would kill it, and as
PID 1, for which the kernel has no default actions, SIGTERM would be lost. So this is
the first thing that `runner start` imports, and it imports nothing that takes time:
`signal` itself would double the time until the handlers are set.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from types import FrameType
else:
    import _signal as signal

NOTED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that mean something to a runner."""
IGNORED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""Signals that other programs give a meaning; sent to a runner by mistake they would kill it."""
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_arrived: list[int] = []


def note() -> None:
    """Keep what arrives from now on for `take`, instead of its default action."""
    for number in NOTED:
        signal.signal(number, _note)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def take() -> list[int]:
    """Return the numbers of the signals that have arrived since `note`, in order, once."""
    taken = []
    while _arrived:
        taken.append(_arrived.pop(0))
    return taken


def is_stop_asked() -> bool:
    """Return whether a signal that stops the runner has arrived and was not taken."""
    return any(number in _STOPPING for number in _arrived)


def ignore() -> None:
    """Ignore all of them: the runner has stopped, and its exit code must say so."""
    for number in NOTED:
        signal.signal(number, signal.SIG_IGN)


def _note(number: int, _frame: FrameType | None) -> None:
    _arrived.append(number)
