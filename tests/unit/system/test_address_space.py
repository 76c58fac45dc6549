"""The address space of a process with many threads, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys

THREADS = 12
SCRIPT = """
import sys, threading
from runner.system.address_space import limit_arenas
if sys.argv[1] == "limited":
    limit_arenas()
together = threading.Barrier({threads} + 1)
def allocate():
    kept = [bytes(2000) for _ in range(200)]
    together.wait()
    together.wait()
    del kept
threads = [threading.Thread(target=allocate) for _ in range({threads})]
for thread in threads:
    thread.start()
together.wait()
print(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1])
together.wait()
"""


def _size_mb(word: str) -> int:
    command = [sys.executable, "-c", SCRIPT.format(threads=THREADS), word]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout) // 1024


def test_threads_reserve_no_allocation_areas_of_their_own() -> None:
    usual, limited = _size_mb("usual"), _size_mb("limited")
    assert usual - limited > (THREADS - 3) * 60, "64 MB for each thread beyond two"
