"""The program: takes jobs from standard input, and answers each on standard output.

It ends when its input ends and its jobs are over, at the latest after the time that a
job may take. The runner runs it as a file, without the current folder in its path.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from threading import Lock, Thread

COMMAND = (sys.executable, "-P", __file__)
"""How to start the sender."""
_WRITING = Lock()


def main() -> None:
    """Carry out the jobs of standard input."""
    from runner.notifying.sending.job import JOB_S

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner
    answers = _own_stdout()
    threads: list[Thread] = []
    for line in sys.stdin.buffer:
        threads = [each for each in threads if each.is_alive()]
        threads.append(Thread(target=_answer, args=(line, answers), daemon=True))
        threads[-1].start()
    until_s = time.monotonic() + JOB_S
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
    from runner.notifying.sending.delivery import carried_out
    from runner.notifying.sending.job import job_in

    result = carried_out(job_in(line))
    # Without a runner nobody reads this, and the next one repeats the job.
    with _WRITING, suppress(OSError):
        os.write(answers, result.line())


if __name__ == "__main__":
    top = os.path.abspath(__file__)  # noqa: PTH100 - pathlib would prolong the start
    for _ in ("sending", "notifying", "runner", "the folder of the package"):
        top = os.path.dirname(top)  # noqa: PTH120
    sys.path.append(top)
    main()
