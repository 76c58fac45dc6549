"""The program: reads deliveries from standard input, and writes their results to standard
output.

It ends when its input ends and its deliveries are over, at the latest after `DELIVERY_S`.
The runner runs it as a file, without the current folder in its path.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from threading import Lock

from runner.system.threads import OwnThread

COMMAND = (sys.executable, "-P", __file__)
"""How to start the sender."""
_WRITING = Lock()


def main() -> None:
    """Carry out the deliveries that standard input lists."""
    from runner.notifying.sending.delivery import DELIVERY_S

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner
    answers = _own_stdout()
    threads: list[OwnThread] = []
    for line in sys.stdin.buffer:
        threads = [each for each in threads if each.is_alive()]
        threads.append(OwnThread(target=_answer, args=(line, answers), daemon=True))
        threads[-1].start()
    until_s = time.monotonic() + DELIVERY_S
    for thread in threads:
        thread.join(max(until_s - time.monotonic(), 0.0))
    os._exit(0)  # do not wait for a thread that hangs


def _own_stdout() -> int:
    """Return a descriptor for the answers alone: what a library prints would be taken for one."""
    answers = os.dup(1)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - pathlib would prolong the start
        os.dup2(nothing.fileno(), 1)
    return answers


def _answer(line: bytes, answers: int) -> None:
    from runner.notifying.sending.delivering import deliver
    from runner.notifying.sending.delivery import delivery_in

    result = deliver(delivery_in(line))
    # Without a runner nobody reads this, and the next one repeats the delivery.
    with _WRITING, suppress(OSError):
        os.write(answers, result.line())


if __name__ == "__main__":
    top = os.path.abspath(__file__)  # noqa: PTH100 - pathlib would prolong the start
    for _ in ("sending", "notifying", "runner", "the folder of the package"):
        top = os.path.dirname(top)  # noqa: PTH120
    sys.path.append(top)
    main()
