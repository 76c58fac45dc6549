"""Undoes what this process inherited and must not pass on. Touches this process."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from runner.execution.trees import proc


def keep_children_waitable() -> None:
    """Reset an inherited, ignored SIGCHLD.

    While it is ignored, the kernel reaps the children itself, and their exit codes are
    lost (waitpid(2)).
    """
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def keep_descriptors_from_children() -> None:
    """Set close-on-exec on inherited descriptors. What Python opens has it already."""
    for name in proc.names("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):  # the descriptor of this listing is closed by now
                os.set_inheritable(int(name), False)
