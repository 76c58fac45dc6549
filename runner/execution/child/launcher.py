"""A program of our own, run as a file: it becomes the process of an execution, or stays
as its supervisor.

It does what posix_spawn cannot, in a process with one thread, so that the runner
neither forks with Python code in the child nor waits. Its one argument is the
descriptor of its orders.
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
    import _signal as signal  # `signal` itself would double the time that this takes to start


def main(descriptor: int) -> None:
    """Do as ordered; never returns."""
    from runner.execution.child.becoming import become

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python would make a traceback of it
    orders = _read(descriptor)
    if orders["secrets"] or orders["is_stderr_told"]:
        from runner.execution.child.supervising import supervise

        supervise(orders)
    become(orders)


def _read(descriptor: int) -> Orders:
    with open(descriptor, "rb") as file:  # closed at once: secrets may be in it
        orders: Orders = marshal.loads(file.read())
    return orders


if __name__ == "__main__":
    top = os.path.abspath(__file__)  # noqa: PTH100 - pathlib would double the time of a start
    for _ in ("child", "execution", "runner", "the folder of the package"):
        top = os.path.dirname(top)  # noqa: PTH120
    sys.path.append(top)
    main(int(sys.argv[1]))
