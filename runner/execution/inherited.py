"""What this program inherited from whoever started it, and what it is not to pass on.
Touches this process.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from runner.execution.trees import proc


def keep_children_waitable() -> None:
    """Undo an ignored SIGCHLD that we inherited: with it the system reaps our children,
    and exit codes are lost.
    """
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def keep_descriptors_from_children() -> None:
    """Close on exec what we inherited ourselves; what Python opens is that way already."""
    for name in proc.names("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):  # the one that listed them is closed by now
                os.set_inheritable(int(name), False)
