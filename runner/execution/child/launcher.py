"""The launcher: a program that becomes the process of an execution, or supervises it.

The runner runs it as a file. It does what posix_spawn cannot, in a process with one
thread. So the runner never runs Python code between fork and exec, which is unsafe with
threads, and never waits. Its one argument is the descriptor of its orders.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from runner.execution.child.orders import Orders
else:
    import _signal as signal  # importing `signal` would double the start time of the launcher


def main(descriptor: int) -> None:
    """Carry out the orders. Never returns."""
    from runner.execution.child.becoming import become

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python would print a traceback
    orders = _read(descriptor)
    if orders["condition"] is not None:
        from runner.execution.child.condition import require

        require(orders, *orders["condition"])
    if orders["is_supervised"]:
        from runner.execution.child.supervising import supervise

        supervise(orders)
    become(orders)


def _read(descriptor: int) -> Orders:
    with open(descriptor, "rb") as file:  # closed at once: it may contain secrets
        orders: Orders = marshal.loads(file.read())
    return orders


if __name__ == "__main__":
    top = os.path.abspath(__file__)  # noqa: PTH100 - pathlib would double the time of a start
    for _ in ("child", "execution", "runner", "the folder of the package"):
        top = os.path.dirname(top)  # noqa: PTH120
    sys.path.append(top)
    main(int(sys.argv[1]))
