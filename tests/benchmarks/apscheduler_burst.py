"""A program for the peers' environment: N date triggers at one instant, in
APScheduler's default thread pool.

Prints starts and ends per second, from the first start to the last end. The grace is
unlimited: with the default of a second, most fires would be dropped as missed.
"""

import logging
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-not-found]


def main(count: int) -> None:
    logging.basicConfig(level=logging.ERROR)
    spans: list[tuple[float, float]] = []
    ended = threading.Semaphore(0)

    def execute() -> None:
        begun_s = time.perf_counter()
        subprocess.Popen(["/bin/true"]).wait()
        spans.append((begun_s, time.perf_counter()))
        ended.release()

    scheduler = BackgroundScheduler(timezone=UTC)
    due = datetime.now(UTC) + timedelta(seconds=1 + count / 1000)
    for _ in range(count):
        scheduler.add_job(execute, "date", run_date=due, misfire_grace_time=None)
    scheduler.start()
    for _ in range(count):
        ended.acquire(timeout=60)
    scheduler.shutdown()
    print(count / (max(end for _, end in spans) - min(begin for begin, _ in spans)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
